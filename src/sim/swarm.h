// Random worlds: each seed draws a cluster, a cloud's character, a workload, and which faults happen how often. A run
// goes through three parts: faults and work; then everything heals and all work must end; then nothing is wanted and
// everything must sleep.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sim/world.h"

namespace slipway::sim {

struct Scenario {
  WorldOptions world;
  Workload workload;
  FaultRates faults;
  CloudFaults cloud_faults;
  double lose_hook = 0;
  double repeat_hook = 0;
  double delay_hook = 0;
  Duration busy{0};  // the first part
};

struct SwarmOptions {
  uint64_t seed = 1;
  uint32_t minutes = 0;  // of the first part; 0: drawn
  uint32_t nodes = 0;    // 0: drawn
  bool trace = false;
  bool faults = true;
  Decide decide;                          // empty: engine::decide
  std::optional<model::Cluster> cluster;  // instead of a drawn one
};

Scenario draw_scenario(const SwarmOptions& options);

struct Outcome {
  uint64_t seed = 0;
  std::optional<Violation> violation;
  Duration simulated{0};
  uint64_t jobs = 0;
  uint64_t machines = 0;
  uint64_t faults = 0;
  uint64_t rounds = 0;
  uint64_t restarts = 0;  // of daemons
  std::string trace;      // whole, when asked for
  std::string history;    // of a violation, with the trace on: the last lines that concern it
};

Outcome run_scenario(const Scenario& scenario);
Outcome run_seed(const SwarmOptions& options);
// The same again with the trace on, for its history.
Outcome retell(SwarmOptions options);

}  // namespace slipway::sim
