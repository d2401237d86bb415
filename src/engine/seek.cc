// Seeks the goal with instances: those without a node get one, wait, or go; what is still missing is launched; warm
// nodes are woken.
#include <algorithm>

#include "engine/round.h"

namespace slipway::engine {
namespace {

using model::InstanceState;

void lose(Round& round, uint32_t i, const std::string& why) {
  const PoolIndex pool = round.view.instances[i].pool;
  round.terminate(i, "boot_failed", why);
  ++round.pools[pool].boots_failed;
  round.pools[pool].any_failed = true;
  round.pools[pool].last_failure = why;
}

std::string failure_text(const InstanceView& instance, const char* what) {
  std::string text = "machine " + instance.id.str() + " " + what;
  if (!instance.message.empty()) text += ": " + instance.message;
  return text;
}

// An instance of a known pool that has no name: ready for one, on its way, or a failed boot.
void sort_one(Round& round, uint32_t i, const InstanceMemory& memory) {
  const InstanceView& instance = round.view.instances[i];
  PoolRound& pool = round.pools[instance.pool];
  const Duration asked = round.spec.pools[instance.pool].boot_timeout;
  const Duration boot_timeout = asked > Duration::zero() ? asked : Duration(300'000);
  const auto give_until = [&](TimePoint at, const char* what) {
    if (round.now >= at) {
      lose(round, i, failure_text(instance, what));
    } else {
      round.due(at);
      pool.coming.push_back(i);
    }
  };
  if (instance.trouble || (instance.agent == AgentState::none && !instance.message.empty())) {
    lose(round, i, failure_text(instance, "is in trouble, its provider says"));
    return;
  }
  switch (instance.agent) {
    case AgentState::none: {
      // Silence counts from our own start at the earliest: its agent may have spoken to a daemon before us.
      TimePoint begun = memory.first_seen;
      if (instance.launched_at != TimePoint{}) begun = std::min(begun, instance.launched_at);
      give_until(std::max(begun, round.memory.first_round) + boot_timeout, "never joined");
      break;
    }
    case AgentState::silent:
      give_until(instance.agent_since + round.spec.reconnect_patience, "joined, then went silent");
      break;
    case AgentState::failed:
      lose(round, i, failure_text(instance, "gave up"));
      break;
    case AgentState::waiting:
      pool.waiting.push_back(i);
      break;
    case AgentState::preparing:
    case AgentState::starting:
    case AgentState::serving:
      give_until(std::max(instance.agent_since, round.memory.first_round) + 2 * boot_timeout, "was not ready in time");
      break;
  }
}

void unneeded(Round& round, uint32_t i, const char* why) {
  InstanceMemory& memory = *round.seats[i].memory;
  if (memory.unneeded_since == TimePoint{}) memory.unneeded_since = round.now;
  const TimePoint until = memory.unneeded_since + round.spec.surplus_grace;
  if (round.now < until) {
    round.due(until);
    return;
  }
  round.terminate(i, "instance_unneeded", why);
}

bool older(const Round& round, uint32_t a, uint32_t b) {
  const InstanceView& first = round.view.instances[a];
  const InstanceView& second = round.view.instances[b];
  if (first.launched_at != second.launched_at) return first.launched_at < second.launched_at;
  return first.id < second.id;
}

// Jobs' nodes in Slurm's order, then the others in the order of the nodes.
void order_wanted(Round& round) {
  std::vector<std::vector<uint32_t>> ordered(round.pools.size());
  const auto take = [&](uint32_t w) {
    Work& work = round.works[w];
    if (!work.queued) return;
    work.queued = false;
    ordered[round.node(work).pool].push_back(w);
  };
  for (const uint32_t w : round.job_works) take(w);
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    for (const uint32_t w : round.pools[p].wanted) take(w);
    round.pools[p].wanted = std::move(ordered[p]);
  }
}

// Machines that failed before they had a name are charged to the nodes that stay without one.
void charge_failures(Round& round, PoolIndex p) {
  PoolRound& pool = round.pools[p];
  PoolMemory& memory = round.memory.pools[p];
  size_t left = pool.boots_failed;
  for (size_t i = pool.wanted.size(); left > 0 && i > pool.waiting.size(); --i, --left) {
    NodeMemory& node = *round.works[pool.wanted[i - 1]].memory;
    ++node.boots_failed;
    node.last_failure = pool.last_failure;
  }
  if (!pool.any_failed) return;
  if (memory.boot_failed_at == TimePoint{} || memory.launched_at >= memory.boot_failed_at) {
    ++memory.boots_failed;
    memory.boot_failed_at = round.now;
  }
  // The first failure is replaced at once; when nothing ever comes up, ever more slowly.
  const Duration pause = pause_after(memory.boots_failed - 1, Duration(5'000), Duration(300'000));
  if (pause > Duration::zero()) {
    memory.not_before = std::max(memory.not_before, round.now + pause);
    memory.why = pool.last_failure;
  }
}

// Gives nodes whose machines keep failing back to Slurm: DOWN with the reason, so that their jobs go elsewhere; they
// recover on the way that every node without a machine takes.
void give_up(Round& round, PoolIndex p) {
  std::erase_if(round.pools[p].wanted, [&](uint32_t w) {
    Work& work = round.works[w];
    NodeMemory& memory = *work.memory;
    if (memory.boots_failed < round.spec.boots_failed_max) return false;
    const std::string why = std::to_string(memory.boots_failed) + " machines failed to boot: " + memory.last_failure;
    const bool first = !memory.recovering;
    memory.recovering = true;
    if (round.tell(work, Tell::down, std::string(our_reason) + why) && first) {
      round.note("node_down", work, round.node(work).name.str() + " is given back to Slurm: " + why);
    }
    return true;
  });
}

void bind_waiting(Round& round, PoolIndex p) {
  PoolRound& pool = round.pools[p];
  std::sort(pool.waiting.begin(), pool.waiting.end(), [&](uint32_t a, uint32_t b) {
    const InstanceView& first = round.view.instances[a];
    const InstanceView& second = round.view.instances[b];
    if (first.agent_since != second.agent_since) return first.agent_since < second.agent_since;
    return first.id < second.id;
  });
  const size_t count = std::min(pool.waiting.size(), pool.wanted.size());
  for (size_t k = 0; k < count; ++k) {
    const uint32_t i = pool.waiting[k];
    const InstanceView& instance = round.view.instances[i];
    Work& work = round.works[pool.wanted[k]];
    NodeMemory& memory = *work.memory;
    work.instance = i;
    work.situation = Situation::booting;
    memory.situation = static_cast<uint8_t>(Situation::booting);
    memory.since = memory.bound_at = memory.bind_sent_at = round.now;
    memory.bound = instance.id;
    memory.seen_at = round.view.instances_as_of;
    memory.instance_hint = i;
    round.seats[i].work = pool.wanted[k];
    round.plan.situations[work.node] = Situation::booting;
    round.plan.binds.push_back({round.node(work).name, instance.id, instance.address});
    round.note("node_bound", work, instance.id.str() + " becomes " + round.node(work).name.str());
    round.due(round.now + round.spec.update_patience);
  }
  pool.wanted.erase(pool.wanted.begin(), pool.wanted.begin() + static_cast<ptrdiff_t>(count));
  pool.waiting.erase(pool.waiting.begin(), pool.waiting.begin() + static_cast<ptrdiff_t>(count));
}

// Those that joined stay first, then the older ones; beyond the want, the newest go first.
void shed_surplus(Round& round, PoolIndex p) {
  PoolRound& pool = round.pools[p];
  std::sort(pool.coming.begin(), pool.coming.end(), [&](uint32_t a, uint32_t b) {
    const bool first = round.view.instances[a].agent == AgentState::preparing;
    const bool second = round.view.instances[b].agent == AgentState::preparing;
    return first != second ? first : older(round, a, b);
  });
  std::vector<uint32_t> supply = pool.waiting;
  supply.insert(supply.end(), pool.coming.begin(), pool.coming.end());
  const size_t needed = std::min<size_t>(supply.size(), pool.wanted.size() + pool.maybe_wanted);
  for (size_t k = 0; k < needed; ++k) round.seats[supply[k]].memory->unneeded_since = TimePoint{};
  for (size_t k = supply.size(); k > needed; --k) unneeded(round, supply[k - 1], "nothing wants it");
}

void launch_missing(Round& round, PoolIndex p) {
  PoolRound& pool = round.pools[p];
  PoolMemory& memory = round.memory.pools[p];
  if (!round.view.instances_complete) return;  // what is missing from the listing may be just what is wanted
  const size_t covered = pool.coming.size() + pool.waiting.size() + pool.asked;
  if (pool.wanted.size() <= covered) return;
  if (round.now < memory.not_before) {
    round.due(memory.not_before);
    return;
  }
  const size_t present = size_t{pool.live} + pool.asked;
  const size_t max = round.spec.pools[p].max;
  const size_t room = max > present ? max - present : 0;
  const auto count = static_cast<uint32_t>(std::min(pool.wanted.size() - covered, room));
  if (count == 0) return;
  Launch launch{.pool = p, .count = count, .token = launch_token(round, p, pool.wanted, count)};
  round.memory.launches[launch.token] = LaunchMemory{.pool = p, .count = count, .at = round.now};
  round.plan.notes.push_back({.kind = "launch_requested",
                              .pool = p,
                              .message = std::to_string(count) + (count == 1 ? " machine" : " machines") +
                                         " for pool " + round.spec.pools[p].name.str()});
  round.memory.pools[p].launched_at = round.now;
  round.plan.launches.push_back(std::move(launch));
}

bool by_number(const NodeName& a, const NodeName& b) {
  if (a.str().size() != b.str().size()) return a.str().size() < b.str().size();
  return a < b;
}

void wake(Round& round, PoolIndex p, size_t missing) {
  std::vector<uint32_t> sleepers;
  for (uint32_t i = 0; i < round.view.nodes.size(); ++i) {
    const NodeView& node = round.view.nodes[i];
    if (node.pool != p || round.plan.situations[i] != Situation::asleep || node.busy) continue;
    if ((node.slurm.flags &
         (model::node_drain | model::node_maintenance | model::node_reboot | model::node_power_up_requested)) != 0)
      continue;
    if (node.slurm.base != model::NodeBase::idle) continue;
    const auto it = round.memory.nodes.find(node.name);
    if (it == round.memory.nodes.end()) sleepers.push_back(i);
  }
  missing = std::min(missing, sleepers.size());
  std::partial_sort(
      sleepers.begin(), sleepers.begin() + static_cast<ptrdiff_t>(missing), sleepers.end(),
      [&](uint32_t a, uint32_t b) { return by_number(round.view.nodes[a].name, round.view.nodes[b].name); });
  if (missing == 0) return;
  TellSlurm tell{.what = Tell::power_up};
  for (size_t k = 0; k < missing; ++k) {
    const NodeName& name = round.view.nodes[sleepers[k]].name;
    NodeMemory& memory = round.memory.nodes[name];
    memory.power_up_told_at = round.now;
    memory.pool = p;
    tell.nodes.push_back(name);
    round.plan.notes.push_back(
        {.kind = "node_warmed", .pool = p, .node = name, .message = name.str() + " is woken to be kept warm"});
  }
  round.due(round.now + round.spec.update_patience);
  round.plan.tells.push_back(std::move(tell));
}

}  // namespace

void sort_unbound(Round& round) {
  for (uint32_t i = 0; i < round.view.instances.size(); ++i) {
    const InstanceView& instance = round.view.instances[i];
    Seat& seat = round.seats[i];
    if (seat.doomed) {
      round.terminate(i, "instance_terminated", "");
      continue;
    }
    if (seat.work != nothing) {
      if (seat.memory != nullptr) round.memory.instances.erase(instance.id);
      seat.memory = nullptr;
      continue;
    }
    if (!is_live(instance)) continue;
    if (seat.usurped) {
      round.terminate(i, "instance_duplicate", "another machine is " + instance.bound.str());
      continue;
    }
    if (seat.memory == nullptr) seat.memory = &round.memory.instances[instance.id];
    seat.memory->place = i;
    if (seat.memory->first_seen == TimePoint{}) seat.memory->first_seen = round.now;
    if (!round.known_pool(instance.pool)) {
      unneeded(round, i, "its pool isn't in the cluster file");
    } else if (!instance.bound.empty()) {
      unneeded(round, i, "Slurm has no such node of ours");
    } else {
      sort_one(round, i, *seat.memory);
    }
  }
}

void bind_and_launch(Round& round) {
  order_wanted(round);
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    charge_failures(round, p);
    give_up(round, p);
    bind_waiting(round, p);
    shed_surplus(round, p);
    launch_missing(round, p);
  }
}

void keep_warm(Round& round) {
  if (round.memory.nodes.size() > round.works.size()) {
    for (const auto& [name, memory] : round.memory.nodes) {
      if (memory.round != round.memory.round && memory.power_up_told_at != TimePoint{} &&
          round.now < memory.power_up_told_at + round.spec.update_patience && round.known_pool(memory.pool)) {
        ++round.pools[memory.pool].coming_up;
      }
    }
  }
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    const PoolRound& pool = round.pools[p];
    const uint32_t warm = round.spec.pools[p].warm;
    const uint32_t have = pool.up + pool.coming_up;
    if (have >= warm) continue;
    if (round.now < round.memory.pools[p].not_before) {
      round.due(round.memory.pools[p].not_before);
      continue;
    }
    wake(round, p, warm - have);
  }
}

}  // namespace slipway::engine
