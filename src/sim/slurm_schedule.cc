// Which job gets which nodes. Jobs of a partition come in the order of their submission. When the front one cannot
// start, later ones may, as Slurm's backfill would let them, but never so many that the front waits longer for it: the
// nodes of all jobs that overtook it and its own must fit into what the partition has. So it starts at the latest when
// the jobs end that ran before; nobody's time limits are needed. A front that the partition's usable nodes could not
// hold at all (a pool is drained or DOWN) holds nobody up. Jobs of other partitions on the same pools are not counted.
//
// Nodes that are up or booting are taken before those that sleep, each from the partition's pools in order, lowest
// names first; a job may have nodes of several pools.
#include "sim/slurm_state.h"

namespace slipway::sim {

namespace {

constexpr size_t tested_max = 500;  // jobs of a partition in one pass, as Slurm's bf_max_job_test

}  // namespace

void Slurm::State::arm_pass(TimePoint when) {
  if (!up) return;
  when = std::max({when, timeline.now(), last_pass + options.sched_min_interval});
  if (when >= pass_at) return;
  pass_at = when;
  timeline.at(when, [this] {
    if (timeline.now() == pass_at) pass();
  });
}

void Slurm::State::pass() {
  pass_at = never;
  last_pass = timeline.now();
  for (uint32_t partition = 0; partition < partitions.size(); ++partition) {
    if (!waiting[partition].empty()) pass_of(partition);
  }
}

void Slurm::State::pass_of(uint32_t partition) {
  uint32_t free = 0, usable = 0;
  for (const engine::PoolIndex pool : partitions[partition].pools) {
    free += pools[pool].free_up + pools[pool].free_asleep;
    usable += pools[pool].usable;
  }
  std::vector<JobId>& line = waiting[partition];
  uint32_t front = 0, behind_front = 0;  // nodes: of the job that cannot start, and that those behind it have
  size_t kept = 0, tested = 0;
  for (size_t at = 0; at < line.size(); ++at) {
    if (free == 0 || tested++ == tested_max) {
      if (kept == at) return;
      kept = static_cast<size_t>(std::move(line.begin() + at, line.end(), line.begin() + kept) - line.begin());
      break;
    }
    JobRecord& next = record(line[at]);
    const uint32_t nodes = next.job->request.nodes;
    const bool due = next.job->begin_at <= timeline.now();
    // Nothing wakes the scheduler when a job's time has come: it is seen in a full pass.
    if (!due) arm_pass(grid(next.job->begin_at, options.sched_interval));
    if (due && nodes <= free && (front == 0 || front + behind_front + nodes <= usable)) {
      free -= nodes;
      behind_front += front == 0 ? 0 : nodes;
      allocate(next, choose(partition, nodes));
      continue;
    }
    if (due && front == 0 && nodes > free && nodes <= usable) {
      front = nodes;
      behind_front = overtakers(line[at]);
    }
    line[kept++] = line[at];
  }
  line.resize(kept);
}

std::vector<uint32_t> Slurm::State::choose(uint32_t partition, uint32_t count) const {
  std::vector<uint32_t> chosen;
  chosen.reserve(count);
  for (const NodeSet* set : {&free_up, &free_asleep}) {
    for (const engine::PoolIndex at : partitions[partition].pools) {
      const PoolNodes& pool = pools[at];
      for (uint32_t node = set->next(pool.begin, pool.end); node < pool.end && chosen.size() < count;
           node = set->next(node + 1, pool.end)) {
        chosen.push_back(node);
      }
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

uint32_t Slurm::State::overtakers(JobId front) const {
  uint32_t nodes = 0;
  const uint32_t partition = jobs.at(front).request.partition;
  for (auto later = std::upper_bound(active.begin(), active.end(), front); later != active.end(); ++later) {
    const Job& job = *job_records[*later - 1].job;
    if (job.request.partition == partition) nodes += static_cast<uint32_t>(job.nodes.size());
  }
  return nodes;
}

}  // namespace slipway::sim
