// What users of other systems tell about daemons, controllers, listings and messages that fail. docs/stories.md has who
// told what.
#include "story.h"

namespace slipway::sim {
namespace {

constexpr Duration start_longest = seconds(90);
// A daemon's first look at both ends, with its calls at their longest.
constexpr Duration one_look = seconds(2);

TEST(FailoverStories, MachinesThatAreNotListedYetAreNoFailures) {
  WorldOptions options = on_ec2({a_pool("cpu", 200)});
  options.cloud.consistency = seconds(30);
  options.cloud.call = {seconds(3), seconds(8)};
  Story story(options);
  const JobId job = story.submit({.nodes = 200});
  EXPECT_TRUE(story.until_runs(job, start_longest + seconds(30)));
  EXPECT_EQ(story.launches.size(), 1u);
  EXPECT_EQ(story.machines(), 200u);
  EXPECT_EQ(story.noted("boot_failed") + story.noted("launch_lost") + story.noted("pool_short"), 0u);
  EXPECT_TRUE(story.downs.empty());
  EXPECT_TRUE(story.terminations.empty());
  story.ends_well();
}

TEST(FailoverStories, AMachineThatIsMissingFromAPartialListingRunsOn) {
  Story story(on_ec2({a_pool("cpu", 20)}));
  const JobId job = story.submit({.nodes = 10, .runs = minutes(30)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.cloud.faults.partial_listing = 1;
  ++story.world.cloud_version;
  story.run_for(minutes(20));
  EXPECT_TRUE(story.is(job, JobState::running));
  EXPECT_EQ(story.machines(), 10u);
  story.world.cloud.faults.partial_listing = 0;
  story.happened();
  EXPECT_TRUE(story.until_done(job, minutes(15)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

// A machine younger than its node's wish was ended as an orphan.
TEST(FailoverStories, AMachineOfAJustFinishedLaunchIsNoOrphan) {
  WorldOptions options = on_ec2({a_pool("cpu", 20)});
  options.cloud.call = {seconds(8), seconds(15)};
  options.cloud.consistency = seconds(20);
  options.cloud.boot = {seconds(5), seconds(10)};  // it speaks before its launch is answered or listed
  Story story(options);
  for (int i = 0; i < 4; ++i) {
    const JobId job = story.submit({.nodes = 5, .runs = seconds(20)});
    EXPECT_TRUE(story.until_runs(job, minutes(2))) << i;
    EXPECT_EQ(story.job(job).restarts, 0u);
    EXPECT_TRUE(story.until_done(job, minutes(1)));
    EXPECT_EQ(story.machines(), 5u * (i + 1));
    ASSERT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(6)));
  }
  EXPECT_EQ(story.noted("instance_unneeded") + story.noted("instance_duplicate"), 0u);
  story.ends_well();
}

// Killed at each of its steps: between any two of a plan, the same machines come and the job runs.
TEST(FailoverStories, ADaemonThatDiesBetweenAnyTwoStepsGoesOn) {
  for (uint32_t steps = 0; steps < 12; ++steps) {
    WorldOptions options = on_ec2({a_pool("cpu", 4)});
    options.cloud.consistency = seconds(5);
    Story story(options);
    story.run_for(seconds(20));
    story.daemon().blow_fuse_in(steps, seconds(2), true);
    const JobId job = story.submit({.nodes = 3});
    EXPECT_TRUE(story.until_runs(job, start_longest + seconds(15))) << steps;
    EXPECT_EQ(story.job(job).restarts, 0u) << steps;
    EXPECT_EQ(story.machines(), 3u) << steps;
    EXPECT_TRUE(story.until_done(job, minutes(3))) << steps;
    story.ends_well();
    EXPECT_EQ(story.machines(), 3u) << steps;
  }
}

// A resize has no names: whoever asked for it must find it again.
TEST(FailoverStories, ADaemonThatDiesInTheMiddleOfAResizeAsksForNothingTwice) {
  for (int after = 1; after <= 20; ++after) {
    WorldOptions options = on_batch({a_pool("low", 20)});
    options.cloud.consistency = seconds(30);
    Story story(options);
    const JobId job = story.submit({.nodes = 12});
    story.run_for(seconds(after));
    story.daemon().kill(seconds(3));
    EXPECT_TRUE(story.until_runs(job, start_longest + minutes(3))) << after;
    EXPECT_EQ(story.machines(), 12u) << after;
    story.ends_well();
  }
}

// An operator calls a boot off: machines that don't exist yet never will.
TEST(FailoverStories, MachinesOfNodesThatWereCalledOffAreTakenBackBeforeTheyExist) {
  WorldOptions options = on_batch({a_pool("low", 20)});
  options.cloud.consistency = minutes(2);
  Story story(options);
  story.room(4);
  story.run_for(minutes(3));  // until then a machine from before the daemon's start might be missing from the listing
  const JobId job = story.submit({.nodes = 20});
  ASSERT_TRUE(story.until([&] { return !story.launches.empty(); }, minutes(2)));
  story.world.slurm.cancel(job);
  for (uint32_t n = 0; n < 20; ++n) story.by_hand(n, slurm::NodeChange::down, "called off");
  EXPECT_TRUE(story.until([&] { return story.noted("launch_withdrawn") > 0; }, seconds(30)));
  EXPECT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(2)));
  for (uint32_t n = 0; n < 20; ++n) story.by_hand(n, slurm::NodeChange::resume);
  story.ends_well();
}

// Killed at any moment of a launch: asked, on its way, answered, half listed.
TEST(FailoverStories, ADaemonThatDiesDuringALaunchLaunchesNothingTwice) {
  for (const Character character : {Character::local, Character::ec2}) {
    for (int moment = 0; moment < 40; ++moment) {
      WorldOptions options = on_ec2({a_pool("cpu", 8)});
      options.cloud.character = character;
      options.cloud.consistency = character == Character::local ? Duration(0) : seconds(5);
      options.seed = 1 + static_cast<uint64_t>(moment);
      Story story(options);
      story.run_for(seconds(20));
      const JobId job = story.submit({.nodes = 6});
      story.run_for(milliseconds(200) * moment);
      story.daemon().kill(seconds(1));
      story.happened();
      EXPECT_TRUE(story.until_runs(job, start_longest + seconds(20))) << moment;
      EXPECT_EQ(story.machines(), 6u) << moment;
      story.ends_well();
    }
  }
}

TEST(FailoverStories, AfterARestartTheFirstLookIsEnough) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.run_for(seconds(10));
  story.daemon().kill(minutes(2));
  story.happened();
  const JobId job = story.submit({.nodes = 2});
  story.run_for(minutes(1));
  EXPECT_TRUE(story.launches.empty());
  EXPECT_TRUE(story.downs.empty());  // nobody is punished because the daemon is away
  ASSERT_TRUE(story.until([&] { return story.daemon().running(); }, minutes(2)));
  const TimePoint back = story.world.now();
  ASSERT_TRUE(story.until([&] { return !story.launches.empty(); }, seconds(10)));
  EXPECT_LT(story.launches[0].at - back, one_look);
  EXPECT_TRUE(story.until_runs(job, start_longest));
  story.ends_well();
}

TEST(FailoverStories, MachinesThatNobodyRemembersAreFoundAndEnded) {
  Story story(on_ec2({a_pool("cpu", 8)}));
  const JobId job = story.submit({.nodes = 5});
  ASSERT_TRUE(story.until([&] { return story.machines() == 5; }, seconds(10)));
  story.daemon().kill(minutes(10));
  story.happened();
  story.world.slurm.cancel(job);
  story.world.jobs_changed = true;
  story.run_for(minutes(10));
  EXPECT_EQ(story.billed(), 5u);
  EXPECT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(3)));
  story.ends_well();
}

// Everything that the daemon knew died with it; nothing stale is left to trip over.
TEST(FailoverStories, ARestartAmidEverythingChangesNothing) {
  for (int again = 0; again < 10; ++again) {
    WorldOptions options = on_ec2({a_pool("cpu", 12)});
    options.seed = 100 + static_cast<uint64_t>(again);
    Story story(options);
    const JobId runs = story.submit({.nodes = 3, .runs = minutes(20)});
    const JobId ends = story.submit({.nodes = 2, .runs = seconds(30)});
    ASSERT_TRUE(story.until_done(ends, minutes(3)));
    ASSERT_TRUE(story.until([&] { return !story.terminations.empty(); }, minutes(3)));
    const JobId boots = story.submit({.nodes = 4, .runs = minutes(2)});
    story.run_for(seconds(4) * again);
    story.daemon().kill(seconds(2));
    story.happened();
    EXPECT_TRUE(story.until_runs(boots, start_longest + seconds(15)));
    EXPECT_TRUE(story.until_done(runs, minutes(25)));
    EXPECT_EQ(story.job(runs).restarts + story.job(boots).restarts, 0u);
    EXPECT_EQ(story.machines(), 9u) << again;
    story.ends_well();
  }
}

// Machines shut themselves down, and nodes were set DOWN, when the daemon had been silent for ten minutes.
TEST(FailoverStories, JobsOutliveADaemonThatIsGoneForLong) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  const JobId job = story.submit({.nodes = 2, .runs = hours(2)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.daemon().kill(hours(1));
  story.happened();
  EXPECT_TRUE(story.until_done(job, hours(2) + minutes(5)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  EXPECT_EQ(story.machines(), 2u);
  story.ends_well();
}

TEST(FailoverStories, TheOtherDaemonTakesOver) {
  for (int moment = 0; moment < 8; ++moment) {
    WorldOptions options = on_ec2({a_pool("cpu", 8)});
    options.daemons = 2;
    options.cloud.consistency = seconds(5);
    options.seed = 7 + static_cast<uint64_t>(moment);
    Story story(options);
    story.run_for(seconds(20));
    const JobId job = story.submit({.nodes = 4});
    story.run_for(milliseconds(700) * moment);
    story.daemon(0).kill(hours(2));
    story.happened();
    EXPECT_TRUE(story.until_runs(job, start_longest + seconds(30))) << moment;
    EXPECT_TRUE(story.daemon(1).holds_lease());
    EXPECT_EQ(story.machines(), 4u) << moment;
    story.ends_well();
  }
}

// The one that was given up for dead wakes up in the middle of its plan.
TEST(FailoverStories, OfTwoDaemonsOneActs) {
  for (uint32_t steps = 0; steps < 8; ++steps) {
    WorldOptions options = on_ec2({a_pool("cpu", 8)});
    options.daemons = 2;
    options.cloud.consistency = seconds(5);
    Story story(options);
    story.run_for(seconds(20));
    story.daemon(0).blow_fuse_in(steps, minutes(1), false);
    const JobId job = story.submit({.nodes = 4, .runs = minutes(3)});
    bool twins = false;
    EXPECT_TRUE(story.until(
        [&] {
          for (uint32_t n = 0; n < 8; ++n) twins |= story.world.agents.holders_of(n).size() > 1;
          return story.is(job, JobState::done);
        },
        minutes(8)))
        << steps;
    EXPECT_FALSE(twins) << steps;
    EXPECT_EQ(story.machines(), 4u) << steps;
    EXPECT_EQ(story.job(job).restarts, 0u) << steps;
    story.ends_well();
  }
}

TEST(FailoverStories, ASlurmctldThatDiesWhileMachinesBoot) {
  for (const bool lose_unsaved : {false, true}) {
    Story story(on_ec2({a_pool("cpu", 6)}));
    const JobId job = story.submit({.nodes = 4});
    ASSERT_TRUE(story.until([&] { return story.noted("node_bound") > 0; }, start_longest));
    story.world.slurm_stops(lose_unsaved);
    story.happened();
    story.run_for(minutes(2));
    EXPECT_TRUE(story.terminations.empty());
    EXPECT_EQ(story.machines(), 4u);
    story.world.slurm_starts();
    story.happened();
    EXPECT_TRUE(story.until_runs(job, minutes(2))) << lose_unsaved;
    EXPECT_EQ(story.machines(), 4u) << lose_unsaved;
    story.ends_well();
  }
}

TEST(FailoverStories, ASlurmctldThatIsAwayKillsNoJob) {
  Story story(on_ec2({a_pool("cpu", 6)}));
  const JobId job = story.submit({.nodes = 4, .runs = minutes(30)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.run_for(minutes(6));  // slurmctld has saved that it runs
  story.world.slurm_stops(true);
  story.happened();
  story.run_for(minutes(20));
  EXPECT_EQ(story.billed(), 4u);
  story.world.slurm_starts();
  story.happened();
  EXPECT_TRUE(story.until_done(job, minutes(20)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

TEST(FailoverStories, AControllerThatFailsOverFindsItsNodes) {
  Story story(on_ec2({a_pool("cpu", 6)}));
  const JobId runs = story.submit({.nodes = 2, .runs = minutes(20)});
  ASSERT_TRUE(story.until_runs(runs, start_longest));
  story.run_for(minutes(6));
  const JobId boots = story.submit({.nodes = 3});
  story.run_for(seconds(20));
  story.world.slurm_fails_over();
  story.happened();
  EXPECT_TRUE(story.until_runs(boots, minutes(3)));
  EXPECT_TRUE(story.until_done(runs, minutes(20)));
  EXPECT_EQ(story.machines(), 5u);
  story.ends_well();
}

// A machine that is ready while Slurm thinks that its node sleeps: it was marked, resumed and marked again.
TEST(FailoverStories, AMachineOfASleepingNodeEndsInsteadOfLooping) {
  Story story(on_ec2({a_pool("cpu", 2)}));
  story.run_for(minutes(6));  // slurmctld has saved that all sleep
  const JobId job = story.submit({.runs = seconds(30)});
  ASSERT_TRUE(story.until_done(job, minutes(3)));
  // It forgets that it ever woke the node.
  story.world.slurm_stops(true);
  story.world.slurm_starts();
  story.happened();
  story.run_for(minutes(10));
  EXPECT_EQ(story.billed(), 0u);
  EXPECT_LE(story.machines(), 2u);
  EXPECT_LE(story.launches.size(), 2u);
  EXPECT_TRUE(story.until_runs(story.submit({}), start_longest));
  story.ends_well();
}

TEST(FailoverStories, ALostHookIsFoundByLooking) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.run_for(minutes(30));  // the daemon looks rarely now
  story.world.lose_hook = 1;
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(job, start_longest + seconds(10)));
  EXPECT_TRUE(story.until_done(job, minutes(3)));
  story.ends_well();
}

// One message that nobody could handle killed the daemon every twenty minutes for ever.
TEST(FailoverStories, HooksThatComeTwiceOrLateChangeNothing) {
  Story story(on_ec2({a_pool("cpu", 6)}));
  story.world.repeat_hook = 1;
  story.world.delay_hook = 0.8;
  for (int i = 0; i < 5; ++i) {
    const JobId job = story.submit({.nodes = 3, .runs = minutes(1)});
    EXPECT_TRUE(story.until_done(job, minutes(4))) << i;
    EXPECT_EQ(story.job(job).restarts, 0u);
    EXPECT_EQ(story.machines(), 3u * (i + 1));
    story.run_for(minutes(3));
  }
  story.ends_well();
}

// A host that is up was resumed once more, and got a second machine.
TEST(FailoverStories, WakingANodeThatIsUpLaunchesNothing) {
  Story story(on_ec2({a_pool("cpu", 2)}));
  const JobId job = story.submit({.nodes = 1, .runs = minutes(10)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.by_hand(0, slurm::NodeChange::power_up);
  story.by_hand(0, slurm::NodeChange::resume);
  story.run_for(minutes(5));
  EXPECT_EQ(story.machines(), 1u);
  EXPECT_TRUE(story.until_done(job, minutes(10)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

// An agent that only reconnects is not a dead machine.
TEST(FailoverStories, ANetworkThatBlinksRequeuesNothing) {
  Story story(on_ec2({a_pool("cpu", 10)}));
  const JobId job = story.submit({.nodes = 10, .runs = minutes(10)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  for (int blink = 0; blink < 5; ++blink) {
    for (uint32_t m = 0; m < 10; ++m) story.world.agents.cut_from_daemon(m, true, blink % 2 == 0);
    story.happened();
    story.run_for(seconds(60));
    for (uint32_t m = 0; m < 10; ++m) story.world.agents.cut_from_daemon(m, false, false);
    story.happened();
    story.run_for(seconds(30));
  }
  EXPECT_TRUE(story.until_done(job, minutes(10)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  EXPECT_EQ(story.machines(), 10u);
  story.ends_well();
}

// Timers and counters died with the daemon; here they cost one more refused call.
TEST(FailoverStories, ARestartDuringAStockoutCostsOneCall) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.room(0);
  const JobId job = story.submit({.nodes = 2});
  story.run_for(minutes(30));
  const size_t before = story.launches.size();
  story.daemon().kill(seconds(2));
  story.happened();
  story.run_for(seconds(5));
  EXPECT_LE(story.launches.size(), before + 1);
  EXPECT_LE(story.job(job).restarts, 3u);
  EXPECT_TRUE(story.until([&] { return story.node(3).slurm.base == model::NodeBase::down; }, seconds(30)));
  story.room(UINT32_MAX);
  EXPECT_TRUE(story.until_runs(job, minutes(7)));
  story.ends_well();
}

}  // namespace
}  // namespace slipway::sim
