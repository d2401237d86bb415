// decide() in a small world: bursts, deaths, refusals, restarts. tests/engine/fake_world.h checks the standing rules in
// every step.
#include <gtest/gtest.h>

#include "fake_world.h"

namespace slipway::engine::fake {
namespace {

std::string all_of(const World& world) {
  std::string text;
  for (const std::string& violation : world.violations) text += violation + "; ";
  return text;
}

std::string state_of(const World& world) {
  std::string text;
  const View view = world.look();
  Memory copy = world.memory;
  const Plan plan = decide(view, world.spec, copy, at(world.now));
  for (size_t i = 0; i < view.nodes.size(); ++i) {
    if (plan.situations[i] != Situation::asleep) {
      text += view.nodes[i].name.str() + " " + std::string(to_string(plan.situations[i])) + " flags " +
              std::to_string(view.nodes[i].slurm.flags) + "\n";
    }
  }
  for (const InstanceView& instance : view.instances) {
    text += instance.id.str() + " state " + std::to_string(static_cast<int>(instance.state)) + " agent " +
            std::to_string(static_cast<int>(instance.agent)) + " bound " + instance.bound.str() + "\n";
  }
  return text;
}

#define EXPECT_LAWFUL(world) EXPECT_TRUE((world).violations.empty()) << all_of(world)

TEST(Scenario, BurstOf50RunsAndSleepsAgain) {
  World world(60);
  world.slurm.submit(1, 50, 5'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 60)) << state_of(world);
  EXPECT_EQ(world.launched, 50u);
  EXPECT_EQ(world.slurm.jobs[0].requeues, 0u);
  EXPECT_EQ(world.noted("node_wanted"), 50u);
  EXPECT_EQ(world.noted("launch_requested"), 1u);
  EXPECT_EQ(world.noted("node_bound"), 50u);
  EXPECT_EQ(world.noted("node_serving"), 50u);
  ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 120)) << state_of(world);
  EXPECT_EQ(world.noted("node_reclaimed"), 50u);
  EXPECT_EQ(world.noted("node_asleep"), 50u);
  EXPECT_LAWFUL(world);
}

// The daemon is killed in every step of the burst, before, in the middle of and after acting: all 50 join, none twice.
TEST(Scenario, BurstOf50SurvivesADaemonKilledAtEveryStep) {
  for (const Kill kill : {Kill::before_acting, Kill::midway, Kill::after_acting}) {
    for (size_t killed_at = 1; killed_at <= 26; ++killed_at) {
      World world(50, killed_at);
      world.slurm.submit(1, 50, 2'000);
      for (size_t i = 1; i <= killed_at; ++i) {
        if (i == killed_at) world.kill = kill;
        world.step();
      }
      ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 90)) << "killed at " << killed_at << "\n"
                                                                               << state_of(world);
      EXPECT_EQ(world.launched, 50u) << "killed at " << killed_at << " way " << static_cast<int>(kill);
      EXPECT_EQ(world.slurm.jobs[0].requeues, 0u);
      size_t bound = 0;
      for (const Machine& m : world.machines) bound += m.ever_bound ? 1 : 0;
      EXPECT_EQ(bound, 50u);
      ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 120)) << state_of(world);
      EXPECT_LAWFUL(world);
    }
  }
}

TEST(Scenario, DaemonKilledInEveryStepStillGetsThere) {
  World world(4);
  world.slurm.submit(1, 4, 3'000);
  for (int i = 0; i < 120; ++i) {
    if (i % 17 == 0) world.kill = Kill::midway;
    world.step();
  }
  ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 300)) << state_of(world);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, MachineThatNeverBootsHoldsNobodyUp) {
  World world(10);
  world.never_boot = 1;
  world.slurm.submit(1, 1, 3'000);
  world.slurm.submit(2, 1, 3'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.jobs[0].done; }, 15))
      << state_of(world);  // the first job takes the machine that came
  ASSERT_TRUE(world.run_until([&] { return world.slurm.jobs[1].done; }, 60)) << state_of(world);
  EXPECT_EQ(world.launched, 3u);
  EXPECT_EQ(world.noted("boot_failed"), 1u);
  ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 120)) << state_of(world);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, WhenNothingBootsSlurmGetsTheNodeBackAndNothingHammers) {
  World world(3);
  world.slurm.resume_timeout = 100'000'000;
  world.never_boot = 1'000'000;
  world.slurm.submit(1, 1, 3'000);
  world.run(1'800);
  EXPECT_GE(world.noted("node_down"), 1u);
  EXPECT_GE(world.slurm.jobs[0].requeues, 1u);
  EXPECT_LT(world.launched, 22u);  // each takes 20 s to fail: without pauses it would be 90
  EXPECT_GE(world.launched, 6u);
  world.never_boot = 0;  // healed: it gets there
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 600)) << state_of(world);
  ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 120)) << state_of(world);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, AgentsThatGiveUpAreReplacedAtOnce) {
  World world(5);
  world.agents_fail = true;
  world.slurm.submit(1, 1, 3'000);
  world.run_until([&] { return world.noted("boot_failed") >= 1; }, 30);
  world.agents_fail = false;
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 30)) << state_of(world);
  ASSERT_FALSE(world.notes.empty());
  const auto failed =
      std::find_if(world.notes.begin(), world.notes.end(), [](const Note& note) { return note.kind == "boot_failed"; });
  EXPECT_NE(failed->message.find("prep script: exit status 1"), std::string::npos) << failed->message;
  EXPECT_LAWFUL(world);
}

TEST(Scenario, MachineThatDiesUnderAJobIsReplacedAndItsNodeRecovers) {
  World world(4);
  world.slurm.submit(1, 2, 20'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.jobs[0].started_at >= 0; }, 60));
  const std::string node = world.slurm.jobs[0].nodes[1];
  world.power_cut(*world.machine_of(node));
  world.step();
  EXPECT_EQ(world.slurm.jobs[0].requeues, 1u) << "DOWN is told in the first round after the death";
  EXPECT_EQ(world.noted("instance_died"), 1u);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.nodes[node].has(model::node_powered_down); }, 10))
      << state_of(world);
  EXPECT_EQ(world.slurm.nodes[node].base, model::NodeBase::idle);
  EXPECT_EQ(world.noted("node_recovered"), 1u);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 60)) << state_of(world);
  ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 120)) << state_of(world);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, MachineThatDiesWhileItBootsIsReplacedUnderTheSameName) {
  World world(4);
  world.slurm.submit(1, 1, 3'000);
  ASSERT_TRUE(world.run_until([&] { return world.noted("node_bound") == 1; }, 30));
  world.power_cut(world.machines[0]);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 30)) << state_of(world);
  EXPECT_EQ(world.launched, 2u);
  EXPECT_EQ(world.slurm.jobs[0].requeues, 0u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, CutOffMachineIsTakenOutAndItsJobGoesOn) {
  World world(3);
  world.slurm.submit(1, 1, 60'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.jobs[0].started_at >= 0; }, 60));
  world.cut_off(world.machines[0]);
  ASSERT_TRUE(world.run_until([&] { return world.machines[0].terminated; }, 60)) << state_of(world);
  ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 300)) << state_of(world);
  EXPECT_EQ(world.slurm.jobs[0].requeues, 1u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, CancelledJobLeavesNothingBehind) {
  World world(10);
  world.slurm.submit(1, 8, 5'000);
  for (int i = 0; i < 4; ++i) world.step();
  world.slurm.cancel(1, world.now);
  ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 180)) << state_of(world);
  EXPECT_LE(world.launched, 8u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, SlurmctldThatLosesItsFlagsGetsTheSameMachines) {
  World world(6);
  world.slurm.submit(1, 6, 3'000);
  ASSERT_TRUE(world.run_until([&] { return world.noted("node_bound") >= 3; }, 30));
  world.slurm.lose_power_flags(world.now);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 60)) << state_of(world);
  EXPECT_EQ(world.launched, 6u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, RegistrationThatSlurmIgnoredIsRepeated) {
  World world(2);
  world.slurm.submit(1, 1, 3'000);
  ASSERT_TRUE(world.run_until([&] { return world.noted("node_bound") == 1; }, 30));
  const std::string node = world.slurm.jobs[0].nodes[0];
  world.slurm.nodes[node].resumed_at = world.now + 2'000;  // resumed again, after its slurmd started
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 40)) << state_of(world);
  EXPECT_GE(world.noted("node_stuck"), 1u);
  EXPECT_EQ(world.launched, 1u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, DuplicateMachineIsTerminated) {
  World world(2);
  world.slurm.submit(1, 1, 600'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.jobs[0].started_at >= 0; }, 60));
  Machine twin = world.machines[0];
  twin.id = "i-twin";
  twin.address = "198.18.7.7";
  twin.launched_at -= 1'000;  // older, but Slurm's NodeAddr names the other one
  twin.registered = true;
  world.machines.push_back(twin);
  world.step();
  EXPECT_FALSE(world.machines[0].terminated);
  EXPECT_TRUE(world.machines[1].terminated);
  EXPECT_EQ(world.noted("instance_duplicate"), 1u);
}

TEST(Scenario, OrphansGoAfterTheGrace) {
  World world(2);
  Machine orphan;
  orphan.id = "i-orphan";
  orphan.state = model::InstanceState::running;
  orphan.launched_at = world.now;
  orphan.boots_at = world.now + 1'000;
  world.machines.push_back(orphan);
  Machine stranger = orphan;
  stranger.id = "i-stranger";
  stranger.bound = "old-0001";
  stranger.agent = AgentState::serving;
  stranger.registered = true;
  world.machines.push_back(stranger);
  world.run(8);
  EXPECT_FALSE(world.machines[0].terminated);
  ASSERT_TRUE(world.run_until([&] { return world.existing() == 0; }, 30)) << state_of(world);
  EXPECT_EQ(world.noted("instance_unneeded"), 2u);
}

TEST(Scenario, SurplusServesTheNextJob) {
  World world(4);
  world.slurm.submit(1, 2, 3'000);
  ASSERT_TRUE(world.run_until([&] { return !world.machines.empty(); }, 10));
  // slurmctld forgets the resume; the machines are kept for the next one.
  world.slurm.cancel(1, world.now);
  world.slurm.lose_power_flags(world.now);
  for (auto& [name, node] : world.slurm.nodes) node.flags = model::node_cloud | model::node_powered_down;
  world.run(3);
  world.slurm.submit(2, 2, 3'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 30)) << state_of(world);
  EXPECT_EQ(world.launched, 2u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, WarmNodesAreWokenAndNeverReclaimed) {
  World world(6);
  world.spec.pools[0].warm.usual.count = 2;
  world.run(120);
  size_t up = 0;
  for (const auto& [name, node] : world.slurm.nodes) up += (node.flags & model::node_powered_down) == 0 ? 1 : 0;
  EXPECT_EQ(up, 2u);
  EXPECT_FALSE(world.slurm.nodes["cpu-0001"].has(model::node_powered_down));
  EXPECT_FALSE(world.slurm.nodes["cpu-0002"].has(model::node_powered_down));
  EXPECT_EQ(world.launched, 2u);
  world.slurm.submit(1, 5, 5'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 60)) << state_of(world);
  world.run(120);
  EXPECT_EQ(world.existing(), 2u) << state_of(world);
  EXPECT_EQ(world.launched, 5u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, ExcludedAndNeverReclaimedNodesStay) {
  World world(3);
  world.spec.reclaim_exclude = {NodeName("cpu-0002")};
  world.slurm.submit(1, 3, 2'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 60));
  world.run(200);
  EXPECT_EQ(world.existing(), 1u);
  EXPECT_NE(world.machine_of("cpu-0002"), nullptr);
  World never(3);
  never.spec.pools[0].idle_reclaim = Duration::max();
  never.slurm.submit(1, 3, 2'000);
  ASSERT_TRUE(never.run_until([&] { return never.slurm.all_done(); }, 60));
  never.run(200);
  EXPECT_EQ(never.existing(), 3u);
}

TEST(Scenario, DrainedIdleNodeIsReclaimedReservedOneIsNot) {
  World world(2);
  world.slurm.submit(1, 2, 2'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 60));
  world.slurm.nodes["cpu-0001"].flags |= model::node_drain;
  world.slurm.nodes["cpu-0002"].flags |= model::node_reserved;
  world.run(60);
  EXPECT_EQ(world.machine_of("cpu-0001"), nullptr);
  EXPECT_NE(world.machine_of("cpu-0002"), nullptr);
}

TEST(Scenario, NodeSetDownByHandIsLeftAlone) {
  World world(2);
  world.slurm.submit(1, 1, 2'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 60));
  world.slurm.update(Tell::down, "cpu-0001", "admin: disk looks odd", world.now);
  world.run(300);
  EXPECT_NE(world.machine_of("cpu-0001"), nullptr);
  EXPECT_EQ(world.slurm.nodes["cpu-0001"].base, model::NodeBase::down);
  EXPECT_EQ(world.noted("node_set_aside"), 1u);
}

TEST(Scenario, RefusedLaunchesBackOffAndAreExplained) {
  World world(4);
  world.slurm.resume_timeout = 100'000'000;
  size_t asked = 0;
  world.refuse = [&]() -> std::optional<Error> {
    ++asked;
    return Error{ErrorCode::no_capacity, "no room for 4 machines"};
  };
  world.slurm.submit(1, 4, 2'000);
  world.run(600);
  EXPECT_GE(asked, 4u);
  EXPECT_LE(asked, 10u);
  EXPECT_EQ(world.noted("launch_refused"), asked);
  const std::string text = explain_node(world.look(), world.spec, world.memory, at(world.now), NodeName("cpu-0001"));
  EXPECT_NE(text.find("no room for 4 machines"), std::string::npos) << text;
  EXPECT_NE(text.find("next launch is due"), std::string::npos) << text;
  const Job& job = world.slurm.jobs[0];
  JobView view{.id = job.id};
  for (const std::string& name : job.nodes) view.nodes.emplace_back(name);
  const std::string about =
      explain_job(world.look(), world.spec, world.memory, at(world.now), view, "CONFIGURING", "None");
  EXPECT_NE(about.find("0 of its 4 nodes are up"), std::string::npos) << about;
  world.refuse = [] { return std::nullopt; };
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 400)) << state_of(world);
  EXPECT_EQ(world.launched, 4u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, LostRepliesLaunchNothingTwice) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    World world(4, seed);
    int answers = 0;
    world.refuse = [&]() -> std::optional<Error> {
      if (++answers <= 3) return Error{ErrorCode::outcome_unknown, "the reply was lost"};
      return std::nullopt;
    };
    world.slurm.submit(1, 4, 2'000);
    ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 110)) << state_of(world);
    EXPECT_EQ(world.launched, 4u);
    EXPECT_LAWFUL(world);
  }
}

TEST(Scenario, HalfAListingAndASilentSlurmctldChangeNothing) {
  World world(6);
  world.slurm.submit(1, 6, 60'000);
  ASSERT_TRUE(world.run_until([&] { return world.slurm.jobs[0].started_at >= 0; }, 60));
  world.listing_fails = true;
  world.run(20);
  world.slurm_fails = true;
  world.run(20);
  world.listing_fails = world.slurm_fails = false;
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 60));
  EXPECT_EQ(world.slurm.jobs[0].requeues, 0u);
  EXPECT_EQ(world.launched, 6u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, LostBindIsRepeated) {
  World world(2);
  world.lose_binds = true;
  world.slurm.submit(1, 2, 2'000);
  ASSERT_TRUE(world.run_until([&] { return world.noted("node_bound") == 2; }, 30));
  world.lose_binds = false;
  ASSERT_TRUE(world.run_until([&] { return world.slurm.all_done(); }, 30)) << state_of(world);
  EXPECT_EQ(world.launched, 2u);
  EXPECT_EQ(world.noted("node_bound"), 2u);
  EXPECT_LAWFUL(world);
}

TEST(Scenario, LookAgainIsAlwaysSetWhileSomethingIsPending) {
  World world(3);
  world.slurm.submit(1, 2, 2'000);
  for (int i = 0; i < 400 && !(i > 10 && world.quiet()); ++i) {
    world.step();
    const View view = world.look();
    Memory copy = world.memory;
    const Plan plan = decide(view, world.spec, copy, at(world.now));
    const bool pending = std::any_of(plan.situations.begin(), plan.situations.end(), [](Situation s) {
      return s == Situation::booting || s == Situation::idle_kept || s == Situation::leaving || s == Situation::ghost;
    });
    if (pending) {
      ASSERT_GT(plan.look_again, at(world.now)) << state_of(world);
    }
  }
}

// Random faults for a while, then none: the rules hold throughout, and when demand is gone nothing is left.
class RandomFaults : public testing::TestWithParam<int> {};

TEST_P(RandomFaults, AreSafeAndHeal) {
  for (uint64_t seed = 0; seed < 250; ++seed) {
    World world(8, static_cast<uint64_t>(GetParam()) * 1'000'003 + seed);
    world.spec.pools[0].boot_timeout = Duration(10'000);
    const bool warm = world.random() % 4 == 0;
    if (warm) world.spec.pools[0].warm.usual.count = 1;
    world.refuse = [&]() -> std::optional<Error> {
      switch (world.random() % 12) {
        case 0:
          return Error{ErrorCode::no_capacity, "no room"};
        case 1:
          return Error{ErrorCode::throttled, "too often", Duration(2'000)};
        case 2:
          return Error{ErrorCode::outcome_unknown, "reply lost"};
        default:
          return std::nullopt;
      }
    };
    JobId next = 1;
    for (int i = 0; i < 160; ++i) {
      switch (world.random() % 40) {
        case 0:
        case 1:
        case 2:
          if (next < 12)
            world.slurm.submit(next++, static_cast<size_t>(world.uniform(1, 5)), world.uniform(500, 20'000));
          break;
        case 3:
          world.kill = static_cast<Kill>(world.uniform(1, 3));
          break;
        case 4:
          if (!world.machines.empty()) {
            Machine& m = world.machines[world.random() % world.machines.size()];
            if (m.live()) world.power_cut(m);
          }
          break;
        case 5:
          if (!world.machines.empty()) {
            Machine& m = world.machines[world.random() % world.machines.size()];
            if (m.live()) world.cut_off(m);
          }
          break;
        case 6:
          world.never_boot = 1;
          break;
        case 7:
          if (next > 1) world.slurm.cancel(static_cast<JobId>(world.uniform(1, next - 1)), world.now);
          break;
        case 8:
          world.slurm.lose_power_flags(world.now);
          break;
        case 9:
          world.agents_fail = !world.agents_fail;
          break;
        case 10:
          world.listing_fails = !world.listing_fails;
          break;
        case 11:
          world.slurm_fails = !world.slurm_fails;
          break;
        case 12:
          world.lose_binds = !world.lose_binds;
          break;
        default:
          break;
      }
      world.step();
      ASSERT_TRUE(world.violations.empty())
          << "seed " << GetParam() << "/" << seed << " step " << i << ": " << all_of(world);
    }
    world.refuse = [] { return std::nullopt; };
    world.agents_fail = world.listing_fails = world.slurm_fails = world.lose_binds = false;
    world.never_boot = 0;
    world.spec.pools[0].warm.usual.count = 0;
    ASSERT_TRUE(world.run_until([&] { return world.quiet(); }, 1'200)) << "seed " << GetParam() << "/" << seed << "\n"
                                                                       << state_of(world);
    ASSERT_TRUE(world.violations.empty()) << "seed " << GetParam() << "/" << seed << ": " << all_of(world);
    world.run(20);
    ASSERT_TRUE(world.quiet()) << state_of(world);
    ASSERT_TRUE(world.memory.nodes.empty() && world.memory.instances.empty() && world.memory.launches.empty())
        << "something is remembered of nothing";
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomFaults, testing::Range(0, 8));

}  // namespace
}  // namespace slipway::engine::fake
