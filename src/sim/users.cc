#include "sim/users.h"

#include <algorithm>
#include <cmath>

#include "sim/latency.h"
#include "sim/world.h"

namespace slipway::sim {

namespace {

constexpr Duration cancelled_within{600'000};

// Exponential, at most ten times the mean.
Duration next_after(Random& random, Duration mean) {
  const double draw = -std::log(1.0 - random.fraction());
  return Duration(static_cast<int64_t>(std::min(10.0, draw) * static_cast<double>(mean.count())) + 1);
}

}  // namespace

void Users::begin(const Workload& workload, TimePoint end) {
  workload_ = workload;
  end_ = end;
  if (workload.between > Duration(0)) plan_burst();
}

JobId Users::submit(const JobRequest& request) {
  const JobId id = world_.slurm.submit(request);
  world_.jobs_changed = true;
  return id;
}

void Users::plan_burst() {
  world_.timeline.after(next_after(random_, workload_.between), [this] { burst(); });
}

void Users::burst() {
  if (world_.now() >= end_) return;
  plan_burst();
  if (!world_.slurm.answers()) return;
  const uint64_t jobs = 1 + random_.below(workload_.jobs_longest);
  for (uint64_t i = 0; i < jobs; ++i) {
    JobRequest request;
    request.partition = static_cast<uint32_t>(random_.below(world_.options.cluster.partitions.size()));
    uint32_t room = 0;
    for (const auto& pool : world_.options.cluster.pools) {
      const auto& pools = world_.options.cluster.partitions[request.partition].pools;
      if (std::find(pools.begin(), pools.end(), pool.name) != pools.end()) room += pool.max;
    }
    if (random_.chance(workload_.multi_node)) {
      request.nodes = static_cast<uint32_t>(random_.between(2, std::max(2u, workload_.nodes_longest)));
    }
    request.nodes = std::clamp(request.nodes, 1u, std::max(1u, room));
    request.runs = draw_latency(random_, workload_.runs);
    request.batch = !random_.chance(workload_.srun);
    request.requeue = !random_.chance(workload_.no_requeue);
    request.checkpoints = random_.chance(workload_.checkpoints);
    const JobId job = submit(request);
    if (random_.chance(workload_.cancels)) {
      world_.timeline.after(random_.between(Duration(0), cancelled_within), [this, job] {
        if (world_.trace.on()) world_.tell({.job = job}, "job " + std::to_string(job) + " is cancelled by its owner");
        world_.slurm.cancel(job);
        world_.jobs_changed = true;
      });
    }
  }
}

}  // namespace slipway::sim
