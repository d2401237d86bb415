// What scontrol update does, node by node.
#include "sim/slurm_state.h"

namespace slipway::sim {

using namespace model;
using slurm::NodeChange;

namespace {

uint32_t without(uint32_t flags, uint32_t gone) {
  return flags & ~gone;
}

}  // namespace

// DOWN, whoever says so. Its jobs are queued again, not before `begin_at`, or fail.
void Slurm::State::set_down(uint32_t node, const std::string& reason, TimePoint begin_at) {
  NodeRecord& record = records[node];
  SlurmNodeState state = views[node].slurm;
  const bool completing = state.has(node_completing);
  const JobId job = record.job;
  if (!reason.empty() && views[node].reason != reason) {
    views[node].reason = reason;
    touched(node);
  }
  state.base = NodeBase::down;
  state.flags = without(state.flags, node_completing);
  if (completing) record.job = 0;
  set(node, state);
  if (job == 0) return;
  // It is told to end the job, and answers.
  if (record.heard()) timeline.after(options.complete, [this, node] { be_answered(node); });
  completing ? left_by(job, node) : lose_node(job, begin_at);
}

// Usable again only when its slurmd has said so; a sleeping node at once, though it shows the flag, too.
void Slurm::State::require_registration(uint32_t node) {
  SlurmNodeState state = views[node].slurm;
  state.flags |= node_not_responding;
  set(node, state);
  ask_to_register(node);
}

bool Slurm::State::apply(uint32_t node, NodeChange change, const std::string& reason, bool jobs_may_restart) {
  engine::NodeView& view = views[node];
  SlurmNodeState state = view.slurm;
  const TimePoint begin_at = jobs_may_restart ? timeline.now() : after_penalty();
  const JobId job = records[node].job;
  switch (change) {
    case NodeChange::bind:
      break;  // done by the caller, who has the addresses
    case NodeChange::down:
      set_down(node, reason, begin_at);
      break;
    case NodeChange::drain: {
      if (!reason.empty()) view.reason = reason;
      touched(node);
      const bool starting =
          state.base == NodeBase::allocated && (state.flags & (node_powered_down | node_powering_up)) != 0;
      state.flags |= node_drain;
      set(node, state);
      if (starting) lose_node(job, begin_at);
      break;
    }
    case NodeChange::undrain: {
      if (state.has(node_invalid_reg)) return false;
      state.flags = without(state.flags, node_drain);
      set(node, state);
      require_registration(node);
      if (state.base != NodeBase::down) back_in_service(node);
      break;
    }
    case NodeChange::resume: {
      const bool leaving = state.has(node_powering_down), down = state.base == NodeBase::down;
      const bool drained = (state.flags & (node_drain | node_fail)) != 0;
      if (!leaving && (state.has(node_invalid_reg) || !(down || drained))) return false;
      state.flags = without(state.flags, node_drain | node_fail | node_reboot);
      if (leaving) {
        state.flags = without(state.flags, node_powering_down | node_invalid_reg) | node_powered_down;
        reset_address(node);
      }
      if (down) state.base = NodeBase::idle;
      if (state.base == NodeBase::idle) {
        view.last_busy = state.has(node_powered_down) ? TimePoint{} : timeline.now();
        mark(node);
      }
      set(node, state);
      if (down || drained) require_registration(node);
      back_in_service(node);
      break;
    }
    case NodeChange::power_down:
    case NodeChange::power_down_force: {
      if (state.has(node_powering_down)) break;
      const bool force = change == NodeChange::power_down_force;
      if (force && job != 0) {
        state.has(node_completing) ? stop_completing(node) : lose_node(job, begin_at);
        state = view.slurm;
      }
      if (force || state.base == NodeBase::down) state.flags = without(state.flags, node_powering_up);
      state.flags = without(state.flags, node_powered_down) | node_power_down_requested;
      set(node, state);
      break;
    }
    case NodeChange::power_up:
      if (state.has(node_powering_up)) state.flags |= node_powered_down;  // asked again: the program runs again
      if (!state.has(node_powered_down)) break;
      state.flags |= node_power_up_requested;
      set(node, state);
      break;
  }
  arm_pass(timeline.now());
  save_soon();
  return true;
}

Result<void> Slurm::update(const slurm::NodeUpdate& update) {
  State& state = *state_;
  if (!state.up) return fail(ErrorCode::transient, "Unable to contact slurm controller (connect failure)");
  std::string refused;
  for (size_t at = 0; at < update.nodes.size(); ++at) {
    const uint32_t node = index_of(update.nodes[at]);
    const bool known = node != UINT32_MAX;
    if (known && update.change == NodeChange::bind && state.views[node].address != update.addresses[at]) {
      state.views[node].address = update.addresses[at];
      state.touched(node);
    }
    if (known && state.apply(node, update.change, update.reason, update.jobs_may_restart)) continue;
    refused += (refused.empty() ? "" : ",") + update.nodes[at].str();
  }
  if (refused.empty()) return {};
  return fail(ErrorCode::permanent, "Slurm refused " + refused + ": slurm_update error: Invalid node state specified");
}

Result<void> Slurm::update(const slurm::JobUpdate& update) {
  State& state = *state_;
  if (!state.up) return fail(ErrorCode::transient, "Unable to contact slurm controller (connect failure)");
  std::string unknown;
  for (const JobId id : update.jobs) {
    if (id == 0 || id > state.job_records.size()) {
      unknown += (unknown.empty() ? "" : ",") + std::to_string(id);
      continue;
    }
    JobRecord& record = state.record(id);
    Job& job = *record.job;
    switch (update.change) {
      case slurm::JobChange::comment:
        if (job.comment == update.text) break;
        job.comment = update.text;
        state.unsaved(record);
        state.save_soon();
        break;
      case slurm::JobChange::signal:
        if (job.state != JobState::running) break;
        if (job.request.dies_of_signals) {
          state.finish(record, JobState::failed, false, {});
          break;
        }
        if (!job.request.checkpoints) break;
        job.done = std::max(job.done, job.request.runs - (record.ends_at - state.timeline.now()));
        state.unsaved(record);
        break;
      case slurm::JobChange::requeue:
        if (job.request.batch && job.request.requeue) {
          state.finish(record, JobState::failed, true, state.timeline.now());
        }
        break;
    }
  }
  if (unknown.empty()) return {};
  return fail(ErrorCode::permanent, "Slurm refused jobs " + unknown + ": Invalid job id specified");
}

void Slurm::set_by_hand(uint32_t node, slurm::NodeChange change, const std::string& reason) {
  if (state_->up) state_->apply(node, change, reason, false);
}

}  // namespace slipway::sim
