// A job's life: allocated, waits for its nodes and its prolog (CONFIGURING), runs, completes, ends or is queued again.
#include "sim/slurm_state.h"

namespace slipway::sim {

using namespace model;

namespace {

constexpr Duration prolog_delay{20};          // slurmctld starts a program
constexpr Duration time_limit_check{30'000};  // so often
constexpr uint32_t asleep_or_booting = node_powered_down | node_powering_up;

}  // namespace

void Slurm::State::change(JobRecord& record, JobState state) {
  record.job->state = state;
  unsaved(record);
  if (owner.on_job_state) owner.on_job_state(*record.job);
}

void Slurm::State::queue(JobRecord& record) {
  std::vector<JobId>& line = waiting[record.job->request.partition];
  line.insert(std::upper_bound(line.begin(), line.end(), record.job->id), record.job->id);
  arm_pass(timeline.now());
}

void Slurm::State::allocate(JobRecord& record, std::vector<uint32_t> chosen) {
  Job& job = *record.job;
  job.nodes = std::move(chosen);
  bool waits = options.prolog;
  bool asleep = false;
  for (const uint32_t node : job.nodes) {
    records[node].job = job.id;
    views[node].reason.clear();
    SlurmNodeState state = views[node].slurm;
    state.base = NodeBase::allocated;
    waits = waits || (state.flags & asleep_or_booting) != 0;
    asleep = asleep || state.has(node_powered_down);
    set(node, state);
  }
  active.insert(std::upper_bound(active.begin(), active.end(), job.id), job.id);
  record.allocated_at = timeline.now();
  record.prolog = options.prolog;
  if (asleep) {
    resume_jobs.push_back(job.id);
    arm_scan(timeline.now());
  }
  save_soon();
  change(record, JobState::configuring);
  if (!waits) return run_if_ready(job.id);
  if (options.prolog) {
    timeline.after(prolog_delay, [this, id = job.id] { run_prolog(id); });
  } else {
    arm_retest();
  }
}

void Slurm::State::run_prolog(JobId id) {
  const Job& job = *record(id).job;
  if (!up || job.state != JobState::configuring || !record(id).prolog) return;
  slurm::Hint hint{slurm::HintKind::job_start, {}, {}, id};
  hint.nodes.reserve(job.nodes.size());
  for (const uint32_t node : job.nodes) hint.nodes.push_back(views[node].name);
  if (owner.on_hook) owner.on_hook(hint);
}

bool Slurm::State::ready(const Job& job) const {
  return std::all_of(job.nodes.begin(), job.nodes.end(),
                     [&](uint32_t node) { return (views[node].slurm.flags & asleep_or_booting) == 0; });
}

void Slurm::State::arm_retest() {
  const TimePoint when = grid(timeline.now() + Duration(1), options.job_retest);
  if (!up || when >= retest_at) return;
  retest_at = when;
  timeline.at(when, [this] {
    if (timeline.now() == retest_at) retest();
  });
}

void Slurm::State::retest() {
  retest_at = never;
  for (const JobId id : active) {
    JobRecord& record = this->record(id);
    if (record.job->state != JobState::configuring || record.prolog) continue;
    arm_retest();
    if (!ready(*record.job)) continue;
    Duration delay{0};
    if (record.job->request.batch) {
      delay = options.launch_retest - (timeline.now() - record.allocated_at) % options.launch_retest;
    }
    timeline.after(delay, [this, id] { run_if_ready(id); });
  }
}

void Slurm::State::run_if_ready(JobId id) {
  JobRecord& record = this->record(id);
  Job& job = *record.job;
  if (!up || job.state != JobState::configuring || record.prolog || !ready(job)) return;
  job.started = timeline.now();
  record.ends_at = job.started + std::max(Duration(0), job.request.runs - job.done);
  for (const uint32_t node : job.nodes) {
    if (records[node].heard()) records[node].process = id;
  }
  change(record, JobState::running);
  timeline.at(record.ends_at, [this, id] { reach_end(id); });
  if (job.request.time_limit > Duration(0)) {
    timeline.at(grid(job.started + job.request.time_limit, time_limit_check), [this, id] { reach_time_limit(id); });
  }
}

// Its work is done, if it ran on all its nodes to the end, and if slurmctld hears of it.
void Slurm::State::reach_end(JobId id) {
  JobRecord& record = this->record(id);
  const Job& job = *record.job;
  if (!up || job.state != JobState::running || timeline.now() < record.ends_at) return;
  for (const uint32_t node : job.nodes) {
    if (records[node].process != id || records[node].cut_off) return;
  }
  record.job->done = job.request.runs;
  finish(record, JobState::done, false, {});
}

void Slurm::State::reach_time_limit(JobId id) {
  JobRecord& record = this->record(id);
  const Job& job = *record.job;
  if (up && job.state == JobState::running && timeline.now() >= job.started + job.request.time_limit) {
    finish(record, JobState::failed, false, {});
  }
}

void Slurm::State::lose_node(JobId id, TimePoint begin_at) {
  JobRecord& record = this->record(id);
  const bool again = record.job->request.batch && record.job->request.requeue;
  finish(record, JobState::failed, again, begin_at);
}

void Slurm::State::finish(JobRecord& record, JobState end, bool requeue, TimePoint begin_at) {
  Job& job = *record.job;
  if (job.state != JobState::configuring && job.state != JobState::running) return;
  record.end = end;
  record.requeue = requeue;
  record.prolog = false;
  record.completing = 0;
  job.begin_at = begin_at;
  job.restarts += requeue ? 1 : 0;
  for (const uint32_t node : job.nodes) {
    NodeRecord& holder = records[node];
    SlurmNodeState state = views[node].slurm;
    const bool confirms = state.base != NodeBase::down && (state.flags & asleep_or_booting) == 0;
    if (state.base != NodeBase::down) state.base = NodeBase::idle;
    if (confirms) {
      ++record.completing;
      state.flags |= node_completing;
    } else {
      holder.job = 0;
      if (holder.heard()) kill_process(node);
    }
    views[node].last_busy = timeline.now();
    mark(node);
    set(node, state);
    if (confirms && holder.heard()) timeline.after(options.complete, [this, node] { node_completed(node); });
  }
  save_soon();
  arm_pass(timeline.now());
  change(record, JobState::completing);
  if (record.completing == 0) release(record);
}

// The node says that nothing of its job is left there.
void Slurm::State::node_completed(uint32_t node) {
  if (!up || !views[node].slurm.has(node_completing) || !records[node].heard()) return;
  stop_completing(node);
  arm_pass(timeline.now());
}

void Slurm::State::stop_completing(uint32_t node) {
  SlurmNodeState state = views[node].slurm;
  const JobId id = std::exchange(records[node].job, 0);
  state.flags &= ~static_cast<uint32_t>(node_completing);
  views[node].last_busy = timeline.now();
  mark(node);
  set(node, state);
  left_by(id, node);
}

void Slurm::State::left_by(JobId id, uint32_t node) {
  if (records[node].heard()) kill_process(node);
  JobRecord& record = this->record(id);
  if (record.job->state == JobState::completing && --record.completing == 0) release(record);
}

void Slurm::State::release(JobRecord& record) {
  Job& job = *record.job;
  active.erase(std::lower_bound(active.begin(), active.end(), job.id));
  if (!record.requeue) {
    job.ended = timeline.now();
    return change(record, record.end);
  }
  job.nodes.clear();
  change(record, JobState::pending);
  queue(record);
}

}  // namespace slipway::sim
