// What users of other systems tell about machines that come late, wrong or not at all, and about nodes that are stuck
// afterwards. docs/stories.md has who told what.
#include <algorithm>

#include "story.h"

namespace slipway::sim {
namespace {

constexpr Duration start_longest = seconds(90);

TEST(BootStories, AMachineThatNeverJoinsIsReplacedAfterItsTimeout) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  story.world.boots[0].never = 1;
  const JobId job = story.submit({});
  EXPECT_TRUE(story.until_runs(job, minutes(5) + start_longest));
  EXPECT_EQ(story.job(job).restarts, 0u);
  EXPECT_EQ(story.machines(), 2u);
  EXPECT_TRUE(story.until([&] { return story.machine(0).ended_at != TimePoint{}; }, minutes(1)));
  story.ends_well();
}

TEST(BootStories, OneBadMachineDoesNotRequeueAWideJob) {
  Story story(on_ec2({a_pool("cpu", 10)}));
  story.world.boots[0].never = 1;
  const JobId job = story.submit({.nodes = 8});
  EXPECT_TRUE(story.until_runs(job, minutes(5) + start_longest + seconds(5)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  EXPECT_EQ(story.machines(), 9u);  // seven healthy ones were kept
  EXPECT_TRUE(story.downs.empty());
  story.ends_well();
}

TEST(BootStories, AMachineThatDiesWhileItBootsIsReplacedAtOnce) {
  Story story(on_ec2({a_pool("cpu", 4)}));
  const JobId job = story.submit({.nodes = 2});
  story.run_for(seconds(5));
  ASSERT_EQ(story.machines(), 2u);
  story.world.cloud.kill(0);
  story.happened();
  EXPECT_TRUE(story.until([&] { return story.launches.size() == 2; }, seconds(8)));
  EXPECT_TRUE(story.until_runs(job, start_longest));
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

TEST(BootStories, AMachineThatGivesUpSaysWhyAndIsReplacedAtOnce) {
  WorldOptions options = on_ec2({a_pool("cpu", 4)});
  options.agents.fails_prep = 1;
  Story story(options);
  const JobId job = story.submit({});
  ASSERT_TRUE(story.until([&] { return story.noted("boot_failed") == 1; }, start_longest));
  story.world.agents.options.fails_prep = 0;
  story.happened();
  EXPECT_TRUE(std::any_of(story.notes.begin(), story.notes.end(), [](const Story::Note& note) {
    return note.what.kind == "boot_failed" && contains(note.what.message, "prep script: exit status 1");
  }));
  EXPECT_TRUE(story.until_runs(job, start_longest));
  EXPECT_EQ(story.job(job).restarts, 0u);
  EXPECT_EQ(story.machines(), 2u);
  story.ends_well();
}

// Ten failed boots, and the partition was off until a person restarted the fleet.
TEST(BootStories, NobodyHasToUnprotectThePool) {
  WorldOptions options = on_ec2({a_pool("cpu", 8)});
  options.cloud.boot = {seconds(100), seconds(120)};  // longer than a machine is kept that nobody wants
  options.agents.fails_prep = 1;
  Story story(options);
  const JobId job = story.submit({.nodes = 4});
  story.run_for(hours(1));
  EXPECT_FALSE(story.is(job, JobState::done));
  EXPECT_GE(story.noted("boot_failed") + story.noted("instance_terminated"), 4u);
  EXPECT_LE(story.machines(), 25u);  // it doesn't burn money on the same mistake
  EXPECT_TRUE(contains(story.job(job).comment, "boot_failed")) << story.job(job).comment;
  story.world.agents.options.fails_prep = 0;  // the image was mended
  story.happened();
  EXPECT_TRUE(story.until_runs(job, minutes(7) + minutes(5)));
  story.ends_well();
}

TEST(BootStories, RunningJobsAreNotTouchedByFailingBoots) {
  Story story(on_ec2({a_pool("cpu", 8)}));
  const JobId runs = story.submit({.nodes = 2, .runs = hours(1)});
  ASSERT_TRUE(story.until_runs(runs, start_longest));
  story.world.agents.options.fails_prep = 1;
  story.happened();
  const JobId waits = story.submit({.nodes = 4});
  story.run_for(minutes(40));
  EXPECT_TRUE(story.is(runs, JobState::running));
  EXPECT_EQ(story.job(runs).restarts, 0u);
  story.world.agents.options.fails_prep = 0;
  story.happened();
  EXPECT_TRUE(story.until_runs(waits, minutes(7) + 2 * start_longest));
  story.ends_well();
}

TEST(BootStories, ABrokenPoolSendsItsJobsToTheNext) {
  Story story(on_ec2({a_pool("bad", 4), a_pool("good", 4)}));
  story.world.boots[0].never = 1000;
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(job, minutes(11) + start_longest + seconds(30)));  // two machines' patience
  EXPECT_LE(story.job(job).restarts, 1u);
  EXPECT_GE(story.job(job).nodes.front(), 4u);
  story.world.boots[0].never = 0;
  story.happened();
  story.ends_well();
}

// Nodes that reached ResumeTimeout stayed DOWN, IDLE+POWERED_DOWN+NOT_RESPONDING, or `down~` for ever.
TEST(BootStories, NodesThatReachedResumeTimeoutAreUsableAgainInSeconds) {
  for (const Release release : {Release::r22_05, Release::r24_11}) {
    WorldOptions options = on_ec2({a_pool("cpu", 2)});
    options.slurm.release = release;
    options.slurm.resume_timeout = minutes(3);  // shorter than the machines' patience
    Story story(options);
    story.world.boots[0].never = 2;
    const JobId job = story.submit({.nodes = 2});
    ASSERT_TRUE(story.until([&] { return story.downs.size() == 2; }, minutes(4)));
    EXPECT_EQ(story.downs[0].reason, "ResumeTimeout reached");
    EXPECT_TRUE(story.until(
        [&] {
          return story.node(0).slurm.base != model::NodeBase::down && story.node(1).slurm.base != model::NodeBase::down;
        },
        seconds(10)));
    EXPECT_TRUE(story.until_runs(job, minutes(2) + start_longest));  // Slurm's own requeue delay, and a start
    EXPECT_EQ(story.job(job).restarts, 1u);
    story.ends_well();
  }
}

TEST(BootStories, ASleepingNodeThatDoesNotRespondIsAsGoodAsAnother) {
  Story story(on_ec2({a_pool("cpu", 1)}));
  story.run_for(seconds(5));
  story.by_hand(0, slurm::NodeChange::drain, "a person looks at it");
  story.by_hand(0, slurm::NodeChange::undrain);
  ASSERT_TRUE(story.node(0).slurm.has(model::node_powered_down) && story.node(0).slurm.has(model::node_not_responding));
  story.run_for(minutes(1));
  const JobId job = story.submit({});
  EXPECT_TRUE(story.until_runs(job, start_longest));
  story.ends_well();
}

TEST(BootStories, ASleepingNodeThatIsDownWithoutAPersonsReasonComesBack) {
  for (const char* reason : {"Not responding", "ResumeTimeout reached", "Node unexpectedly rebooted", ""}) {
    Story story(on_ec2({a_pool("cpu", 1)}));
    story.run_for(seconds(5));
    story.by_hand(0, slurm::NodeChange::down, reason);
    EXPECT_TRUE(story.until([&] { return story.sleeps(0); }, seconds(20))) << reason;
    const JobId job = story.submit({});
    EXPECT_TRUE(story.until_runs(job, start_longest)) << reason;
    story.ends_well();
  }
}

TEST(BootStories, APersonsDownIsRespected) {
  Story story(on_ec2({a_pool("cpu", 2)}));
  story.run_for(seconds(5));
  story.by_hand(0, slurm::NodeChange::down, "fan is broken");
  story.run_for(hours(1));
  EXPECT_EQ(story.node(0).slurm.base, model::NodeBase::down);
  EXPECT_EQ(story.node(0).reason, "fan is broken");
  story.by_hand(0, slurm::NodeChange::resume);
  const JobId job = story.submit({.nodes = 2});
  EXPECT_TRUE(story.until_runs(job, start_longest));
  story.ends_well();
}

// The machine came after Slurm's patience had ended, served nobody and was billed.
TEST(BootStories, AMachineThatComesAfterResumeTimeoutServesAllTheSame) {
  WorldOptions options = on_ec2({a_pool("cpu", 1)});
  options.cluster.pools[0].boot_timeout = minutes(20);
  options.slurm.resume_timeout = minutes(10);
  Story story(options);
  story.world.boots[0].later = minutes(11);
  const JobId job = story.submit({});
  ASSERT_TRUE(story.until([&] { return !story.downs.empty(); }, minutes(11)));
  story.world.boots[0].later = Duration(0);
  EXPECT_TRUE(story.until_runs(job, minutes(6)));
  EXPECT_LE(story.machines(), 2u);
  story.ends_well();
}

// Recovery sent a second machine for the same name; both came.
TEST(BootStories, ALateMachineAndItsReplacementAreNeverOneNode) {
  WorldOptions options = on_ec2({a_pool("cpu", 4)});
  options.cloud.stop = {minutes(3), minutes(4)};  // the late one goes on booting while it is stopped
  Story story(options);
  story.world.boots[0].later = minutes(5);
  const JobId job = story.submit({.nodes = 2, .runs = minutes(30)});
  story.run_for(seconds(10));
  ASSERT_EQ(story.machines(), 2u);
  story.world.boots[0].later = Duration(0);
  bool twins = false;
  EXPECT_TRUE(story.until(
      [&] {
        for (uint32_t n = 0; n < 4; ++n) twins |= story.world.agents.holders_of(n).size() > 1;
        return story.is(job, JobState::done);
      },
      minutes(45)));
  EXPECT_FALSE(twins);
  EXPECT_EQ(story.machines(), 4u);
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

// A node that rebooted was declared interrupted, renamed and rebooted again.
TEST(BootStories, ARebootedMachineKeepsItsName) {
  WorldOptions options = on_ec2({a_pool("cpu", 3)});
  options.cloud.boot = {seconds(6), seconds(8)};
  options.cluster.pools[0].idle_reclaim = minutes(5);  // Slurm lets the job wait for a minute
  Story story(options);
  story.world.cloud.faults.boots_twice = 1;  // one more time, seconds after the first
  const JobId job = story.submit({.nodes = 3, .runs = minutes(10)});
  EXPECT_TRUE(story.until_done(job, minutes(15)));
  EXPECT_LE(story.job(job).restarts, 1u);
  EXPECT_EQ(story.machines(), 3u);
  story.ends_well();
}

TEST(BootStories, AMachineThatRebootsForLongIsReplacedByOne) {
  Story story(on_ec2({a_pool("cpu", 2)}));
  story.world.cloud.faults.boots_twice = 1;
  const JobId job = story.submit({.nodes = 1, .runs = minutes(10)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.cloud.faults.boots_twice = 0;
  EXPECT_TRUE(story.until_done(job, minutes(15)));
  EXPECT_LE(story.job(job).restarts, 1u);
  EXPECT_LE(story.machines(), 2u);
  story.ends_well();
}

// The message with the name was deleted before the machine had used it.
TEST(BootStories, ANameThatWasLostIsGivenAgain) {
  WorldOptions options = on_ec2({a_pool("cpu", 2)});
  options.agents.loses_binds = true;
  Story story(options);
  const JobId job = story.submit({.nodes = 2});
  ASSERT_TRUE(story.until([&] { return story.noted("node_bound") == 2; }, start_longest));
  story.run_for(seconds(2));
  story.world.agents.options.loses_binds = false;
  story.happened();
  EXPECT_TRUE(story.until_runs(job, seconds(15)));
  EXPECT_EQ(story.machines(), 2u);
  story.ends_well();
}

// Slurm 22.05 may ignore the first registration; nodes then sat until ResumeTimeout.
TEST(BootStories, AnIgnoredRegistrationCostsSeconds) {
  WorldOptions options = on_ec2({a_pool("cpu", 4)});
  options.slurm.early_registrations = true;
  options.slurm.release = Release::r22_05;
  Story story(options);
  for (int i = 0; i < 6; ++i) {
    const JobId first = story.submit({.nodes = 4, .runs = seconds(5)});
    EXPECT_TRUE(story.until_done(first, start_longest + seconds(60))) << i;
    // Cancelled while machines boot, so that the next ones find machines that are ready.
    const JobId gone = story.submit({.nodes = 4});
    story.run_for(seconds(30));
    story.world.slurm.cancel(gone);
    story.world.jobs_changed = true;
  }
  story.ends_well();
}

// `down*`: slurmctld can't hear a healthy machine for a while.
TEST(BootStories, ANodeThatSlurmDoesNotHearForAWhileComesBack) {
  Story story(on_ec2({a_pool("cpu", 2)}));
  const JobId job = story.submit({.nodes = 1, .runs = minutes(30)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.agents.cut_from_slurmctld(0, true);
  story.happened();
  story.run_for(seconds(100));  // less than SlurmdTimeout
  story.world.agents.cut_from_slurmctld(0, false);
  story.happened();
  EXPECT_TRUE(story.until_done(job, minutes(35)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  EXPECT_EQ(story.machines(), 1u);
  story.ends_well();
}

TEST(BootStories, ADownStarNodeIsReplacedAndUsable) {
  Story story(on_ec2({a_pool("cpu", 1)}));
  const JobId job = story.submit({.nodes = 1, .runs = minutes(30)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.agents.cut_from_slurmctld(0, true);
  story.world.agents.cut_from_daemon(0, true, false);
  story.happened();
  ASSERT_TRUE(story.until([&] { return !story.downs.empty(); }, minutes(5)));
  EXPECT_TRUE(story.until_runs(job, minutes(4) + start_longest));
  EXPECT_NE(story.machine(0).ended_at, TimePoint{});
  EXPECT_EQ(story.machines(), 2u);
  story.ends_well();
}

TEST(BootStories, ANodeWhoseMachineDiesIsBackBeforeSlurmNotices) {
  Story story(on_ec2({a_pool("cpu", 2)}));
  const JobId job = story.submit({.nodes = 2, .runs = minutes(5)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.cloud.kill(1);
  story.happened();
  EXPECT_TRUE(story.until([&] { return story.job(job).restarts == 1; }, seconds(10)));  // SlurmdTimeout is 120 s
  EXPECT_TRUE(story.until_runs(job, start_longest));
  EXPECT_EQ(story.machines(), 3u);
  story.ends_well();
}

}  // namespace
}  // namespace slipway::sim
