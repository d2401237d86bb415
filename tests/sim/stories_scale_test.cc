// What users of other systems tell about speed, size, calls and money. docs/stories.md has who told what.
#include <algorithm>

#include "story.h"

namespace slipway::sim {
namespace {

constexpr Duration start_longest = seconds(90);

size_t running(const Story& story) {
  const auto& jobs = story.world.slurm.all_jobs();
  return static_cast<size_t>(std::count_if(jobs.begin(), jobs.end(),
                                           [](const auto& entry) { return entry.second.state == JobState::running; }));
}

TEST(ScaleStories, AnArrayOfJobsIsAHandfulOfLaunches) {
  Story story(on_ec2({a_pool("cpu", 300)}));
  for (int i = 0; i < 200; ++i) {
    story.submit({.runs = minutes(10)});
    story.run_for(milliseconds(50));
  }
  EXPECT_TRUE(story.until([&] { return running(story) == 200; }, start_longest));
  EXPECT_LE(story.launches.size(), 6u);
  EXPECT_EQ(story.machines(), 200u);
  story.ends_well();
  EXPECT_LE(story.terminations.size(), 60u);
}

TEST(ScaleStories, TenThousandNodes) {
  WorldOptions options = on_ec2({a_pool("cpu", 10'000)});
  options.trace = false;
  options.cloud.boot = {seconds(20), seconds(30)};
  options.slurm.registration = milliseconds(2);
  options.daemon.gather = milliseconds(500);  // rounds take no time here; real ones would gather as many reports
  Story story(options);
  const JobId job = story.submit({.nodes = 10'000, .runs = minutes(2)});
  EXPECT_TRUE(story.until_runs(job, start_longest + seconds(30)));
  EXPECT_EQ(story.launches.size(), 1u);
  EXPECT_EQ(story.machines(), 10'000u);
  EXPECT_EQ(story.job(job).restarts, 0u);
  EXPECT_TRUE(story.until_done(job, minutes(5)));
  EXPECT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(5)));
  EXPECT_LE(story.terminations.size(), 3u);
  EXPECT_LE(story.world.cloud.calls(), 300u);  // nearly all of them looks while something moves
}

TEST(ScaleStories, AReadyMachineIsNotKeptWaitingByTheOthers) {
  WorldOptions options = on_ec2({a_pool("cpu", 100)});
  options.cloud.boot = {seconds(90), minutes(4)};
  Story story(options);
  for (int i = 0; i < 100; ++i) story.submit({.runs = minutes(10)});
  Duration longest{0};
  std::vector<TimePoint> waits_since(200);
  const bool all = story.until(
      [&] {
        for (uint32_t m = 0; m < story.machines(); ++m) {
          const auto& agent = story.world.agents.machine(m);
          const bool waits =
              agent.ready && story.world.agents.server_of(agent.node == nobody ? 0 : agent.node) != m && !agent.slurmd;
          if (!waits) waits_since[m] = {};
          if (waits && waits_since[m] == TimePoint{}) waits_since[m] = story.world.now();
          if (waits) longest = std::max(longest, story.world.now() - waits_since[m]);
        }
        return running(story) == 100;
      },
      minutes(5));
  EXPECT_TRUE(all);
  EXPECT_LE(longest, seconds(5));  // a name, and slurmd's own start
  story.ends_well();
}

TEST(ScaleStories, NothingIsAddedToTheMachinesOwnStart) {
  WorldOptions options = on_ec2({a_pool("cpu", 4)});
  options.cluster.launch_window = model::LaunchWindow{};
  options.agents.prepare = {seconds(2), seconds(2)};
  options.agents.slurmd = {seconds(1), seconds(1)};
  Story story(options);
  const JobId job = story.submit({});
  ASSERT_TRUE(story.until([&] { return story.world.agents.machine(0).alive; }, minutes(2)));
  const TimePoint booted = story.world.now();
  ASSERT_TRUE(story.until_runs(job, start_longest));
  EXPECT_LT(story.world.now() - booted, seconds(3) + seconds(2));
  EXPECT_LT(story.launches[0].at - story.job(job).submitted, seconds(2));
  story.ends_well();
}

TEST(ScaleStories, AJobForANodeThatIsUpStartsAtOnce) {
  model::Pool pool = a_pool("cpu", 4);
  pool.warm.usual.count = 2;
  Story story(on_ec2({pool}));
  ASSERT_TRUE(story.until([&] { return story.up() == 2; }, start_longest));
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(job, seconds(2)));
  story.ends_well();
}

// A resume that blocks blocks slurmctld, and with it jobs that have all they need.
TEST(ScaleStories, ASlowCloudHoldsUpNoJobThatHasItsNodes) {
  WorldOptions options = on_ec2({a_pool("warm", 2), a_pool("cold", 6)});
  options.cluster.pools[0].warm.usual.count = 2;
  options.cluster.partitions[0].pools = {PoolName("warm")};
  model::Partition cold;
  cold.name = PartitionName("cold");
  cold.pools = {PoolName("cold")};
  options.cluster.partitions.push_back(cold);
  options.cloud.call = {seconds(30), seconds(45)};
  Story story(options);
  ASSERT_TRUE(story.until([&] { return story.up() == 2; }, minutes(6)));
  const JobId big = story.submit({.partition = 1, .nodes = 6});
  story.run_for(seconds(2));
  EXPECT_TRUE(story.until_runs(story.submit({}), seconds(2)));
  EXPECT_TRUE(story.until_runs(big, minutes(4)));
  EXPECT_EQ(story.machines(), 8u);
  story.ends_well();
}

TEST(ScaleStories, ScalingNeverDisturbsAJobThatRuns) {
  Story story(on_ec2({a_pool("cpu", 12)}));
  const JobId longest = story.submit({.nodes = 2, .runs = hours(4)});
  ASSERT_TRUE(story.until_runs(longest, start_longest));
  for (int event = 0; event < 25; ++event) {
    const JobId job = story.submit({.nodes = 1 + static_cast<uint32_t>(event) % 8, .runs = minutes(1)});
    EXPECT_TRUE(story.until_done(job, minutes(4))) << event;
    story.run_for(minutes(4));
  }
  EXPECT_TRUE(story.until_done(longest, hours(4)));
  EXPECT_EQ(story.job(longest).restarts, 0u);
  EXPECT_TRUE(story.downs.empty());
  story.ends_well();
}

TEST(ScaleStories, RemovingMoreThanAHundredLeaksNone) {
  Story story(on_batch({a_pool("cpu", 250)}));
  const JobId job = story.submit({.nodes = 250, .runs = minutes(2)});
  ASSERT_TRUE(story.until_done(job, minutes(5)));
  EXPECT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(5)));
  story.ends_well();
}

TEST(ScaleStories, AMachineIsEndedAsSoonAsSlurmLetsItGo) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  const JobId job = story.submit({.nodes = 2});
  ASSERT_TRUE(story.until_done(job, minutes(4)));
  ASSERT_TRUE(story.until([&] { return story.node(0).slurm.has(model::node_powering_down); }, minutes(2)));
  EXPECT_TRUE(story.until([&] { return !story.terminations.empty(); }, seconds(4)));
  story.ends_well();
}

// SuspendTimeout was twenty minutes, and no node could be resumed meanwhile.
TEST(ScaleStories, ANodeIsUsableAgainAsSoonAsItsMachineIsGone) {
  WorldOptions options = on_ec2({a_pool("cpu", 1)});
  options.slurm.suspend_timeout = minutes(20);
  Story story(options);
  ASSERT_TRUE(story.until_done(story.submit({}), minutes(4)));
  ASSERT_TRUE(story.until([&] { return story.node(0).slurm.has(model::node_powering_down); }, minutes(2)));
  ASSERT_TRUE(story.until([&] { return story.machine(0).ended_at != TimePoint{}; }, minutes(1)));
  EXPECT_TRUE(story.until([&] { return story.sleeps(0); }, seconds(3)));
  EXPECT_TRUE(story.until_runs(story.submit({}), start_longest));
  story.ends_well();
}

// Every resume waited, up to half an hour, until no machine was being ended.
TEST(ScaleStories, NewJobsDoNotWaitForMachinesThatAreStillEnding) {
  WorldOptions options = on_ec2({a_pool("cpu", 8)});
  options.cloud.stop = {minutes(5), minutes(6)};
  Story story(options);
  ASSERT_TRUE(story.until_done(story.submit({.nodes = 4}), minutes(4)));
  ASSERT_TRUE(story.until([&] { return !story.terminations.empty(); }, minutes(3)));
  EXPECT_TRUE(story.until_runs(story.submit({.nodes = 4}), start_longest));
  story.ends_well();
}

TEST(ScaleStories, ABurstAfterABurstUsesTheSameMachines) {
  WorldOptions options = on_ec2({a_pool("cpu", 20)});
  options.cluster.pools[0].idle_reclaim = minutes(5);
  Story story(options);
  for (int burst = 0; burst < 5; ++burst) {
    for (int i = 0; i < 10; ++i) story.submit({.runs = seconds(40)});
    EXPECT_TRUE(story.until([&] { return story.world.jobs_done(); }, minutes(4)));
    story.run_for(seconds(20));
  }
  EXPECT_EQ(story.machines(), 10u);
  story.ends_well();
}

TEST(ScaleStories, WarmNodesAreNotTakenBackAndWokenInALoop) {
  model::Pool pool = a_pool("cpu", 6);
  pool.warm.usual.count = 2;
  Story story(on_ec2({pool}));
  story.run_for(hours(6));
  EXPECT_EQ(story.machines(), 2u);
  EXPECT_EQ(story.launches.size(), 1u);
  EXPECT_TRUE(story.terminations.empty());
  story.ends_well();
}

TEST(ScaleStories, ANodeThatIsKeptIsNeitherTakenNorReplaced) {
  WorldOptions options = on_ec2({a_pool("cpu", 3)});
  options.cluster.reclaim_exclude = {"cpu-0001"};
  Story story(options);
  ASSERT_TRUE(story.until_done(story.submit({.nodes = 3}), minutes(4)));
  story.run_for(hours(3));
  EXPECT_EQ(story.billed(), 1u);
  EXPECT_TRUE(story.is_up(0));
  EXPECT_EQ(story.machines(), 3u);
  story.ends_well();
}

TEST(ScaleStories, AnIdleClusterCostsNothing) {
  Story story(on_ec2({a_pool("cpu", 1'000)}));
  ASSERT_TRUE(story.until_done(story.submit({.nodes = 5}), minutes(4)));
  ASSERT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(5)));
  story.run_for(hours(24));
  EXPECT_EQ(story.machines(), 5u);
  EXPECT_EQ(story.billed(), 0u);
  story.ends_well();
}

// Drift between two lists of nodes took machines of others away.
TEST(ScaleStories, TheEndOfOneNodeIsTheEndOfNoOther) {
  Story story(on_ec2({a_pool("cpu", 6)}));
  std::vector<JobId> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(story.submit({.runs = minutes(30)}));
  ASSERT_TRUE(story.until([&] { return running(story) == 6; }, start_longest));
  story.by_hand(2, slurm::NodeChange::power_down_force);
  story.world.cloud.kill(story.machine_of(4));
  story.run_for(minutes(5));
  for (uint32_t i = 0; i < 6; ++i) EXPECT_EQ(story.job(jobs[i]).restarts, i == 2 || i == 4 ? 1u : 0u) << i;
  story.ends_well();
}

// Failed deletes crashed the suspend program; its machines stayed.
TEST(ScaleStories, RefusedTerminationsAreRepeatedUntilTheMachinesAreGone) {
  Story story(on_ec2({a_pool("cpu", 6)}));
  ASSERT_TRUE(story.until_done(story.submit({.nodes = 6}), minutes(4)));
  story.world.cloud.faults.refuse_call = 0.7;
  story.happened();
  EXPECT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(15)));
  story.world.cloud.faults.refuse_call = 0;
  story.happened();
  story.ends_well();
}

TEST(ScaleStories, LostAnswersDoubleNothing) {
  for (const Character character : {Character::ec2, Character::batch}) {
    WorldOptions options = character == Character::ec2 ? on_ec2({a_pool("cpu", 40)}) : on_batch({a_pool("cpu", 40)});
    Story story(options);
    story.run_for(seconds(10));
    story.world.cloud.faults.lose_reply = 1;
    story.world.invariants.fault();
    const JobId job = story.submit({.nodes = 30});
    ASSERT_TRUE(story.until([&] { return story.machines() > 0; }, seconds(20)));
    story.run_for(seconds(5));
    story.world.cloud.faults.lose_reply = 0;
    story.happened();
    EXPECT_TRUE(story.until_runs(job, start_longest + seconds(60)));
    EXPECT_EQ(story.machines(), 30u);
    story.ends_well();
  }
}

TEST(ScaleStories, RecycledAddressesConfuseNobody) {
  WorldOptions options = on_ec2({a_pool("cpu", 6)});
  options.cloud.addresses = 6;
  Story story(options);
  for (int round = 0; round < 6; ++round) {
    const JobId wide = story.submit({.nodes = 3, .runs = minutes(2)});
    const JobId other = story.submit({.nodes = 2, .runs = minutes(5)});
    ASSERT_TRUE(
        story.until([&] { return story.is(wide, JobState::done) && story.is(other, JobState::done); }, minutes(10)));
    EXPECT_EQ(story.job(wide).restarts + story.job(other).restarts, 0u);
    story.run_for(minutes(1 + round % 3));
  }
  EXPECT_TRUE(story.downs.empty());
  story.ends_well();
}

}  // namespace
}  // namespace slipway::sim
