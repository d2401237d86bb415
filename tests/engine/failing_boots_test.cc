// Machines whose boot fails within milliseconds must not be replaced within milliseconds for ever.
#include <gtest/gtest.h>

#include "engine/decide.h"

namespace slipway::engine {
namespace {

using model::InstanceState;

struct Rounds {
  Rounds() {
    spec.pools.push_back({.name = PoolName("cpu"),
                          .max = 10,
                          .idle_reclaim = Duration(600'000),
                          .boot_timeout = Duration(60'000),
                          .register_timeout = Duration(60'000)});
    view.slurm_known = true;
    view.instances_complete = true;
    view.nodes.push_back({.name = NodeName("cpu-0001"),
                          .pool = 0,
                          .slurm = {model::NodeBase::allocated, model::node_cloud | model::node_powering_up},
                          .busy = true});
  }

  // One round; every launched machine is there in the next one, and its agent has given up already.
  void step(Duration by) {
    now += by;
    view.slurm_as_of = view.instances_as_of = now;
    const Plan plan = decide(view, spec, memory, now);
    for (const auto& end : plan.terminations) {
      for (auto& instance : view.instances) {
        if (instance.id == end.instance) instance.state = InstanceState::gone;
      }
    }
    for (const auto& launch : plan.launches) {
      launches.push_back(now);
      launch_answered(memory, spec, launch.token, launch.count, {}, now);
      view.instances.push_back({.id = InstanceId("i-" + std::to_string(launches.size())),
                                .pool = 0,
                                .state = InstanceState::running,
                                .address = "198.18.0.9",
                                .launch_token = launch.token,
                                .launched_at = now,
                                .agent = AgentState::failed,
                                .agent_since = now,
                                .message = "the prep script ended with status 3"});
    }
  }

  Spec spec;
  View view;
  Memory memory;
  TimePoint now{Duration(1'800'000'000'000)};
  std::vector<TimePoint> launches;
};

TEST(FailingBoots, AreReplacedOnceAtOnceAndThenEverMoreSlowly) {
  Rounds rounds;
  for (int i = 0; i < 400; ++i) rounds.step(Duration(10));  // four seconds
  ASSERT_EQ(rounds.launches.size(), 2u) << "the first failure is replaced at once, the second is not";
  EXPECT_LT(rounds.launches[1] - rounds.launches[0], Duration(100));
  for (int i = 0; i < 3'000; ++i) rounds.step(Duration(10));  // half a minute more
  ASSERT_GE(rounds.launches.size(), 3u) << "it recovers by itself";
  EXPECT_GE(rounds.launches[2] - rounds.launches[1], Duration(4'900));
  EXPECT_LE(rounds.launches.size(), 5u);
}

}  // namespace
}  // namespace slipway::engine
