// The world's own parts: a job's life, daemons that die, freeze and take over, agents that obey.
#include "sim/world.h"

#include <gtest/gtest.h>

namespace slipway::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

WorldOptions small_world(uint32_t nodes = 4) {
  WorldOptions options;
  options.cluster.name = "test";
  model::Pool pool;
  pool.name = PoolName("cpu");
  pool.max = nodes;
  pool.idle_reclaim = seconds(60);
  pool.boot_timeout = minutes(5);
  options.cluster.pools.push_back(pool);
  model::Partition partition;
  partition.name = PartitionName("all");
  partition.pools.push_back(pool.name);
  options.cluster.partitions.push_back(partition);
  options.cloud.call = {Duration(50), Duration(500)};
  options.cloud.boot = {seconds(5), seconds(20)};
  options.cloud.stop = {seconds(1), seconds(3)};
  return options;
}

void expect_no_violation(const World& world) {
  EXPECT_FALSE(world.invariants.violated()) << world.invariants.first()->text;
}

TEST(World, AJobComesRunsAndLeavesNothing) {
  World world(small_world());
  world.run_for(seconds(5));
  const JobId job = world.users.submit({.nodes = 3, .runs = minutes(2)});
  world.run_for(minutes(1));
  EXPECT_EQ(world.slurm.all_jobs().at(job).state, JobState::running);
  EXPECT_EQ(world.cloud.billed(), 3u);
  world.run_for(minutes(6));
  EXPECT_EQ(world.slurm.all_jobs().at(job).state, JobState::done);
  EXPECT_EQ(world.cloud.billed(), 0u);
  world.invariants.nothing_left();
  expect_no_violation(world);
}

TEST(World, AnIdleClusterCostsNoRounds) {
  World world(small_world(100));
  world.run_for(minutes(5));
  const uint64_t rounds = world.daemons[0]->rounds();
  world.run_for(minutes(600));
  EXPECT_LE(world.daemons[0]->rounds(), rounds + 3);
  expect_no_violation(world);
}

TEST(World, ADaemonThatDiesWhileMachinesBootLaunchesNothingTwice) {
  for (int after = 1; after <= 20; ++after) {
    World world(small_world());
    world.run_for(seconds(5));
    const JobId job = world.users.submit({.nodes = 4, .runs = minutes(1)});
    world.run_for(seconds(after));
    world.daemons[0]->kill(seconds(2));
    world.run_for(minutes(2));
    EXPECT_EQ(world.slurm.all_jobs().at(job).state, JobState::done) << after;
    EXPECT_LE(world.cloud.machines().size(), 4u) << after;
    EXPECT_EQ(world.daemons[0]->restarts(), 1u);
    expect_no_violation(world);
  }
}

TEST(World, KilledBetweenAnyTwoStepsOfAPlan) {
  for (uint32_t step = 0; step < 8; ++step) {
    World world(small_world());
    world.run_for(seconds(5));
    const JobId job = world.users.submit({.nodes = 4, .runs = minutes(1)});
    world.daemons[0]->blow_fuse_in(step, seconds(2), true);
    world.run_for(minutes(4));
    EXPECT_EQ(world.slurm.all_jobs().at(job).state, JobState::done) << step;
    EXPECT_EQ(world.daemons[0]->restarts(), 1u) << step;
    expect_no_violation(world);
  }
}

TEST(World, TheOtherDaemonTakesOverWhenTheLeaseEnds) {
  WorldOptions options = small_world();
  options.daemons = 2;
  World world(options);
  world.run_for(seconds(5));
  ASSERT_TRUE(world.daemons[0]->holds_lease());
  EXPECT_FALSE(world.daemons[1]->holds_lease());
  world.daemons[0]->kill(minutes(10));
  world.run_for(seconds(5));
  EXPECT_FALSE(world.daemons[1]->holds_lease());
  world.run_for(seconds(8));
  EXPECT_TRUE(world.daemons[1]->holds_lease());
  EXPECT_EQ(world.daemons[1]->epoch(), 2u);
  const JobId job = world.users.submit({.nodes = 2, .runs = seconds(30)});
  world.run_for(minutes(2));
  EXPECT_EQ(world.slurm.all_jobs().at(job).state, JobState::done);
  expect_no_violation(world);
}

TEST(World, AFrozenHolderNoticesBeforeItActs) {
  WorldOptions options = small_world();
  options.daemons = 2;
  World world(options);
  world.run_for(seconds(5));
  world.users.submit({.nodes = 2, .runs = seconds(30)});
  world.run_for(Duration(1'500));
  world.daemons[0]->freeze(seconds(60));
  world.run_for(seconds(40));
  EXPECT_TRUE(world.daemons[1]->holds_lease());
  const uint64_t rounds = world.daemons[0]->rounds();
  world.run_for(seconds(60));
  EXPECT_FALSE(world.daemons[0]->holds_lease());
  EXPECT_EQ(world.daemons[0]->rounds(), rounds);
  EXPECT_TRUE(world.daemons[1]->holds_lease());
  expect_no_violation(world);
}

TEST(World, AnAgentObeysTheNewestDaemonOnly) {
  World world(small_world());
  world.run_for(seconds(5));
  world.users.submit({.nodes = 1, .runs = minutes(5)});
  world.run_for(minutes(1));
  const uint32_t machine = world.agents.server_of(0);
  ASSERT_NE(machine, nobody);
  const auto before = world.agents.machine(machine);
  ASSERT_GT(before.epoch, 0u);
  world.agents.bind(machine, 1, before.epoch - 1, before.life);
  EXPECT_EQ(world.agents.machine(machine).node, 0u);
  world.agents.leave(machine, before.epoch - 1, before.life);
  EXPECT_EQ(world.agents.machine(machine).node, 0u);
  world.agents.leave(machine, before.epoch, before.life);
  EXPECT_EQ(world.agents.machine(machine).node, UINT32_MAX);
}

TEST(World, ANameSurvivesACut) {
  World world(small_world());
  world.run_for(seconds(5));
  world.users.submit({.nodes = 1, .runs = minutes(10)});
  world.run_for(minutes(1));
  const uint32_t machine = world.agents.server_of(0);
  ASSERT_NE(machine, nobody);
  world.invariants.fault();
  world.agents.cut_from_daemon(machine, true, true);
  world.run_for(seconds(20));
  EXPECT_FALSE(world.agents.machine(machine).connected);
  world.agents.cut_from_daemon(machine, false, false);
  world.run_for(seconds(20));
  EXPECT_TRUE(world.agents.machine(machine).connected);
  EXPECT_EQ(world.agents.server_of(0), machine);
  EXPECT_EQ(world.cloud.machines().size(), 1u);
  expect_no_violation(world);
}

TEST(Trace, TellsThoseThatConcernSomebody) {
  Trace trace;
  trace.turn_on();
  trace.add(Duration(1'000), {.node = 1}, "one");
  trace.add(Duration(62'300), {.node = 2}, "two");
  trace.add(Duration(63'000), {}, "all");
  EXPECT_EQ(trace.tail({.node = 2}, 10), "   1m02.3s two\n   1m03.0s all\n");
  EXPECT_EQ(trace.tail({.node = 1}, 1), "   1m03.0s all\n");
}

}  // namespace
}  // namespace slipway::sim
