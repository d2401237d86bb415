// Reduces what is known of each node that isn't asleep to Facts.
#include <algorithm>
#include <array>

#include "engine/round.h"

namespace slipway::engine {
namespace {

using model::InstanceState;

// Reasons that slurmctld itself gives to DOWN nodes.
constexpr std::array<std::string_view, 6> slurms_reasons = {
    "Not responding", "ResumeTimeout reached",     "Node unexpectedly rebooted", "Low ",
    "gres/",          "batch job complete failure"};

bool set_aside_by_somebody(const NodeView& node) {
  if (node.reason.empty()) return false;
  // A sleeping node never responds; one that should says more by not responding than by a reason.
  if (node.slurm.has(model::node_not_responding) && power_of(node.slurm) != Power::down) return false;
  const std::string_view reason = node.reason;
  if (reason.starts_with(our_reason)) return false;
  return std::none_of(slurms_reasons.begin(), slurms_reasons.end(),
                      [&](std::string_view known) { return reason.starts_with(known); });
}

// A node without an instance in the listing: is there none, is it gone, or can't we know yet?
Machine absent_machine(Round& round, Work& work) {
  const View& view = round.view;
  NodeMemory& memory = *work.memory;
  if (!view.instances_complete) return Machine::unknown;
  if (!memory.bound.empty()) {
    const bool proven =
        view.instances_as_of > memory.seen_at && view.instances_as_of >= memory.seen_at + round.spec.consistency_delay;
    if (!proven) {
      round.due(memory.seen_at + round.spec.consistency_delay);
      return Machine::unknown;
    }
    return Machine::gone;
  }
  if (round.spec.consistency_delay > Duration::zero() &&
      view.instances_as_of < round.memory.first_round + round.spec.consistency_delay) {
    round.due(round.memory.first_round + round.spec.consistency_delay);
    return Machine::unknown;
  }
  if (round.pool(work).unheard) {
    round.due(round.memory.first_round + round.spec.settle);
    return Machine::unknown;
  }
  return Machine::none;
}

Machine present_machine(const Round& round, const Work& work) {
  switch (round.instance(work).state) {
    case InstanceState::pending:
    case InstanceState::running:
      return round.seats[work.instance].doomed ? Machine::leaving : Machine::alive;
    case InstanceState::stopping:
      return Machine::leaving;
    case InstanceState::gone:
      break;
  }
  return Machine::gone;
}

Guest guest_of(Round& round, const Work& work) {
  const InstanceView& instance = round.instance(work);
  switch (instance.agent) {
    case AgentState::none: {
      const TimePoint lost_at = std::max(round.memory.first_round, work.memory->bound_at) + round.spec.agent_silence;
      if (round.now > lost_at) return Guest::silent;
      round.due(lost_at + Duration(1));
      return Guest::booting;
    }
    case AgentState::silent: {
      const TimePoint lost_at = instance.agent_since + round.spec.reconnect_patience;
      if (round.now > lost_at) return Guest::silent;
      round.due(lost_at + Duration(1));
      return Guest::booting;
    }
    case AgentState::serving:
      return Guest::serving;
    case AgentState::failed:
      return Guest::failed;
    case AgentState::preparing:
    case AgentState::waiting:
    case AgentState::starting:
      break;
  }
  return Guest::booting;
}

Age age_while_powering_up(Round& round, const Work& work) {
  const NodeMemory& memory = *work.memory;
  const Spec::Pool& pool = round.spec.pools[round.node(work).pool];
  // Nothing registers with a slurmctld that is away.
  const TimePoint begun = std::max({memory.bound_at, memory.wanted_since, round.view.slurm_since});
  const Duration patience = pool.register_timeout > Duration::zero() ? pool.register_timeout : Duration(60'000);
  const TimePoint overdue_at = begun + patience + round.crowd();
  if (round.now >= overdue_at) return Age::overdue;
  round.due(overdue_at);
  if (work.facts.guest != Guest::serving) return Age::young;
  // slurmctld knows this very slurmd and still waits for the boot: it took the registration for one from before the
  // resume (its arithmetic with whole seconds errs on a quick boot) and will not hear another.
  const auto started = std::chrono::floor<std::chrono::seconds>(round.instance(work).slurmd_started);
  if (started != TimePoint{} && round.node(work).slurmd_started >= started) return Age::late;
  // What Slurm says must be younger than slurmd by the patience, or its registration may just not have been seen.
  const TimePoint late_at = std::max(begun, round.instance(work).agent_since) + round.spec.stuck_after + round.crowd();
  if (round.view.slurm_as_of >= late_at) return Age::late;
  round.due(late_at);
  return Age::young;
}

Age age_while_unwell(Round& round, const Work& work) {
  const TimePoint late_at = work.memory->unwell_since + round.spec.restart_every;
  const TimePoint overdue_at = work.memory->unwell_since + round.spec.agent_silence;
  if (round.now >= overdue_at) return Age::overdue;
  round.due(overdue_at);
  if (round.now >= late_at) return Age::late;
  round.due(late_at);
  return Age::young;
}

void remember_binding(Round& round, Work& work) {
  NodeMemory& memory = *work.memory;
  if (work.instance == nothing) return;
  const InstanceView& instance = round.instance(work);
  if (memory.bound != instance.id) {
    memory.bound = instance.id;
    memory.bound_at = round.now;
  }
  memory.seen_at = round.view.instances_as_of;
  memory.instance_hint = work.instance;
}

void follow_power(Round& round, Work& work) {
  NodeMemory& memory = *work.memory;
  const auto power = static_cast<uint8_t>(work.facts.power);
  if (memory.power == power) return;
  const bool seen_before = memory.power != 255;
  memory.power = power;
  if (work.facts.power == Power::powering_up) {
    memory.wanted_since = round.now;
    memory.asked = false;
    memory.boots_failed = 0;
    // slurmctld ignores the registration of a slurmd that started before the resume; it must start anew.
    if (seen_before && work.instance != nothing && is_live(round.instance(work)) &&
        !round.seats[work.instance].doomed && round.instance(work).slurmd_started != TimePoint{}) {
      memory.restarted_at = round.now;
      round.plan.restarts.push_back({round.node(work).name, round.instance(work).id, round.instance(work).address});
      round.note("node_stuck", work,
                 "woken again while its machine still runs: slurmd is restarted so that Slurm heeds it");
    }
  }
  if (work.facts.power == Power::up) memory.up_since = round.now;
  if (work.facts.power == Power::down || work.facts.power == Power::powering_down) memory.surplus = false;
}

}  // namespace

void gather_facts(Round& round) {
  for (Work& work : round.works) {
    const NodeView& node = round.node(work);
    remember_binding(round, work);
    follow_power(round, work);
    Facts& facts = work.facts;
    NodeMemory& memory = *work.memory;
    facts.busy = node.busy || node.slurm.base == model::NodeBase::allocated ||
                 node.slurm.base == model::NodeBase::mixed || node.slurm.has(model::node_completing);
    facts.machine = work.instance == nothing ? absent_machine(round, work) : present_machine(round, work);
    facts.guest = Guest::absent;
    if (facts.machine == Machine::alive || facts.machine == Machine::leaving) facts.guest = guest_of(round, work);
    const bool unseen = facts.machine == Machine::unknown && !memory.bound.empty();
    if (unseen && memory.evicting_since != TimePoint{})
      round.evicting_unseen.push_back(static_cast<uint32_t>(&work - round.works.data()));
    const bool settled = facts.power == Power::up || facts.power == Power::down;
    facts.set_aside = settled && facts.health == Health::down && set_aside_by_somebody(node);
    if (facts.power != Power::up || facts.health == Health::good) {
      memory.unwell_since = TimePoint{};
    } else if (memory.unwell_since == TimePoint{}) {
      memory.unwell_since = round.now;
    }
    if (facts.power == Power::powering_up) {
      round.pool(work).coming_up += facts.health == Health::down ? 0 : 1;
      if (facts.machine == Machine::alive) facts.age = age_while_powering_up(round, work);
      if (facts.machine == Machine::unknown) ++round.pool(work).maybe_wanted;
    } else if (memory.unwell_since != TimePoint{}) {
      facts.age = age_while_unwell(round, work);
    }
    const bool usable = facts.health == Health::good && !node.slurm.has(model::node_drain) &&
                        !node.slurm.has(model::node_power_down_requested);
    if (facts.power == Power::up && usable) ++round.pool(work).up;
    if (facts.busy && (facts.power == Power::up || facts.power == Power::powering_up)) ++round.pool(work).busy;
    if (facts.busy && facts.power == Power::up) memory.surplus = false;
  }
}

}  // namespace slipway::engine
