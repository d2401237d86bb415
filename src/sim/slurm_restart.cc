// What is on disk, and what a restart makes of it. Changes that ask for it (a job's start or end, scontrol's updates)
// bring all of the state to disk a few seconds later; power saving's own changes don't ask, they wait for the next save
// or the regular one. A killed slurmctld comes back with what was saved last, and does again what it then finds to be
// done: programs run a second time, jobs that had started are PENDING, and their copies are ended.
#include "sim/slurm_state.h"

namespace slipway::sim {

using namespace model;

TimePoint Slurm::State::grid(TimePoint when, Duration interval) const {
  const Duration since = std::max(Duration(0), when - started_at);
  return started_at + (since + interval - Duration(1)) / interval * interval;
}

void Slurm::State::arm_save(TimePoint when) {
  if (!up || when >= save_at) return;
  save_at = when;
  timeline.at(when, [this] {
    if (timeline.now() == save_at) save();
  });
}

void Slurm::State::unsaved(uint32_t node) {
  if (records[node].unsaved) return;
  records[node].unsaved = true;
  unsaved_nodes.push_back(node);
  arm_save(grid(timeline.now() + Duration(1), options.save_interval));
}

void Slurm::State::unsaved(JobRecord& record) {
  if (record.unsaved) return;
  record.unsaved = true;
  unsaved_jobs.push_back(record.job->id);
  arm_save(grid(timeline.now() + Duration(1), options.save_interval));
}

void Slurm::State::save() {
  save_at = never;
  for (const uint32_t node : unsaved_nodes) {
    NodeRecord& record = records[node];
    record.unsaved = false;
    record.saved = {views[node].slurm, views[node].address, views[node].reason, record.resumed_at, record.suspended_at};
  }
  for (const JobId id : unsaved_jobs) {
    JobRecord& job = record(id);
    job.unsaved = false;
    job.saved = *job.job;
    if (job.requeue && job.saved.state == JobState::completing) job.saved.state = JobState::pending;
  }
  unsaved_nodes.clear();
  unsaved_jobs.clear();
}

void Slurm::State::stop(bool lose) {
  if (!up) return;
  if (!lose) save();
  lost = lose;
  up = false;
  pass_at = scan_at = ping_at = save_at = retest_at = never;
}

void Slurm::State::start() {
  if (up) return;
  up = true;
  started_at = timeline.now();
  last_pass = {};
  registered_until = {};
  // What was completing is complete: every node is asked again.
  for (const JobId id : std::vector<JobId>(active)) {
    JobRecord& job = record(id);
    if (job.job->state != JobState::completing) continue;
    const std::vector<uint32_t> nodes = job.job->nodes;
    for (const uint32_t node : nodes) {
      if (views[node].slurm.has(node_completing) && records[node].job == id) stop_completing(node);
    }
  }
  if (std::exchange(lost, false)) {
    revert_jobs();
    revert_nodes();
  }
  take_up_work();
}

void Slurm::State::revert_jobs() {
  for (const JobId id : std::exchange(unsaved_jobs, {})) {
    JobRecord& record = this->record(id);
    record.unsaved = false;
    Job& job = *record.job;
    const bool ended = job.state == JobState::done || job.state == JobState::failed || job.state == JobState::cancelled;
    if (ended) continue;  // kept
    const JobState now = job.state, then = record.saved.state;
    const bool was_waiting = now == JobState::pending;
    const bool waits = then == JobState::pending || then == JobState::completing;
    for (const uint32_t node : job.nodes) {
      records[node].job = 0;
      if (job.restarts != record.saved.restarts) kill_process(node);  // what runs there is another run's
    }
    std::string comment = std::move(record.saved.comment);
    job.nodes = waits ? std::vector<uint32_t>{} : record.saved.nodes;
    job.begin_at = record.saved.begin_at;
    job.started = record.saved.started;
    job.restarts = record.saved.restarts;
    job.comment = record.saved.comment = std::move(comment);
    record.prolog = options.prolog && then == JobState::configuring;
    if (!was_waiting && waits) active.erase(std::lower_bound(active.begin(), active.end(), id));
    if (was_waiting && !waits) {
      std::erase(waiting[job.request.partition], id);
      active.insert(std::upper_bound(active.begin(), active.end(), id), id);
    }
    record.ends_at = job.started + std::max(Duration(0), job.request.runs - job.done);
    const JobState state = waits ? JobState::pending : then;
    if (state != now) change(record, state);
    if (!was_waiting && waits) queue(record);
  }
}

void Slurm::State::revert_nodes() {
  for (const JobId id : active) {
    for (const uint32_t node : record(id).job->nodes) {
      records[node].job = id;
      unsaved(node);  // its base state follows from the job
    }
  }
  for (const uint32_t node : std::exchange(unsaved_nodes, {})) {
    NodeRecord& record = records[node];
    record.unsaved = false;
    const SavedNode& saved = record.saved;
    SlurmNodeState state = saved.state;
    state.flags &= ~static_cast<uint32_t>(node_completing);
    if (state.base != NodeBase::down) state.base = record.job != 0 ? NodeBase::allocated : NodeBase::idle;
    record.resumed_at = saved.resumed_at;
    record.suspended_at = saved.suspended_at;
    views[node].address = saved.address;
    views[node].reason = saved.reason;
    mark(node);
    set(node, state);
  }
}

void Slurm::State::take_up_work() {
  resumes.clear();
  suspends.clear();
  unheard_list.clear();
  power_list.clear();
  resume_jobs.clear();
  for (uint32_t node = 0; node < records.size(); ++node) {
    NodeRecord& record = records[node];
    const SlurmNodeState state = views[node].slurm;
    record.in_power_list = record.in_unheard_list = record.awaits_answer = false;
    record.unheard_since = {};
    if (state.has(node_powering_up)) resumes.emplace_back(record.resumed_at, node);
    if (state.has(node_powering_down)) suspends.emplace_back(record.suspended_at, node);
    set(node, state);
    if (record.process != 0 || record.job != 0 || state.has(node_not_responding)) ask_to_register(node);
  }
  std::sort(resumes.begin(), resumes.end());
  std::sort(suspends.begin(), suspends.end());
  for (const JobId id : active) {
    JobRecord& record = this->record(id);
    const Job& job = *record.job;
    if (job.state == JobState::running) timeline.at(record.ends_at, [this, id] { reach_end(id); });
    if (job.state != JobState::configuring) continue;
    resume_jobs.push_back(id);
    record.prolog = options.prolog;
    if (record.prolog) timeline.after(options.power_interval, [this, id] { run_prolog(id); });
    if (!record.prolog) arm_retest();
  }
  arm_scan(timeline.now());
  arm_pass(timeline.now() + Duration(1'000));
  for (const JobId id : std::exchange(cancel_at_start, {})) owner.cancel(id);
  if (!unsaved_nodes.empty() || !unsaved_jobs.empty())
    arm_save(grid(timeline.now() + Duration(1), options.save_interval));
}

}  // namespace slipway::sim
