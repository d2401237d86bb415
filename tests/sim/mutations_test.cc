// Deliberate bugs of the engine, each put in on the seam between daemon and engine: the invariants must find every one
// within so many seeds. A simulator that finds none of them would prove nothing.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "sim/swarm.h"

namespace slipway::sim {
namespace {

using engine::Memory;
using engine::Plan;
using engine::Spec;
using engine::Tell;
using engine::View;

// A bug that only spoils what decide() returns or remembers.
Decide spoiled(std::function<void(const View&, Plan&, Memory&)> spoil) {
  return [spoil](const View& view, const Spec& spec, Memory& memory, TimePoint now) {
    Plan plan = engine::decide(view, spec, memory, now);
    spoil(view, plan, memory);
    return plan;
  };
}

// A bug that makes decide() see something else.
Decide blinded(std::function<void(View&, Spec&)> blind) {
  return [blind](const View& view, const Spec& spec, Memory& memory, TimePoint now) {
    View other = view;
    Spec changed = spec;
    blind(other, changed);
    return engine::decide(other, changed, memory, now);
  };
}

void drop_tells(Plan& plan, Tell what) {
  std::erase_if(plan.tells, [what](const engine::TellSlurm& tell) { return tell.what == what; });
}

struct Mutation {
  const char* name;
  uint64_t within;              // seeds
  std::set<std::string> rules;  // that may find it; empty: any
  Decide decide;
};

std::vector<Mutation> mutations() {
  return {
      {"drops_terminations", 20, {}, spoiled([](const View&, Plan& plan, Memory&) { plan.terminations.clear(); })},
      {"drops_launches", 20, {}, spoiled([](const View&, Plan& plan, Memory&) { plan.launches.clear(); })},
      {"drops_binds", 20, {}, spoiled([](const View&, Plan& plan, Memory&) { plan.binds.clear(); })},
      {"forgets_launches", 50, {"unasked", "pool max", "hammering"}, spoiled([](const View&, Plan&, Memory& memory) {
         memory.launches.clear();
       })},
      {"forgets_everything", 20, {}, spoiled([](const View&, Plan&, Memory& memory) { memory = Memory(); })},
      {"launches_twice", 20, {"unasked", "pool max"}, spoiled([](const View&, Plan& plan, Memory&) {
         const size_t count = plan.launches.size();
         for (size_t i = 0; i < count; ++i) {
           plan.launches.push_back(plan.launches[i]);
           plan.launches.back().token += "x";
         }
       })},
      {"binds_twice", 100, {"two machines"}, spoiled([](const View& view, Plan& plan, Memory&) {
         if (plan.binds.empty()) return;
         const engine::Bind bind = plan.binds.front();
         for (const auto& instance : view.instances) {
           if (instance.agent != engine::AgentState::waiting || instance.id == bind.instance) continue;
           plan.binds.push_back({bind.node, instance.id, instance.address});
           break;
         }
       })},
      {"names_unwanted_nodes", 50, {"unknown"}, spoiled([](const View& view, Plan& plan, Memory&) {
         for (size_t i = 0; i < plan.binds.size() && i < view.nodes.size(); ++i)
           plan.binds[i].node = view.nodes[i].name;
       })},
      {"believes_incomplete_listings", 100, {}, blinded([](View& view, Spec&) { view.instances_complete = true; })},
      {"takes_missing_for_gone", 200, {}, blinded([](View& view, Spec& spec) {
         view.instances_complete = true;
         spec.consistency_delay = Duration(0);
       })},
      {"ignores_notices", 100, {"eviction"}, blinded([](View& view, Spec&) {
         for (auto& instance : view.instances) instance.evict_at = TimePoint{};
       })},
      {"never_powers_down", 20, {}, spoiled([](const View&, Plan& plan, Memory&) {
         drop_tells(plan, Tell::power_down);
       })},
      {"forgets_pauses",
       100,
       {"hammering", "requeue loop", "budget", "unasked"},
       spoiled([](const View&, Plan&, Memory& memory) {
         for (auto& pool : memory.pools) {
           for (auto& way : pool.ways) way = engine::WayMemory{};
         }
       })},
      {"forgets_the_budget", 200, {"budget"}, spoiled([](const View&, Plan&, Memory& memory) {
         memory.accounts.clear();
       })},
      {"ends_busy_machines", 20, {"theft"}, spoiled([](const View& view, Plan& plan, Memory&) {
         for (const auto& node : view.nodes) {
           if (!node.busy || !plan.terminations.empty()) continue;
           for (const auto& instance : view.instances) {
             if (instance.bound == node.name && instance.agent == engine::AgentState::serving) {
               plan.terminations.push_back({instance.id, "a mistake"});
               return;
             }
           }
         }
       })},
      {"oversleeps", 50, {}, spoiled([](const View&, Plan& plan, Memory&) { plan.look_again = TimePoint{}; })},
      {"keeps_idle_machines", 50, {"leak", "idle money"}, blinded([](View&, Spec& spec) {
         for (auto& pool : spec.pools) pool.idle_reclaim *= 20;
       })},
      {"exceeds_the_pool", 300, {"pool max", "unasked"}, spoiled([](const View&, Plan& plan, Memory&) {
         for (auto& launch : plan.launches) ++launch.count;
       })},
  };
}

class Mutations : public ::testing::TestWithParam<size_t> {};

TEST_P(Mutations, IsFound) {
  const Mutation mutation = mutations()[GetParam()];
  std::set<std::string> others;
  for (uint64_t seed = 1; seed <= mutation.within; ++seed) {
    const Outcome outcome = run_seed({.seed = seed, .decide = mutation.decide});
    if (!outcome.violation) continue;
    if (mutation.rules.empty() || mutation.rules.contains(outcome.violation->rule)) {
      RecordProperty("seed", static_cast<int>(seed));
      RecordProperty("rule", outcome.violation->rule);
      return;
    }
    others.insert(outcome.violation->rule);
  }
  std::string found;
  for (const std::string& rule : others) found += " \"" + rule + "\"";
  FAIL() << mutation.name << " isn't found within " << mutation.within << " seeds; found instead:" << found;
}

INSTANTIATE_TEST_SUITE_P(All, Mutations, ::testing::Range<size_t>(0, mutations().size()),
                         [](const auto& info) { return std::string(mutations()[info.param].name); });

}  // namespace
}  // namespace slipway::sim
