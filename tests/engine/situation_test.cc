#include "engine/situation.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace slipway::engine {
namespace {

using model::NodeBase;
using model::SlurmNodeState;

constexpr Power powers[] = {Power::down, Power::powering_up, Power::up, Power::powering_down};
constexpr Health healths[] = {Health::good, Health::not_responding, Health::down};
constexpr Machine machines[] = {Machine::none, Machine::unknown, Machine::alive, Machine::leaving, Machine::gone};
constexpr Guest guests[] = {Guest::absent, Guest::booting, Guest::serving, Guest::failed, Guest::silent};
constexpr Age ages[] = {Age::young, Age::late, Age::overdue};
constexpr Intent intents[] = {Intent::none, Intent::reclaim};

std::vector<Facts> every_combination() {
  std::vector<Facts> all;
  for (const Power power : powers) {
    for (const Health health : healths) {
      for (const Machine machine : machines) {
        for (const Guest guest : guests) {
          for (const Age age : ages) {
            for (const Intent intent : intents) {
              for (const bool busy : {false, true}) {
                for (const bool set_aside : {false, true}) {
                  all.push_back({power, health, machine, guest, age, intent, busy, set_aside});
                }
              }
            }
          }
        }
      }
    }
  }
  return all;
}

std::string describe(const Facts& f) {
  return "power " + std::to_string(static_cast<int>(f.power)) + " health " +
         std::to_string(static_cast<int>(f.health)) + " machine " + std::to_string(static_cast<int>(f.machine)) +
         " guest " + std::to_string(static_cast<int>(f.guest)) + " age " + std::to_string(static_cast<int>(f.age)) +
         " intent " + std::to_string(static_cast<int>(f.intent)) + (f.busy ? " busy" : "") +
         (f.set_aside ? " set_aside" : "");
}

bool exists(const Facts& f) {
  return f.machine == Machine::alive || f.machine == Machine::leaving;
}

TEST(Classify, EveryCombinationKeepsTheRules) {
  std::set<Situation> reached;
  const std::vector<Facts> all = every_combination();
  ASSERT_EQ(all.size(), 4u * 3 * 5 * 5 * 3 * 2 * 2 * 2);
  for (const Facts& f : all) {
    const Situation s = classify(f);
    reached.insert(s);
    SCOPED_TRACE(describe(f) + " -> " + std::string(to_string(s)));
    // What is unknown is left alone, and only that.
    ASSERT_EQ(s == Situation::held, f.machine == Machine::unknown);
    ASSERT_NE(s, Situation::not_ours);
    // Each situation belongs to its power phases.
    switch (s) {
      case Situation::asleep:
      case Situation::failed:
        ASSERT_EQ(f.power, Power::down);
        ASSERT_FALSE(exists(f));
        ASSERT_EQ(s == Situation::failed, f.health == Health::down);
        break;
      case Situation::ghost:
        ASSERT_EQ(f.power, Power::down);
        ASSERT_TRUE(exists(f));
        break;
      case Situation::wanted:
        ASSERT_EQ(f.power, Power::powering_up);
        ASSERT_NE(f.machine, Machine::alive);
        ASSERT_NE(f.health, Health::down);
        break;
      case Situation::booting:
      case Situation::overdue:
      case Situation::stuck:
        ASSERT_EQ(f.power, Power::powering_up);
        ASSERT_EQ(f.machine, Machine::alive);
        break;
      case Situation::serving:
        ASSERT_EQ(f.power, Power::up);
        ASSERT_TRUE(f.busy);
        ASSERT_TRUE(exists(f));
        ASSERT_NE(f.health, Health::down);
        break;
      case Situation::idle_kept:
      case Situation::reclaimable:
        ASSERT_EQ(f.power, Power::up);
        ASSERT_FALSE(f.busy);
        ASSERT_EQ(f.machine, Machine::alive);
        ASSERT_NE(f.health, Health::down);
        ASSERT_EQ(s == Situation::reclaimable, f.intent == Intent::reclaim);
        break;
      case Situation::unbacked:
        ASSERT_EQ(f.power, Power::up);
        ASSERT_NE(f.machine, Machine::alive);
        ASSERT_NE(f.health, Health::down);
        break;
      case Situation::broken:
        ASSERT_TRUE(f.power == Power::up || f.power == Power::powering_up);
        // Never taken from a job that Slurm thinks well of.
        ASSERT_FALSE(f.power == Power::up && f.busy && f.health == Health::good);
        break;
      case Situation::leaving:
        ASSERT_EQ(f.power, Power::powering_down);
        ASSERT_TRUE(exists(f));
        break;
      case Situation::left:
        ASSERT_EQ(f.power, Power::powering_down);
        ASSERT_FALSE(exists(f));
        break;
      case Situation::ailing:
        ASSERT_EQ(f.power, Power::up);
        ASSERT_NE(f.health, Health::good);
        ASSERT_EQ(f.machine, Machine::alive);
        break;
      case Situation::set_aside:
        ASSERT_TRUE(f.set_aside);
        ASSERT_EQ(f.health, Health::down);
        break;
      case Situation::held:
      case Situation::not_ours:
        break;
    }
    // A node that powers down never keeps its machine, one that is powered up never loses a good one.
    if (f.power == Power::powering_down && exists(f)) {
      ASSERT_EQ(s, Situation::leaving);
    }
    if (f.power == Power::up && f.busy && f.health == Health::good && f.machine == Machine::alive) {
      ASSERT_EQ(s, Situation::serving);
    }
    // Whether there is none or it is gone makes no difference.
    if (f.machine == Machine::gone) {
      Facts none = f;
      none.machine = Machine::none;
      ASSERT_EQ(s, classify(none));
    }
  }
  EXPECT_EQ(reached.size(), situation_count - 1) << "a situation is never reached";
}

struct Row {
  Facts facts;
  Situation expected;
};

TEST(Classify, TheImportantRows) {
  using P = Power;
  using H = Health;
  using M = Machine;
  using G = Guest;
  using S = Situation;
  const Row rows[] = {
      {{P::down, H::good, M::none}, S::asleep},
      {{P::down, H::not_responding, M::none}, S::asleep},
      {{P::down, H::good, M::alive, G::serving}, S::ghost},
      {{P::down, H::down, M::none}, S::failed},
      {{P::down, H::down, M::alive, G::booting}, S::ghost},
      {{P::down, H::good, M::unknown}, S::held},
      {{P::powering_up, H::not_responding, M::none}, S::wanted},
      {{P::powering_up, H::not_responding, M::gone}, S::wanted},
      {{P::powering_up, H::not_responding, M::leaving, G::serving}, S::wanted},
      {{P::powering_up, H::not_responding, M::unknown}, S::held},
      {{P::powering_up, H::not_responding, M::alive, G::booting}, S::booting},
      {{P::powering_up, H::not_responding, M::alive, G::booting, Age::overdue}, S::overdue},
      {{P::powering_up, H::not_responding, M::alive, G::serving}, S::booting},
      {{P::powering_up, H::not_responding, M::alive, G::serving, Age::late}, S::stuck},
      {{P::powering_up, H::not_responding, M::alive, G::serving, Age::overdue}, S::overdue},
      {{P::powering_up, H::not_responding, M::alive, G::failed}, S::overdue},
      {{P::powering_up, H::not_responding, M::alive, G::silent}, S::overdue},
      {{P::powering_up, H::down, M::none}, S::broken},
      {{P::powering_up, H::down, M::alive, G::serving}, S::broken},
      {{P::up, H::good, M::alive, G::serving, Age::young, Intent::none, true}, S::serving},
      {{P::up, H::good, M::alive, G::silent, Age::young, Intent::none, true}, S::serving},
      {{P::up, H::good, M::alive, G::failed, Age::young, Intent::none, true}, S::serving},
      {{P::up, H::good, M::alive, G::failed}, S::broken},
      {{P::up, H::good, M::alive, G::serving}, S::idle_kept},
      {{P::up, H::good, M::alive, G::serving, Age::young, Intent::reclaim}, S::reclaimable},
      {{P::up, H::good, M::alive, G::serving, Age::young, Intent::reclaim, true}, S::serving},
      {{P::up, H::good, M::none}, S::unbacked},
      {{P::up, H::good, M::gone, G::absent, Age::young, Intent::none, true}, S::unbacked},
      {{P::up, H::good, M::leaving, G::serving, Age::young, Intent::none, true}, S::serving},
      {{P::up, H::good, M::leaving, G::serving}, S::unbacked},
      {{P::up, H::not_responding, M::alive, G::silent, Age::young, Intent::none, true}, S::broken},
      {{P::up, H::not_responding, M::alive, G::serving, Age::young, Intent::none, true}, S::serving},
      {{P::up, H::not_responding, M::alive, G::booting, Age::young, Intent::none, true}, S::ailing},
      {{P::up, H::down, M::none}, S::broken},
      {{P::up, H::down, M::alive, G::silent}, S::broken},
      {{P::up, H::down, M::alive, G::serving}, S::ailing},
      {{P::up, H::down, M::alive, G::serving, Age::overdue}, S::broken},
      {{P::up, H::down, M::alive, G::serving, Age::overdue, Intent::none, false, true}, S::set_aside},
      {{P::up, H::down, M::alive, G::silent, Age::young, Intent::none, false, true}, S::broken},
      {{P::powering_down, H::good, M::alive, G::serving}, S::leaving},
      {{P::powering_down, H::good, M::leaving, G::silent}, S::leaving},
      {{P::powering_down, H::down, M::none}, S::left},
      {{P::powering_down, H::good, M::gone}, S::left},
      {{P::powering_down, H::good, M::unknown}, S::held},
  };
  for (const Row& row : rows) EXPECT_EQ(to_string(classify(row.facts)), to_string(row.expected)) << describe(row.facts);
}

TEST(Reduce, EveryFlagCombination) {
  const NodeBase bases[] = {NodeBase::unknown,   NodeBase::down,  NodeBase::error, NodeBase::idle,
                            NodeBase::allocated, NodeBase::mixed, NodeBase::future};
  size_t seen[4] = {};
  for (const NodeBase base : bases) {
    for (uint32_t flags = 0; flags < (1u << model::node_flag_count); ++flags) {
      const SlurmNodeState state{base, flags};
      const Power power = power_of(state);
      ++seen[static_cast<size_t>(power)];
      if (base == NodeBase::future) {
        ASSERT_EQ(power, Power::down);
      } else if (state.has(model::node_powering_down)) {
        ASSERT_EQ(power, Power::powering_down);
      } else if (state.has(model::node_powering_up)) {
        ASSERT_EQ(power, Power::powering_up);
      } else if (state.has(model::node_powered_down)) {
        const bool promised = base == NodeBase::allocated || base == NodeBase::mixed;  // to a job: about to be woken
        ASSERT_EQ(power, promised ? Power::powering_up : Power::down);
      } else {
        ASSERT_EQ(power, Power::up);
      }
      const Health health = health_of(state);
      const bool down = base == NodeBase::down || base == NodeBase::error || state.has(model::node_fail) ||
                        state.has(model::node_invalid_reg);
      ASSERT_EQ(health == Health::down, down);
      if (!down) {
        ASSERT_EQ(health == Health::good, base != NodeBase::unknown && !state.has(model::node_not_responding));
      }
    }
  }
  for (const size_t count : seen) EXPECT_GT(count, 0u);
}

TEST(Reduce, WhatSlurmReallyShows) {
  const auto state = [](NodeBase base, uint32_t flags) { return SlurmNodeState{base, flags | model::node_cloud}; };
  EXPECT_EQ(power_of(state(NodeBase::idle, model::node_powered_down)), Power::down);
  EXPECT_EQ(power_of(state(NodeBase::idle, model::node_power_up_requested | model::node_powered_down)), Power::down);
  EXPECT_EQ(power_of(state(NodeBase::allocated, model::node_powering_up | model::node_not_responding)),
            Power::powering_up);
  EXPECT_EQ(power_of(state(NodeBase::idle, model::node_power_down_requested)), Power::up);
  EXPECT_EQ(power_of(state(NodeBase::idle, model::node_powering_down)), Power::powering_down);
  EXPECT_EQ(health_of(state(NodeBase::down, model::node_powered_down | model::node_not_responding)), Health::down);
}

TEST(Names, AreAllDifferent) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < situation_count; ++i) names.insert(to_string(static_cast<Situation>(i)));
  EXPECT_EQ(names.size(), situation_count);
}

}  // namespace
}  // namespace slipway::engine
