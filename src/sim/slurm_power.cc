// Power saving. One scan looks at what was asked for since the last, and at what has taken too long; the programs are
// called once a scan, for all its nodes: suspend, resume, resume_fail, in this order.
#include "sim/slurm_state.h"

namespace slipway::sim {

using namespace model;

namespace {

constexpr uint32_t power_flags = node_powered_down | node_powering_up | node_powering_down;

}  // namespace

bool Slurm::State::wants_power(const SlurmNodeState& state) const {
  if (state.has(node_power_up_requested) && state.has(node_powered_down)) return true;
  return state.has(node_power_down_requested) && (state.base == NodeBase::idle || state.base == NodeBase::down) &&
         (state.flags & (power_flags | node_completing)) == 0;
}

void Slurm::State::arm_scan(TimePoint when) {
  if (!up) return;
  when = grid(std::max(when, timeline.now() + Duration(1)), options.power_interval);
  if (when >= scan_at) return;
  scan_at = when;
  timeline.at(when, [this] {
    if (timeline.now() == scan_at) scan();
  });
}

void Slurm::State::scan() {
  scan_at = never;
  std::vector<uint32_t> to_suspend, to_resume, failed;
  std::vector<slurm::HintJob> hint_jobs;

  for (const JobId id : std::exchange(resume_jobs, {})) {
    const Job& job = *record(id).job;
    if (job.state != JobState::configuring) continue;
    slurm::HintJob hint{id, {}};
    for (const uint32_t node : job.nodes) {
      if (!views[node].slurm.has(node_powered_down)) continue;
      resume(node);
      to_resume.push_back(node);
      hint.nodes.push_back(views[node].name);
    }
    if (!hint.nodes.empty()) hint_jobs.push_back(std::move(hint));
  }
  for (const uint32_t node : std::exchange(power_list, {})) {
    records[node].in_power_list = false;
    const SlurmNodeState state = views[node].slurm;
    if (!wants_power(state)) continue;  // whatever changes so that it does lists it again
    if (state.has(node_powered_down)) {
      resume(node);
      to_resume.push_back(node);
    } else {
      suspend(node);
      to_suspend.push_back(node);
    }
  }
  time_out_suspends();
  time_out_resumes(failed);

  fire(slurm::HintKind::suspend, to_suspend, {});
  fire(slurm::HintKind::resume, to_resume, std::move(hint_jobs));
  fire(slurm::HintKind::resume_fail, failed, {});
}

void Slurm::State::fire(slurm::HintKind kind, std::vector<uint32_t>& chosen, std::vector<slurm::HintJob> hint_jobs) {
  if (chosen.empty() || !owner.on_hook) return;
  std::sort(chosen.begin(), chosen.end());
  slurm::Hint hint{kind, {}, std::move(hint_jobs), 0};
  hint.nodes.reserve(chosen.size());
  for (const uint32_t node : chosen) hint.nodes.push_back(views[node].name);
  owner.on_hook(hint);
}

void Slurm::State::resume(uint32_t node) {
  SlurmNodeState state = views[node].slurm;
  state.flags &= ~static_cast<uint32_t>(node_power_up_requested | node_powered_down);
  state.flags |= node_powering_up | node_not_responding;
  records[node].resumed_at = timeline.now();
  resumes.emplace_back(timeline.now(), node);
  arm_scan(timeline.now() + options.resume_timeout + Duration(1));
  set(node, state);
}

void Slurm::State::suspend(uint32_t node) {
  SlurmNodeState state = views[node].slurm;
  // idle_on_node_suspend: whatever was wrong with it went with its machine.
  state.base = NodeBase::idle;
  state.flags &= ~static_cast<uint32_t>(node_power_down_requested | node_not_responding | node_drain | node_fail);
  state.flags |= node_powering_down;
  records[node].suspended_at = timeline.now();
  suspends.emplace_back(timeline.now(), node);
  arm_scan(timeline.now() + options.suspend_timeout + Duration(1));
  set(node, state);
  back_in_service(node);
}

// Nobody looks whether the machine has ended.
void Slurm::State::time_out_suspends() {
  while (!suspends.empty() && suspends.front().first + options.suspend_timeout < timeline.now()) {
    const auto [since, node] = suspends.front();
    suspends.pop_front();
    SlurmNodeState state = views[node].slurm;
    if (!state.has(node_powering_down) || records[node].suspended_at != since) continue;
    state.flags &= ~static_cast<uint32_t>(node_powering_down | node_invalid_reg);
    state.flags |= node_powered_down;
    views[node].last_busy = {};
    reset_address(node);
    set(node, state);
    arm_pass(grid(timeline.now(), options.sched_interval));
  }
  if (!suspends.empty()) arm_scan(suspends.front().first + options.suspend_timeout + Duration(1));
}

void Slurm::State::time_out_resumes(std::vector<uint32_t>& failed) {
  while (!resumes.empty() && resumes.front().first + options.resume_timeout < timeline.now()) {
    const auto [since, node] = resumes.front();
    resumes.pop_front();
    SlurmNodeState state = views[node].slurm;
    if (!state.has(node_powering_up) || records[node].resumed_at != since) continue;
    state.flags &= ~static_cast<uint32_t>(node_drain | node_power_down_requested | node_powering_up);
    if (options.release != Release::r22_05) state.flags &= ~static_cast<uint32_t>(node_not_responding);
    state.flags |= node_powered_down;
    views[node].last_busy = {};
    set(node, state);
    set_down(node, "ResumeTimeout reached", after_penalty());
    failed.push_back(node);
  }
  if (!resumes.empty()) arm_scan(resumes.front().first + options.resume_timeout + Duration(1));
}

}  // namespace slipway::sim
