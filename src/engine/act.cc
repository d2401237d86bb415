// What each node's situation asks for: one case a situation.
#include <algorithm>

#include "engine/round.h"

namespace slipway::engine {
namespace {

std::string seconds_since(TimePoint then, TimePoint now) {
  return to_short(now - then);
}

const std::string& name_of(const Round& round, const Work& work) {
  return round.node(work).name.str();
}

const std::string& instance_name(const Round& round, const Work& work) {
  return work.instance == nothing ? work.memory->bound.str() : round.instance(work).id.str();
}

std::string with_message(std::string text, const std::string& message) {
  if (!message.empty()) text += ": " + message;
  return text;
}

// One failed boot of the machine that has this node's name.
void boot_failed(Round& round, Work& work, const std::string& why) {
  NodeMemory& memory = *work.memory;
  ++memory.boots_failed;
  memory.last_failure = why;
  const InstanceView* instance = work.instance == nothing ? nullptr : &round.instance(work);
  count_failed_boot(round, round.node(work).pool, instance, Failure::boot_failed, why);
  round.note("boot_failed", work, why);
}

void queue_wanted(Round& round, uint32_t w) {
  round.works[w].queued = true;
  round.pool(round.works[w]).wanted.push_back(w);
}

// Its machine goes in this round. The next one finds the node wanted, and must not take that for news: what Slurm is
// told now would be told again.
void want_anew(Round& round, uint32_t w) {
  Work& work = round.works[w];
  NodeMemory& memory = *work.memory;
  memory.bound = InstanceId();
  work.situation = Situation::wanted;
  memory.situation = static_cast<uint8_t>(Situation::wanted);
  memory.since = round.now;
  queue_wanted(round, w);
}

std::string why_overdue(const Round& round, const Work& work) {
  const InstanceView& instance = round.instance(work);
  switch (work.facts.guest) {
    case Guest::failed:
      return with_message("machine " + instance.id.str() + " gave up", instance.message);
    case Guest::silent:
      return "machine " + instance.id.str() + " went silent while it booted";
    case Guest::serving:
      return "slurmd on machine " + instance.id.str() + " did not register with slurmctld within " +
             seconds_since(std::max(work.memory->bound_at, work.memory->wanted_since), round.now);
    case Guest::absent:
    case Guest::booting:
      break;
  }
  return with_message("machine " + instance.id.str() + " did not start slurmd within " +
                          seconds_since(std::max(work.memory->bound_at, work.memory->wanted_since), round.now),
                      instance.message);
}

void restart_slurmd(Round& round, Work& work, const char* why) {
  NodeMemory& memory = *work.memory;
  const TimePoint next = memory.restarted_at + round.spec.restart_every;
  if (memory.restarted_at != TimePoint{} && round.now < next) {
    round.due(next);
    return;
  }
  memory.restarted_at = round.now;
  round.due(round.now + round.spec.restart_every);
  round.plan.restarts.push_back({round.node(work).name, round.instance(work).id, round.instance(work).address});
  round.note("node_stuck", work, why);
}

void on_booting(Round& round, Work& work) {
  NodeMemory& memory = *work.memory;
  const InstanceView& instance = round.instance(work);
  // The agent waits without the name that was decided for it: the message may be lost.
  if (instance.agent != AgentState::waiting || !instance.bound.empty()) return;
  const TimePoint again = memory.bind_sent_at + round.spec.update_patience;
  if (round.now < again) {
    round.due(again);
    return;
  }
  memory.bind_sent_at = round.now;
  round.due(round.now + round.spec.update_patience);
  round.plan.binds.push_back({round.node(work).name, instance.id, instance.address});
}

void on_up(Round& round, Work& work, bool entered) {
  NodeMemory& memory = *work.memory;
  if (!entered) return;
  const auto before = static_cast<Situation>(work.before);
  const bool was_coming = before == Situation::wanted || before == Situation::booting || before == Situation::stuck ||
                          before == Situation::overdue;
  if (was_coming) {
    std::string text = name_of(round, work) + " is up on " + instance_name(round, work);
    if (memory.wanted_since != TimePoint{})
      text += ", " + seconds_since(memory.wanted_since, round.now) + " after it was wanted";
    round.note("node_serving", work, text);
    PoolMemory& pool = round.memory.pools[round.node(work).pool];
    fade_boots(pool, round.now);
    pool.boots += 1;
    pool.waves_failed = 0;
  }
  memory.boots_failed = 0;
  memory.last_failure.clear();
  memory.recovering = false;
}

void on_wanted(Round& round, uint32_t w, bool entered) {
  Work& work = round.works[w];
  NodeMemory& memory = *work.memory;
  const auto before = static_cast<Situation>(work.before);
  if (entered && (before == Situation::booting || before == Situation::stuck) && !memory.bound.empty()) {
    std::string why = "machine " + memory.bound.str() + " died while it booted";
    if (work.instance != nothing) why = with_message(why, round.instance(work).message);
    boot_failed(round, work, why);
  }
  memory.bound = InstanceId();
  // Somebody asked for its end before it came up: nobody waits for it, and Slurm would wait for the boot.
  if (round.node(work).slurm.has(model::node_power_down_requested) && !work.facts.busy) {
    round.tell(work, Tell::down, std::string(our_reason) + "powered down before it was up");
    return;
  }
  if (entered && before != Situation::booting && before != Situation::stuck && before != Situation::overdue) {
    round.note("node_wanted", work, "Slurm wants " + name_of(round, work));
  }
  queue_wanted(round, w);
}

// A held pool has machines that nothing wants: as many of its nodes are left to Slurm.
bool is_to_be_usable(Round& round, Work& work) {
  return round.pool(work).usable++ < round.memory.pools[round.node(work).pool].spare;
}

// DOWN because its pool gets no machines.
bool stays_held(Round& round, Work& work) {
  if (!round.memory.pools[round.node(work).pool].held || work.instance != nothing) return false;
  if (round.node(work).slurm.has(model::node_power_down_requested)) return false;  // on its way back, and counted
  return is_hold(round.node(work).reason) && !is_to_be_usable(round, work);
}

void on_lost(Round& round, Work& work, bool entered) {
  NodeMemory& memory = *work.memory;
  if (work.facts.health == Health::down && stays_held(round, work)) {
    memory.held = true;
    return;
  }
  std::string why;
  if (work.situation == Situation::unbacked) {
    why = memory.bound.empty() ? "no machine has this name" : "instance " + memory.bound.str() + " is gone";
    if (work.facts.machine == Machine::leaving) why = "instance " + memory.bound.str() + " is being taken away";
    if (work.instance != nothing) why = with_message(why, round.instance(work).message);
    if (entered) round.note("instance_died", work, why);
  } else if (work.instance == nothing) {
    why = round.node(work).reason.starts_with(our_reason) ? round.node(work).reason.substr(our_reason.size())
                                                          : "it is DOWN and has no machine";
  } else if (work.facts.guest == Guest::failed) {
    why = with_message("the agent on " + instance_name(round, work) + " gave up", round.instance(work).message);
  } else if (work.facts.guest == Guest::silent) {
    why = "neither Slurm nor we hear " + instance_name(round, work);
  } else {
    why = "slurmd on " + instance_name(round, work) + " does not come back";
  }
  memory.held = is_hold(round.node(work).reason) && work.instance == nothing;  // it is on its way back
  if (entered && !memory.recovering && !memory.held) {
    round.note("node_down", work, name_of(round, work) + " is taken out: " + why);
  }
  memory.recovering = !memory.held;
  memory.last_failure = why;
  const std::string reason = std::string(our_reason) + why;
  const bool asked = round.node(work).slurm.has(model::node_power_down_requested);
  const TimePoint patience_ends = memory.since + round.spec.update_patience;
  if (asked && !work.facts.busy && round.now < patience_ends) {
    round.due(patience_ends);  // Slurm is about to power it down by itself
    return;
  }
  if (work.facts.health != Health::down) {
    round.tell(work, Tell::down, reason);
  } else if (!asked || work.facts.power == Power::powering_up) {
    // Asked before it was DOWN, POWER_DOWN waits for a boot that doesn't come.
    round.tell(work, Tell::power_down);
  }
}

void on_left(Round& round, Work& work) {
  NodeMemory& memory = *work.memory;
  const PoolIndex pool = round.node(work).pool;
  const bool to_be_used = round.pools[pool].resuming++ < round.memory.pools[pool].spare;
  if (!round.tell(work, Tell::resume)) return;
  const bool recovered = memory.recovering;
  // Slurm must not pick it for what it was just given back for.
  if (round.memory.pools[pool].held && !to_be_used) {
    round.tells_of(Tell::hold_resumed, hold_reason(round, pool), true).nodes.push_back(round.node(work).name);
  }
  if (!memory.held) {
    round.note(recovered ? "node_recovered" : "node_asleep", work,
               name_of(round, work) + (recovered ? " is usable again: its machine is gone and it sleeps"
                                                 : " sleeps: its machine is gone"));
  }
  memory.held = false;
  memory.recovering = false;
  memory.bound = InstanceId();
}

void on_ghost(Round& round, Work& work) {
  const bool hopeless = work.facts.health == Health::down;
  const TimePoint at = work.memory->since + round.spec.ghost_grace;
  if (!hopeless && (work.facts.busy || round.now < at)) {
    round.due(at);
    return;
  }
  round.terminate(
      work.instance, "instance_terminated",
      hopeless ? name_of(round, work) + " failed to resume in time" : name_of(round, work) + " is powered down");
}

void on_failed(Round& round, Work& work, bool entered) {
  NodeMemory& memory = *work.memory;
  const std::string& reason = round.node(work).reason;
  memory.held = is_hold(reason);
  memory.recovering = !memory.held;
  if (entered && !memory.held)
    round.note("node_down", work, with_message(name_of(round, work) + " is DOWN in Slurm", reason));
  if (round.node(work).slurm.has(model::node_power_down_requested)) return;
  // A usable node of a pool that gets no machines would only be picked again for the same failure.
  if (round.memory.pools[round.node(work).pool].held && !is_to_be_usable(round, work)) return;
  round.tell(work, Tell::power_down);
}

void act(Round& round, uint32_t w) {
  Work& work = round.works[w];
  NodeMemory& memory = *work.memory;
  // What is held now is taken up again where it was: nothing changed that we know of.
  if (work.situation == Situation::held) return;
  const bool fresh = work.before == 0;
  const bool entered = work.before != static_cast<uint8_t>(work.situation);
  if (entered) {
    memory.since = round.now;
    memory.told_at = TimePoint{};
  }
  switch (work.situation) {
    case Situation::not_ours:
    case Situation::asleep:
    case Situation::held:
      break;
    case Situation::set_aside:
      if (entered)
        round.note("node_set_aside", work,
                   name_of(round, work) + " was set DOWN by hand and is left alone: " + round.node(work).reason);
      break;
    case Situation::wanted:
      on_wanted(round, w, entered);
      break;
    case Situation::booting:
      if (fresh) {
        round.note("node_adopted", work, instance_name(round, work) + " already boots as " + name_of(round, work));
      }
      if (work.evicting) {  // it would be taken at once
        if (!round.terminate(work.instance, "instance_terminated", "its provider takes it before it was of use")) break;
        want_anew(round, w);
        break;
      }
      on_booting(round, work);
      break;
    case Situation::overdue: {
      const std::string why = why_overdue(round, work);
      if (!round.terminate(work.instance, "instance_terminated", why)) break;
      boot_failed(round, work, why);
      want_anew(round, w);
      break;
    }
    case Situation::stuck:
      restart_slurmd(round, work, "slurmd runs but slurmctld doesn't count it as registered: restarted");
      break;
    case Situation::serving:
    case Situation::idle_kept:
      on_up(round, work, entered);
      break;
    case Situation::reclaimable:
      on_up(round, work, entered);
      if (entered) {
        const TimePoint idle = std::max(round.node(work).last_busy, memory.up_since);
        const std::string why =
            work.evicting ? "its provider takes its machine anyway" : "idle for " + seconds_since(idle, round.now);
        round.note("node_reclaimed", work, name_of(round, work) + " is taken back: " + why);
      }
      if (!round.node(work).slurm.has(model::node_power_down_requested)) round.tell(work, Tell::power_down);
      break;
    case Situation::ailing:
      if (entered)
        round.note("node_ailing", work,
                   name_of(round, work) + " is unwell in Slurm's eyes, its agent isn't lost: waiting");
      if (work.facts.age == Age::late && work.facts.health == Health::down && work.facts.guest == Guest::serving) {
        restart_slurmd(round, work, "DOWN in Slurm while its agent serves: slurmd restarted");
      }
      break;
    case Situation::unbacked:
    case Situation::broken:
      on_lost(round, work, entered);
      break;
    case Situation::leaving:
      round.departing.push_back(w);
      break;
    case Situation::left:
      on_left(round, work);
      break;
    case Situation::ghost:
      on_ghost(round, work);
      break;
    case Situation::failed:
      on_failed(round, work, entered);
      break;
  }
  if (entered) memory.situation = static_cast<uint8_t>(work.situation);
}

// Nodes that power down one after another have their machines terminated together.
void let_depart(Round& round) {
  if (round.departing.empty()) return;
  const model::LaunchWindow& window = round.spec.launch_window;
  TimePoint first = TimePoint::max();
  TimePoint last{};
  for (const uint32_t w : round.departing) {
    if (round.seats[round.works[w].instance].doomed) continue;
    first = std::min(first, round.works[w].memory->since);
    last = std::max(last, round.works[w].memory->since);
  }
  const TimePoint over = last == TimePoint{} ? round.now : std::min(last + window.quiet, first + window.longest);
  round.due(over);
  for (const uint32_t w : round.departing) {
    const Work& work = round.works[w];
    if (round.now < over && !round.seats[work.instance].doomed) continue;
    round.terminate(work.instance, "instance_terminated", name_of(round, work) + " powers down");
  }
}

}  // namespace

void act_on_nodes(Round& round) {
  for (Work& work : round.works) {
    const NodeView& node = round.node(work);
    const bool freed = node.slurm.has(model::node_power_down_requested) && is_hold(node.reason);
    if (work.situation == Situation::left || freed) ++round.pool(work).usable;
  }
  for (uint32_t w = 0; w < round.works.size(); ++w) act(round, w);
  let_depart(round);
}

}  // namespace slipway::engine
