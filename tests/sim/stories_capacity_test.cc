// What users of other systems tell about capacity: stockouts, quota, fallbacks, whole jobs. docs/stories.md has who
// told what.
#include <algorithm>

#include "story.h"

namespace slipway::sim {
namespace {

// Submission to running on EC2 when nothing goes wrong: looks, launch window, call, boot and set-up at their longest.
constexpr Duration start_longest = seconds(90);
// A refusal to the next attempt elsewhere, besides the call itself.
constexpr Duration elsewhere_within = seconds(2);
constexpr Duration call_longest = milliseconds(500);
constexpr Duration launch_window = seconds(1);
// The longest pause with its jitter, a look at who waits, and a start.
constexpr Duration back_within = minutes(6) + seconds(30) + start_longest;

model::Pool of_types(model::Pool pool, std::vector<std::string> machines, std::vector<std::string> zones = {}) {
  pool.machines = std::move(machines);
  pool.zones = std::move(zones);
  return pool;
}

model::Pool spot_first(model::Pool pool) {
  pool.markets = {Market::spot, Market::on_demand};
  return pool;
}

TEST(CapacityStories, AnotherMachineTypeWhenTheFirstIsSoldOut) {
  Story story(on_ec2({of_types(a_pool("cpu", 4), {"c7", "c6"})}));
  story.room(0, Market::on_demand, {"c7", ""});
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(job, start_longest));
  EXPECT_EQ(story.launches.size(), 1u);  // the provider goes through both types in one call
  ASSERT_EQ(story.machines(), 2u);
  EXPECT_EQ(story.machine(0).instance.offer.machine, "c6");
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

TEST(CapacityStories, OnDemandWhenSpotIsSoldOut) {
  Story story(on_ec2({spot_first(a_pool("cpu", 4))}));
  story.room(0, Market::spot);
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(job, start_longest));
  ASSERT_EQ(story.launches.size(), 2u);
  EXPECT_EQ(story.launches[0].what.market, Market::spot);
  EXPECT_EQ(story.launches[1].what.market, Market::on_demand);
  EXPECT_LT(story.launches[1].at - story.launches[0].at, call_longest + elsewhere_within);
  EXPECT_TRUE(story.downs.empty());  // the job never learns of it
  story.ends_well();
}

TEST(CapacityStories, AnotherZoneFillsUpWhatTheFirstLacks) {
  Story story(on_ec2({of_types(a_pool("cpu", 8), {"c7"}, {"a", "b"})}));
  story.room(3, Market::on_demand, {"", "a"});
  const JobId job = story.submit({.nodes = 5});
  EXPECT_TRUE(story.until_runs(job, start_longest));
  EXPECT_EQ(story.launches.size(), 1u);
  uint32_t in_a = 0;
  for (const Machine& machine : story.world.cloud.machines()) in_a += machine.instance.offer.zone == "a" ? 1 : 0;
  EXPECT_EQ(in_a, 3u);
  EXPECT_EQ(story.machines(), 5u);
  story.ends_well();
}

TEST(CapacityStories, TheNextPoolOfThePartitionWithinTwoSeconds) {
  WorldOptions options = on_ec2({of_types(a_pool("big", 4), {"c7"}), of_types(a_pool("small", 4), {"c6"})});
  options.cluster.launch_window = model::LaunchWindow{};
  Story story(options);
  story.room(0, Market::on_demand, {"c7", ""});
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(job, start_longest + seconds(5)));
  ASSERT_EQ(story.launches.size(), 2u);
  EXPECT_EQ(story.launches[1].what.pool, 1u);
  EXPECT_LT(story.launches[1].at - story.launches[0].at, call_longest + elsewhere_within + seconds(1));
  EXPECT_EQ(story.job(job).restarts, 1u);  // moved once, in seconds, without Slurm's requeue delay
  story.ends_well();
}

TEST(CapacityStories, NodesOfAStockoutComeBackByThemselves) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.room(0);
  const JobId job = story.submit({.nodes = 2});
  story.run_for(hours(2));
  EXPECT_FALSE(story.is(job, JobState::done));
  EXPECT_EQ(story.node(3).slurm.base, model::NodeBase::down);  // held, so that no job loops there
  EXPECT_TRUE(story.node(3).reason.starts_with("slipway: held, pool cpu")) << story.node(3).reason;
  story.room(UINT32_MAX);
  EXPECT_TRUE(story.until_runs(job, back_within));
  for (uint32_t n = 0; n < 4; ++n) {
    EXPECT_TRUE(story.until([&] { return story.node(n).slurm.base != model::NodeBase::down; }, seconds(30))) << n;
  }
  story.ends_well();
}

TEST(CapacityStories, NoJobLoopsAndNobodyHammersDuringAStockout) {
  Story story(on_ec2({a_pool("cpu", 8)}));
  story.room(0);
  std::vector<JobId> jobs;
  for (int i = 0; i < 8; ++i) jobs.push_back(story.submit({}));
  story.run_for(hours(3));
  for (const JobId job : jobs) EXPECT_LE(story.job(job).restarts, 2u);
  EXPECT_LE(story.launches.size(), 60u);  // about one in five minutes once pauses have grown
  EXPECT_EQ(story.machines(), 0u);
  story.room(UINT32_MAX);
  EXPECT_TRUE(story.until([&] { return story.world.jobs_done(); }, back_within + minutes(5)));
  story.ends_well();
}

TEST(CapacityStories, TheJobIsToldWhyItWaits) {
  Story story(on_ec2({of_types(a_pool("cpu", 4), {"c7"}, {"a"})}));
  story.room(0);
  const JobId job = story.submit({});
  EXPECT_TRUE(story.until([&] { return !story.job(job).comment.empty(); }, seconds(10)));
  const std::string told = story.job(job).comment;
  EXPECT_TRUE(contains(told, "no machine for pool cpu") && contains(told, "no_capacity") &&
              contains(told, "c7 in zone a") && contains(told, "next attempt at"))
      << told;
  story.room(UINT32_MAX);
  EXPECT_TRUE(story.until_runs(job, back_within));
  EXPECT_TRUE(story.until([&] { return story.job(job).comment.empty(); }, seconds(60)));
  story.ends_well();
}

// "Why is node X so?"
TEST(CapacityStories, ANodeCanBeAskedWhyItIsHeld) {
  Story story(on_ec2({of_types(a_pool("cpu", 4), {"c7"}, {"a"})}));
  story.room(0);
  story.submit({});
  story.run_for(minutes(2));
  const std::string why = engine::explain_node(story.daemon().view(), story.world.spec, story.daemon().memory(),
                                               story.world.now(), NodeName("cpu-0003"));
  EXPECT_TRUE(contains(why, "no_capacity") && contains(why, "c7")) << why;
  story.room(UINT32_MAX);
  story.ends_well();
}

TEST(CapacityStories, AJobThatCannotBeRequeuedKeepsWaiting) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.room(0);
  const JobId job = story.submit({.nodes = 2, .batch = false});
  story.run_for(minutes(5));
  EXPECT_TRUE(story.is(job, JobState::configuring));  // a DOWN node would end it
  story.room(UINT32_MAX);
  EXPECT_TRUE(story.until_runs(job, minutes(4) + start_longest));
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

// A pool's pause is not ten minutes for everything in it.
TEST(CapacityStories, AShortStockoutCostsSeconds) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.room(0);
  const JobId job = story.submit({.nodes = 1});
  EXPECT_TRUE(story.until([&] { return story.noted("launch_refused") > 0; }, seconds(10)));
  story.room(UINT32_MAX);
  const TimePoint back = story.world.now();
  EXPECT_TRUE(story.until([&] { return story.machines() > 0; }, minutes(1)));
  EXPECT_LT(story.world.now() - back, seconds(12));
  EXPECT_TRUE(story.until_runs(job, start_longest));
  story.ends_well();
}

TEST(CapacityStories, ASoldOutTypeDoesNotPauseTheOthers) {
  Story story(on_ec2({of_types(a_pool("cpu", 12), {"c7", "c6"})}));
  story.room(0, Market::on_demand, {"c7", ""});
  for (int i = 0; i < 6; ++i) {
    const JobId job = story.submit({.nodes = 2, .runs = hours(2)});
    EXPECT_TRUE(story.until_runs(job, start_longest)) << "job " << i;
    EXPECT_EQ(story.job(job).restarts, 0u);
    story.run_for(minutes(3));
  }
  EXPECT_TRUE(story.downs.empty());
  EXPECT_LE(story.launches.size(), 18u);  // each a launch; after a pause also one machine of c7, and its replacement
  story.ends_well(hours(3));
}

// "An empty error when there is no quota."
TEST(CapacityStories, QuotaWithoutAWordIsStillCalledQuota) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.error(Error{ErrorCode::quota, ""});
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until([&] { return contains(story.job(job).comment, "quota"); }, seconds(10)));
  EXPECT_TRUE(story.until([&] { return contains(story.node(2).reason, "quota"); }, seconds(10)))
      << story.node(2).reason;
  story.run_for(minutes(30));
  EXPECT_LE(story.job(job).restarts, 1u);
  story.error({});  // somebody raised it, and told nobody
  EXPECT_TRUE(story.until_runs(job, minutes(13) + start_longest));
  story.ends_well();
}

TEST(CapacityStories, TheAccountsRealQuotaIsUsedToTheLast) {
  WorldOptions options = on_ec2({a_pool("cpu", 10)});
  options.cloud.quota = 4;
  Story story(options);
  std::vector<JobId> jobs;
  for (int i = 0; i < 8; ++i) jobs.push_back(story.submit({.runs = minutes(5)}));
  EXPECT_TRUE(story.until([&] { return story.billed() == 4 && story.up() == 4; }, minutes(3)));
  story.ends_well();
}

// Quota, capacity, rights and mistakes do not look alike.
TEST(CapacityStories, EveryRefusalHasItsOwnName) {
  for (const ErrorCode code :
       {ErrorCode::no_capacity, ErrorCode::quota, ErrorCode::denied, ErrorCode::bad_config, ErrorCode::transient}) {
    Story story(on_ec2({of_types(a_pool("cpu", 4), {"c7"}), of_types(a_pool("spare", 4), {"c6"})}));
    story.error(Error{code, "in the cloud's words"}, {"c7", ""});
    const JobId job = story.submit({.nodes = 2});
    const std::string name(to_string(code));
    // In the other pool; an outage may pass, and is given some tries.
    const Duration patience = code == ErrorCode::transient ? seconds(45) : seconds(5);
    EXPECT_TRUE(story.until_runs(job, patience + start_longest)) << name;
    EXPECT_TRUE(story.node(3).reason.starts_with("slipway: held")) << name;
    EXPECT_TRUE(contains(story.node(3).reason, name)) << name << ": " << story.node(3).reason;
    EXPECT_TRUE(contains(story.node(3).reason, "in the cloud's words")) << story.node(3).reason;
    story.error({}, {"c7", ""});
    EXPECT_TRUE(story.until([&] { return story.sleeps(3); }, minutes(14)))
        << name << ": nobody has to mend it in Slurm";
    story.ends_well();
  }
}

TEST(CapacityStories, WhatThereIsServesAsManyJobsAsItCan) {
  Story story(on_ec2({a_pool("cpu", 10)}));
  story.room(6);
  std::vector<JobId> jobs;
  for (int i = 0; i < 10; ++i) jobs.push_back(story.submit({.runs = minutes(5)}));
  EXPECT_TRUE(story.until([&] { return story.up() == 6; }, start_longest + seconds(30)));
  EXPECT_TRUE(story.until([&] { return story.world.jobs_done(); }, minutes(15)));  // two after the other
  EXPECT_EQ(story.noted("boot_failed"), 0u);
  story.ends_well();
}

TEST(CapacityStories, AJobOfSixHundredIsStillAllOrNothing) {
  Story story(on_ec2({a_pool("cpu", 700)}));
  story.room(550);
  const JobId job = story.submit({.nodes = 600});
  story.run_for(minutes(20));
  EXPECT_EQ(story.launches.front().what.minimum, 600u);
  EXPECT_LE(story.machines(), 10u);  // single ones that tried whether there is room again
  story.room(600);
  EXPECT_TRUE(story.until_runs(job, back_within + minutes(2)));
  story.ends_well();
}

TEST(CapacityStories, TwoLargeJobsDoNotStarveEachOtherWithHalves) {
  Story story(on_ec2({a_pool("cpu", 12)}));
  story.room(8);
  const JobId one = story.submit({.nodes = 6, .runs = minutes(5)});
  const JobId other = story.submit({.nodes = 6, .runs = minutes(5)});
  EXPECT_TRUE(story.until([&] { return story.is(one, JobState::running) || story.is(other, JobState::running); },
                          start_longest + minutes(1)));
  EXPECT_TRUE(story.until([&] { return story.world.jobs_done(); }, minutes(25)));
  story.ends_well();
}

TEST(CapacityStories, MachinesOfACancelledJobServeTheNext) {
  Story story(on_ec2({a_pool("cpu", 8)}));
  const JobId first = story.submit({.nodes = 4});
  story.run_for(seconds(20));
  story.world.slurm.cancel(first);
  story.world.jobs_changed = true;
  story.run_for(seconds(5));
  const JobId second = story.submit({.nodes = 4});
  EXPECT_TRUE(story.until_runs(second, start_longest));
  EXPECT_EQ(story.machines(), 4u);
  story.ends_well();
}

TEST(CapacityStories, MachinesThatNobodyWantsAnyMoreGoSoon) {
  Story story(on_ec2({a_pool("cpu", 8)}));
  const JobId job = story.submit({.nodes = 4});
  story.run_for(seconds(20));
  story.world.slurm.cancel(job);
  story.world.jobs_changed = true;
  EXPECT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(4)));
  story.ends_well();
}

// Two pools of a partition shared a queue, and a node of two partitions got a broken name.
TEST(CapacityStories, PoolsOfAPartitionAreKeptApart) {
  WorldOptions options = on_ec2({of_types(a_pool("cpu", 3), {"c7"}), of_types(a_pool("fat", 3), {"r7"})});
  model::Partition fat;
  fat.name = PartitionName("fat");
  fat.pools = {PoolName("fat")};
  options.cluster.partitions.push_back(fat);
  Story story(options);
  const JobId wide = story.submit({.partition = 0, .nodes = 5, .runs = minutes(3)});
  const JobId narrow = story.submit({.partition = 1, .nodes = 1});
  EXPECT_TRUE(story.until_runs(wide, start_longest + seconds(5)));
  EXPECT_TRUE(story.until_runs(narrow, start_longest + seconds(5)));
  ASSERT_EQ(story.machines(), 6u);
  for (uint32_t n = 0; n < 6; ++n) {
    ASSERT_NE(story.machine_of(n), nobody);
    EXPECT_EQ(story.machine(story.machine_of(n)).instance.offer.machine, n < 3 ? "c7" : "r7");
  }
  story.ends_well();
}

// Twelve of thirty-two got four; a hundred and one of a hundred and ten, ten.
TEST(CapacityStories, AnyNumberOfNodesGetsAsManyMachines) {
  for (const auto& [nodes, max] : {std::pair{1u, 1u}, {4u, 8u}, {12u, 32u}, {11u, 11u}, {101u, 110u}}) {
    Story story(on_batch({a_pool("cpu", max)}));
    const JobId job = story.submit({.nodes = nodes});
    EXPECT_TRUE(story.until_runs(job, start_longest + seconds(20))) << nodes << " of " << max;
    EXPECT_EQ(story.machines(), nodes);
    EXPECT_EQ(story.launches.size(), 1u);
    story.ends_well();
  }
}

// Allocation errors of a resize were never read.
TEST(CapacityStories, WhatAPoolSaysMinutesLaterIsHeard) {
  Story story(on_batch({of_types(a_pool("low", 4), {"d2"}), of_types(a_pool("next", 4), {"d3"})}));
  story.room(0, Market::on_demand, {"d2", ""});
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(job, minutes(2) + start_longest + seconds(30)));
  const TimePoint heard = story.first("pool_short");
  ASSERT_NE(heard, TimePoint{});
  const auto next = std::find_if(story.launches.begin(), story.launches.end(),
                                 [](const Story::Launch& launch) { return launch.what.pool == 1; });
  ASSERT_NE(next, story.launches.end());
  EXPECT_LT(next->at - heard, elsewhere_within + launch_window);
  EXPECT_TRUE(std::any_of(story.notes.begin(), story.notes.end(), [](const Story::Note& note) {
    return note.what.kind == "launch_refused" && contains(note.what.message, "AllocationFailed");
  }));
  story.ends_well();
}

TEST(CapacityStories, APartOfAResizeServesAtOnce) {
  Story story(on_batch({a_pool("low", 10)}));
  story.room(6);
  for (int i = 0; i < 10; ++i) story.submit({.runs = minutes(5)});
  EXPECT_TRUE(story.until([&] { return story.up() == 6; }, start_longest + seconds(20)));
  EXPECT_TRUE(story.until([&] { return story.world.jobs_done(); }, minutes(25)));
  story.ends_well();
}

// A resize knows no minimum: six of ten come, for a job that needs ten.
TEST(CapacityStories, MachinesOfAHalfJobAreNotBilledForHours) {
  WorldOptions options = on_batch({a_pool("low", 10)});
  options.cloud.consistency = options.cloud.late_error.longest;  // so long it may take until all is known of a resize
  Story story(options);
  story.room(6);
  const JobId job = story.submit({.nodes = 10});
  story.run_for(minutes(10));
  size_t billed = 0;
  for (int m = 0; m < 60; ++m) {
    billed += story.billed();
    story.run_for(minutes(1));
  }
  EXPECT_LE(billed, 240u);  // machine minutes in an hour; six that wait for the rest would cost 360
  EXPECT_LE(story.job(job).restarts, 20u);
  story.room(10);
  EXPECT_TRUE(story.until_runs(job, back_within + minutes(15)));
  story.ends_well();
}

// Resumes of all pools waited for each other's resizes.
TEST(CapacityStories, APoolThatIsResizedHoldsUpNoOther) {
  Story story(on_batch({of_types(a_pool("low", 4), {"d2"}), of_types(a_pool("fat", 4), {"d3"})}));
  story.room(0, Market::on_demand, {"d2", ""});  // resizes for up to two minutes, in vain
  story.submit({.nodes = 4});
  story.run_for(seconds(5));
  const JobId second = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(second, start_longest));
  story.ends_well();
}

TEST(CapacityStories, OwnBudgetKeepsBelowTheCloudsLimit) {
  WorldOptions options = on_ec2({a_pool("cpu", 60)});
  options.cloud.api = {2, 10};
  Story story(options);
  std::vector<JobId> jobs;
  for (int i = 0; i < 60; ++i) {
    jobs.push_back(story.submit({.runs = minutes(2)}));
    story.run_for(milliseconds(500));
  }
  for (const JobId job : jobs) EXPECT_TRUE(story.until_done(job, minutes(6)));
  EXPECT_LE(story.world.cloud.throttled_calls(), 1u);
  story.ends_well();
}

TEST(CapacityStories, AThrottledLaunchComesAgainWhenTheCloudSays) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.error(Error{ErrorCode::throttled, "RequestLimitExceeded", seconds(20)});
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until([&] { return story.noted("launch_refused") > 0; }, seconds(10)));
  story.error({});
  const TimePoint refused = story.world.now();
  EXPECT_TRUE(story.until([&] { return story.launches.size() == 2; }, minutes(1)));
  EXPECT_GE(story.launches[1].at - refused, seconds(19));
  EXPECT_LT(story.launches[1].at - refused, seconds(23));
  EXPECT_TRUE(story.until_runs(job, start_longest));
  EXPECT_EQ(story.job(job).restarts, 0u);
  EXPECT_TRUE(story.downs.empty());
  story.ends_well();
}

TEST(CapacityStories, AnUnreachableCloudIsNoFailureOfNodes) {
  Story story(on_ec2({a_pool("cpu", 6)}));
  const JobId runs = story.submit({.nodes = 2, .runs = minutes(30)});
  EXPECT_TRUE(story.until_runs(runs, start_longest));
  story.world.cloud.set_reachable(false);
  story.happened();
  const JobId waits = story.submit({.nodes = 2});
  story.run_for(minutes(10));
  EXPECT_TRUE(story.is(runs, JobState::running));
  story.world.cloud.set_reachable(true);
  story.happened();
  EXPECT_TRUE(story.until_runs(waits, minutes(1) + start_longest));
  EXPECT_EQ(story.job(runs).restarts, 0u);
  EXPECT_EQ(story.machines(), 4u);
  story.ends_well();
}

}  // namespace
}  // namespace slipway::sim
