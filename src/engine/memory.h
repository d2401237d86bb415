// What decide() remembers between rounds. All of it may be lost at any time (a restart, the other controller): the next
// look at both ends leads to the same goal, at worst `update_patience` later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/view.h"

namespace slipway::engine {

// Names that differ only in the number at their end fall into neighbouring buckets: nodes are mostly looked up in
// order, and then the table is read in order too. Not noexcept on purpose: libstdc++ then keeps each hash with its
// entry instead of hashing a bucket's other names again for every look.
struct NameHash {
  template <class Tag>
  size_t operator()(const StrongId<Tag>& id) const {
    const std::string_view text = id.str();
    size_t digits = text.size();
    while (digits > 0 && text[digits - 1] >= '0' && text[digits - 1] <= '9') --digits;
    uint64_t hash = 0xcbf29ce484222325ull;
    for (const char c : text.substr(0, digits)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    uint64_t number = 0;
    for (const char c : text.substr(digits)) number = number * 10 + static_cast<uint64_t>(c - '0');
    return hash + number;
  }
};

struct LaunchMemory {
  PoolIndex pool = no_pool;
  uint32_t count = 0;  // asked for; what was refused is subtracted
  TimePoint at{};
  bool answered = false;    // the provider accepted (or the outcome is unknown); until then the request is on its way
  TimePoint answered_at{};  // the first round after the answer
  bool outcome_unknown = false;  // the reply was lost; asking again uses the same token
  uint32_t visible = 0;          // of it, in the last listing
};

struct NodeMemory {            // first what every round reads, so that it shares cache lines
  uint64_t round = 0;          // the last round that looked at it
  uint32_t work = 0;           // its place in that round's table
  uint32_t instance_hint = 0;  // where its machine was in the last listing; only a hint
  PoolIndex pool = no_pool;
  uint8_t situation = 0;
  uint8_t power = 255;       // the last round's Power; 255: none
  bool recovering = false;   // it was DOWN; say so when it is back
  InstanceId bound;          // decided here; the agent may not have said so yet
  TimePoint seen_at{};       // as_of of the last listing that showed `bound`
  TimePoint unwell_since{};  // up, and not in good health since; epoch: well
  TimePoint up_since{};      // first seen up: idleness counts from here at the earliest
  TimePoint bound_at{};
  TimePoint bind_sent_at{};
  TimePoint wanted_since{};      // first seen POWERING_UP
  TimePoint since{};             // of the present situation
  TimePoint told_at{};           // last update sent to Slurm for it, so that it is not repeated every round
  TimePoint restarted_at{};      // slurmd, by us
  TimePoint power_up_told_at{};  // to keep enough nodes warm
  uint32_t boots_failed = 0;     // since it was last up; a give-up limit and the next reason hang on it
  std::string last_failure;
};

struct InstanceMemory {  // only of instances that no node has, or that are being terminated
  TimePoint first_seen{};
  TimePoint terminate_at{};    // asked for then
  TimePoint unneeded_since{};  // not bound, nothing wants it
  std::string reason;          // of the termination
  uint32_t place = 0;          // where it was in the last listing; only a hint
};

struct PoolMemory {
  TimePoint not_before{};  // after a refusal: no launch before
  uint32_t refusals = 0;   // in a row
  std::string why;         // the last refusal
  uint64_t launches = 0;   // accepted launches that left nothing behind; part of the next token
  // Waves of failed boots since a node of the pool last came up: failures of machines that were launched together count once.
  uint32_t boots_failed = 0;
  TimePoint boot_failed_at{};  // the last wave began
  TimePoint launched_at{};     // the last launch was decided
  std::string unnoted;         // a refusal that is not yet among the notes
};

// Where decide() found each of View::nodes in Memory::nodes the last time: saves the hash of every node that isn't
// asleep. A copy starts without.
struct NodeHints {
  std::vector<std::pair<const NodeName, NodeMemory>*> entries;

  NodeHints() = default;
  NodeHints(const NodeHints&) {}
  NodeHints(NodeHints&&) = default;
  NodeHints& operator=(const NodeHints&) {
    entries.clear();
    return *this;
  }
  NodeHints& operator=(NodeHints&&) = default;
  ~NodeHints() = default;
};

struct Memory {
  TimePoint first_round{};  // when this memory began; silence counts from here
  uint64_t round = 0;
  std::unordered_map<std::string, LaunchMemory> launches;  // by token
  // Only nodes that aren't asleep; only decide() adds and removes.
  std::unordered_map<NodeName, NodeMemory, NameHash> nodes;
  NodeHints hints;
  std::unordered_map<InstanceId, InstanceMemory, NameHash> instances;
  std::vector<PoolMemory> pools;  // by PoolIndex
};

}  // namespace slipway::engine
