// `slipway simulate`: runs seeds and says what they found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"

namespace slipway::sim {

struct SimulateOptions {
  uint64_t seed = 1;
  uint64_t seeds = 1;    // from `seed` on
  uint32_t minutes = 0;  // of trouble, before all heals; 0: drawn from the seed
  uint32_t nodes = 0;    // of all pools together; 0: drawn from the seed
  uint32_t workers = 1;
  bool trace = false;  // print every transition
  bool json = false;
  bool progress = false;          // a line on standard error now and then
  std::filesystem::path cluster;  // a cluster file instead of a drawn cluster
  std::filesystem::path script;   // a script (sim/script.h) instead of random faults and users
};

// 0: no violation. 1: at least one seed violates an invariant. Prints through `print`.
Result<int> simulate(const SimulateOptions& options, const std::function<void(const std::string&)>& print);

}  // namespace slipway::sim
