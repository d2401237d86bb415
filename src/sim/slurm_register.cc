// slurmds register, and are heard or not. A registration waits for its turn, is answered once and not repeated; whether
// slurmctld heeds it depends on the node's power state. Nodes that are up and not heard are found by pings.
#include "sim/slurm_state.h"

namespace slipway::sim {

using namespace model;

namespace {

constexpr uint32_t not_up = node_powered_down | node_powering_up | node_powering_down;
constexpr Duration first_contact{50};   // a fresh slurmd's way to its first registration
constexpr Duration asked_again{1'000};  // slurmctld asks for a registration in its next second
constexpr uint8_t attempts_max = 7;     // 1, 2, 4 … 128 s between attempts
constexpr Duration second{1'000};

int64_t seconds(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

void Slurm::State::try_to_register(uint32_t node) {
  NodeRecord& record = records[node];
  if (!record.slurmd || !record.registering) return;
  if (!up || record.cut_off) {
    const Duration pause = second * (1 << record.attempts);
    record.attempts = std::min<uint8_t>(attempts_max, record.attempts + 1);
    timeline.after(pause, [this, node] { try_to_register(node); });
    return;
  }
  registered_until = std::max(registered_until, timeline.now()) + options.registration;
  timeline.at(registered_until, [this, node] { be_served(node); });
}

void Slurm::State::be_served(uint32_t node) {
  NodeRecord& record = records[node];
  if (!record.heard() || !record.registering) return;
  if (!up) return try_to_register(node);
  record.registering = false;
  accept(node);
}

void Slurm::State::accept(uint32_t node) {
  NodeRecord& record = records[node];
  engine::NodeView& view = views[node];
  // SlurmdStartTime tells of each slurmd that registers, heeded or not.
  view.slurmd_started = TimePoint(std::chrono::floor<std::chrono::seconds>(record.slurmd_began.time_since_epoch()));
  mark(node);

  // slurmd tells for how many whole seconds it has been up. 22.05 counts the kernel's, which change at other moments
  // than the clock's.
  const Duration skew = options.early_registrations ? phase : Duration(0);
  const int64_t uptime = seconds(timeline.now() + skew) - seconds(record.slurmd_began + skew);
  const int64_t booted = seconds(timeline.now()) - uptime;
  SlurmNodeState state = view.slurm;
  const bool too_old = state.has(node_powering_up) && booted < seconds(record.resumed_at);
  const bool leaving = state.has(node_powering_down) && booted < seconds(record.suspended_at + options.suspend_timeout);
  if (too_old || leaving) return touched(node);

  if ((state.flags & (node_powering_up | node_powered_down)) != 0) view.last_busy = timeline.now();
  state.flags &= ~static_cast<uint32_t>(not_up | node_not_responding | node_invalid_reg);
  const bool was_down = state.base == NodeBase::down;
  if (was_down) {  // ReturnToService=2
    state.base = NodeBase::idle;
    view.last_busy = timeline.now();
  }
  view.address = record.slurmd_address;
  set(node, state);
  if (was_down && !state.has(node_drain)) back_in_service(node);
  arm_pass(timeline.now());

  // What runs there and what should.
  const JobId job = record.job;
  const JobState job_state = job == 0 ? JobState::done : this->record(job).job->state;
  if (record.process != 0 && (record.process != job || job_state != JobState::running)) kill_process(node);
  if (job_state == JobState::running && record.process != job) lose_node(job, after_penalty());
  if (job_state == JobState::running) reach_end(job);
  if (state.has(node_completing)) node_completed(node);
}

// slurmctld asks, and a slurmd that is there answers.
void Slurm::State::ask_to_register(uint32_t node) {
  timeline.after(asked_again, [this, node] {
    const NodeRecord& record = records[node];
    if (up && record.heard() && !record.registering && (views[node].slurm.flags & not_up) == 0) accept(node);
  });
}

void Slurm::State::watch(uint32_t node) {
  NodeRecord& record = records[node];
  const SlurmNodeState state = views[node].slurm;
  const bool is_up = (state.flags & not_up) == 0, down = state.base == NodeBase::down;
  if (is_up && down && record.heard()) await_answer(node);
  const bool missed = is_up && !down && !record.heard();
  if (!missed) {
    record.unheard_since = {};
    return;
  }
  if (record.unheard_since != TimePoint{}) return;
  record.unheard_since = timeline.now();
  if (!record.in_unheard_list) {
    record.in_unheard_list = true;
    unheard_list.push_back(node);
  }
  arm_ping();
}

// Whatever a slurmd answers returns its DOWN node to service (ReturnToService=2): the end of a job there, a ping, and
// where nobody pings any more because it had not answered, the registration that every 20th ping asks for (this one
// read in Slurm's source, not seen).
void Slurm::State::await_answer(uint32_t node) {
  if (!up || records[node].awaits_answer) return;
  records[node].awaits_answer = true;
  const int pings = views[node].slurm.has(node_not_responding) ? 20 : 1;
  timeline.at(grid(timeline.now() + Duration(1), options.slurmd_timeout / 3 * pings), [this, node] {
    if (up && std::exchange(records[node].awaits_answer, false)) be_answered(node);
  });
}

void Slurm::State::be_answered(uint32_t node) {
  const SlurmNodeState state = views[node].slurm;
  const bool is_up = (state.flags & not_up) == 0;
  if (up && records[node].heard() && !records[node].registering && state.base == NodeBase::down && is_up) accept(node);
}

void Slurm::State::arm_ping() {
  const TimePoint when = grid(timeline.now() + Duration(1), options.slurmd_timeout / 3);
  if (!up || when >= ping_at) return;
  ping_at = when;
  timeline.at(when, [this] {
    if (timeline.now() == ping_at) ping();
  });
}

void Slurm::State::ping() {
  ping_at = never;
  const Duration interval = options.slurmd_timeout / 3;
  for (const uint32_t node : std::exchange(unheard_list, {})) {
    NodeRecord& record = records[node];
    record.in_unheard_list = false;
    if (record.unheard_since == TimePoint{}) continue;
    const TimePoint last_answer = grid(record.unheard_since, interval) - interval;
    if (timeline.now() >= last_answer + options.slurmd_timeout + interval) {
      set_down(node, "Not responding", after_penalty());
      continue;
    }
    record.in_unheard_list = true;
    unheard_list.push_back(node);
    SlurmNodeState state = views[node].slurm;
    state.flags |= node_not_responding;
    set(node, state);
  }
  if (!unheard_list.empty()) arm_ping();
}

void Slurm::slurmd_started(uint32_t node, const std::string& address) {
  State& state = *state_;
  NodeRecord& record = state.records[node];
  if (record.slurmd_address != address) state.kill_process(node);  // another machine
  record.slurmd = true;
  record.cut_off = false;
  record.registering = true;
  record.attempts = 0;
  record.slurmd_began = state.timeline.now();
  record.slurmd_address = address;
  state.watch(node);
  state.timeline.after(first_contact, [s = &state, node] { s->try_to_register(node); });
}

void Slurm::slurmd_ended(uint32_t node, const std::string& address) {
  State& state = *state_;
  NodeRecord& record = state.records[node];
  if (!record.slurmd || (!address.empty() && record.slurmd_address != address)) return;
  record.slurmd = false;
  record.registering = false;
  state.kill_process(node);
  state.watch(node);
}

void Slurm::slurmd_cut_off(uint32_t node, bool cut_off) {
  State& state = *state_;
  NodeRecord& record = state.records[node];
  if (record.cut_off == cut_off || !record.slurmd) return;
  record.cut_off = cut_off;
  state.watch(node);
  // A DOWN node isn't pinged.
  if (!cut_off && state.views[node].slurm.base != NodeBase::down) state.ask_to_register(node);
}

bool Slurm::runs_job(uint32_t node) const {
  return state_->records[node].process != 0;
}

}  // namespace slipway::sim
