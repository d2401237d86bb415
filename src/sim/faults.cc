#include "sim/faults.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/world.h"

namespace slipway::sim {

enum class Faults::Kind : uint8_t {
  kill_daemon,
  kill_in_plan,
  freeze_daemon,
  kill_slurm,
  stop_slurm,
  fail_over,
  cut_agent,
  cut_slurmd,
  cut_machine,
  cut_daemon_slurm,
  cut_daemon_cloud,
  cut_agents,
  step_clock,
  shortage,
  offer_error,
  kill_machine,
  evict,
  admin,
};

namespace {

constexpr size_t kinds = 18;
constexpr Duration hour = std::chrono::hours(1);
constexpr Duration clock_step_longest{120'000};
constexpr uint32_t steps_longest = 12;
constexpr uint32_t room_longest = 6;

const Error errors[] = {
    {ErrorCode::no_capacity, "insufficient capacity"},
    {ErrorCode::quota, "the account's limit of machines is reached"},
    {ErrorCode::denied, "not authorized to perform this operation"},
    {ErrorCode::bad_config, "the image does not exist"},
    {ErrorCode::transient, "internal error of the service"},
};

}  // namespace

void Faults::begin(const FaultRates& rates, const CloudFaults& cloud) {
  rates_ = rates;
  world_.cloud.faults = cloud;
  active_ = true;
  ++era_;
  for (size_t k = 0; k < kinds; ++k) plan(static_cast<Kind>(k));
}

void Faults::plan(Kind kind) {
  const double rates[kinds] = {
      rates_.kill_daemon,      rates_.kill_in_plan, rates_.freeze_daemon, rates_.kill_slurm,  rates_.stop_slurm,
      rates_.fail_over,        rates_.cut_agent,    rates_.cut_slurmd,    rates_.cut_machine, rates_.cut_daemon_slurm,
      rates_.cut_daemon_cloud, rates_.cut_agents,   rates_.step_clock,    rates_.shortage,    rates_.offer_error,
      rates_.kill_machine,     rates_.evict,        rates_.admin};
  const double rate = rates[static_cast<size_t>(kind)];
  if (rate <= 0) return;
  const double wait = -std::log(1.0 - random_.fraction()) / rate * static_cast<double>(hour.count());
  later(Duration(static_cast<int64_t>(std::min(wait, 1e9)) + 1), [this, kind] {
    plan(kind);
    strike(kind);
  });
}

void Faults::later(Duration delay, std::function<void()> what) {
  world_.timeline.after(delay, [this, era = era_, what = std::move(what)] {
    if (era == era_) what();
  });
}

void Faults::happened(const char* what, uint32_t machine, uint32_t node) {
  ++count_;
  last_at_ = world_.now();
  world_.invariants.fault();
  if (!world_.trace.on()) return;
  std::string text = std::string("! ") + what;
  if (machine != nobody) text += ": " + world_.machine_name(machine);
  if (node != nobody) text += ": " + world_.node_name(node);
  world_.tell({.node = node, .machine = machine}, text);
}

// One that exists; `nobody` when there is none.
uint32_t Faults::any_machine() {
  const auto& machines = world_.cloud.machines();
  std::vector<uint32_t> alive;
  for (size_t i = machines.size(); i > 0 && alive.size() < 200; --i) {
    if (machines[i - 1].ended_at == TimePoint{}) alive.push_back(static_cast<uint32_t>(i - 1));
  }
  return alive.empty() ? nobody : alive[random_.below(alive.size())];
}

Duration Faults::any_time() {
  // Mostly short, now and then as long as can be.
  const Duration longest = random_.below(4) == 0 ? rates_.longest : rates_.longest / 10;
  return random_.between(Duration(200), std::max(longest, Duration(200)));
}

void Faults::strike(Kind kind) {
  Daemon& daemon = *world_.daemons[random_.below(world_.daemons.size())];
  const uint32_t machine = any_machine();
  switch (kind) {
    case Kind::kill_daemon:
      happened("daemon killed");
      daemon.kill(any_time());
      break;
    case Kind::kill_in_plan:
      if (Daemon* holder = world_.holder()) {
        const bool kills = random_.below(3) != 0;
        const Duration time = kills ? any_time() : any_time() / 3;
        holder->blow_fuse_in(static_cast<uint32_t>(random_.below(steps_longest)), time, kills);
      }
      break;
    case Kind::freeze_daemon:
      happened("daemon frozen");
      daemon.freeze(any_time());
      break;
    case Kind::kill_slurm:
    case Kind::stop_slurm:
      happened("slurmctld ends");
      world_.slurm_stops(kind == Kind::kill_slurm);
      later(any_time(), [this] {
        happened("slurmctld is back");
        world_.slurm_starts();
      });
      break;
    case Kind::fail_over:
      if (!world_.slurm.answers()) break;
      happened("slurmctld fails over");
      world_.slurm_fails_over();
      break;
    case Kind::cut_agent:
    case Kind::cut_slurmd:
    case Kind::cut_machine: {
      if (machine == nobody || !world_.agents.machine(machine).alive) break;
      happened(kind == Kind::cut_slurmd ? "cut from slurmctld" : "cut from the daemon", machine);
      const bool noticed = random_.below(2) == 0;
      if (kind != Kind::cut_slurmd) world_.agents.cut_from_daemon(machine, true, noticed);
      if (kind != Kind::cut_agent) world_.agents.cut_from_slurmctld(machine, true);
      later(any_time() * 3, [this, machine] {
        happened("connected again", machine);
        world_.agents.cut_from_daemon(machine, false, false);
        world_.agents.cut_from_slurmctld(machine, false);
      });
      break;
    }
    case Kind::cut_daemon_slurm:
      happened("daemon cut from slurmctld");
      world_.daemon_reaches_slurm = false;
      later(any_time(), [this] {
        happened("daemon reaches slurmctld again");
        world_.daemon_reaches_slurm = true;
      });
      break;
    case Kind::cut_daemon_cloud:
      happened("daemon cut from the provider");
      world_.cloud.set_reachable(false);
      later(any_time(), [this] {
        happened("daemon reaches the provider again");
        world_.cloud.set_reachable(true);
      });
      break;
    case Kind::cut_agents: {
      happened("daemon cut from every agent");
      const bool noticed = random_.below(2) == 0;
      const auto machines = static_cast<uint32_t>(world_.cloud.machines().size());
      for (uint32_t m = 0; m < machines; ++m) world_.agents.cut_from_daemon(m, true, noticed);
      later(any_time(), [this] {
        happened("agents are heard again");
        const auto all = static_cast<uint32_t>(world_.cloud.machines().size());
        for (uint32_t m = 0; m < all; ++m) world_.agents.cut_from_daemon(m, false, false);
      });
      break;
    }
    case Kind::step_clock:
      happened("clock stepped");
      world_.clock_error = random_.between(-clock_step_longest, clock_step_longest);
      break;
    case Kind::shortage: {
      const auto& pool = world_.spec.pools[random_.below(world_.spec.pools.size())];
      if (pool.ways.empty()) break;
      const auto way = pool.ways[random_.below(pool.ways.size())];
      happened("capacity runs short");
      const uint32_t room = random_.below(2) == 0 ? 0 : static_cast<uint32_t>(random_.below(room_longest));
      world_.cloud.set_capacity(way.market, way.offer, room);
      later(any_time() * 5, [this, way] {
        happened("capacity is back");
        world_.cloud.set_capacity(way.market, way.offer, UINT32_MAX);
      });
      break;
    }
    case Kind::offer_error: {
      const auto& pool = world_.spec.pools[random_.below(world_.spec.pools.size())];
      if (pool.ways.empty()) break;
      const auto offer = pool.ways[random_.below(pool.ways.size())].offer;
      happened("launches fail");
      world_.cloud.set_error(offer, errors[random_.below(std::size(errors))]);
      later(any_time() * 5, [this, offer] {
        happened("launches work again");
        world_.cloud.set_error(offer, std::nullopt);
      });
      break;
    }
    case Kind::kill_machine:
      if (machine == nobody) break;
      happened("machine dies", machine);
      world_.cloud.kill(machine);
      break;
    case Kind::evict:
      if (machine == nobody || world_.cloud.machines()[machine].instance.market != model::Market::spot) break;
      happened("machine is evicted", machine);
      world_.cloud.evict(machine, random_.below(3) == 0 ? Duration(0) : world_.cloud.faults.notice);
      break;
    case Kind::admin: {
      if (!world_.slurm.answers()) break;
      const auto node = static_cast<uint32_t>(random_.below(world_.slurm.nodes().size()));
      constexpr slurm::NodeChange changes[] = {slurm::NodeChange::down, slurm::NodeChange::drain,
                                               slurm::NodeChange::resume, slurm::NodeChange::power_down};
      const auto change = changes[random_.below(std::size(changes))];
      happened(change == slurm::NodeChange::down     ? "somebody sets DOWN"
               : change == slurm::NodeChange::drain  ? "somebody sets DRAIN"
               : change == slurm::NodeChange::resume ? "somebody sets RESUME"
                                                     : "somebody sets POWER_DOWN",
               nobody, node);
      world_.slurm.set_by_hand(node, change, "maintenance");
      world_.nodes_changed = true;
      by_hand_.push_back(node);
      break;
    }
  }
}

void Faults::heal() {
  active_ = false;
  ++era_;
  happened("everything is healed");
  world_.cloud.faults = CloudFaults{};
  world_.cloud.set_reachable(true);
  for (const auto& pool : world_.spec.pools) {
    for (const auto& way : pool.ways) {
      world_.cloud.set_capacity(way.market, way.offer, UINT32_MAX);
      world_.cloud.set_error(way.offer, std::nullopt);
    }
  }
  for (auto& daemon : world_.daemons) daemon->disarm_fuse();
  world_.daemon_reaches_slurm = true;
  world_.lose_hook = world_.repeat_hook = world_.delay_hook = 0;
  world_.clock_error = Duration(0);
  world_.agents.options.fails_prep = 0;
  world_.agents.options.cut_off_at_boot = 0;
  world_.agents.options.loses_binds = false;
  world_.slurm_starts();
  for (uint32_t m = 0; m < world_.cloud.machines().size(); ++m) {
    world_.agents.cut_from_daemon(m, false, false);
    world_.agents.cut_from_slurmctld(m, false);
  }
  // The same people take back what they did; twice, because a node may have been busy with something else.
  for (const Duration wait : {Duration(1'000), Duration(300'000)}) {
    world_.timeline.after(wait, [this] {
      for (const uint32_t node : by_hand_) {
        const auto& seen = world_.slurm.nodes()[node];
        const bool set = seen.slurm.has(model::node_drain) || seen.slurm.base == model::NodeBase::down;
        if (!set || seen.reason.starts_with(engine::our_reason)) continue;
        if (world_.trace.on()) world_.tell({.node = node}, "somebody sets RESUME: " + world_.node_name(node));
        world_.slurm.set_by_hand(node, slurm::NodeChange::resume, "");
        world_.nodes_changed = true;
      }
    });
  }
}

}  // namespace slipway::sim
