#include "engine/situation.h"

namespace slipway::engine {
namespace {

using model::NodeBase;

Situation while_down(const Facts& facts) {
  switch (facts.machine) {
    case Machine::unknown:
      return Situation::held;
    case Machine::alive:
    case Machine::leaving:
      return Situation::ghost;
    case Machine::none:
    case Machine::gone:
      break;
  }
  if (facts.health != Health::down) return Situation::asleep;
  return facts.set_aside ? Situation::set_aside : Situation::failed;
}

Situation while_powering_up(const Facts& facts) {
  if (facts.machine == Machine::unknown) return Situation::held;
  if (facts.health == Health::down)
    return Situation::broken;  // POWERING_UP outlives State=DOWN; only POWER_DOWN ends it
  if (facts.machine != Machine::alive) return Situation::wanted;
  switch (facts.guest) {
    case Guest::failed:
    case Guest::silent:
      return Situation::overdue;
    case Guest::serving:
      if (facts.age == Age::young) return Situation::booting;
      return facts.age == Age::late ? Situation::stuck : Situation::overdue;
    case Guest::absent:
    case Guest::booting:
      break;
  }
  return facts.age == Age::overdue ? Situation::overdue : Situation::booting;
}

// Up, the instance alive, and Slurm has no complaint or can't hear it.
Situation while_up_and_alive(const Facts& facts) {
  const bool lost = facts.guest == Guest::failed || facts.guest == Guest::silent;
  if (facts.health == Health::down) {
    if (lost) return Situation::broken;
    if (facts.set_aside) return Situation::set_aside;
    return facts.age == Age::overdue ? Situation::broken : Situation::ailing;
  }
  if (facts.health == Health::not_responding) {
    if (lost) return Situation::broken;
    if (facts.guest != Guest::serving) return facts.age == Age::overdue ? Situation::broken : Situation::ailing;
  }
  if (facts.busy) return Situation::serving;
  if (facts.guest == Guest::failed) return Situation::broken;
  return facts.intent == Intent::reclaim ? Situation::reclaimable : Situation::idle_kept;
}

Situation while_up(const Facts& facts) {
  switch (facts.machine) {
    case Machine::unknown:
      return Situation::held;
    case Machine::alive:
      return while_up_and_alive(facts);
    case Machine::none:
    case Machine::gone:
      return facts.health == Health::down ? Situation::broken : Situation::unbacked;
    case Machine::leaving:
      break;
  }
  if (facts.health == Health::down) return Situation::broken;
  // A job may use the last seconds of a machine that is being taken away.
  if (facts.busy && facts.health == Health::good) return Situation::serving;
  return Situation::unbacked;
}

Situation while_powering_down(const Facts& facts) {
  switch (facts.machine) {
    case Machine::unknown:
      return Situation::held;
    case Machine::alive:
    case Machine::leaving:
      return Situation::leaving;
    case Machine::none:
    case Machine::gone:
      break;
  }
  return Situation::left;
}

}  // namespace

Situation classify(const Facts& facts) {
  switch (facts.power) {
    case Power::down:
      return while_down(facts);
    case Power::powering_up:
      return while_powering_up(facts);
    case Power::up:
      return while_up(facts);
    case Power::powering_down:
      return while_powering_down(facts);
  }
  return Situation::held;
}

std::string_view to_string(Situation situation) {
  switch (situation) {
    case Situation::not_ours:
      return "not_ours";
    case Situation::asleep:
      return "asleep";
    case Situation::wanted:
      return "wanted";
    case Situation::booting:
      return "booting";
    case Situation::overdue:
      return "overdue";
    case Situation::stuck:
      return "stuck";
    case Situation::serving:
      return "serving";
    case Situation::idle_kept:
      return "idle_kept";
    case Situation::reclaimable:
      return "reclaimable";
    case Situation::unbacked:
      return "unbacked";
    case Situation::broken:
      return "broken";
    case Situation::leaving:
      return "leaving";
    case Situation::left:
      return "left";
    case Situation::ghost:
      return "ghost";
    case Situation::failed:
      return "failed";
    case Situation::held:
      return "held";
    case Situation::ailing:
      return "ailing";
    case Situation::set_aside:
      return "set_aside";
  }
  return "held";
}

}  // namespace slipway::engine
