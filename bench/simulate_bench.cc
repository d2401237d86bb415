// How fast the simulator is: simulated hours of a cluster in a second of one core, a JSON object a line.
//
//   plain     100 nodes, four bursts of jobs an hour, nothing goes wrong
//   large     the same with 10,000 nodes and bursts of hundreds of jobs
//   swarm     random small worlds under faults, as scripts/simulate runs them
#include <chrono>
#include <cstdio>

#include "sim/swarm.h"

namespace {

using namespace slipway;

double seconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

sim::WorldOptions plain_world(uint32_t nodes) {
  sim::WorldOptions options;
  options.cluster.name = "bench";
  model::Pool pool;
  pool.name = PoolName("cpu");
  pool.max = nodes;
  pool.idle_reclaim = std::chrono::minutes(5);
  pool.boot_timeout = std::chrono::minutes(10);
  options.cluster.pools.push_back(pool);
  model::Partition partition;
  partition.name = PartitionName("all");
  partition.pools.push_back(pool.name);
  options.cluster.partitions.push_back(partition);
  options.cloud.character = sim::Character::ec2;
  options.cloud.call = {Duration(400), Duration(4'000)};
  options.cloud.boot = {std::chrono::seconds(40), std::chrono::seconds(120)};
  options.cloud.stop = {std::chrono::seconds(30), std::chrono::seconds(90)};
  options.cloud.consistency = std::chrono::seconds(5);
  return options;
}

void plain(const char* name, uint32_t nodes, uint32_t jobs, uint32_t job_nodes, std::chrono::hours hours,
           double floor) {
  sim::World world(plain_world(nodes));
  sim::Workload workload;
  workload.between = std::chrono::minutes(15);
  workload.jobs_longest = jobs;
  workload.nodes_longest = job_nodes;
  workload.multi_node = 0.3;
  workload.runs = {std::chrono::minutes(5), std::chrono::minutes(30)};
  world.users.begin(workload, world.now() + hours);
  const auto began = std::chrono::steady_clock::now();
  world.run_for(hours);
  const double seconds = seconds_since(began);
  std::printf(
      "{\"bench\": \"simulate\", \"world\": \"%s\", \"nodes\": %u, \"hours\": %lld, \"jobs\": %zu, \"machines\": %zu, "
      "\"rounds\": %llu, \"hours_per_second\": %.0f, \"floor\": %.0f}\n",
      name, nodes, static_cast<long long>(hours.count()), world.slurm.all_jobs().size(), world.cloud.machines().size(),
      static_cast<unsigned long long>(world.daemons[0]->rounds()), static_cast<double>(hours.count()) / seconds, floor);
}

void swarm(uint64_t seeds) {
  const auto began = std::chrono::steady_clock::now();
  double hours = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    hours += static_cast<double>(sim::run_seed({.seed = seed}).simulated.count()) / 3.6e6;
  }
  const double seconds = seconds_since(began);
  std::printf(
      "{\"bench\": \"simulate\", \"world\": \"swarm\", \"seeds\": %llu, \"seeds_per_second\": %.0f, "
      "\"hours_per_second\": %.0f}\n",
      static_cast<unsigned long long>(seeds), static_cast<double>(seeds) / seconds, hours / seconds);
}

}  // namespace

int main() {
  plain("plain", 100, 6, 10, std::chrono::hours(400), 1000);
  plain("large", 10'000, 400, 100, std::chrono::hours(1), 0);
  swarm(1000);
  return 0;
}
