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
#include "engine/failure.h"
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
  model::Market market = model::Market::on_demand;
  std::vector<uint32_t> ways;  // into the pool's, those that were asked for
  std::string placement;
  bool probe = false;       // one machine, to see whether a paused way works again
  bool refused = false;     // in part
  bool answered = false;    // the provider accepted (or the outcome is unknown); until then the request is on its way
  TimePoint answered_at{};  // the first round after the answer
  bool adopted = false;     // the listing told of it; whoever asked is forgotten
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
  bool asked = false;        // a launch was for it: it doesn't wait for a launch window again
  bool held = false;         // DOWN because its pool gets no machines; no event for each of many
  bool surplus = false;      // came up for a job that was given back: not kept as long as others
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
  TimePoint evicting_since{};  // its machine has a notice
};

// Only of instances that no node has, that are being terminated, or whose provider can't tell their launch.
struct InstanceMemory {
  TimePoint first_seen{};
  TimePoint terminate_at{};    // asked for then
  uint32_t asked = 0;          // so often
  TimePoint unneeded_since{};  // not bound, nothing wants it
  std::string reason;          // of the termination
  std::string credited_to;     // the launch that it is taken to be of
  uint32_t place = 0;          // where it was in the last listing; only a hint
};

// One way's breaker: closed, open until `not_before`, then half open. A probe that succeeds closes it; `failures` stay
// until a whole launch has succeeded, so that a way with room for the probe only isn't asked ever again at once.
struct WayMemory {
  bool open = false;
  bool elsewhere = false;  // while open, wants go on to other ways
  TimePoint not_before{};
  TimePoint failing_since{};  // the first of the failures in a row
  uint32_t failures = 0;
  Failure kind = Failure::transient;  // the last one
  std::string why;                    // in the provider's words
  std::string probe;                  // token of the launch that tries it; its success or failure decides
};

struct PoolMemory {
  std::vector<WayMemory> ways;  // parallel to Spec::Pool::ways
  uint64_t launches = 0;        // accepted launches that left nothing behind; part of the next token
  // Of the last ten minutes, fading: what came up and what failed to.
  double boots = 0;
  double boots_failed = 0;
  TimePoint boots_at{};       // both are of then
  std::string boot_failure;   // the last one
  uint32_t waves_failed = 0;  // since a node of the pool last came up; machines that were launched together count once
  TimePoint wave_failed_at{};
  TimePoint launched_at{};  // the last launch was decided
  bool held = false;        // its sleeping nodes are drained, because it has no way to get machines
  TimePoint held_since{};
  TimePoint spare_since{};        // spare machines are left to Slurm from then on
  TimePoint excess_since{};       // more are on their way than anything wants
  TimePoint withdrawn_at{};       // some were taken back, or that was tried
  uint32_t withdrawals_vain = 0;  // in a row: the provider took none back
  uint32_t unneeded = 0;     // machines that are ready or on their way and that nothing wants, after the last round;
  uint32_t spare = 0;        // of them, those that are ready for names of a held pool
  TimePoint hold_told_at{};  // Slurm was told last, to drain or undrain them
  std::vector<std::string> unnoted;  // refusals that are not yet among the notes
};

struct JobMemory {
  uint32_t evictions = 0;
  TimePoint signalled_at{};
  TimePoint requeued_at{};
  TimePoint seen_at{};
  std::string told;      // the comment that was last set
  uint64_t told_in = 0;  // the last round that had one for it
};

// A token bucket (model::ApiBudget).
struct Bucket {
  double tokens = 0;
  TimePoint at{};          // tokens are of then; epoch: full
  TimePoint not_before{};  // a call was throttled
  uint32_t throttled = 0;  // in a row; a launch that is answered ends it
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
  std::vector<PoolMemory> pools;              // by PoolIndex
  std::unordered_map<JobId, JobMemory> jobs;  // only of jobs that were evicted or given back
  TimePoint jobs_told_at{};                   // as_of of the look at jobs by which they were told last
  Duration pauses_told{0};                    // sum of the pauses' ends that they were told
  std::vector<Bucket> accounts;
};

}  // namespace slipway::engine
