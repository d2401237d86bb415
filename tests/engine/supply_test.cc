// Launch windows, spares, placement, and which nodes stay or go.
#include "table.h"

namespace slipway::engine {
namespace {

using table::Market;
using table::NodeBase;
using table::Table;

TEST(Window, WantsThatComeOneAfterAnotherAreOneLaunch) {
  Table table(20);
  table.spec.launch_window = {Duration(1'000), Duration(5'000)};
  table.want(1, {"cpu-0001"});
  table.step();
  table.want(2, {"cpu-0002"});
  table.step();
  EXPECT_TRUE(table.launches.empty());
  table.run(Duration(1'500));
  ASSERT_EQ(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].count, 2u);
}

TEST(Window, EndsAtItsLongest) {
  Table table(30);
  table.spec.launch_window = {Duration(1'000), Duration(5'000)};
  for (uint32_t i = 1; i <= 20; ++i) {
    table.want(i, {model::node_name(PoolName("cpu"), i).str()});
    table.step();
  }
  EXPECT_EQ(table.launches.size(), 1u);
  table.run(Duration(2'000));
  EXPECT_EQ(table.launches.size(), 2u);
}

TEST(Window, ARefusedLaunchGoesElsewhereWithoutWaitingAgain) {
  Table table(4);
  table.spec.launch_window = {Duration(1'000), Duration(5'000)};
  table.add_way(Market::spot);
  table.add_way(Market::on_demand);
  table.provider = [](const Launch& launch) {
    return launch.market == Market::spot ? Table::none(launch) : Table::Answer{launch.count, {}};
  };
  table.want(1, {"cpu-0001"});
  table.run(Duration(3'000));
  ASSERT_EQ(table.launches.size(), 2u);
  EXPECT_EQ(table.launched_at[1] - table.launched_at[0], Duration(500)) << "the very next round";
}

TEST(Window, TerminationsAreOneCallToo) {
  Table table(4);
  table.spec.launch_window = {Duration(1'000), Duration(5'000)};
  table.serve("cpu-0001", false);
  table.serve("cpu-0002", false);
  table.step();
  table.node("cpu-0001").slurm.flags |= model::node_powering_down;
  EXPECT_TRUE(table.step().terminations.empty());
  table.node("cpu-0002").slurm.flags |= model::node_powering_down;
  size_t calls = 0;
  for (int i = 0; i < 10; ++i) calls += table.step().terminations.empty() ? 0 : 1;
  EXPECT_EQ(calls, 1u);
  EXPECT_EQ(table.live(), 0u);
}

TEST(Spares, AFewMoreAreLaunchedAndTheFirstToJoinWin) {
  Table table(100);
  table.spec.pools[0].spares = 0.05;
  std::vector<std::string> names;
  for (uint32_t i = 1; i <= 40; ++i) names.push_back(model::node_name(PoolName("cpu"), i).str());
  table.want(1, names);
  table.step();
  ASSERT_EQ(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].count, 42u);
  EXPECT_EQ(table.launches[0].minimum, 40u);
  for (size_t i = 0; i < 2; ++i) table.view.instances[i].agent = AgentState::none;  // stragglers
  EXPECT_EQ(table.step().binds.size(), 40u);
  table.run(table.spec.surplus_grace + Duration(1'000));
  EXPECT_EQ(table.live(), 40u);
  Table few(4);
  few.spec.pools[0].spares = 0.05;
  few.want(1, {"cpu-0001", "cpu-0002"});
  few.step();
  EXPECT_EQ(few.launches[0].count, 2u);
}

TEST(Placement, EachJobOfSeveralNodesHasItsOwnGroup) {
  Table table(8);
  table.spec.pools[0].placement = model::Placement::per_job;
  table.want(1, {"cpu-0001", "cpu-0002"});
  table.want(2, {"cpu-0003", "cpu-0004"});
  table.want(3, {"cpu-0005"});
  table.step();
  ASSERT_EQ(table.launches.size(), 3u);
  table.step();
  for (const auto& [name, group] : {std::pair{"cpu-0002", "-cpu-job-1"}, {"cpu-0003", "-cpu-job-2"}, {"cpu-0005", ""}}) {
    const InstanceId id = table.memory.nodes[NodeName(name)].bound;
    EXPECT_EQ(table.machine(id.str()).placement, group) << name;
  }
}

TEST(Reclaim, TheDearestGoFirst) {
  Table table(3);
  table.add_way(Market::on_demand, "dear", "", 3.0);
  table.add_way(Market::on_demand, "cheap", "", 1.0);
  table.spec.pools[0].warm.usual.count = 1;
  table.serve("cpu-0001", false).offer.machine = "cheap";
  table.serve("cpu-0002", false).offer.machine = "dear";
  table.step();
  table.run(table.spec.pools[0].idle_reclaim + Duration(2'000));
  EXPECT_EQ(table.told(Tell::power_down), std::vector<std::string>{"cpu-0002"});
}

TEST(Reclaim, WhatIsPaidForIsKept) {
  Table table(2);
  table.spec.pools[0].billing_period = std::chrono::hours(1);
  table.serve("cpu-0001", false);
  table.step();
  table.step(std::chrono::minutes(50));
  EXPECT_TRUE(table.told(Tell::power_down).empty());
  const Plan plan = table.step(Duration(1));
  EXPECT_LE(plan.look_again - table.now, std::chrono::minutes(6));
  table.step(std::chrono::minutes(6));
  EXPECT_EQ(table.told(Tell::power_down).size(), 1u);
}

TEST(Warm, AShareIsOfTheBusyNodes) {
  Table table(20);
  table.spec.pools[0].warm.usual.share = 0.25;
  for (uint32_t i = 1; i <= 8; ++i) table.serve(model::node_name(PoolName("cpu"), i).str(), true);
  table.step();
  EXPECT_EQ(table.told(Tell::power_up).size(), 2u);
}

TEST(Warm, ACalendarHoldsAtItsHours) {
  Table table(20);
  table.now = TimePoint(std::chrono::hours(24 * 4)) + std::chrono::hours(6) + std::chrono::minutes(59);  // a Monday
  table.view.utc_offset = std::chrono::hours(1);
  table.spec.pools[0].warm.hours = {{.days = 0b0011111, .from = 8 * 60, .to = 18 * 60, .level = {.count = 3}}};
  const Plan before = table.step();
  EXPECT_TRUE(table.told(Tell::power_up).empty());
  EXPECT_EQ(before.look_again, TimePoint(std::chrono::hours(24 * 4 + 7))) << "eight o'clock local time";
  table.step(std::chrono::minutes(1));
  EXPECT_EQ(table.told(Tell::power_up).size(), 3u);
  Table sunday(20);
  sunday.now = TimePoint(std::chrono::hours(24 * 3 + 9));
  sunday.spec.pools[0].warm = table.spec.pools[0].warm;
  sunday.step();
  EXPECT_TRUE(sunday.told(Tell::power_up).empty());
}

TEST(Warm, OverMidnightTheDayIsThatOnWhichItBegins) {
  Table table(20);
  table.spec.pools[0].warm.hours = {{.days = 0b0010000, .from = 22 * 60, .to = 6 * 60, .level = {.count = 1}}};
  table.now = TimePoint(std::chrono::hours(24 * 2 + 5));  // Saturday, five in the morning
  table.step();
  EXPECT_EQ(table.told(Tell::power_up).size(), 1u);
  Table friday(20);
  friday.spec.pools[0].warm = table.spec.pools[0].warm;
  friday.now = TimePoint(std::chrono::hours(24 * 1 + 5));
  friday.step();
  EXPECT_TRUE(friday.told(Tell::power_up).empty());
}

}  // namespace
}  // namespace slipway::engine
