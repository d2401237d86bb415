#include "sim/slurm.h"

#include "sim/slurm_state.h"

namespace slipway::sim {

using namespace model;

namespace {

uint32_t total(const std::vector<engine::Spec::Pool>& pools) {
  uint32_t nodes = 0;
  for (const auto& pool : pools) nodes += pool.max;
  return nodes;
}

}  // namespace

Slurm::State::State(Slurm& owner_, Timeline& timeline_, Random random, const std::vector<engine::Spec::Pool>& spec,
                    std::vector<PartitionSpec> partitions_, SlurmOptions options_)
    : owner(owner_),
      timeline(timeline_),
      options(options_),
      partitions(std::move(partitions_)),
      phase(random.between(Duration(0), Duration(999))),
      free_up(total(spec)),
      free_asleep(total(spec)),
      waiting(partitions.size()),
      started_at(timeline_.now()) {
  const uint32_t nodes = total(spec);
  views.reserve(nodes);
  records.resize(nodes);
  for (engine::PoolIndex at = 0; at < spec.size(); ++at) {
    PoolNodes pool;
    pool.begin = static_cast<uint32_t>(views.size());
    pool.end = pool.begin + spec[at].max;
    pools.push_back(pool);
    for (uint32_t number = 1; number <= spec[at].max; ++number) {
      engine::NodeView& view = views.emplace_back();
      view.name = node_name(spec[at].name, number);
      view.pool = at;
      view.address = view.name.str();
    }
  }
  for (uint32_t node = 0; node < nodes; ++node) {
    index.emplace(views[node].name.str(), node);
    set(node, {NodeBase::idle, node_cloud | node_powered_down});
  }
  save();
}

Slurm::Slurm(Timeline& timeline, Random random, const std::vector<engine::Spec::Pool>& pools,
             std::vector<PartitionSpec> partitions, SlurmOptions options)
    : state_(std::make_unique<State>(*this, timeline, random, pools, std::move(partitions), options)) {}

Slurm::~Slurm() = default;

JobId Slurm::submit(const JobRequest& request) {
  State& state = *state_;
  const JobId id = static_cast<JobId>(state.job_records.size() + 1);
  Job& job = state.jobs[id];
  job.id = id;
  job.request = request;
  job.request.nodes = std::max(1u, request.nodes);
  job.submitted = state.timeline.now();
  JobRecord& record = state.job_records.emplace_back();
  record.job = &job;
  record.saved = job;
  state.queue(record);
  state.change(record, JobState::pending);
  return id;
}

void Slurm::cancel(JobId id) {
  State& state = *state_;
  if (!state.up) return state.cancel_at_start.push_back(id);
  if (id == 0 || id > state.job_records.size()) return;
  JobRecord& record = state.record(id);
  Job& job = *record.job;
  switch (job.state) {
    case JobState::pending:
      std::erase(state.waiting[job.request.partition], id);
      job.ended = state.timeline.now();
      state.change(record, JobState::cancelled);
      break;
    case JobState::configuring:
    case JobState::running:
      state.finish(record, JobState::cancelled, false, {});
      break;
    case JobState::completing:
      if (std::exchange(record.requeue, false)) record.end = JobState::cancelled;
      break;
    default:
      break;
  }
}

bool Slurm::answers() const {
  return state_->up;
}

const std::vector<engine::NodeView>& Slurm::nodes() const {
  return state_->views;
}

std::vector<uint32_t> Slurm::take_changed() {
  for (const uint32_t node : state_->changed) state_->records[node].changed = false;
  return std::exchange(state_->changed, {});
}

namespace {

engine::JobView view_of(const Job& job, const std::vector<engine::NodeView>& nodes) {
  engine::JobView view{.id = job.id};
  view.nodes.reserve(job.nodes.size());
  for (const uint32_t node : job.nodes) view.nodes.push_back(nodes[node].name);
  view.running = job.state == JobState::running;
  view.requeueable = job.request.batch && job.request.requeue;
  view.told = job.comment;
  return view;
}

}  // namespace

std::vector<engine::JobView> Slurm::jobs() const {
  std::vector<engine::JobView> views;
  for (const JobId id : state_->active) {
    const Job& job = *state_->record(id).job;
    if (job.state != JobState::completing) views.push_back(view_of(job, state_->views));
  }
  return views;
}

std::vector<engine::JobView> Slurm::starting_jobs() const {
  std::vector<engine::JobView> views;
  for (const JobId id : state_->active) {
    const Job& job = *state_->record(id).job;
    if (job.state == JobState::configuring) views.push_back(view_of(job, state_->views));
  }
  return views;
}

std::vector<engine::PendingJob> Slurm::pending() const {
  std::vector<engine::PendingJob> jobs;
  for (size_t partition = 0; partition < state_->waiting.size(); ++partition) {
    for (const JobId id : state_->waiting[partition]) {
      jobs.push_back({id, state_->partitions[partition].pools, state_->record(id).job->comment});
    }
  }
  std::sort(jobs.begin(), jobs.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return jobs;
}

void Slurm::start_job(JobId id) {
  State& state = *state_;
  if (!state.up || id == 0 || id > state.job_records.size()) return;
  JobRecord& record = state.record(id);
  if (record.job->state != JobState::configuring || !record.prolog) return;
  record.prolog = false;
  state.run_if_ready(id);
  if (record.job->state == JobState::configuring) state.arm_retest();
}

void Slurm::stop(bool lose_unsaved) {
  state_->stop(lose_unsaved);
}

void Slurm::start() {
  state_->start();
}

void Slurm::fail_over() {
  state_->stop(true);
  state_->start();
}

const std::map<JobId, Job>& Slurm::all_jobs() const {
  return state_->jobs;
}

uint32_t Slurm::index_of(const NodeName& name) const {
  const auto found = state_->index.find(name.str());
  return found == state_->index.end() ? UINT32_MAX : found->second;
}

}  // namespace slipway::sim
