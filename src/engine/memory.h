// What decide() remembers between rounds. All of it may be lost at any time (a restart, the other controller): the next look at both ends leads to
// the same goal, at worst `update_patience` later.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/view.h"

namespace slipway::engine {

struct LaunchMemory {
  PoolIndex pool = no_pool;
  uint32_t count = 0;              // asked for; what was refused is subtracted
  TimePoint at{};
  bool answered = false;           // the provider accepted (or the outcome is unknown); until then the request is on its way
};

struct NodeMemory {
  InstanceId bound;                // decided here; the agent may not have said so yet
  TimePoint bound_at{};
  TimePoint wanted_since{};        // first seen POWERING_UP without an instance
  TimePoint since{};               // of the present situation
  TimePoint told_at{};             // last update sent to Slurm for it, so that it is not repeated every round
  uint32_t boots_failed = 0;       // since it was last up; a give-up limit and the next reason hang on it
  uint8_t situation = 0;
  std::string last_failure;
};

struct InstanceMemory {
  TimePoint missing_since{};       // absent from complete listings since
  TimePoint terminate_at{};        // asked for then
  TimePoint unneeded_since{};      // not bound, nothing wants it
};

struct PoolMemory {
  TimePoint not_before{};          // after a refusal: no launch before
  uint32_t refusals = 0;           // in a row
  std::string why;                 // the last refusal
  uint64_t launches = 0;           // for tokens of attempts that left nothing behind
};

struct Memory {
  std::unordered_map<std::string, LaunchMemory> launches;      // by token
  std::unordered_map<NodeName, NodeMemory> nodes;              // only nodes that aren't asleep
  std::unordered_map<InstanceId, InstanceMemory> instances;
  std::vector<PoolMemory> pools;                               // by PoolIndex
};

}  // namespace slipway::engine
