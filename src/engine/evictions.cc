// Machines that their provider is about to take: no new job gets there, running ones are told and moved, and another
// machine is had before.
#include <algorithm>

#include "engine/round.h"

namespace slipway::engine {
namespace {

constexpr Duration requeue_ahead{5'000};  // of the end; slurmctld must still reach the node to end the job there
constexpr std::string_view drain_words = "slipway: its machine is taken by the provider";  // begins with our_reason
constexpr Duration ask_again{1'000};

TimePoint requeue_at(const NodeMemory& memory, const InstanceView& instance) {
  const TimePoint half = memory.evicting_since + (instance.evict_at - memory.evicting_since) / 2;
  return std::max(half, instance.evict_at - requeue_ahead);
}

JobMemory& remember(Round& round, JobId job) {
  JobMemory& memory = round.memory.jobs[job];
  memory.seen_at = round.now;
  return memory;
}

void notice(Round& round, uint32_t w) {
  Work& work = round.works[w];
  NodeMemory& memory = *work.memory;
  const InstanceView& instance = round.instance(work);
  work.evicting = true;
  if (memory.evicting_since == TimePoint{}) {
    memory.evicting_since = round.now;
    round.note("eviction_notice", work,
               instance.id.str() + " is taken by its provider in " +
                   to_short(std::max(instance.evict_at - round.now, Duration(0))));
  }
  if (work.facts.power != Power::up || work.facts.health == Health::down) return;
  if (!round.node(work).slurm.has(model::node_drain)) {
    round.tell(work, Tell::drain, drain_words);
  }
  if (!work.facts.busy) return;
  round.plan.jobs_wanted = true;
  round.due(round.now + ask_again);
}

void move_job(Round& round, Work& work, const JobView& job) {
  const Spec::Pool& pool = round.spec.pools[round.node(work).pool];
  const InstanceView& instance = round.instance(work);
  JobMemory& memory = remember(round, job.id);
  const TimePoint since = work.memory->evicting_since;
  if (!pool.eviction.signal.empty() && memory.signalled_at < since) {
    const TimePoint at = instance.evict_at - pool.eviction.lead;
    if (round.now >= at) {
      memory.signalled_at = round.now;
      round.plan.job_tells.push_back({TellJob::signal, {job.id}, pool.eviction.signal});
      round.note("job_signalled", work, "job " + std::to_string(job.id) + " gets " + pool.eviction.signal);
    } else {
      round.due(at);
    }
  }
  if (!job.requeueable || memory.requeued_at >= since) return;
  const TimePoint at = requeue_at(*work.memory, instance);
  if (round.now < at) {
    round.due(at);
    return;
  }
  memory.requeued_at = round.now;
  ++memory.evictions;
  round.plan.job_tells.push_back({TellJob::requeue, {job.id}, {}});
  round.note("job_requeued", work, "job " + std::to_string(job.id) + " moves: its machine is taken by the provider");
}

// One machine for each that is lost, while a job is there or has just been moved.
void replace(Round& round, Work& work) {
  const Spec::Pool& pool = round.spec.pools[round.node(work).pool];
  if (!work.facts.busy || work.facts.power != Power::up) return;
  // Which machine will do isn't known before the job is.
  if (work.job == 0 && pool.eviction.tolerance > 0 && sells_both(pool)) return;
  ++round.pool(work).replacements;
  const auto job = round.memory.jobs.find(work.job);
  if (pool.eviction.tolerance == 0 || job == round.memory.jobs.end()) return;
  const uint32_t evictions = job->second.evictions + (job->second.requeued_at < work.memory->evicting_since ? 1 : 0);
  if (evictions >= pool.eviction.tolerance) ++round.pool(work).replacements_on_demand;
}

}  // namespace

bool is_drain(std::string_view reason) {
  return reason.starts_with(drain_words);
}

void heed_evictions(Round& round) {
  std::vector<uint32_t> evicting;
  for (const uint32_t i : round.evicting) {
    if (!is_live(round.view.instances[i]) || round.seats[i].work == nothing) continue;
    notice(round, round.seats[i].work);
    evicting.push_back(round.seats[i].work);
  }
  // A listing that misses such a machine for a moment takes nothing back: what comes in its place stays for it.
  for (const uint32_t w : round.evicting_unseen) {
    const Facts& facts = round.works[w].facts;
    if (facts.power != Power::up || facts.health == Health::down || !facts.busy) continue;
    round.plan.jobs_wanted = true;
    evicting.push_back(w);
  }
  if (evicting.empty()) return;
  for (const auto& [w, place] : round.job_works) {
    const JobView& job = round.view.jobs[place];
    Work& work = round.works[w];
    if (work.evicting && job.running && work.facts.power == Power::up) move_job(round, work, job);
  }
  for (const uint32_t w : evicting) replace(round, round.works[w]);
}

}  // namespace slipway::engine
