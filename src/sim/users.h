// Users: who submit jobs, and now and then cancel one.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cloud.h"
#include "sim/slurm.h"

namespace slipway::sim {

class World;

struct Workload {
  Duration between{0};         // mean time between bursts; 0: nobody submits anything by himself
  uint32_t jobs_longest = 1;   // of a burst
  uint32_t nodes_longest = 1;  // of a job
  double multi_node = 0;       // share of jobs with more than one node
  Latency runs{Duration(60'000), Duration(600'000)};
  double srun = 0;
  double no_requeue = 0;
  double checkpoints = 0;
  double cancels = 0;  // share of jobs that their owner cancels, at any time of the job's first ten minutes
};

class Users {
 public:
  Users(World& world, Random random) : world_(world), random_(random) {}
  // Until `end`.
  void begin(const Workload& workload, TimePoint end);
  JobId submit(const JobRequest& request);

 private:
  void plan_burst();
  void burst();

  World& world_;
  Random random_;
  Workload workload_;
  TimePoint end_{};
};

}  // namespace slipway::sim
