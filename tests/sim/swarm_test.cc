// Thousands of random worlds: safety under faults, then progress, then silence.
#include "sim/swarm.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace slipway::sim {
namespace {

constexpr uint64_t seeds = 3'000;

TEST(Swarm, EveryInvariantHolds) {
  uint64_t jobs = 0, faults = 0, restarts = 0, failed = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Outcome outcome = run_seed({.seed = seed});
    jobs += outcome.jobs;
    faults += outcome.faults;
    restarts += outcome.restarts;
    if (!outcome.violation) continue;
    ADD_FAILURE() << "slipway simulate --seed " << seed << ": " << outcome.violation->rule << ": "
                  << outcome.violation->text << "\n"
                  << retell({.seed = seed}).history;
    if (++failed == 5) break;
  }
  // The worlds must be worth their time.
  EXPECT_GT(jobs, seeds * 10);
  EXPECT_GT(faults, seeds * 5);
  EXPECT_GT(restarts, seeds / 2);
}

TEST(Swarm, TheSameSeedGivesTheSameTrace) {
  size_t told = 0;
  for (const uint64_t seed : {3u, 17u, 42u, 1001u}) {
    const Outcome first = retell({.seed = seed});
    const Outcome second = retell({.seed = seed});
    EXPECT_EQ(first.trace, second.trace) << seed;
    told += first.trace.size();
  }
  EXPECT_GT(told, 10'000u);
}

TEST(Swarm, ATraceChangesNothing) {
  for (const uint64_t seed : {5u, 23u}) {
    const Outcome silent = run_seed({.seed = seed});
    const Outcome told = retell({.seed = seed});
    EXPECT_EQ(silent.rounds, told.rounds) << seed;
    EXPECT_EQ(silent.machines, told.machines) << seed;
  }
}

TEST(Swarm, SkippedLooksHideNothing) {
  // Worlds without faults look only where something can have changed. With every look taken they do as well, and each
  // needless round really is one.
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Scenario scenario = draw_scenario({.seed = seed, .faults = false});
    for (const bool skip : {true, false}) {
      scenario.world.skip_looks = skip;
      scenario.world.daemon.doubt = 0.5;
      const Outcome outcome = run_scenario(scenario);
      EXPECT_FALSE(outcome.violation) << seed << (skip ? " skipping: " : ": ") << outcome.violation->text;
    }
  }
}

TEST(Swarm, LargeWorld) {
  const Outcome outcome = run_seed({.seed = 7, .minutes = 20, .nodes = 10'000});
  EXPECT_FALSE(outcome.violation) << outcome.violation->text;
  EXPECT_GT(outcome.jobs, 0u);
}

}  // namespace
}  // namespace slipway::sim
