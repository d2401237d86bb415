#include "sim/swarm.h"

#include <algorithm>

namespace slipway::sim {

namespace {

constexpr Duration second{1'000};
constexpr Duration minutes_(int64_t n) {
  return Duration(n * 60'000);
}
constexpr Duration work_ends_within = std::chrono::hours(3);  // after healing, besides the work itself
constexpr Duration calm_grace = minutes_(25);
constexpr size_t history_lines = 60;

// Most worlds have few kinds of trouble, so that each kind is also met alone.
double maybe(Random& random, double chance, double lowest, double highest) {
  return random.chance(chance) ? lowest + random.fraction() * (highest - lowest) : 0;
}

template <class T>
T one_of(Random& random, std::initializer_list<T> choices) {
  return *(choices.begin() + random.below(choices.size()));
}

model::Warm draw_warm(Random& random) {
  model::Warm warm;
  if (random.chance(0.7)) return warm;
  warm.usual.count = static_cast<uint32_t>(random.below(3));
  if (random.chance(0.3)) warm.usual.share = random.fraction() / 2;
  if (random.chance(0.4)) {
    model::WarmHours hours;
    hours.days = static_cast<uint8_t>(1 + random.below(127));
    hours.from = static_cast<uint16_t>(random.below(24 * 60));
    hours.to = static_cast<uint16_t>(random.below(24 * 60 + 1));
    hours.level.count = static_cast<uint32_t>(random.below(4));
    warm.hours.push_back(hours);
  }
  return warm;
}

model::Pool draw_pool(Random& random, const std::string& name, uint32_t max) {
  model::Pool pool;
  pool.name = PoolName(name);
  pool.max = max;
  pool.warm = draw_warm(random);
  if (random.chance(0.5)) {
    pool.markets = {model::Market::spot, model::Market::on_demand};
    if (random.chance(0.3)) pool.markets = {model::Market::spot};
  }
  for (const char* type : {"c7", "c6", "m7"}) {
    if (random.chance(0.4)) pool.machines.push_back(type);
  }
  for (const char* zone : {"a", "b", "c"}) {
    if (random.chance(0.4)) pool.zones.push_back(zone);
  }
  pool.placement = one_of(random, {model::Placement::none, model::Placement::none, model::Placement::none,
                                   model::Placement::per_pool, model::Placement::per_job});
  if (random.chance(0.2)) pool.spares = random.fraction() / 4;
  if (random.chance(0.2)) pool.billing_period = minutes_(one_of<int64_t>(random, {10, 60}));
  pool.eviction.signal = random.chance(0.6) ? "USR1" : "";
  pool.eviction.lead = random.between(second * 10, second * 120);
  pool.eviction.tolerance = static_cast<uint32_t>(random.below(4));
  pool.idle_reclaim = random.between(second * 10, minutes_(10));
  pool.boot_timeout = minutes_(random.between(int64_t{6}, int64_t{12}));
  return pool;
}

model::Cluster draw_cluster(Random& random, uint32_t nodes) {
  model::Cluster cluster;
  cluster.name = "sim";
  const uint64_t pools = 1 + random.below(3);
  for (uint64_t p = 0; p < pools; ++p) {
    const uint32_t max = nodes > 0 ? std::max<uint32_t>(1, nodes / static_cast<uint32_t>(pools))
                                   : static_cast<uint32_t>(1 + random.below(random.chance(0.2) ? 40 : 10));
    cluster.pools.push_back(draw_pool(random, std::string(1, static_cast<char>('p' + p)), max));
  }
  model::Partition all;
  all.name = PartitionName("all");
  all.is_default = true;
  for (const auto& pool : cluster.pools) all.pools.push_back(pool.name);
  cluster.partitions.push_back(all);
  if (pools > 1) {
    model::Partition one;
    one.name = PartitionName("one");
    one.pools.push_back(cluster.pools[random.below(pools)].name);
    cluster.partitions.push_back(one);
  }
  if (random.chance(0.5)) {
    const Duration quiet = random.between(Duration(0), second * 2);
    cluster.launch_window = model::LaunchWindow{quiet, quiet * random.between(1, 5)};
  }
  return cluster;
}

CloudOptions draw_cloud(Random& random) {
  CloudOptions cloud;
  cloud.character = one_of(random, {Character::local, Character::ec2, Character::ec2, Character::batch});
  if (cloud.character == Character::local) {
    cloud.call = {Duration(20), Duration(500)};
    cloud.boot = {Duration(1'000), second * 10};
    cloud.stop = {Duration(300), second * 3};
    return cloud;
  }
  cloud.call = {Duration(300), second * 8};
  cloud.boot = {second * 40, second * 150};
  cloud.stop = {second * 20, second * 90};
  if (cloud.character == Character::ec2) cloud.consistency = random.between(Duration(0), second * 10);
  if (cloud.character == Character::batch) {
    cloud.late_error = {second * 30, minutes_(4)};
    cloud.consistency = second * 5;
    if (random.chance(0.3)) cloud.restore = minutes_(2);
    cloud.terminate_max = 100;
  }
  if (random.chance(0.3)) cloud.api = {0.5 + random.fraction() * 5, static_cast<uint32_t>(5 + random.below(45))};
  return cloud;
}

FaultRates draw_faults(Random& random) {
  FaultRates rates;
  rates.kill_daemon = maybe(random, 0.3, 1, 20);
  rates.kill_in_plan = maybe(random, 0.4, 5, 120);
  rates.freeze_daemon = maybe(random, 0.2, 1, 10);
  rates.kill_slurm = maybe(random, 0.25, 1, 10);
  rates.stop_slurm = maybe(random, 0.2, 1, 10);
  rates.fail_over = maybe(random, 0.15, 1, 6);
  rates.cut_agent = maybe(random, 0.3, 2, 30);
  rates.cut_slurmd = maybe(random, 0.3, 2, 30);
  rates.cut_machine = maybe(random, 0.2, 2, 20);
  rates.cut_daemon_slurm = maybe(random, 0.2, 1, 10);
  rates.cut_daemon_cloud = maybe(random, 0.2, 1, 10);
  rates.cut_agents = maybe(random, 0.1, 1, 6);
  rates.step_clock = maybe(random, 0.2, 1, 10);
  rates.shortage = maybe(random, 0.4, 2, 30);
  rates.offer_error = maybe(random, 0.3, 1, 20);
  rates.kill_machine = maybe(random, 0.3, 2, 30);
  rates.evict = maybe(random, 0.3, 2, 30);
  rates.admin = maybe(random, 0.2, 1, 20);
  rates.longest = one_of(random, {second * 30, minutes_(2), minutes_(10)});
  return rates;
}

CloudFaults draw_cloud_faults(Random& random) {
  CloudFaults faults;
  faults.lose_reply = maybe(random, 0.3, 0.01, 0.2);
  faults.refuse_call = maybe(random, 0.3, 0.01, 0.2);
  faults.partial_listing = maybe(random, 0.3, 0.01, 0.3);
  faults.never_boots = maybe(random, 0.3, 0.01, 0.3);
  faults.boots_late = maybe(random, 0.2, 0.01, 0.2);
  faults.boots_twice = maybe(random, 0.2, 0.01, 0.2);
  faults.dies = maybe(random, 0.2, 0.1, 3);
  faults.evicts = maybe(random, 0.3, 0.1, 5);
  faults.notice = one_of(random, {Duration(0), second * 30, second * 120});
  return faults;
}

SlurmOptions draw_slurm(Random& random, const model::Cluster& cluster) {
  SlurmOptions slurm;
  Duration boot{0};
  for (const auto& pool : cluster.pools) boot = std::max(boot, pool.boot_timeout);
  slurm.resume_timeout = 3 * boot + minutes_(1);  // as slurm/conf.h writes it
  slurm.prolog = !random.chance(0.1);
  slurm.early_registrations = random.chance(0.3);
  return slurm;
}

Workload draw_workload(Random& random, const model::Cluster& cluster) {
  Workload workload;
  workload.between = random.between(second * 20, minutes_(15));
  uint32_t smallest = UINT32_MAX;
  for (const auto& pool : cluster.pools) smallest = std::min(smallest, pool.max);
  workload.jobs_longest = static_cast<uint32_t>(1 + random.below(random.chance(0.2) ? 20 : 5));
  workload.nodes_longest = std::max(1u, static_cast<uint32_t>(random.between(1, smallest)));
  workload.multi_node = maybe(random, 0.5, 0.1, 0.8);
  workload.runs = {random.between(second * 5, minutes_(5)), minutes_(15)};
  workload.srun = maybe(random, 0.4, 0.1, 0.6);
  workload.no_requeue = maybe(random, 0.3, 0.1, 0.5);
  workload.checkpoints = maybe(random, 0.5, 0.2, 1);
  workload.cancels = maybe(random, 0.4, 0.05, 0.4);
  return workload;
}

Duration longest_idle(const engine::Spec& spec) {
  Duration longest{0};
  for (const auto& pool : spec.pools) longest = std::max(longest, pool.idle_reclaim + pool.billing_period);
  return longest;
}

// Machine time that the jobs which haven't ended still need, if they ran one after another.
Duration work_left(const World& world) {
  Duration left{0};
  for (const auto& [id, job] : world.slurm.all_jobs()) {
    if (job.state != JobState::done && job.state != JobState::failed && job.state != JobState::cancelled) {
      left += job.request.runs + minutes_(1);
    }
  }
  return left;
}

}  // namespace

Scenario draw_scenario(const SwarmOptions& options) {
  Random random(options.seed * 0x9e3779b97f4a7c15ull + 1);
  Scenario scenario;
  scenario.world.seed = random.next();
  scenario.world.cluster = draw_cluster(random, options.nodes);
  if (options.cluster) scenario.world.cluster = *options.cluster;
  scenario.world.cloud = draw_cloud(random);
  scenario.world.slurm = draw_slurm(random, scenario.world.cluster);
  scenario.world.daemons = random.chance(0.25) ? 2 : 1;
  scenario.world.utc_offset = minutes_(60 * random.between(-11, 12));
  scenario.world.daemon.doubt = 0.02;
  scenario.world.daemon.restart = random.between(Duration(500), second * 5);
  scenario.workload = draw_workload(random, scenario.world.cluster);
  scenario.busy = options.minutes > 0 ? minutes_(options.minutes) : minutes_(random.between(int64_t{10}, int64_t{90}));
  const bool calm = !options.faults || random.chance(0.05);
  if (!calm) {
    scenario.faults = draw_faults(random);
    scenario.cloud_faults = draw_cloud_faults(random);
    scenario.world.agents.fails_prep = maybe(random, 0.2, 0.01, 0.2);
    scenario.world.agents.cut_off_at_boot = maybe(random, 0.2, 0.01, 0.1);
    scenario.lose_hook = maybe(random, 0.3, 0.05, 1);
    scenario.repeat_hook = maybe(random, 0.3, 0.05, 0.5);
    scenario.delay_hook = maybe(random, 0.3, 0.05, 0.5);
    scenario.world.skip_looks = false;
  }
  scenario.world.trace = options.trace;
  scenario.world.decide = options.decide;
  return scenario;
}

Outcome run_scenario(const Scenario& scenario) {
  World world(scenario.world);
  world.lose_hook = scenario.lose_hook;
  world.repeat_hook = scenario.repeat_hook;
  world.delay_hook = scenario.delay_hook;
  const TimePoint busy_until = world.now() + scenario.busy;
  world.faults.begin(scenario.faults, scenario.cloud_faults);
  world.users.begin(scenario.workload, busy_until);
  world.run_until(busy_until);
  // Progress: whatever happened, once all works again all work gets done.
  if (!world.invariants.violated()) world.faults.heal();
  const TimePoint done_by = world.now() + work_ends_within + 2 * work_left(world);
  while (!world.invariants.violated() && !world.jobs_done() && world.now() < done_by) world.run_for(minutes_(1));
  if (!world.invariants.violated()) world.invariants.all_jobs_done();
  // No leak: nobody wants anything any more.
  if (!world.invariants.violated()) world.run_for(longest_idle(world.spec) + calm_grace);
  if (!world.invariants.violated()) world.invariants.nothing_left();

  Outcome outcome;
  outcome.violation = world.invariants.first();
  outcome.simulated = world.elapsed();
  outcome.jobs = world.slurm.all_jobs().size();
  outcome.machines = world.cloud.machines().size();
  outcome.faults = world.faults.count();
  for (const auto& daemon : world.daemons) {
    outcome.rounds += daemon->rounds();
    outcome.restarts += daemon->restarts();
  }
  if (world.trace.on()) {
    outcome.trace = world.trace.text();
    if (outcome.violation) outcome.history = world.trace.tail(outcome.violation->about, history_lines);
  }
  return outcome;
}

Outcome run_seed(const SwarmOptions& options) {
  Outcome outcome = run_scenario(draw_scenario(options));
  outcome.seed = options.seed;
  return outcome;
}

Outcome retell(SwarmOptions options) {
  options.trace = true;
  return run_seed(options);
}

}  // namespace slipway::sim
