// Machines on their way of a provider that names none at launch.
#include "table.h"

namespace slipway::engine {
namespace {

using table::Market;
using table::Table;

std::vector<std::string> names(uint32_t count) {
  std::vector<std::string> all;
  for (uint32_t n = 1; n <= count; ++n) all.push_back(model::node_name(PoolName("cpu"), n).str());
  return all;
}

TEST(OnTheWay, WhatAForgottenLaunchLeftIsCountedAfterARestart) {
  Table table(8);
  table.spec.launch_delay = std::chrono::minutes(15);
  table.want(1, names(5));
  table.view.on_the_way = {{0, Market::on_demand, 5}};
  table.run(Duration(60'000));
  EXPECT_TRUE(table.launches.empty()) << "five are on their way already";
}

TEST(OnTheWay, OnlyTheRestIsAskedFor) {
  Table table(8);
  table.spec.launch_delay = std::chrono::minutes(15);
  table.want(1, names(5));
  table.view.on_the_way = {{0, Market::on_demand, 3}};
  table.step();
  ASSERT_EQ(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].count, 2u);
}

TEST(OnTheWay, WhatIsNoLongerToldIsAskedForAgain) {
  Table table(8);
  table.spec.launch_delay = std::chrono::minutes(15);
  table.want(1, names(4));
  table.view.on_the_way = {{0, Market::on_demand, 4}};
  table.step();
  ASSERT_TRUE(table.launches.empty());
  table.view.on_the_way.clear();
  table.run(Duration(2'000));
  ASSERT_EQ(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].count, 4u);
}

TEST(OnTheWay, APartialListingAdoptsNothing) {
  Table table(8);
  table.want(1, names(4));
  table.view.on_the_way = {{0, Market::on_demand, 4}};
  table.view.instances_complete = false;
  table.step();
  EXPECT_TRUE(table.memory.launches.empty());
}

TEST(Withdraw, MachinesOnTheirWayThatNothingWantsAreTakenBackOnce) {
  Table table(8);
  table.spec.launch_delay = std::chrono::minutes(15);
  table.view.on_the_way = {{0, Market::on_demand, 6}};
  table.want(1, names(2));
  std::vector<Withdraw> all;
  for (int i = 0; i < 60; ++i) {
    const Plan plan = table.step();
    for (const Withdraw& one : plan.withdrawals) {
      all.push_back(one);
      withdrawn(table.memory, one, one.count, table.now);
      table.view.on_the_way = {{0, Market::on_demand, 6 - one.count}};
    }
  }
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].count, 4u);
  EXPECT_TRUE(table.launches.empty());
}

TEST(Withdraw, WaitsAMomentForTheNextJob) {
  Table table(8);
  table.spec.launch_delay = std::chrono::minutes(15);
  table.view.on_the_way = {{0, Market::on_demand, 4}};
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(table.step().withdrawals.empty());
  table.want(1, names(4));
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(table.step().withdrawals.empty());
  EXPECT_TRUE(table.launches.empty());
}

TEST(Withdraw, WhatCouldNotBeTakenBackIsTriedAgainLater) {
  Table table(8);
  table.spec.launch_delay = std::chrono::minutes(15);
  table.view.on_the_way = {{0, Market::on_demand, 3}};
  std::vector<TimePoint> at;
  for (int i = 0; i < 40; ++i) {
    const Plan plan = table.step();
    for (const Withdraw& one : plan.withdrawals) {
      at.push_back(table.now);
      EXPECT_EQ(plan.look_again, table.now + table.spec.update_patience) << "its answer may be lost";
      withdrawn(table.memory, one, 0, table.now);
    }
  }
  ASSERT_GE(at.size(), 2u);
  EXPECT_LE(at.size(), 4u);
  for (size_t i = 1; i < at.size(); ++i) EXPECT_GE(at[i] - at[i - 1], table.spec.update_patience);
}

TEST(Withdraw, ALaunchByNameIsLeftToTheListing) {
  Table table(8);
  table.want(1, names(3));
  table.provider = [](const Launch& launch) { return Table::Answer{launch.count, {}}; };
  table.run(Duration(20'000));
  EXPECT_EQ(table.launches.size(), 1u);
  EXPECT_TRUE(table.step().withdrawals.empty());
}

}  // namespace
}  // namespace slipway::engine
