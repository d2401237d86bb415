// Instances that no node has: ready for a name, on their way to it, failed, or nobody's.
#include <algorithm>

#include "engine/round.h"

namespace slipway::engine {
namespace {

using model::InstanceState;

void lose(Round& round, uint32_t i, Failure kind, const std::string& why) {
  if (!round.terminate(i, "boot_failed", why)) return;  // counted when it goes
  const InstanceView& instance = round.view.instances[i];
  ++round.pools[instance.pool].boots_failed;
  count_failed_boot(round, instance.pool, &instance, kind, why);
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
  const auto give_until = [&](TimePoint at, Failure kind, const char* what) {
    if (round.now >= at) {
      lose(round, i, kind, failure_text(instance, what));
    } else {
      round.due(at);
      pool.coming.push_back(i);
    }
  };
  if (instance.trouble || (instance.agent == AgentState::none && !instance.message.empty())) {
    lose(round, i, Failure::boot_failed, failure_text(instance, "is in trouble, its provider says"));
    return;
  }
  if (instance.evict_at != TimePoint{}) {
    round.terminate(i, "instance_terminated", "its provider takes it before it was of use");
    return;
  }
  switch (instance.agent) {
    case AgentState::none: {
      // Silence counts from our own start at the earliest: its agent may have spoken to a daemon before us.
      TimePoint begun = memory.first_seen;
      if (instance.launched_at != TimePoint{}) begun = std::min(begun, instance.launched_at);
      give_until(std::max(begun, round.memory.first_round) + boot_timeout, Failure::never_joined, "never joined");
      break;
    }
    case AgentState::silent:
      give_until(instance.agent_since + round.spec.reconnect_patience, Failure::boot_failed,
                 "joined, then went silent");
      break;
    case AgentState::failed:
      lose(round, i, Failure::boot_failed, failure_text(instance, "gave up"));
      break;
    case AgentState::waiting:
      pool.waiting.push_back(i);
      break;
    case AgentState::preparing:
    case AgentState::starting:
    case AgentState::serving:
      give_until(std::max(instance.agent_since, round.memory.first_round) + 2 * boot_timeout, Failure::boot_failed,
                 "was not ready in time");
      break;
  }
}

}  // namespace

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

void sort_unbound(Round& round) {
  for (uint32_t i = 0; i < round.view.instances.size(); ++i) {
    const InstanceView& instance = round.view.instances[i];
    Seat& seat = round.seats[i];
    if (seat.doomed) {
      round.terminate(i, "instance_terminated", "");
      continue;
    }
    if (seat.work != nothing) {
      // Where no token tells a machine's launch, when it was first seen does.
      if (seat.memory != nullptr && !instance.launch_token.empty()) round.memory.instances.erase(instance.id);
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

}  // namespace slipway::engine
