#include "engine/decide.h"

#include <algorithm>

#include "engine/budget.h"
#include "engine/round.h"

namespace slipway::engine {
namespace {

// Nodes that sleep, or that Slurm no longer knows, cost no memory.
void forget_sleepers(Round& round) {
  for (Work& work : round.works) {
    if (work.situation != Situation::asleep) continue;
    round.memory.hints.entries[work.node] = nullptr;
    round.memory.nodes.erase(round.node(work).name);
  }
  if (round.memory.nodes.size() <= round.works.size()) return;
  std::erase_if(round.memory.nodes, [&](const auto& entry) {
    const NodeMemory& memory = entry.second;
    if (memory.round == round.memory.round) return false;
    return memory.power_up_told_at == TimePoint{} || round.now >= memory.power_up_told_at + round.spec.update_patience;
  });
}

// A reason of its own for each of many nodes would be an update of its own for each: above this they share one.
constexpr size_t down_reasons_max = 16;

void order_tells(Plan& plan) {
  std::vector<TellSlurm> ordered;
  size_t down = 0;
  for (const TellSlurm& tell : plan.tells) down += tell.what == Tell::down ? 1 : 0;
  for (const Tell what :
       {Tell::hold, Tell::down, Tell::power_down, Tell::power_up, Tell::resume, Tell::hold_resumed, Tell::drain}) {
    const bool merge = what == Tell::down && down > down_reasons_max;
    if (merge) {
      ordered.push_back(
          {.what = what,
           .reason = std::string(our_reason) + "lost with many others at once; `slipway explain` has the reason"});
    }
    for (TellSlurm& tell : plan.tells) {
      if (tell.what != what) continue;
      if (merge) {
        std::move(tell.nodes.begin(), tell.nodes.end(), std::back_inserter(ordered.back().nodes));
      } else {
        ordered.push_back(std::move(tell));
      }
    }
  }
  plan.tells = std::move(ordered);
}

}  // namespace

uint32_t Round::find_instance(const InstanceId& id, uint32_t hint) {
  if (hint < view.instances.size() && view.instances[hint].id == id) return hint;
  if (by_id.empty()) {
    by_id.reserve(view.instances.size());
    for (uint32_t i = 0; i < view.instances.size(); ++i) by_id.emplace(view.instances[i].id.str(), i);
  }
  const auto it = by_id.find(id.str());
  return it == by_id.end() ? nothing : it->second;
}

void Round::note(std::string_view kind, const Work& work, std::string message) {
  Note& note = plan.notes.emplace_back();
  note.kind = kind;
  note.pool = node(work).pool;
  note.node = node(work).name;
  note.instance = work.instance == nothing ? work.memory->bound : instance(work).id;
  note.job = work.job;
  note.message = std::move(message);
}

void Round::note_instance(std::string_view kind, uint32_t index, std::string message) {
  const InstanceView& subject = view.instances[index];
  Note& note = plan.notes.emplace_back();
  note.kind = kind;
  note.pool = subject.pool;
  note.node = subject.bound;
  note.instance = subject.id;
  note.message = std::move(message);
}

bool Round::terminate(uint32_t index, std::string_view kind, std::string reason) {
  const InstanceView& subject = view.instances[index];
  if (subject.state == model::InstanceState::gone) return true;
  Seat& seat = seats[index];
  if (seat.memory == nullptr) seat.memory = &memory.instances[subject.id];
  InstanceMemory& remembered = *seat.memory;
  remembered.place = index;
  const bool first = remembered.terminate_at == TimePoint{};
  // The provider is already at it when it says `stopping`: remind it, but seldom.
  const auto patience = [&] {
    const Duration longest = 12 * spec.update_patience;
    return is_live(subject) ? pause_after(remembered.asked, spec.update_patience, longest) : longest;
  };
  if (!first && now < remembered.terminate_at + patience()) {
    due(remembered.terminate_at + patience());
    return true;
  }
  if (!may_call(subject.pool)) return !first;
  ++remembered.asked;
  remembered.terminate_at = now;
  due(now + patience());
  if (first) {
    remembered.reason = std::move(reason);
    if (is_live(subject) && known_pool(subject.pool)) --pools[subject.pool].live;
    note_instance(kind, index, subject.id.str() + " is terminated: " + remembered.reason);
  }
  seat.doomed = true;
  plan.terminations.push_back({subject.id, remembered.reason});
  return true;
}

// All terminations of a round are one call.
bool Round::may_call(PoolIndex pool) {
  const uint32_t account = known_pool(pool) ? spec.pools[pool].account : 0;
  if (may_terminate.size() <= account) may_terminate.resize(account + 1, -1);
  int8_t& known = may_terminate[account];
  if (known < 0) known = take_action(memory, spec, account, now) ? 1 : 0;
  if (known == 0) due(next_call(memory, spec, account, now));
  return known == 1;
}

TellSlurm& Round::tells_of(Tell what, std::string_view reason, bool jobs_may_restart) {
  std::string key{static_cast<char>(what), jobs_may_restart ? '+' : '-'};
  key += reason;
  const auto [it, added] = tell_index.try_emplace(std::move(key), plan.tells.size());
  if (added) plan.tells.push_back({.what = what, .reason = std::string(reason), .jobs_may_restart = jobs_may_restart});
  return plan.tells[it->second];
}

bool Round::tell(Work& work, Tell what, std::string_view reason) {
  NodeMemory& remembered = *work.memory;
  const TimePoint again = remembered.told_at + spec.update_patience;
  if (remembered.told_at != TimePoint{} && now < again) {
    due(again);
    return false;
  }
  remembered.told_at = now;
  due(now + spec.update_patience);
  const bool verifiably_gone = work.facts.machine == Machine::none || work.facts.machine == Machine::gone;
  tells_of(what, reason, what == Tell::down && verifiably_gone).nodes.push_back(node(work).name);
  // A node that is only DOWN stays POWERING_UP or up for ever; what Slurm does with POWER_DOWN alone waits for its
  // jobs.
  if (what == Tell::down) tells_of(Tell::power_down, {}, false).nodes.push_back(node(work).name);
  return true;
}

Plan decide(const View& view, const Spec& spec, Memory& memory, TimePoint now) {
  Plan plan;
  plan.situations.assign(view.nodes.size(), Situation::held);
  if (memory.first_round == TimePoint{}) memory.first_round = now;
  fit_memory(memory, spec);
  start_budgets(memory, spec, now);
  ++memory.round;
  if (!view.slurm_known || view.nodes.empty()) {
    for (size_t i = 0; i < view.nodes.size(); ++i) {
      if (view.nodes[i].pool >= spec.pools.size()) plan.situations[i] = Situation::not_ours;
    }
    return plan;
  }
  Round round(view, spec, memory, now, plan);
  join_both_ends(round);
  gather_facts(round);
  heed_evictions(round);
  choose_reclaims(round);
  settle_launches(round);
  open_pools(round);
  act_on_nodes(round);
  sort_unbound(round);
  hold_short_pools(round);
  bind_and_launch(round);
  keep_warm(round);
  tell_jobs(round);
  forget_sleepers(round);
  order_tells(plan);
  return plan;
}

}  // namespace slipway::engine
