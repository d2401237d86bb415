#include "cloud/azure/skus.h"

#include <gtest/gtest.h>

namespace slipway::cloud::azure {
namespace {

TEST(Skus, ASizeAsTheApiTellsIt) {
  auto page = parse_skus(R"({"value":[
    {"resourceType":"disks","name":"P10"},
    {"resourceType":"virtualMachines","name":"Standard_HB120-16rs_v3","family":"standardHBrsv3Family","locations":["WestEurope"],
     "locationInfo":[{"location":"WestEurope","zones":["3","1","1"]}],
     "capabilities":[{"name":"vCPUs","value":"120"},{"name":"vCPUsAvailable","value":"16"},{"name":"MemoryGB","value":"448"},
       {"name":"RdmaEnabled","value":"True"},{"name":"LowPriorityCapable","value":"True"},{"name":"PremiumIO","value":"True"},
       {"name":"CpuArchitectureType","value":"x64"},{"name":"Novel","value":"x"}],
     "restrictions":[{"type":"Zone","values":["WestEurope"],"restrictionInfo":{"zones":["3"]},"reasonCode":"NotAvailableForSubscription"}]},
    {"resourceType":"virtualMachines","name":"Standard_X_unheard_of","family":"f",
     "capabilities":[{"name":"vCPUs","value":"lots"},{"name":"MemoryGB","value":"3.5"},{"name":"GPUs","value":"2"},
       {"name":"LowPriorityCapable","value":"False"}],
     "restrictions":[{"type":"Location","values":["WestEurope"],"reasonCode":"NotAvailableForSubscription"}]}],
    "nextLink":"https://next"})");
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->items.size(), 2u);
  const VmSize& hb = page->items[0];
  EXPECT_EQ(hb.type.name, "Standard_HB120-16rs_v3");
  EXPECT_EQ(hb.type.family, "standardHBrsv3Family");
  EXPECT_EQ(hb.type.cores, 120u);
  EXPECT_EQ(hb.type.cores_offered, 16u);
  EXPECT_EQ(hb.type.memory_mib, 448u * 1024);
  EXPECT_TRUE(hb.type.rdma);
  EXPECT_EQ(hb.zones, (std::vector<std::string>{"1", "3"}));
  EXPECT_EQ(hb.refused_zones, (std::vector<std::string>{"3"}));
  EXPECT_EQ(hb.refused, "");
  const VmSize& other = page->items[1];
  EXPECT_EQ(other.type.cores, 0u);
  EXPECT_EQ(other.type.memory_mib, 3'584u);
  EXPECT_EQ(other.type.gpus, 2u);
  EXPECT_FALSE(other.type.spot);
  EXPECT_EQ(other.refused, "NotAvailableForSubscription");
  EXPECT_EQ(page->next, "https://next");
}

TEST(Skus, WhatTheApiDoesNotTellIsTheTables) {
  const auto names = catalog::names(model::ProviderKind::azure);
  ASSERT_FALSE(names.empty());
  const catalog::MachineType* known = nullptr;
  for (const auto name : names) {
    const auto* type = catalog::find(model::ProviderKind::azure, name);
    if (type != nullptr && !type->gpu_model.empty()) known = type;
  }
  ASSERT_NE(known, nullptr);
  auto page = parse_skus(R"({"value":[{"resourceType":"virtualMachines","name":")" + known->name +
                         R"(","capabilities":[{"name":"GPUs","value":"3"}]}]})");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->items[0].type.gpus, 3u);
  EXPECT_EQ(page->items[0].type.gpu_model, known->gpu_model);
}

TEST(Skus, Usages) {
  auto page = parse_usages(R"({"value":[
    {"unit":"Count","currentValue":12,"limit":100,"name":{"value":"standardHBrsv3Family","localizedValue":"HBv3"}},
    {"currentValue":1},{"currentValue":"x","limit":-1,"name":{"value":"cores"}}]})");
  ASSERT_TRUE(page);
  ASSERT_EQ(page->items.size(), 2u);
  EXPECT_EQ(page->items[0].family, "standardHBrsv3Family");
  EXPECT_EQ(page->items[0].title, "HBv3");
  EXPECT_EQ(page->items[0].used, 12);
  EXPECT_EQ(page->items[0].limit, 100);
  EXPECT_EQ(page->items[1].limit, -1);
}

TEST(Skus, NoAnswerIsTransient) {
  for (const char* text : {"", "{}", "[]", "{\"value\":1}"}) {
    EXPECT_EQ(parse_skus(text).error().code, ErrorCode::transient) << text;
    EXPECT_EQ(parse_usages(text).error().code, ErrorCode::transient) << text;
  }
}

}  // namespace
}  // namespace slipway::cloud::azure
