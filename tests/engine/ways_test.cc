// Which way a machine is asked for, what a refusal does to it, and how it recovers.
#include "engine/budget.h"
#include "table.h"

namespace slipway::engine {
namespace {

using table::Market;
using table::Table;

TEST(Ways, TheNextMarketIsAskedInTheRoundAfterARefusal) {
  Table table(4);
  table.add_way(Market::spot, "small", "a");
  table.add_way(Market::spot, "small", "b");
  table.add_way(Market::on_demand, "small", "a");
  table.provider = [](const Launch& launch) {
    return launch.market == Market::spot ? Table::none(launch) : Table::Answer{launch.count, {}};
  };
  table.want(1, {"cpu-0001", "cpu-0002"});
  table.step();
  ASSERT_EQ(table.launches.size(), 1u) << "both zones of the market are one launch";
  EXPECT_EQ(table.launches[0].offers.size(), 2u);
  table.step(Duration(1));
  ASSERT_EQ(table.launches.size(), 2u);
  EXPECT_EQ(table.launches[1].market, Market::on_demand);
  EXPECT_EQ(table.launches[1].count, 2u);
  table.run(Duration(2'000));
  EXPECT_EQ(table.launches.size(), 2u) << "nothing is missing any more";
  EXPECT_TRUE(table.told(Tell::down).empty());
}

TEST(Ways, WhatOneOfferCouldNotGiveIsPausedTheOthersAreNot) {
  Table table(8);
  table.add_way(Market::on_demand, "big", "a");
  table.add_way(Market::on_demand, "big", "b");
  table.provider = [](const Launch& launch) {
    Table::Answer answer{launch.count, {}};  // b made up for it
    if (launch.offers[0].zone == "a")
      answer.refusals.push_back({launch.offers[0], {ErrorCode::no_capacity, "a is full"}});
    return answer;
  };
  table.want(1, {"cpu-0001"});
  table.step();
  table.want(2, {"cpu-0002"});
  table.step();
  ASSERT_EQ(table.launches.size(), 2u);
  ASSERT_EQ(table.launches[1].offers.size(), 1u);
  EXPECT_EQ(table.launches[1].offers[0].zone, "b");
}

TEST(Ways, AQuotaIsOfTheMachineTypeInAllZones) {
  Table table(8);
  table.add_way(Market::on_demand, "big", "a");
  table.add_way(Market::on_demand, "big", "b");
  table.add_way(Market::on_demand, "small", "a");
  table.provider = [](const Launch& launch) {
    if (launch.offers[0].machine != "big") return Table::Answer{launch.count, {}};
    return Table::Answer{0, {{launch.offers[0], {ErrorCode::quota, "64 of 64 vCPUs"}}}};
  };
  table.want(1, {"cpu-0001"});
  table.step();
  table.step();
  ASSERT_EQ(table.launches.size(), 2u);
  ASSERT_EQ(table.launches[1].offers.size(), 1u);
  EXPECT_EQ(table.launches[1].offers[0].machine, "small");
}

TEST(Ways, APassingTroubleSendsNobodyElsewhere) {
  Table table(2);
  table.add_way(Market::spot);
  table.add_way(Market::on_demand);
  int failures = 1;
  table.provider = [&](const Launch& launch) {
    return failures-- > 0 ? Table::none(launch, ErrorCode::transient) : Table::Answer{launch.count, {}};
  };
  table.want(1, {"cpu-0001"});
  table.run(Duration(3'000));
  ASSERT_EQ(table.launches.size(), 2u);
  EXPECT_EQ(table.launches[1].market, Market::spot);
  EXPECT_GE(table.launched_at[1] - table.launched_at[0], Duration(750));
}

TEST(Ways, AfterThePauseOneMachineDecides) {
  Table table(40);
  table.provider = [](const Launch& launch) { return Table::none(launch); };
  table.want(1, {"cpu-0001", "cpu-0002", "cpu-0003"}, false);  // can't be given back: it waits
  table.run(Duration(60'000));
  ASSERT_GE(table.launches.size(), 3u);
  EXPECT_EQ(table.launches[0].count, 3u);
  for (size_t i = 1; i < table.launches.size(); ++i) EXPECT_EQ(table.launches[i].count, 1u);
  EXPECT_LE(table.launches.size(), 6u) << "each pause is longer than the last";
  table.provider = [](const Launch& launch) { return Table::Answer{launch.count, {}}; };
  table.run(Duration(60'000));
  EXPECT_EQ(table.launches.back().count, 2u) << "the probe got one, the rest follows";
  EXPECT_EQ(table.launched_at.back() - table.launched_at[table.launched_at.size() - 2], Duration(500));
}

TEST(Ways, AWayThatHasRoomForTheProbeOnlyIsNotAskedAgainAtOnce) {
  Table table(10);
  table.provider = [](const Launch& launch) { return launch.count == 1 ? Table::Answer{1, {}} : Table::none(launch); };
  table.want(1, {"cpu-0001", "cpu-0002", "cpu-0003"}, false);
  table.run(Duration(600'000));
  EXPECT_LE(table.launches.size(), 24u) << "pauses grow although single machines can be had";
}

TEST(Ways, ALostAnswerIsAskedAgainWithTheSameToken) {
  Table table(4);
  table.spec.update_patience = Duration(2'000);
  table.want(1, {"cpu-0001"});
  table.now += Duration(500);
  table.view.slurm_as_of = table.view.instances_as_of = table.now;
  const Plan first = decide(table.view, table.spec, table.memory, table.now);
  ASSERT_EQ(first.launches.size(), 1u);
  launch_failed(table.memory, table.spec, first.launches[0].token, {ErrorCode::outcome_unknown, "no reply"}, table.now);
  table.run(Duration(10'000));
  ASSERT_EQ(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].token, first.launches[0].token);
}

TEST(Ways, AThrottledAnswerStopsEveryCallOfTheAccount) {
  Table table(4);
  table.spec.accounts.resize(1);
  table.serve("cpu-0003", false);
  table.node("cpu-0003").slurm.flags |= model::node_powering_down;
  table.provider = [](const Launch& launch) { return Table::none(launch, ErrorCode::transient); };
  throttled(table.memory, 0, {ErrorCode::throttled, "slow down", Duration(5'000)}, table.now);
  table.want(1, {"cpu-0001"});
  table.run(Duration(4'500));
  EXPECT_TRUE(table.launches.empty());
  EXPECT_EQ(table.live(), 1u) << "not even a termination";
  EXPECT_FALSE(take_call(table.memory, table.spec, 0, table.now));
  table.run(Duration(1'500));
  EXPECT_GE(table.launches.size(), 1u);
  EXPECT_EQ(table.live(), 0u);
}

TEST(Ways, ALateShortageOfAnAnonymousLaunchIsCharged) {
  Table table(10);
  table.spec.consistency_delay = std::chrono::minutes(15);
  table.provider = [](const Launch& launch) { return Table::Answer{launch.count, {}}; };
  table.want(1, {"cpu-0001", "cpu-0002"}, false);
  table.now += Duration(500);
  table.view.slurm_as_of = table.view.instances_as_of = table.now;
  table.memory.first_round = table.now - std::chrono::hours(1);
  const Plan plan = decide(table.view, table.spec, table.memory, table.now);
  ASSERT_EQ(plan.launches.size(), 1u);
  launch_answered(table.memory, table.spec, plan.launches[0].token, 2, {}, table.now);
  table.run(Duration(60'000));
  EXPECT_TRUE(table.launches.empty()) << "it is on its way";
  trouble_reported(table.memory, table.spec, {.pool = 0, .error = {ErrorCode::no_capacity, "AllocationFailed"}},
                   table.now);
  table.run(Duration(20'000));
  ASSERT_GE(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].count, 1u) << "tried with one after the pause";
}

TEST(Reactions, EveryFailureHasOneAndPausesDouble) {
  for (size_t i = 0; i < failure_count; ++i) {
    const auto failure = static_cast<Failure>(i);
    const Reaction& reaction = reaction_to(failure);
    EXPECT_FALSE(to_string(failure).empty());
    EXPECT_EQ(reaction.scope == Scope::nothing, reaction.first == Duration(0)) << to_string(failure);
    EXPECT_LE(reaction.first, reaction.longest);
  }
  EXPECT_EQ(pause_after(1, Duration(5'000), Duration(300'000)), Duration(5'000));
  EXPECT_EQ(pause_after(3, Duration(5'000), Duration(300'000)), Duration(20'000));
  EXPECT_EQ(pause_after(4'000'000'000u, Duration(5'000), Duration(300'000)), Duration(300'000));
}

TEST(Budget, CallsArePacedAndABurstIsAllowed) {
  Table table(100);
  table.spec.accounts.push_back({.per_second = 1, .burst = 3});
  table.step();
  table.now += Duration(60'000);
  int taken = 0;
  while (take_call(table.memory, table.spec, 0, table.now)) ++taken;
  EXPECT_EQ(taken, 2) << "a look leaves one for what it may ask for";
  table.want(1, {"cpu-0001"});
  table.step(Duration(10));
  EXPECT_EQ(table.launches.size(), 1u);
  table.want(2, {"cpu-0002"});
  const Plan plan = table.step(Duration(10));
  EXPECT_TRUE(plan.launches.empty());
  EXPECT_GT(plan.look_again, table.now);
  table.run(Duration(1'500));
  EXPECT_EQ(table.launches.size(), 2u);
}

// A thousandth of a token too early is a round that nobody asked for, and adds up with every call.
TEST(Budget, NothingIsTakenBeforeTheMomentThatWasGiven) {
  Table table(1);
  table.spec.accounts.push_back({.per_second = 0.1, .burst = 2});
  start_budgets(table.memory, table.spec, table.now);
  while (take_action(table.memory, table.spec, 0, table.now)) {
  }
  for (int call = 0; call < 20; ++call) {
    const TimePoint at = next_call(table.memory, table.spec, 0, table.now);
    EXPECT_FALSE(take_action(table.memory, table.spec, 0, at - Duration(1))) << call;
    EXPECT_TRUE(take_action(table.memory, table.spec, 0, at)) << call;
    table.now = at;
  }
}

// A scale set spans zones: it can't tell which of them was short.
TEST(Ways, ARefusalThatNamesNoZonePausesItsMachineInAllOfThem) {
  Table table(8);
  for (const char* machine : {"a", "b"}) {
    for (const char* zone : {"1", "2"}) table.add_way(Market::on_demand, machine, zone);
  }
  table.provider = [](const Launch&) { return Table::Answer{0, {{{"a", ""}, {ErrorCode::no_capacity, "sold out"}}}}; };
  table.want(1, {"cpu-0001"});
  table.step();
  table.step();
  ASSERT_GE(table.launches.size(), 2u);
  EXPECT_EQ(table.launches[0].offers.size(), 4u);
  ASSERT_EQ(table.launches[1].offers.size(), 2u);
  EXPECT_EQ(table.launches[1].offers[0].machine, "b");
}

}  // namespace
}  // namespace slipway::engine
