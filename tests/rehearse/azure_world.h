// A simulated Azure on virtual machines, asked without sockets. Every answer is held against the published description.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "http/base64.h"
#include "http/digest.h"
#include "http/url.h"
#include "loop_runner.h"
#include "rehearse/azure/certificates.h"
#include "rehearse/azure/face.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/spec_check.h"
#include "rehearse/azure/spec_text.h"
#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {

namespace json = boost::json;

inline const std::string subscription = "00000000-0000-0000-0000-00000000000a";
inline const std::string group_path = "/subscriptions/" + subscription + "/resourceGroups/rg";
inline const std::string subnet_id = group_path + "/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes";
inline const std::string identity_id = group_path + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/node";
inline const std::string account_path = group_path + "/providers/Microsoft.Batch/batchAccounts/acc";
inline const std::string batch_json = "application/json; odata=minimalmetadata";

class AzureTest : public ::testing::Test {
 protected:
  AzureTest() { open(""); }

  static AzureWorld world() {
    AzureWorld world;
    world.subscriptions = {subscription};
    world.resource_groups = {subscription + "/rg/westeurope"};
    world.subnets = {subnet_id};
    world.identities = {identity_id};
    world.images = {group_path + "/providers/Microsoft.Compute/images/node"};
    world.batch_accounts = {{.name = "acc",
                             .key = http::to_base64("a key of the account"),
                             .subscription = subscription,
                             .resource_group = "rg",
                             .region = "westeurope"}};
    world.client_ids = {"client"};
    return world;
  }

  // As the program does: `saved` holds the face's and the site's state of an earlier life.
  void open(const std::string& saved_face, const std::string& saved_site = "") {
    face.reset();
    site.reset();
    floor = make_virtual_floor(loop);
    site = std::make_unique<Site>(loop, clock, *floor, 3);
    face = std::make_unique<AzureFace>(loop, clock, *site, gate, world(),
                                       AzureOptions{.ca_certificate = ca_certificate(), .ca_key = ca_key()});
    face->set_urls("https://arm.test", "https://login.test", {{"acc", "https://acc.test"}});
    if (saved_face.empty()) return;
    const auto loaded = face->load(saved_face);
    ASSERT_TRUE(loaded) << loaded.error().message;
    const auto site_loaded = site->load(saved_site, [this](Order order) { return face->order_of(std::move(order)); });
    ASSERT_TRUE(site_loaded) << site_loaded.error().message;
  }

  static const std::string& ca_key() {
    static const std::string key = new_rsa_key();
    return key;
  }
  static const std::string& ca_certificate() {
    static const std::string certificate = new_certificate("ca", ca_key(), "", "", SystemClock().now());
    return certificate;
  }

  struct Reply {
    int status = 0;
    http::Response raw;
    json::object body;
    std::string code() const {
      const std::string batch = text_at(body, "code");
      return batch.empty() ? text_at(body, "error.code") : batch;
    }
    const json::array& value() const { return body.at("value").as_array(); }
  };
  using Headers = http::Headers;

  bool until(const std::function<bool()>& holds) { return run_until(loop, holds, Duration(10'000)); }

  Reply ask(AzureFace::Plane plane, http::Asked asked) {
    auto got = std::make_shared<std::optional<http::Response>>();
    face->handle(plane, "acc", std::move(asked), [got](http::Response response) { *got = std::move(response); });
    EXPECT_TRUE(until([&] { return got->has_value(); })) << "no answer";
    return read(got->value_or(http::Response()));
  }

  static Reply read(const http::Response& response) {
    Reply out{.status = response.status, .raw = response};
    boost::system::error_code error;
    json::value body = json::parse(response.body, error);
    if (!error && body.is_object()) out.body = std::move(body.get_object());
    return out;
  }

  void sign(http::Asked& asked) {
    asked.headers.emplace_back("ocp-date", to_rfc1123(clock.now()));
    // The documented string:
    // https://learn.microsoft.com/rest/api/batchservice/authenticate-requests-to-the-azure-batch-service
    const auto header = [&](const char* name) { return std::string(http::find_header(asked.headers, name)); };
    const std::string length = asked.body.empty() ? "" : std::to_string(asked.body.size());
    std::string text = asked.method + "\n\n\n" + length + "\n\n" + header("Content-Type") + "\n\n" +
                       header("If-Modified-Since") + "\n" + header("If-Match") + "\n" + header("If-None-Match") + "\n" +
                       header("If-Unmodified-Since") + "\n\n" + "ocp-date:" + header("ocp-date") + "\n/acc" +
                       asked.target.substr(0, asked.target.find('?'));
    const auto target = http::parse_target(asked.target);
    std::map<std::string, std::string> sorted;
    for (const auto& [name, value] : target->query) sorted[lower(name)] = value;
    for (const auto& [name, value] : sorted) text += "\n" + name + ":" + value;
    if (!asked.body.empty()) asked.headers.emplace_back("Content-Length", length);
    asked.headers.emplace_back("Authorization",
                               "SharedKey acc:" + http::to_base64(http::hmac_sha256("a key of the account", text)));
  }

  // "GET", "/pools": api-version and signature are added.
  Reply batch(const std::string& method, const std::string& target, const std::string& body = "",
              Headers headers = {}) {
    http::Asked asked{.method = method, .target = versioned(target, "2024-07-01.20.0"), .headers = std::move(headers)};
    asked.body = body;
    if (!body.empty()) asked.headers.emplace_back("Content-Type", batch_json);
    sign(asked);
    const Reply reply = ask(AzureFace::Plane::batch, asked);
    hold(batch_spec(), asked, reply);
    return reply;
  }

  Reply arm(const std::string& method, const std::string& target, const std::string& version,
            const std::string& body = "", Headers headers = {}) {
    http::Asked asked{.method = method, .target = versioned(target, version), .headers = std::move(headers)};
    asked.body = body;
    if (!body.empty()) asked.headers.emplace_back("Content-Type", "application/json");
    if (token.empty()) token = arm_token();
    asked.headers.emplace_back("Authorization", "Bearer " + token);
    const Reply reply = ask(AzureFace::Plane::arm, asked);
    for (const Spec* spec : arm_specs()) hold(*spec, asked, reply);
    return reply;
  }

  std::string arm_token() {
    const Reply reply =
        ask(AzureFace::Plane::login, {.method = "POST",
                                      .target = "/72f988bf-0000-4000-8000-000000000001/oauth2/v2.0/token",
                                      .body = "grant_type=client_credentials&client_id=client&client_secret=s&scope="
                                              "https%3A%2F%2Fmanagement.azure.com%2F.default"});
    EXPECT_EQ(reply.status, 200);
    return text_at(reply.body, "access_token");
  }

  Reply imds(const Machine* machine, const std::string& method, const std::string& target, const std::string& body = "",
             Headers headers = {{"Metadata", "true"}}) {
    auto got = std::make_shared<std::optional<http::Response>>();
    http::Asked asked{.method = method, .target = target, .headers = std::move(headers), .body = body};
    face->handle_imds(machine, asked, [got](http::Response response) { *got = std::move(response); });
    EXPECT_TRUE(until([&] { return got->has_value(); })) << "no answer";
    return read(got->value_or(http::Response()));
  }

  // What the service may answer, by its description: this status, with this body.
  static void hold(const Spec& spec, const http::Asked& asked, const Reply& reply) {
    const auto found = spec.find(asked.method, asked.target.substr(0, asked.target.find('?')));
    if (found.operation == nullptr || reply.status >= 300) return;
    const auto answer = found.operation->answers.find(reply.status);
    ASSERT_NE(answer, found.operation->answers.end())
        << found.operation->id << " doesn't answer " << reply.status << ": " << reply.raw.body;
    if (reply.raw.body.empty() || answer->second.resolved().type == Schema::Type::any) return;
    const auto complaint = check_value(answer->second, json::parse(reply.raw.body), Direction::answer, "");
    EXPECT_FALSE(complaint) << found.operation->id << ": " << complaint->name << " " << complaint->reason << " "
                            << complaint->value;
  }

  static std::string versioned(const std::string& target, const std::string& version) {
    if (target.find("api-version=") != std::string::npos) return target;
    return target + (target.find('?') == std::string::npos ? "?" : "&") + "api-version=" + version;
  }
  static const Spec& batch_spec() {
    static const Spec spec(batch_spec_text);
    return spec;
  }
  static const std::vector<const Spec*>& arm_specs() {
    static const Spec management(batch_management_spec_text);
    static const Spec compute(compute_spec_text);
    static const Spec skus(skus_spec_text);
    static const Spec resources(resources_spec_text);
    static const std::vector<const Spec*> all{&management, &compute, &skus, &resources};
    return all;
  }

  void set(const std::string& levers) {
    auto parsed = parse_levers(levers);
    ASSERT_TRUE(parsed) << parsed.error().message;
    site->set_levers(*parsed);
  }

  static json::object pool_body(const std::string& id, int dedicated = 0, int low_priority = 0) {
    return {{"id", id},
            {"vmSize", "Standard_D4s_v5"},
            {"virtualMachineConfiguration",
             {{"imageReference",
               {{"publisher", "canonical"}, {"offer", "ubuntu-24_04-lts"}, {"sku", "server"}, {"version", "latest"}}},
              {"nodeAgentSKUId", "batch.node.ubuntu 24.04"}}},
            {"targetDedicatedNodes", dedicated},
            {"targetLowPriorityNodes", low_priority},
            {"startTask",
             {{"commandLine", "/bin/sh -c 'exec agent --join'"},
              {"waitForSuccess", true},
              {"userIdentity", {{"autoUser", {{"elevationLevel", "admin"}, {"scope", "pool"}}}}},
              {"environmentSettings", json::array{json::object{{"name", "SLIPWAY_POOL"}, {"value", "cpu"}}}}}},
            {"metadata", json::array{json::object{{"name", "slipway-cluster"}, {"value", "demo"}}}}};
  }
  void make_pool(const std::string& id, int dedicated = 0, int low_priority = 0) {
    ASSERT_EQ(batch("POST", "/pools", json::serialize(pool_body(id, dedicated, low_priority))).status, 201);
    ASSERT_TRUE(steady(id));
  }
  json::object pool(const std::string& id) { return batch("GET", "/pools/" + id).body; }
  bool steady(const std::string& id) {
    for (int i = 0; i < 300; ++i) {
      if (text_at(pool(id), "allocationState") == "steady") return true;
      run_until(
          loop, [] { return false; }, Duration(20));
    }
    return false;
  }
  std::vector<std::string> nodes(const std::string& id, const std::string& filter = "") {
    std::vector<std::string> out;
    const Reply reply =
        batch("GET", "/pools/" + id + "/nodes" + (filter.empty() ? "" : "?$filter=" + http::encode(filter)));
    for (const json::value& node : reply.value()) out.push_back(text_at(node.as_object(), "id"));
    return out;
  }

  SystemClock clock;
  Loop loop;
  Gate gate{clock, 1};
  std::unique_ptr<Floor> floor;
  std::unique_ptr<Site> site;
  std::unique_ptr<AzureFace> face;
  std::string token;
};

}  // namespace slipway::rehearse::azure
