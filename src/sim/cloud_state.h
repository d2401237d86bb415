// What is behind Cloud, shared by its three parts: calls (cloud.cc), what calls do (cloud_effects.cc) and the life of
// machines (cloud_machines.cc).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/cloud.h"
#include "sim/cloud_stock.h"

namespace slipway::sim {

struct Cloud::State {
  State(Cloud& owner, Timeline& time, Random random, const std::vector<engine::Spec::Pool>& specs, CloudOptions wanted);

  Cloud& cloud;
  Timeline& timeline;
  const CloudOptions options;
  Stock stock;
  // Streams of their own: a fault that is turned on doesn't shift the latencies.
  Random latencies, faults, lifetimes;

  struct Pool {
    PoolName name;
    // Batch: while it resizes it refuses calls that would resize it.
    TimePoint steady_at{};
    std::optional<cloud::PoolTrouble> late;  // what its resize will turn out to have lacked
  };
  std::vector<Pool> pools;
  struct Launch {
    cloud::LaunchReceipt receipt;
    uint32_t machines = 0;  // that exist
  };
  std::map<std::string, Launch> launches;  // by token, those with machines

  // --- calls (cloud.cc) ---
  bool reachable = true;
  uint64_t calls = 0;
  uint64_t throttled = 0;
  double tokens = 0;
  TimePoint tokens_at{};
  std::vector<cloud::PoolTrouble> troubles;  // not listed yet

  bool batch() const { return options.character == Character::batch; }
  Duration draw(const Latency& latency);
  // Takes a token of the API's budget, or says how long until there is one.
  std::optional<Duration> throttle();
  // A call's way: refused, throttled or lost on its way there, `effect` at some moment of its latency, its answer lost
  // or delivered. `changes`: a caller that gets no answer can't know whether it took effect.
  template <class T>
  void call(bool changes, std::function<Result<T>()> effect, std::function<void(Result<T>)> answer);

  // --- what they do (cloud_effects.cc) ---
  std::vector<uint32_t> listed;  // machines that listings may show, by number

  bool resizes(const Pool& pool) const { return timeline.now() < pool.steady_at || pool.late; }
  Result<cloud::LaunchReceipt> launch(const cloud::LaunchRequest& request);
  cloud::LaunchReceipt launch_now(engine::PoolIndex pool, const cloud::LaunchRequest& request);
  Result<cloud::LaunchReceipt> resize(engine::PoolIndex pool, const cloud::LaunchRequest& request);
  cloud::Listing list(TimePoint asked);
  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances);
  std::vector<cloud::OnTheWay> on_the_way() const;
  uint32_t withdraw(const PoolName& pool, model::Market market, uint32_t count);
  Result<std::vector<InstanceId>> remove_nodes(const std::vector<InstanceId>& instances);
  std::vector<InstanceId> make(engine::PoolIndex pool, const cloud::LaunchRequest& request, const Stock::Fill& fill);

  // --- machines (cloud_machines.cc) ---
  std::vector<Machine> machines;
  uint32_t billed = 0;
  std::set<uint32_t> restoring;  // evicted, still part of their pool's target
  uint32_t addresses_used = 0;
  std::deque<std::string> addresses_free;

  bool exists(uint32_t machine) const { return machines[machine].ended_at == TimePoint{}; }
  // It may boot, be told to stop, be evicted.
  bool lives(uint32_t machine) const {
    return exists(machine) && machines[machine].instance.state != model::InstanceState::stopping;
  }
  uint32_t add(engine::PoolIndex pool, const cloud::LaunchRequest& request, const model::Offer& offer);
  std::string take_address();
  void plan_end(uint32_t machine);
  void run(uint32_t machine);
  void boot(uint32_t machine);
  void reboot(uint32_t machine);
  // Precondition: it lives. Returns how long it takes.
  Duration stop(uint32_t machine);
  void kill(uint32_t machine);
  void evict(uint32_t machine, Duration notice);
  void take_back(uint32_t machine);
  void restore(uint32_t machine);
  // `trouble`: why, unless it was asked for.
  void end(uint32_t machine, std::optional<Error> trouble);
};

}  // namespace slipway::sim
