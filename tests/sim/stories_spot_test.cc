// What users of other systems tell about spot and low-priority machines. docs/stories.md has who told what.
#include <algorithm>

#include "story.h"

namespace slipway::sim {
namespace {

constexpr Duration start_longest = seconds(90);
constexpr Duration notice = seconds(120);

model::Pool spot_pool(uint32_t max, std::vector<Market> markets = {Market::spot, Market::on_demand}) {
  model::Pool pool = a_pool("cpu", max);
  pool.markets = std::move(markets);
  pool.eviction.lead = seconds(60);
  return pool;
}

TEST(SpotStories, ANoticeMovesTheJobInTime) {
  model::Pool pool = spot_pool(4);
  pool.eviction.signal = "USR1";
  Story story(on_ec2({pool}));
  const JobId job = story.submit({.nodes = 1, .runs = minutes(20), .checkpoints = true});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.run_for(minutes(5));
  const uint32_t node = story.job(job).nodes.front();
  story.world.cloud.evict(0, notice);
  story.happened();
  const TimePoint end = story.machine(0).instance.evict_at;
  // Another machine is had at once, no new job gets the node, the job hears of it and is moved before the end.
  EXPECT_TRUE(story.until([&] { return story.launches.size() == 2; }, seconds(3)));
  EXPECT_TRUE(story.until([&] { return story.node(node).slurm.has(model::node_drain); }, seconds(3)));
  EXPECT_TRUE(story.node(node).reason.starts_with("slipway: its machine is taken")) << story.node(node).reason;
  EXPECT_TRUE(story.until([&] { return story.job(job).done > minutes(5); }, seconds(62)));
  EXPECT_TRUE(story.until([&] { return story.job(job).restarts == 1; }, notice));
  EXPECT_LT(story.world.now(), end);
  EXPECT_TRUE(story.until_runs(job, seconds(20)));  // on the machine that is there already
  EXPECT_NE(story.job(job).nodes.front(), node);
  EXPECT_TRUE(story.until_done(job, minutes(15)));  // not twenty again
  EXPECT_EQ(story.job(job).restarts, 1u);
  EXPECT_EQ(story.machines(), 2u);
  story.ends_well();
}

TEST(SpotStories, WithoutNoticeTheJobIsQueuedAgainInSeconds) {
  Story story(on_ec2({spot_pool(4)}));
  const JobId job = story.submit({.nodes = 1, .runs = minutes(10)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.run_for(minutes(2));
  story.world.cloud.evict(0, Duration(0));
  story.happened();
  EXPECT_TRUE(story.until([&] { return story.job(job).restarts == 1; }, seconds(10)));
  EXPECT_TRUE(story.until_runs(job, start_longest));  // and no penalty for what its machine did
  story.ends_well();
}

// Requeued jobs ended in BadConstraints, or found no machine of the one kind that they were for.
TEST(SpotStories, ARequeuedJobRunsElsewhereWhenSpotIsGone) {
  Story story(on_ec2({spot_pool(4)}));
  const JobId job = story.submit({.nodes = 2, .runs = minutes(10)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.room(0, Market::spot);
  for (uint32_t m = 0; m < 2; ++m) story.world.cloud.evict(m, Duration(0));
  story.happened();
  EXPECT_TRUE(story.until([&] { return story.job(job).restarts == 1; }, seconds(15)));
  EXPECT_TRUE(story.until_runs(job, start_longest + seconds(5)));
  EXPECT_EQ(story.machine(2).instance.market, Market::on_demand);
  EXPECT_EQ(story.machines(), 4u);
  story.ends_well();
}

TEST(SpotStories, AJobThatIsEvictedAgainAndAgainIsBoughtPeace) {
  Story story(on_ec2({spot_pool(4)}));
  const JobId job = story.submit({.nodes = 1, .runs = minutes(15)});
  for (int eviction = 0; eviction < 2; ++eviction) {
    ASSERT_TRUE(story.until_runs(job, start_longest + seconds(20)));
    story.run_for(seconds(30));
    const uint32_t machine = story.machine_of(story.job(job).nodes.front());
    EXPECT_EQ(story.machine(machine).instance.market, Market::spot);
    story.world.cloud.evict(machine, notice);
    story.happened();
    ASSERT_TRUE(story.until([&] { return story.job(job).restarts == 1u + eviction; }, notice));
  }
  ASSERT_TRUE(story.until_runs(job, start_longest));
  EXPECT_EQ(story.machine(story.machine_of(story.job(job).nodes.front())).instance.market, Market::on_demand);
  EXPECT_TRUE(story.until_done(job, minutes(16)));
  story.ends_well();
}

TEST(SpotStories, NobodyIsSignalledWhoDidNotAskForIt) {
  Story story(on_ec2({spot_pool(4)}));
  const JobId job = story.submit({.nodes = 1, .runs = minutes(10), .dies_of_signals = true});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.cloud.evict(0, notice);
  story.happened();
  EXPECT_TRUE(story.until_done(job, minutes(15)));
  EXPECT_EQ(story.noted("job_signalled"), 0u);
  story.ends_well();
}

TEST(SpotStories, AJobThatEndsBeforeItsMachineIsLeftAlone) {
  Story story(on_ec2({spot_pool(4)}));
  const JobId job = story.submit({.nodes = 1, .runs = minutes(2)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.run_for(seconds(50));
  story.world.cloud.evict(0, notice);
  story.happened();
  EXPECT_TRUE(story.until_done(job, seconds(80)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

TEST(SpotStories, AnSrunJobGetsEverySecondOfItsMachine) {
  Story story(on_ec2({spot_pool(4)}));
  const JobId job = story.submit({.nodes = 1, .runs = hours(1), .batch = false});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.cloud.evict(0, notice);
  story.happened();
  story.run_for(notice - seconds(1));
  EXPECT_TRUE(story.is(job, JobState::running));
  EXPECT_TRUE(story.until([&] { return story.is(job, JobState::failed); }, seconds(20)));
  EXPECT_EQ(story.job(job).restarts, 0u);
  story.ends_well();
}

TEST(SpotStories, AWaveOfEvictionsIsAHandfulOfLaunches) {
  Story story(on_ec2({spot_pool(40)}));
  std::vector<JobId> jobs;
  for (int i = 0; i < 20; ++i) jobs.push_back(story.submit({.runs = minutes(10)}));
  ASSERT_TRUE(story.until([&] { return story.up() == 20; }, start_longest + seconds(10)));
  story.run_for(seconds(30));
  const size_t before = story.launches.size();
  story.room(0, Market::spot);
  for (uint32_t m = 0; m < 20; ++m) story.world.cloud.evict(m, notice);
  story.happened();
  const TimePoint told = story.world.now();
  EXPECT_TRUE(story.until([&] { return story.machines() >= 40; }, seconds(10)));
  EXPECT_LE(story.launches.size() - before, 8u);  // of spot machines, in vain, and then on demand; not forty
  EXPECT_TRUE(story.until(
      [&] {
        return std::all_of(jobs.begin(), jobs.end(),
                           [&](JobId job) { return story.job(job).restarts == 1 && story.is(job, JobState::running); });
      },
      notice + seconds(40)));
  EXPECT_LT(story.world.now() - told, notice + seconds(40));
  story.ends_well();
}

TEST(SpotStories, OneEvictedMachineOfAWideJobCostsOneMachine) {
  Story story(on_ec2({spot_pool(16)}));
  const JobId job = story.submit({.nodes = 8, .runs = minutes(10)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.cloud.evict(3, notice);
  story.happened();
  ASSERT_TRUE(story.until([&] { return story.job(job).restarts == 1; }, notice));
  EXPECT_TRUE(story.until_runs(job, seconds(20)));
  EXPECT_EQ(story.machines(), 9u);
  story.ends_well();
}

// The provider's own refill waited for ever for somebody to give it a name, and was billed.
TEST(SpotStories, AMachineThatThePoolRefillsServesOrGoes) {
  WorldOptions options = on_batch({spot_pool(4, {Market::spot})});
  options.cloud.restore = seconds(90);
  Story story(options);
  const JobId job = story.submit({.nodes = 1, .runs = minutes(4)});
  ASSERT_TRUE(story.until_runs(job, start_longest));
  story.world.cloud.evict(0, Duration(0));
  story.happened();
  EXPECT_TRUE(story.until([&] { return story.job(job).restarts == 1; }, seconds(15)));
  EXPECT_TRUE(story.until_done(job, minutes(8)));
  EXPECT_TRUE(story.until([&] { return story.billed() == 0; }, minutes(5)));
  EXPECT_LE(story.machines(), 3u);
  story.ends_well();
}

TEST(SpotStories, ThePoolReturnsToSpotWhenThereIsSomeAgain) {
  Story story(on_ec2({spot_pool(8)}));
  story.room(0, Market::spot);
  const JobId first = story.submit({.runs = minutes(2)});
  ASSERT_TRUE(story.until_done(first, minutes(5)));
  story.room(UINT32_MAX, Market::spot);
  story.run_for(minutes(6));
  const JobId second = story.submit({.runs = minutes(2)});
  ASSERT_TRUE(story.until_runs(second, start_longest));
  EXPECT_EQ(story.machine(story.machine_of(story.job(second).nodes.front())).instance.market, Market::spot);
  story.ends_well();
}

}  // namespace
}  // namespace slipway::sim
