#include "sim/simulate.h"

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/files.h"
#include "config/config.h"
#include "sim/run_script.h"
#include "sim/swarm.h"

namespace slipway::sim {

namespace {

namespace json = boost::json;

constexpr double minutes_of_work = 60;

std::string command_of(const SimulateOptions& options, uint64_t seed) {
  std::string text = "slipway simulate --seed " + std::to_string(seed);
  if (options.minutes > 0) text += " --minutes " + std::to_string(options.minutes);
  if (options.nodes > 0) text += " --nodes " + std::to_string(options.nodes);
  if (!options.cluster.empty()) text += " --file " + options.cluster.string();
  return text + " --trace";
}

std::string report(const SimulateOptions& options, const Outcome& outcome) {
  const Violation& violation = *outcome.violation;
  std::string text = "seed " + std::to_string(outcome.seed) + " violates \"" + violation.rule + "\" after " +
                     to_short(violation.at) + ": " + violation.text + "\n";
  text += outcome.history;
  return text + "  repeat: " + command_of(options, outcome.seed) + "\n\n";
}

json::object to_json(const SimulateOptions& options, const Outcome& outcome) {
  json::object line{{"seed", outcome.seed},
                    {"ok", !outcome.violation.has_value()},
                    {"hours", static_cast<double>(outcome.simulated.count()) / 3.6e6},
                    {"jobs", outcome.jobs},
                    {"machines", outcome.machines},
                    {"faults", outcome.faults},
                    {"rounds", outcome.rounds},
                    {"daemon_restarts", outcome.restarts}};
  if (outcome.violation) {
    line["rule"] = outcome.violation->rule;
    line["text"] = outcome.violation->text;
    line["at_seconds"] = static_cast<double>(outcome.violation->at.count()) / 1e3;
    line["history"] = outcome.history;
    line["repeat"] = command_of(options, outcome.seed);
  }
  return line;
}

std::string sentence(const Outcome& outcome) {
  return "seed " + std::to_string(outcome.seed) + ": " + to_short(outcome.simulated) + " simulated, " +
         std::to_string(outcome.jobs) + " jobs, " + std::to_string(outcome.machines) + " machines, " +
         std::to_string(outcome.faults) + " faults, " + std::to_string(outcome.restarts) +
         " ends of a daemon: every invariant held\n";
}

SwarmOptions swarm_of(const SimulateOptions& options, uint64_t seed, const std::optional<model::Cluster>& cluster) {
  SwarmOptions swarm;
  swarm.seed = seed;
  swarm.minutes = options.minutes;
  swarm.nodes = options.nodes;
  swarm.trace = options.trace;
  swarm.cluster = cluster;
  return swarm;
}

struct Totals {
  std::atomic<uint64_t> next{0};
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> failed{0};
  std::mutex mutex;  // of what follows and of printing
  Duration simulated{0};
  uint64_t jobs = 0;
  uint64_t machines = 0;
};

}  // namespace

Result<int> simulate(const SimulateOptions& options, const std::function<void(const std::string&)>& print) {
  if (!options.script.empty()) return simulate_script(options.script, options.seed, options.json, print);
  std::optional<model::Cluster> cluster;
  if (!options.cluster.empty()) {
    config::Loaded loaded = config::load(options.cluster, false);
    if (!loaded.ok()) {
      std::string text = "the cluster file has mistakes";
      for (const auto& problem : loaded.problems) text += "\n" + config::format(problem, options.cluster.string());
      return fail(ErrorCode::bad_config, text);
    }
    cluster = std::move(loaded.cluster);
  }

  Totals totals;
  const auto began = std::chrono::steady_clock::now();
  const auto work = [&] {
    for (uint64_t i = totals.next++; i < options.seeds; i = totals.next++) {
      const SwarmOptions swarm = swarm_of(options, options.seed + i, cluster);
      Outcome outcome = run_seed(swarm);
      if (outcome.violation && !options.trace) outcome = retell(swarm);
      const std::lock_guard lock(totals.mutex);
      totals.simulated += outcome.simulated;
      totals.jobs += outcome.jobs;
      totals.machines += outcome.machines;
      if (outcome.violation) ++totals.failed;
      if (options.json) {
        if (outcome.violation || options.seeds == 1) print(json::serialize(to_json(options, outcome)) + "\n");
      } else {
        if (options.trace) print(outcome.trace);
        if (outcome.violation) print(report(options, outcome));
        if (!outcome.violation && options.seeds == 1) print(sentence(outcome));
      }
      const uint64_t done = ++totals.done;
      if (options.progress && done % 500 == 0) {
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        std::fprintf(stderr, "\r%llu of %llu seeds, %llu failed, %.0f a minute ", static_cast<unsigned long long>(done),
                     static_cast<unsigned long long>(options.seeds), static_cast<unsigned long long>(totals.failed),
                     static_cast<double>(done) / seconds * minutes_of_work);
      }
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t w = 1; w < options.workers; ++w) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (options.progress) std::fprintf(stderr, "\n");

  if (options.seeds > 1) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const double hours = static_cast<double>(totals.simulated.count()) / 3.6e6;
    if (options.json) {
      print(json::serialize(json::object{{"seeds", options.seeds},
                                         {"failed", totals.failed.load()},
                                         {"hours", hours},
                                         {"jobs", totals.jobs},
                                         {"machines", totals.machines},
                                         {"seconds", seconds}}) +
            "\n");
    } else {
      char line[200];
      std::snprintf(
          line, sizeof line, "%llu seeds, %llu failed; %.0f hours simulated in %.1f s, %llu jobs, %llu machines\n",
          static_cast<unsigned long long>(options.seeds), static_cast<unsigned long long>(totals.failed.load()), hours,
          seconds, static_cast<unsigned long long>(totals.jobs), static_cast<unsigned long long>(totals.machines));
      print(line);
    }
  }
  return totals.failed > 0 ? 1 : 0;
}

}  // namespace slipway::sim
