// What `slipway explain` says: situation, what was tried, what comes next and when, in sentences.
#include <algorithm>

#include "engine/budget.h"
#include "engine/decide.h"
#include "engine/round.h"
#include "engine/ways.h"

namespace slipway::engine {
namespace {

using model::InstanceState;

std::string ago(TimePoint then, TimePoint now) {
  return then == TimePoint{} ? "an unknown time" : to_short(std::max(now - then, Duration(0)));
}

std::string in(TimePoint at, TimePoint now) {
  return at <= now ? "now" : "in " + to_short(at - now);
}

const InstanceView* find(const View& view, const InstanceId& id) {
  for (const InstanceView& instance : view.instances) {
    if (instance.id == id) return &instance;
  }
  return nullptr;
}

const InstanceView* machine_of(const View& view, const NodeMemory& memory, const NodeName& node) {
  const InstanceView* machine = memory.bound.empty() ? nullptr : find(view, memory.bound);
  if (machine != nullptr) return machine;
  for (const InstanceView& instance : view.instances) {
    if (instance.bound == node && instance.state != InstanceState::gone) return &instance;
  }
  return nullptr;
}

std::string agent_says(const InstanceView& machine, TimePoint now) {
  switch (machine.agent) {
    case AgentState::none:
      return "its agent has not been heard yet";
    case AgentState::preparing:
      return "its agent sets it up since " + ago(machine.agent_since, now);
    case AgentState::waiting:
      return "its agent is ready for a name";
    case AgentState::starting:
      return "its agent starts slurmd since " + ago(machine.agent_since, now);
    case AgentState::serving:
      return "slurmd runs on it since " + ago(machine.agent_since, now);
    case AgentState::failed:
      return "its agent gave up" + (machine.message.empty() ? "" : ": " + machine.message);
    case AgentState::silent:
      return "its agent is silent since " + ago(machine.agent_since, now);
  }
  return "";
}

// " spot m5.large in zone a is paused (no_capacity: …; 3 failures): tried again in 12s. on_demand m5.large may be
// asked."
std::string tried(const Spec& spec, const Memory& memory, TimePoint now, PoolIndex pool) {
  std::string text;
  if (pool >= memory.pools.size()) return text;
  const PoolMemory& remembered = memory.pools[pool];
  const auto& ways = ways_of(spec.pools[pool]);
  for (size_t w = 0; w < ways.size() && w < remembered.ways.size(); ++w) {
    const WayMemory& way = remembered.ways[w];
    const WayState state = state_of(way, now);
    const std::string name = ways.size() == 1 ? "The provider" : "Its " + to_text(ways[w]);
    if (state == WayState::closed) {
      if (ways.size() > 1 && !text.empty()) text += " " + name + " may be asked at once.";
      continue;
    }
    text += " " + name + " failed (" + std::string(to_string(way.kind)) + (way.why.empty() ? "" : ": " + way.why) +
            "; " + std::to_string(way.failures) + (way.failures == 1 ? " time" : " times in a row") + "): ";
    if (state == WayState::probing) {
      text += "one machine is being tried now.";
    } else if (state == WayState::half_open) {
      text += "one machine is tried with the next launch.";
    } else {
      text += "the next launch is due " + in(way.not_before, now) + ".";
    }
    if (reaction_to(way.kind).person) text += " It will hardly recover before somebody acts.";
  }
  if (remembered.held) {
    text += " The pool's sleeping nodes are held DOWN until it gets machines again, so that Slurm picks others.";
  }
  const uint32_t account = spec.pools[pool].account;
  const TimePoint call = next_call(memory, spec, account, now);
  if (call > now) text += " Calls to the provider are paced: the next one is made " + in(call, now) + ".";
  return text;
}

// "2 machines of the pool are on their way, 1 is asked for. The provider refused …; next attempt in 12s."
std::string supply(const View& view, const Spec& spec, const Memory& memory, TimePoint now, PoolIndex pool) {
  size_t coming = 0;
  for (const InstanceView& instance : view.instances) {
    const bool live = instance.state == InstanceState::pending || instance.state == InstanceState::running;
    const bool early = instance.agent == AgentState::none || instance.agent == AgentState::preparing ||
                       instance.agent == AgentState::waiting;
    if (instance.pool == pool && live && early && instance.bound.empty() && !memory.instances.contains(instance.id))
      ++coming;
    if (const auto it = memory.instances.find(instance.id);
        it != memory.instances.end() && instance.pool == pool && live && early) {
      coming += it->second.terminate_at == TimePoint{} ? 1 : 0;
    }
  }
  size_t asked = 0;
  for (const auto& [token, launch] : memory.launches) {
    if (launch.pool == pool && launch.count > launch.visible) asked += launch.count - launch.visible;
  }
  std::string text = " In pool " + spec.pools[pool].name.str() + ", " + std::to_string(coming) +
                     (coming == 1 ? " machine without a name is" : " machines without a name are") +
                     " on the way and " + std::to_string(asked) +
                     (asked == 1 ? " more is asked for." : " more are asked for.");
  return text + tried(spec, memory, now, pool);
}

std::string situation_text(const View& view, const Spec& spec, const Memory& memory, const NodeMemory& node_memory,
                           TimePoint now, const NodeView& node, Situation situation) {
  const Spec::Pool& pool = spec.pools[node.pool];
  const std::string& name = node.name.str();
  const InstanceView* machine = machine_of(view, node_memory, node.name);
  const std::string on = machine == nullptr ? "its machine" : "machine " + machine->id.str();
  const std::string agent = machine == nullptr ? "" : "; " + agent_says(*machine, now);
  switch (situation) {
    case Situation::not_ours:
      return name + " is not one of ours: Slipway leaves it alone.";
    case Situation::asleep:
      return name +
             " sleeps, as it should: Slurm has it powered down and no machine exists for it. A job that needs it wakes "
             "it." +
             (node.slurm.has(model::node_drain) ? " It is drained, so Slurm will not pick it: " + node.reason + "."
                                                : "");
    case Situation::wanted:
      return name + " is wanted for " + ago(node_memory.wanted_since, now) + " and has no machine yet." +
             supply(view, spec, memory, now, node.pool);
    case Situation::booting:
      return name + " boots on " + on + " for " + ago(node_memory.bound_at, now) + agent +
             ". When it isn't registered with slurmctld after " + to_short(pool.register_timeout) +
             ", it gets another machine.";
    case Situation::overdue:
      return name + " had its chance on " + on + agent +
             ". That machine is terminated and another one takes the name." +
             supply(view, spec, memory, now, node.pool);
    case Situation::stuck:
      return name + " does not register although slurmd runs on " + on + ": slurmd is restarted, at most every " +
             to_short(spec.restart_every) + ".";
    case Situation::serving:
      return name + " is up on " + on + " and a job holds it" + agent + ".";
    case Situation::idle_kept: {
      const TimePoint since = std::max(node.last_busy, node_memory.up_since);
      std::string text = name + " is up and idle on " + on + " for " + ago(since, now) + agent + ". ";
      if (std::binary_search(spec.reclaim_exclude.begin(), spec.reclaim_exclude.end(), node.name))
        return text + "It is in reclaim_exclude: it stays.";
      if (pool.idle_reclaim == Duration::max()) return text + "Its pool never takes idle nodes back.";
      if (node.slurm.has(model::node_maintenance) || node.slurm.has(model::node_reserved))
        return text + "It is reserved: it stays until then.";
      const bool warm = !(pool.warm == model::Warm{});
      if (now - since > pool.idle_reclaim && pool.billing_period > Duration(0))
        return text + "It stays to the end of what has been paid for" + (warm ? ", or as a warm node." : ".");
      if (now - since > pool.idle_reclaim) return text + "It stays as one of the pool's warm nodes.";
      return text + "It may be taken back " + in(since + pool.idle_reclaim, now) +
             (warm ? ", unless it is needed as a warm node." : ".");
    }
    case Situation::reclaimable:
      return name + " has been idle for longer than " + to_short(pool.idle_reclaim) +
             " or was asked to power down: Slurm is told to power it down.";
    case Situation::unbacked:
      return name +
             " is up in Slurm's eyes, but its machine is gone: it is set DOWN so that its jobs go on elsewhere, then "
             "it recovers.";
    case Situation::broken:
      if (memory.pools[node.pool].held && is_hold(node.reason)) {
        return name + " is held DOWN (" + node.reason + "), so that no job waits for it in vain." +
               tried(spec, memory, now, node.pool);
      }
      return name + " is lost" + (node_memory.last_failure.empty() ? "" : " (" + node_memory.last_failure + ")") +
             ": Slurm is told to power it down; then " + on +
             " is terminated and the node sleeps, ready for the next job.";
    case Situation::leaving:
      return name + " powers down: " + on +
             " is being terminated, and the request is repeated until the provider no longer has it.";
    case Situation::left:
      return name + " powered down and its machine is gone: Slurm is told, and it is usable again at once.";
    case Situation::ghost:
      return name + " is powered down in Slurm's eyes, yet " + on + " has its name: it is terminated " +
             in(node_memory.since + spec.ghost_grace, now) + " unless it registers or Slurm wants it before.";
    case Situation::failed:
      if (memory.pools[node.pool].held) {
        return name + " sleeps and is held DOWN (" + node.reason + "), so that no job waits for it in vain." +
               tried(spec, memory, now, node.pool);
      }
      return name + " failed to resume in time and is DOWN (" + node.reason +
             "). It is powered down once more, which makes it usable again." +
             supply(view, spec, memory, now, node.pool);
    case Situation::held:
      return name + ": " +
             (view.slurm_known ? "the provider's last listing doesn't tell whether its machine exists"
                               : "slurmctld doesn't answer") +
             ". Nothing is done until that is known.";
    case Situation::ailing:
      return name + " is unwell in Slurm's eyes for " + ago(node_memory.unwell_since, now) + agent +
             ". It gets until " + to_short(spec.agent_silence) + " to come back; then it is replaced.";
    case Situation::set_aside:
      return name + " was set DOWN by somebody (" + node.reason +
             ") and Slipway leaves it alone. `scontrol update NodeName=" + name + " State=RESUME` gives it back.";
  }
  return name + ".";
}

std::string describe(const View& view, const Spec& spec, const Memory& after, TimePoint now, size_t index,
                     Situation situation) {
  const NodeView& node = view.nodes[index];
  if (situation == Situation::not_ours) return situation_text(view, spec, after, {}, now, node, situation);
  static const NodeMemory none;
  const auto it = after.nodes.find(node.name);
  const NodeMemory& memory = it == after.nodes.end() ? none : it->second;
  std::string text = situation_text(view, spec, after, memory, now, node, situation);
  if (memory.evicting_since != TimePoint{}) {
    if (const InstanceView* machine = machine_of(view, memory, node.name);
        machine != nullptr && machine->evict_at != TimePoint{}) {
      text += " Its provider takes " + machine->id.str() + " " + in(machine->evict_at, now) +
              ": no new job gets there, running ones are signalled and moved before, and another machine is launched.";
    }
  }
  if (memory.boots_failed > 0) {
    text += " " + std::to_string(memory.boots_failed) + (memory.boots_failed == 1 ? " boot" : " boots") +
            " failed for it so far (last: " + memory.last_failure + "); after " +
            std::to_string(spec.boots_failed_max) + " it is given back to Slurm as DOWN.";
  }
  return text;
}

}  // namespace

std::string explain_node(const View& view, const Spec& spec, const Memory& memory, TimePoint now,
                         const NodeName& node) {
  const auto it = std::find_if(view.nodes.begin(), view.nodes.end(),
                               [&](const NodeView& candidate) { return candidate.name == node; });
  if (it == view.nodes.end()) return "";
  Memory copy = memory;
  const Plan plan = decide(view, spec, copy, now);
  const auto index = static_cast<size_t>(it - view.nodes.begin());
  return describe(view, spec, copy, now, index, plan.situations[index]);
}

std::string explain_job(const View& view, const Spec& spec, const Memory& memory, TimePoint now, const JobView& job,
                        std::string_view state, std::string_view slurm_reason) {
  const bool has_reason = !slurm_reason.empty() && slurm_reason != "None";
  std::string text = "Job " + std::to_string(job.id) + " is " + std::string(state);
  if (has_reason) text += " (Slurm's reason: " + std::string(slurm_reason) + ")";
  text += ".";
  if (job.nodes.empty()) {
    const auto pending =
        std::find_if(view.pending.begin(), view.pending.end(), [&](const PendingJob& one) { return one.id == job.id; });
    if (pending != view.pending.end()) {
      for (const PoolIndex pool : pending->pools) {
        const std::string about = pool < spec.pools.size() ? tried(spec, memory, now, pool) : "";
        if (!about.empty()) text += " Pool " + spec.pools[pool].name.str() + ":" + about;
      }
    }
    return text + " Slurm has not given it nodes yet; Slipway acts when it does.";
  }
  Memory copy = memory;
  const Plan plan = decide(view, spec, copy, now);
  std::vector<size_t> late;
  size_t up = 0;
  size_t known = 0;
  for (const NodeName& name : job.nodes) {
    const auto it =
        std::find_if(view.nodes.begin(), view.nodes.end(), [&](const NodeView& node) { return node.name == name; });
    if (it == view.nodes.end()) continue;
    ++known;
    const auto index = static_cast<size_t>(it - view.nodes.begin());
    const Situation situation = plan.situations[index];
    if (situation == Situation::serving || situation == Situation::idle_kept || situation == Situation::not_ours) {
      ++up;
    } else {
      late.push_back(index);
    }
  }
  text +=
      " " + std::to_string(up) + " of its " + std::to_string(known) + (known == 1 ? " node is up." : " nodes are up.");
  constexpr size_t shown_max = 5;
  for (size_t i = 0; i < std::min(late.size(), shown_max); ++i) {
    text += " " + describe(view, spec, copy, now, late[i], plan.situations[late[i]]);
  }
  if (late.size() > shown_max) text += " " + std::to_string(late.size() - shown_max) + " more nodes aren't up yet.";
  return text;
}

}  // namespace slipway::engine
