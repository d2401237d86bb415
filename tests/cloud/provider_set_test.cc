#include "cloud/provider_set.h"

#include <gtest/gtest.h>

namespace slipway::cloud {
namespace {

// One machine a pool, named after it; says what it was asked.
struct Small final : Provider {
  explicit Small(std::string pool_name) : pool(std::move(pool_name)) {}
  Capabilities capabilities() const override { return told; }
  Result<LaunchReceipt> launch(const LaunchRequest& request, Duration) override {
    launched += request.count;
    return LaunchReceipt{.accepted = request.count};
  }
  Result<Listing> list(Duration) override {
    if (down) return fail(ErrorCode::transient, pool + " is down");
    Listing listing;
    model::Instance machine;
    machine.id = InstanceId(pool + "/1");
    machine.pool = PoolName(pool);
    listing.instances.push_back(machine);
    listing.complete = complete;
    listing.as_of = as_of;
    listing.on_the_way.push_back({PoolName(pool), model::Market::spot, 3});
    return listing;
  }
  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& ids, Duration) override {
    if (down) return fail(ErrorCode::transient, pool + " is down");
    ended.insert(ended.end(), ids.begin(), ids.end());
    return std::vector<InstanceId>();
  }
  Result<uint32_t> withdraw(const PoolName&, model::Market, uint32_t count, Duration) override { return count; }
  Result<void> identify(const Evidence& evidence, Duration) override {
    if (evidence.document != pool) return fail(ErrorCode::denied, "not mine");
    return {};
  }

  std::string pool;
  Capabilities told;
  bool down = false;
  bool complete = true;
  TimePoint as_of{Duration(1'000)};
  uint32_t launched = 0;
  std::vector<InstanceId> ended;
};

struct ProviderSetTest : ::testing::Test {
  ProviderSetTest() {
    auto first = std::make_unique<Small>("cpu");
    auto second = std::make_unique<Small>("gpu");
    cpu = first.get();
    gpu = second.get();
    std::vector<ProviderOfPools> members;
    members.push_back({std::move(first), {PoolName("cpu")}});
    members.push_back({std::move(second), {PoolName("gpu")}});
    all = join_providers(std::move(members));
  }
  static constexpr Duration patience{1'000};
  Small* cpu;
  Small* gpu;
  std::unique_ptr<Provider> all;
};

TEST_F(ProviderSetTest, EachPoolsCallsGoToItsOwn) {
  ASSERT_TRUE(all->launch({.pool = PoolName("gpu"), .count = 4}, patience).has_value());
  EXPECT_EQ(cpu->launched, 0u);
  EXPECT_EQ(gpu->launched, 4u);
  EXPECT_EQ(all->launch({.pool = PoolName("none"), .count = 1}, patience).error().code, ErrorCode::bad_config);
  EXPECT_EQ(*all->withdraw(PoolName("cpu"), model::Market::spot, 2, patience), 2u);
}

TEST_F(ProviderSetTest, ListingsAreJoinedAndAsOldAsTheOldest) {
  gpu->as_of = TimePoint(Duration(500));
  const auto listing = all->list(patience);
  ASSERT_TRUE(listing.has_value());
  EXPECT_EQ(listing->instances.size(), 2u);
  EXPECT_EQ(listing->on_the_way.size(), 2u);
  EXPECT_TRUE(listing->complete);
  EXPECT_EQ(listing->as_of, TimePoint(Duration(500)));
}

TEST_F(ProviderSetTest, OneThatIsDownMakesItIncompleteAndAllDownFail) {
  gpu->down = true;
  const auto listing = all->list(patience);
  ASSERT_TRUE(listing.has_value());
  EXPECT_EQ(listing->instances.size(), 1u);
  EXPECT_FALSE(listing->complete);
  cpu->down = true;
  EXPECT_EQ(all->list(patience).error().code, ErrorCode::transient);
}

TEST_F(ProviderSetTest, MachinesAreEndedByWhoListsThemAndUnknownOnesByAll) {
  ASSERT_TRUE(all->list(patience).has_value());
  const auto refused = all->terminate({InstanceId("cpu/1"), InstanceId("gone")}, patience);
  ASSERT_TRUE(refused.has_value());
  EXPECT_TRUE(refused->empty());
  EXPECT_EQ(cpu->ended.size(), 2u);
  EXPECT_EQ(gpu->ended.size(), 1u);
}

TEST_F(ProviderSetTest, WhatAProviderThatIsDownHadIsRefused) {
  ASSERT_TRUE(all->list(patience).has_value());
  gpu->down = true;
  const auto refused = all->terminate({InstanceId("cpu/1"), InstanceId("gpu/1")}, patience);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(*refused, std::vector<InstanceId>{InstanceId("gpu/1")});
}

TEST_F(ProviderSetTest, SomebodyMustVouch) {
  EXPECT_TRUE(all->identify({.instance = InstanceId("x"), .document = "gpu"}, patience).has_value());
  EXPECT_EQ(all->identify({.instance = InstanceId("x"), .document = "forged"}, patience).error().code,
            ErrorCode::denied);
  ASSERT_TRUE(all->list(patience).has_value());
  EXPECT_EQ(all->identify({.instance = InstanceId("cpu/1"), .document = "gpu"}, patience).error().code,
            ErrorCode::denied)
      << "the other provider can't vouch for it";
}

TEST_F(ProviderSetTest, PromisesWhatTheSlowestKeeps) {
  cpu->told.consistency_delay = Duration(5'000);
  gpu->told.launch_delay = Duration(900'000);
  gpu->told.names_instances_at_launch = false;
  gpu->told.api = {.per_second = 2, .burst = 10};
  const Capabilities told = all->capabilities();
  EXPECT_EQ(told.consistency_delay, Duration(5'000));
  EXPECT_EQ(told.launch_delay, Duration(900'000));
  EXPECT_FALSE(told.names_instances_at_launch);
  EXPECT_EQ(told.api.per_second, 2);
}

}  // namespace
}  // namespace slipway::cloud
