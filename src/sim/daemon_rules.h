// The daemon's paces and small decisions, as src/daemon/ makes them. Internal to daemon*.cc.
#pragma once

#include <algorithm>
#include <utility>

#include "sim/daemon.h"
#include "sim/latency.h"
#include "sim/world.h"

namespace slipway::sim {

using engine::AgentState;

inline constexpr uint32_t none = UINT32_MAX;
inline constexpr Duration provider_back_off_max{10'000};
inline constexpr Duration no_budget{1'000};
inline constexpr Duration suspect_again[] = {Duration(60), Duration(200), Duration(600), Duration(1'500)};
inline constexpr Duration quick_look{150};
inline constexpr int quick_looks_max = 20;
inline constexpr Duration bind_lull{200};
inline constexpr Duration bind_patience{1'000};
inline constexpr size_t commands_max = 64;
inline constexpr Duration hook_word{5};

// The daemon's own small decisions, as src/daemon/ makes them.
inline bool is_between(engine::Situation situation) {
  switch (situation) {
    case engine::Situation::not_ours:
    case engine::Situation::asleep:
    case engine::Situation::serving:
    case engine::Situation::idle_kept:
    case engine::Situation::set_aside:
      return false;
    default:
      return true;
  }
}

inline bool ends_waiting(model::SlurmNodeState state) {
  const bool down = state.base == model::NodeBase::down || state.base == model::NodeBase::error;
  if (down) return true;  // the job has lost it, or is about to
  // POWER_UP isn't among them: it stays with a node that came up before slurmctld looked at the request.
  constexpr uint32_t not_yet =
      model::node_powered_down | model::node_powering_up | model::node_powering_down | model::node_not_responding;
  return (state.flags & not_yet) == 0;
}

inline Duration unhurried(Duration quick, Duration slow, Duration quiet_for) {
  return std::clamp(quiet_for / 10, quick, slow);
}

inline slurm::NodeChange change_of(engine::Tell tell) {
  switch (tell) {
    case engine::Tell::hold:
    case engine::Tell::hold_resumed:
    case engine::Tell::down:
      return slurm::NodeChange::down;
    case engine::Tell::power_down:
      return slurm::NodeChange::power_down;
    case engine::Tell::power_up:
      return slurm::NodeChange::power_up;
    case engine::Tell::resume:
      return slurm::NodeChange::resume;
    case engine::Tell::drain:
      return slurm::NodeChange::drain;
  }
  return slurm::NodeChange::resume;
}

inline slurm::JobChange change_of(engine::TellJob tell) {
  switch (tell) {
    case engine::TellJob::signal:
      return slurm::JobChange::signal;
    case engine::TellJob::requeue:
      return slurm::JobChange::requeue;
    case engine::TellJob::comment:
      return slurm::JobChange::comment;
  }
  return slurm::JobChange::comment;
}

inline bool same(const engine::InstanceView& seen, const model::Instance& now) {
  return seen.id == now.id && seen.state == now.state && seen.evict_at == now.evict_at &&
         seen.trouble == now.trouble.has_value() && seen.address == now.address;
}

inline bool does_something(const engine::Plan& plan) {
  return !plan.binds.empty() || !plan.restarts.empty() || !plan.launches.empty() || !plan.withdrawals.empty() ||
         !plan.terminations.empty() || !plan.tells.empty() || !plan.job_tells.empty();
}

}  // namespace slipway::sim
