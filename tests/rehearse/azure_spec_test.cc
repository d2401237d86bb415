#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "rehearse/azure/command_line.h"
#include "rehearse/azure/odata_filter.h"
#include "rehearse/azure/recase.h"
#include "rehearse/azure/spec_check.h"
#include "rehearse/azure/spec_text.h"
#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;
using Kind = Complaint::Kind;

const http::Query version{{"api-version", "2024-07-01.20.0"}};

std::optional<Complaint> check(const char* method, const char* path, const char* body, http::Query query = version,
                               http::Headers headers = {}) {
  static const Spec spec(batch_spec_text);
  const auto found = spec.find(method, path);
  if (found.operation == nullptr) return Complaint{Kind::bad_version, "no such operation"};
  const json::value parsed = body == nullptr ? json::value() : json::parse(body);
  return check_request(*found.operation, query, headers, body == nullptr ? nullptr : &parsed);
}

void expect(const std::optional<Complaint>& complaint, Kind kind, const std::string& name) {
  ASSERT_TRUE(complaint) << name << " was let through";
  EXPECT_EQ(complaint->kind, kind) << complaint->name << ": " << complaint->reason;
  EXPECT_EQ(complaint->name, name);
}

TEST(AzureSpec, FindsOperationsByPathAndMethod) {
  const Spec spec(batch_spec_text);
  const auto resize = spec.find("POST", "/pools/demo-cpu/resize");
  ASSERT_NE(resize.operation, nullptr);
  EXPECT_EQ(resize.operation->id, "Pool_Resize");
  EXPECT_EQ(resize.path.at("poolId"), "demo-cpu");
  EXPECT_TRUE(spec.find("PUT", "/pools/demo-cpu/resize").other_method);
  EXPECT_FALSE(spec.find("GET", "/jobs").other_method);
  // A literal segment wins over a parameter.
  EXPECT_EQ(spec.find("GET", "/pools/p/nodes").operation->id, "ComputeNode_List");
  const Spec compute(compute_spec_text);
  const auto set = compute.find("PATCH",
                                "/Subscriptions/s/resourcegroups/g/providers/microsoft.compute/"
                                "virtualmachinescalesets/v");
  ASSERT_NE(set.operation, nullptr);
  EXPECT_EQ(set.operation->id, "VirtualMachineScaleSets_Update");
}

TEST(AzureSpec, EveryPartOfARequestIsChecked) {
  const char* resize = "/pools/p/resize";
  EXPECT_FALSE(check("POST", resize, R"({"targetDedicatedNodes": 3, "resizeTimeout": "PT10M"})"));
  expect(check("POST", resize, "{}", {}), Kind::no_version, "api-version");
  expect(check("POST", resize, "{}", {{"api-version", "2099-01-01"}}), Kind::bad_version, "api-version");
  EXPECT_FALSE(check("POST", resize, "{}", {{"api-version", "2022-10-01.16.0"}}));
  expect(check("POST", resize, nullptr), Kind::missing_body, "body");
  expect(check("POST", resize, R"({"targetDedicated": 3})"), Kind::unknown_property, "targetDedicated");
  expect(check("POST", resize, R"({"targetDedicatedNodes": "3"})"), Kind::invalid_property, "targetDedicatedNodes");
  expect(check("POST", resize, R"({"targetDedicatedNodes": 3.5})"), Kind::invalid_property, "targetDedicatedNodes");
  expect(check("POST", resize, R"({"targetDedicatedNodes": 3000000000})"), Kind::out_of_range_property,
         "targetDedicatedNodes");
  expect(check("POST", resize, R"({"resizeTimeout": "10m"})"), Kind::invalid_property, "resizeTimeout");
  expect(check("POST", resize, R"({"nodeDeallocationOption": "kill"})"), Kind::invalid_property,
         "nodeDeallocationOption");
  http::Query unknown = version;
  unknown.emplace_back("wait", "1");
  expect(check("POST", resize, "{}", unknown), Kind::unknown_query, "wait");
  http::Query many = version;
  many.emplace_back("maxresults", "1001");
  expect(check("GET", "/pools/p/nodes", nullptr, many), Kind::out_of_range_query, "maxresults");
  many.back().second = "many";
  expect(check("GET", "/pools/p/nodes", nullptr, many), Kind::invalid_query, "maxresults");
  // A condition where there can't be one is refused: who sends it relies on it.
  expect(check("GET", "/pools/p/nodes", nullptr, version, {{"If-Match", "x"}}), Kind::unsupported_header, "If-Match");
  EXPECT_FALSE(check("POST", resize, "{}", version, {{"If-Match", "x"}, {"User-Agent", "u"}}));
}

TEST(AzureSpec, BodiesAreCheckedToTheLastProperty) {
  expect(check("POST", "/pools", R"({"id": "p"})"), Kind::missing_property, "vmSize");
  expect(check("POST", "/pools", R"({"id": "p", "vmSize": null})"), Kind::missing_property, "vmSize");
  EXPECT_FALSE(check("POST", "/pools", R"({"id": "p", "vmSize": "s", "displayName": null})"));
  expect(check("POST", "/pools", R"({"id": "p", "vmSize": "s", "startTask": {"commandLine": "x", "environmentSettings":
                [{"name": "A", "value": "b"}, {"value": "c"}]}})"),
         Kind::missing_property, "startTask.environmentSettings[1].name");
  expect(check("POST", "/pools", R"({"id": "p", "vmSize": "s", "startTask": {"commandLine": "x", "userIdentity":
                {"autoUser": {"elevationLevel": "root"}}}})"),
         Kind::invalid_property, "startTask.userIdentity.autoUser.elevationLevel");
  json::array ids;
  for (int i = 0; i < 101; ++i) ids.push_back("n");
  const std::string body = json::serialize(json::object{{"nodeList", ids}});
  expect(check("POST", "/pools/p/removenodes", body.c_str()), Kind::out_of_range_property, "nodeList");
}

TEST(AzureSpec, ReadOnlyPropertiesMayNotBeSent) {
  const Spec spec(compute_spec_text);
  const Schema& set = *spec.definition("VirtualMachineScaleSet");
  const json::value body = json::parse(R"({"location": "w", "properties": {"provisioningState": "Succeeded"}})");
  const auto complaint = check_value(set, body, Direction::request, "");
  expect(complaint, Kind::read_only_property, "properties.provisioningState");
  EXPECT_FALSE(check_value(set, body, Direction::answer, ""));
  // Required by a definition that it inherits from.
  expect(check_value(set, json::object{}, Direction::request, ""), Kind::missing_property, "location");
}

TEST(AzureSpec, Durations) {
  EXPECT_EQ(parse_iso_duration("PT5M"), 300);
  EXPECT_EQ(parse_iso_duration("P1DT2H3M4.5S"), 86400 + 7200 + 180 + 4.5);
  for (const char* wrong : {"", "P", "PT", "5M", "PT5", "P5M", "PTM", "PT5X", "PT5MT5S", "PT1.2.3S"}) {
    EXPECT_FALSE(parse_iso_duration(wrong)) << wrong;
  }
  EXPECT_EQ(to_iso_duration(900), "PT15M");
  EXPECT_EQ(to_iso_duration(3661), "PT1H1M1S");
  EXPECT_EQ(to_iso_duration(0), "PT0S");
}

TEST(AzureSpec, TimesThereAndBack) {
  const TimePoint time(std::chrono::seconds(1'795'377'905));
  EXPECT_EQ(to_rfc1123(time), "Sun, 22 Nov 2026 20:05:05 GMT");
  EXPECT_EQ(parse_rfc1123(to_rfc1123(time)), time);
  EXPECT_FALSE(parse_rfc1123("Sun, 22 Nov 2026 20:05:05 UTC"));
  EXPECT_FALSE(parse_rfc1123("Sun, 22 Foo 2026 20:05:05 GMT"));
  EXPECT_EQ(to_attested_time(time), "11/22/26 20:05:05 -0000");
}

bool fits(const char* filter, const char* object) {
  const auto parsed = ODataFilter::parse(filter);
  EXPECT_TRUE(parsed) << filter;
  return parsed && parsed->fits(json::parse(object).as_object());
}

TEST(AzureFilter, ComparesAndCombines) {
  const char* node = R"({"id": "tvm_1", "state": "idle", "isDedicated": true, "n": 5, "a": {"b": "x"}})";
  EXPECT_TRUE(fits("", node));
  EXPECT_TRUE(fits("state eq 'idle'", node));
  EXPECT_FALSE(fits("state ne 'idle'", node));
  EXPECT_TRUE(fits("state eq 'unusable' or state eq 'idle' and isDedicated eq true", node));
  EXPECT_FALSE(fits("(state eq 'unusable' or state eq 'idle') and isDedicated eq false", node));
  EXPECT_TRUE(fits("not (n gt 5) and n ge 5 and n lt 6 and n le 5.0", node));
  EXPECT_TRUE(fits("startswith(id, 'TVM') and a/b eq 'x'", node));
  EXPECT_TRUE(fits("'a/b' eq 'X'", node));
  EXPECT_FALSE(fits("missing eq 'x'", node));
  EXPECT_TRUE(fits("missing ne 'x' and missing eq null", node));
  for (const char* wrong : {"state", "state eq", "state eq idle", "state is 'idle'", "(state eq 'idle'",
                            "state eq 'idle", "state eq 'idle' and", "startswith(id)", "state eq 'a' 'b'"}) {
    EXPECT_FALSE(ODataFilter::parse(wrong)) << wrong;
  }
  EXPECT_FALSE(ODataFilter::parse(std::string(100'000, '(')));
  EXPECT_EQ(ODataFilter::parse("it eq 'it''s'")->fits({{"it", "it's"}}), true);
}

TEST(AzureRecase, BringsAPoolIntoTheOtherApisWords) {
  const Spec batch(batch_spec_text);
  const Spec arm(batch_management_spec_text);
  const json::value told = json::parse(
      R"({"nodeAgentSkuId": "a", "imageReference": {"id": "/image"}, "nodePlacementConfiguration": {"policy": "Zonal"}})");
  const json::value plane = recase(told, *batch.definition("VirtualMachineConfiguration"));
  EXPECT_EQ(plane, json::parse(R"({"nodeAgentSKUId": "a", "imageReference": {"virtualMachineImageId": "/image"},
                                   "nodePlacementConfiguration": {"policy": "zonal"}})"));
  EXPECT_EQ(recase(plane, *arm.definition("VirtualMachineConfiguration")), told);
}

TEST(AzureCommandLine, IsStartedWithoutAShell) {
  EXPECT_EQ(split_command_line(R"(/bin/sh -c 'a b "c"' "d \"e\"" f\ g)"),
            (std::vector<std::string>{"/bin/sh", "-c", "a b \"c\"", "d \"e\"", "f g"}));
  EXPECT_EQ(as_shell_command("echo $HOME; it's", true), "exec 'echo' '$HOME;' 'its'");
  EXPECT_EQ(as_shell_command("\"it's\"", true), "exec 'it'\\''s'");
  EXPECT_EQ(as_shell_command("id", false), "exec setpriv --reuid 65534 --regid 65534 --clear-groups 'id'");
}

}  // namespace
}  // namespace slipway::rehearse::azure
