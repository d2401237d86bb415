#include "sim/run_script.h"

#include <boost/json.hpp>

#include "base/files.h"
#include "sim/world.h"

namespace slipway::sim {

namespace {

constexpr Duration look_every{50};
constexpr Duration slurmctld_away{1'500};

// The local provider's pace, so that the histories compare with a real one's.
WorldOptions world_of(const Script& script, uint64_t seed) {
  WorldOptions options;
  options.seed = seed;
  options.cluster.name = "script";
  for (const ScriptPool& made : script.pools) {
    model::Pool pool;
    pool.name = PoolName(made.name);
    pool.max = made.max;
    pool.markets = made.markets;
    pool.boot_timeout = made.boot_timeout;
    pool.idle_reclaim = script.idle_reclaim;
    options.slurm.resume_timeout = std::max(options.slurm.resume_timeout, 3 * made.boot_timeout + Duration(60'000));
    options.cluster.pools.push_back(std::move(pool));
  }
  for (const ScriptPartition& made : script.partitions) {
    model::Partition partition;
    partition.name = PartitionName(made.name);
    for (const auto& pool : made.pools) partition.pools.emplace_back(pool);
    options.cluster.partitions.push_back(std::move(partition));
  }
  options.cloud.call = {Duration(15), Duration(60)};
  options.cloud.boot = {Duration(400), Duration(900)};
  options.cloud.stop = {Duration(200), Duration(900)};
  options.agents.prepare = {Duration(150), Duration(500)};
  options.agents.slurmd = {Duration(150), Duration(600)};
  options.agents.reconnect = Duration(2'000);
  return options;
}

class Runner {
 public:
  Runner(const Script& script, uint64_t seed) : script_(script), world_(world_of(script, seed)) {
    world_.on_node = [this](uint32_t node) {
      trace_.node(world_.slurm.nodes()[node].name, world_.slurm.nodes()[node].slurm, world_.now());
    };
    world_.on_job = [this](const Job& job) {
      for (const auto& [name, id] : jobs_) {
        if (id == job.id) trace_.job(name, job.state, world_.now());
      }
    };
  }

  ScriptOutcome run() {
    TimePoint since = world_.now();
    for (const Step& step : script_.steps) {
      const TimePoint began = world_.now();
      take(step, since);
      if (step.verb != Verb::wait_node && step.verb != Verb::wait_job) since = began;
      if (world_.invariants.violated()) break;
    }
    ScriptOutcome outcome;
    outcome.json = trace_.to_json(world_.now());
    outcome.failures = std::move(failures_);
    if (const auto& violation = world_.invariants.first()) {
      outcome.failures.push_back("invariant \"" + violation->rule + "\": " + violation->text);
    }
    return outcome;
  }

 private:
  void take(const Step& step, TimePoint since) {
    switch (step.verb) {
      case Verb::submit:
        submit(step);
        break;
      case Verb::cancel:
        world_.slurm.cancel(jobs_[step.subject]);
        world_.jobs_changed = true;
        break;
      case Verb::wait_node:
      case Verb::wait_job:
        wait(step, since);
        break;
      case Verb::sleep:
        world_.run_for(step.time);
        break;
      case Verb::capacity:
        for (const auto& way : world_.spec.pools[pool(step)].ways) {
          if (way.market == step.market) world_.cloud.set_capacity(way.market, way.offer, step.count);
        }
        break;
      case Verb::boot_delay:
        world_.boots[pool(step)].later = step.time;
        break;
      case Verb::boot_never:
        world_.boots[pool(step)].never = step.count;
        break;
      case Verb::kill:
      case Verb::evict:
      case Verb::cut_off:
        strike(step);
        break;
      case Verb::set:
        world_.slurm.set_by_hand(world_.slurm.index_of(NodeName(step.subject)), step.change, step.reason);
        world_.nodes_changed = true;
        break;
      case Verb::restart_slurmctld:
        world_.slurm_stops(step.hard);
        world_.timeline.after(slurmctld_away, [this] { world_.slurm_starts(); });
        break;
    }
  }

  void submit(const Step& step) {
    JobRequest request;
    for (uint32_t p = 0; p < script_.partitions.size(); ++p) {
      if (script_.partitions[p].name == step.partition) request.partition = p;
    }
    request.nodes = step.count;
    request.runs = step.time;
    request.batch = step.batch;
    request.requeue = step.requeue;
    const JobId id = world_.users.submit(request);
    jobs_[step.subject] = id;
    trace_.job(step.subject, world_.slurm.all_jobs().at(id).state, world_.now());
  }

  void wait(const Step& step, TimePoint since) {
    const TimePoint end = world_.now() + step.time;
    while (!trace_.reached(step, since)) {
      if (world_.now() >= end || world_.invariants.violated()) {
        failures_.push_back("line " + std::to_string(step.line) + ": " + step.subject + " never was " + step.state);
        return;
      }
      world_.run_for(look_every);
    }
  }

  void strike(const Step& step) {
    const uint32_t node = world_.slurm.index_of(NodeName(step.subject));
    const auto& holders = world_.agents.holders_of(node);
    if (holders.empty()) {
      failures_.push_back("line " + std::to_string(step.line) + ": " + step.subject + " has no machine");
      return;
    }
    const uint32_t machine = holders.front();
    if (step.verb == Verb::kill) world_.cloud.kill(machine);
    if (step.verb == Verb::evict) world_.cloud.evict(machine, step.time);
    if (step.verb == Verb::cut_off) {
      world_.agents.cut_from_daemon(machine, true, false);
      world_.agents.cut_from_slurmctld(machine, true);
    }
    world_.invariants.fault();
  }

  engine::PoolIndex pool(const Step& step) const {
    for (engine::PoolIndex p = 0; p < script_.pools.size(); ++p) {
      if (script_.pools[p].name == step.subject) return p;
    }
    return 0;  // parse_script() refuses unknown ones
  }

  const Script& script_;
  World world_;
  ScriptTrace trace_;
  std::map<std::string, JobId> jobs_;
  std::vector<std::string> failures_;
};

// "cpu-0001: idle/asleep 3.2 s, busy/booting 5.1 s, …"
std::string as_lines(const std::string& json) {
  const boost::json::object both = boost::json::parse(json).as_object();
  std::string text;
  for (const char* kind : {"jobs", "nodes"}) {
    for (const auto& entry : both.at(kind).as_object()) {
      text += std::string(entry.key()) + ":";
      const char* between = " ";
      for (const auto& state : entry.value().as_array()) {
        char seconds[32];
        std::snprintf(seconds, sizeof seconds, " %.1f s", state.as_object().at("seconds").to_number<double>());
        text += between + std::string(state.as_object().at("state").as_string()) + seconds;
        between = ", ";
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace

ScriptOutcome run_script(const Script& script, uint64_t seed) {
  ScriptOutcome outcome = Runner(script, seed).run();
  outcome.text = as_lines(outcome.json);
  return outcome;
}

Result<int> simulate_script(const std::filesystem::path& file, uint64_t seed, bool json,
                            const std::function<void(const std::string&)>& print) {
  const auto text = read_file(file);
  if (!text) return fail(text.error());
  const auto script = parse_script(*text);
  if (!script) return fail(script.error());
  const ScriptOutcome outcome = run_script(*script, seed);
  print(json ? outcome.json + "\n" : outcome.text);
  if (outcome.failures.empty()) return 0;
  std::string failed = file.string() + " failed";
  for (const std::string& one : outcome.failures) failed += "\n" + one;
  return fail(ErrorCode::permanent, failed);
}

}  // namespace slipway::sim
