#include "cloud/azure/compute_parse.h"

#include <gtest/gtest.h>

#include "cloud/azure/compute_pages.h"

namespace slipway::cloud::azure {
namespace {

TEST(ComputeParse, AScaleSet) {
  auto set = parse_scale_set(R"({"name":"s","id":"/x/s","etag":"\"1\"","tags":{"Slipway-Cluster":"hpc","n":3},
      "sku":{"name":"Standard_D2s_v5","capacity":7},
      "properties":{"provisioningState":"Updating","orchestrationMode":"Flexible","new":[1]}})");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->capacity, 7u);
  EXPECT_EQ(set->etag, "\"1\"");
  EXPECT_TRUE(set->busy());
  EXPECT_TRUE(set->flexible);
  EXPECT_EQ(set->tags.at("slipway-cluster"), "hpc") << "ARM keeps the case that somebody wrote, and compares without";
}

TEST(ComputeParse, ACapacityThatCannotBeReadIsNotZero) {
  const auto counted = [](const std::string& sku) {
    auto set = parse_scale_set(R"({"name":"s","sku":)" + sku + "}");
    return set && set->counted;
  };
  EXPECT_TRUE(counted(R"({"capacity":7})"));
  EXPECT_TRUE(counted(R"({"capacity":0})"));
  for (const char* sku : {"null", "{}", R"({"capacity":null})", R"({"capacity":"7"})", R"({"capacity":5.0})",
                          R"({"capacity":-1})", R"({"capacity":99999999999})"}) {
    EXPECT_FALSE(counted(sku)) << sku;
  }
}

TEST(ComputeParse, WhatIsNoAnswerIsTransient) {
  for (const char* text :
       {"", "[]", "<html>", "{\"value\":3}", "{\"value\":[3]}", "{\"value\":[{}]}", "{\"value\":["}) {
    EXPECT_EQ(parse_scale_sets(text).error().code, ErrorCode::transient) << text;
    EXPECT_EQ(parse_vms(text).error().code, ErrorCode::transient) << text;
    EXPECT_FALSE(parse_operation(text)) << text;
  }
  EXPECT_FALSE(parse_nics("{}"));
}

TEST(ComputeParse, AMachineAndWhyItFailed) {
  auto page = parse_vms(R"({"value":[{"name":"s_1","id":"/x/s_1","zones":["2"],"properties":{"vmId":"ABC",
      "provisioningState":"Failed","priority":"Spot","timeCreated":"2026-11-22T11:00:00.25+01:00",
      "hardwareProfile":{"vmSize":"Standard_D2s_v5"},"instanceView":{"statuses":[
      {"code":"ProvisioningState/failed/AllocationFailed","message":"no room"},{"code":"PowerState/deallocated"}]}}}],
      "nextLink":"https://next"})");
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->items.size(), 1u);
  const VmView& vm = page->items[0];
  EXPECT_EQ(vm.vm_id, "abc");
  EXPECT_TRUE(vm.spot);
  EXPECT_EQ(vm.zone, "2");
  EXPECT_EQ(vm.power, "deallocated");
  EXPECT_EQ(vm.failure_code, "AllocationFailed");
  EXPECT_EQ(vm.failure_message, "no room");
  EXPECT_EQ(to_iso8601(vm.created_at), "2026-11-22T10:00:00.250Z");
  EXPECT_EQ(page->next, "https://next");
}

TEST(ComputeParse, ThePrimaryAddressOfAnInterface) {
  auto page = parse_nics(R"({"value":[{"properties":{"virtualMachine":{"id":"/X/VM"},"ipConfigurations":[
      {"properties":{"privateIPAddress":"10.0.0.1"}},
      {"properties":{"privateIPAddress":"10.0.0.2","primary":true}},
      {"properties":{"privateIPAddress":"10.0.0.3"}}]}},{"properties":{}}]})");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->items[0].vm, "/x/vm");
  EXPECT_EQ(page->items[0].address, "10.0.0.2");
  EXPECT_EQ(page->items[1].address, "");
}

TEST(ComputeParse, AnOperationsInnermostReasonCounts) {
  auto view = parse_operation(R"({"name":"x","status":"Failed","error":{"code":"DeploymentFailed","message":"outer",
      "details":[{"code":"Conflict","message":"middle","details":[{"code":"AllocationFailed","message":"inner"}]}]}})");
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->running);
  ASSERT_TRUE(view->failure);
  EXPECT_EQ(view->failure->code, ErrorCode::no_capacity);
  EXPECT_NE(view->failure->message.find("AllocationFailed: inner"), std::string::npos) << view->failure->message;
}

TEST(ComputeParse, AQuotaUnderAGeneralName) {
  auto view = parse_operation(R"({"status":"Failed","error":{"code":"OperationNotAllowed",
      "message":"Operation could not be completed as it results in exceeding approved standardDSv5Family Cores quota"}})");
  ASSERT_TRUE(view);
  ASSERT_TRUE(view->failure);
  EXPECT_EQ(view->failure->code, ErrorCode::quota);
}

TEST(ComputeParse, OtherEndsOfOperations) {
  EXPECT_TRUE(parse_operation(R"({"status":"InProgress"})")->running);
  EXPECT_TRUE(parse_operation(R"({"status":"SomethingNew"})")->running);
  EXPECT_FALSE(parse_operation(R"({"status":"Succeeded","error":{"code":"x"}})")->failure);
  EXPECT_FALSE(
      parse_operation(R"({"status":"Canceled","error":{"code":"OperationPreempted","message":"m"}})")->failure);
  EXPECT_FALSE(parse_operation(R"({"status":"Canceled"})")->failure);
  // Unknown reasons aren't for ever.
  EXPECT_EQ(parse_operation(R"({"status":"Failed","error":{"code":"Novel"}})")->failure->code, ErrorCode::transient);
  EXPECT_EQ(parse_operation(R"({"status":"Failed"})")->failure->code, ErrorCode::transient);
}

TEST(ComputeParse, Times) {
  EXPECT_EQ(to_iso8601(parse_time("2026-02-28T23:59:59Z")), "2026-02-28T23:59:59.000Z");
  EXPECT_EQ(to_iso8601(parse_time("2026-02-28T23:59:59.1234567+00:00")), "2026-02-28T23:59:59.123Z");
  EXPECT_EQ(to_iso8601(parse_time("2026-03-01T01:00:00-02:30")), "2026-03-01T03:30:00.000Z");
  for (const char* text : {"", "2026", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00", "x026-01-01T00:00:00Z"})
    EXPECT_EQ(parse_time(text), TimePoint{}) << text;
}

TEST(ComputePages, OurTokenGoesNowhereElse) {
  const std::string here = "https://management.azure.com";
  EXPECT_TRUE(is_of(here, "https://management.azure.com/subscriptions/x?api-version=1"));
  EXPECT_TRUE(is_of(here, "https://Management.Azure.com:443/x"));
  EXPECT_FALSE(is_of(here, "http://management.azure.com/x"));
  EXPECT_FALSE(is_of(here, "https://management.azure.com.evil.org/x"));
  EXPECT_FALSE(is_of(here, "https://management.azure.com:8443/x"));
  EXPECT_FALSE(is_of(here, "https://evil.org/management.azure.com"));
  EXPECT_FALSE(is_of(here, "https://management.azure.com@evil.org/"));
  EXPECT_FALSE(is_of(here, ""));
}

}  // namespace
}  // namespace slipway::cloud::azure
