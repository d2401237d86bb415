// The state table: a node's situation is one total function of what Slurm says, what the provider says, who is bound to
// it, for how long, and what is intended. Every combination has exactly one named outcome; tests/engine/ walks through
// all of them.
//
// Never match an exact set of Slurm's flags: they are first reduced to a Power phase and a Health, both total too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "model/slurm_state.h"

namespace slipway::engine {

// What Slurm does with the node's power. From the flags alone, in the order that slurmctld gives them precedence.
enum class Power : uint8_t { down, powering_up, up, powering_down };
inline Power power_of(model::SlurmNodeState state) {
  if (state.base == model::NodeBase::future) return Power::down;
  if (state.has(model::node_powering_down)) return Power::powering_down;
  if (state.has(model::node_powering_up)) return Power::powering_up;
  // A job has the node: slurmctld's power saving thread, which looks once a second, is about to wake it. And a machine
  // that registers before that look is accepted, so there is nothing to wait for.
  const bool promised = state.base == model::NodeBase::allocated || state.base == model::NodeBase::mixed;
  if (state.has(model::node_powered_down)) return promised ? Power::powering_up : Power::down;
  return Power::up;
}

// Whether Slurm can use the node. `down` covers DOWN, ERROR and FAIL whoever caused it.
enum class Health : uint8_t { good, not_responding, down };
inline Health health_of(model::SlurmNodeState state) {
  if (state.base == model::NodeBase::down || state.base == model::NodeBase::error || state.has(model::node_fail) ||
      state.has(model::node_invalid_reg)) {
    return Health::down;
  }
  if (state.base == model::NodeBase::unknown || state.has(model::node_not_responding)) return Health::not_responding;
  return Health::good;
}

// The instance that the node is bound to, as the provider tells it. `unknown`: absent from an incomplete or too young
// listing. `leaving`: the provider ends it, or we asked for that.
enum class Machine : uint8_t { none, unknown, alive, leaving, gone };

// The bound instance's agent, reduced. `absent` when Machine is none.
enum class Guest : uint8_t { absent, booting, serving, failed, silent };

// Of the current step, against its own timeouts. `late`: longer than it should take, but not given up.
enum class Age : uint8_t { young, late, overdue };
enum class Intent : uint8_t { none, reclaim };  // reclaim: idle for longer than it may

struct Facts {
  Power power = Power::down;
  Health health = Health::good;
  Machine machine = Machine::none;
  Guest guest = Guest::absent;
  Age age = Age::young;
  Intent intent = Intent::none;
  bool busy = false;       // a job holds the node
  bool set_aside = false;  // DOWN, responding, and the reason is a person's
};

enum class Situation : uint8_t {
  not_ours,     // an existing node
  asleep,       // powered down, nothing there: as it should be
  wanted,       // powering up, no instance: bind one or launch one
  booting,      // powering up, instance bound and on its way
  overdue,      // powering up, bound, and the instance had its chance: replace it under the same name
  stuck,        // powering up, slurmd runs, Slurm ignored its registration: restart slurmd
  serving,      // up and well; a job may run on it
  idle_kept,    // up, idle, kept on purpose (warm, excluded, or not idle for long enough)
  reclaimable,  // up, idle for too long: power it down
  unbacked,     // Slurm thinks it is up, but there is no instance: set it DOWN so that its jobs go on elsewhere
  broken,       // up or powering up, but lost to Slurm and to us: set it DOWN if it isn't, power it down
  leaving,      // powering down, the instance still exists: terminate it (again)
  left,         // powering down and verifiably gone: tell Slurm at once
  ghost,        // powered down, yet an instance is bound: terminate it after a grace
  failed,       // DOWN and powered down after a failed resume: power it down once more, which makes it usable again
  held,         // what exists is unknown: do nothing until the next complete listing
  ailing,     // up, unwell in Slurm's eyes, but its agent serves or may come back: wait, restart slurmd, then `broken`
  set_aside,  // a person set it DOWN while machine and agent are well: leave it alone
};

inline constexpr size_t situation_count = static_cast<size_t>(Situation::set_aside) + 1;

std::string_view to_string(Situation situation);
Situation classify(const Facts& facts);

}  // namespace slipway::engine
