// A table of nodes and machines that does at once what a plan says: for tests of single rules, a few rounds long.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "engine/decide.h"

namespace slipway::engine::table {

using model::InstanceState;
using model::Market;
using model::NodeBase;

struct Table {
  explicit Table(uint32_t nodes, const std::string& pool = "cpu") { add_pool(pool, nodes); }

  void add_pool(const std::string& name, uint32_t nodes) {
    Spec::Pool pool;
    pool.name = PoolName(name);
    pool.max = nodes;
    pool.idle_reclaim = std::chrono::minutes(10);
    pool.boot_timeout = std::chrono::minutes(5);
    pool.register_timeout = std::chrono::minutes(1);
    spec.pools.push_back(pool);
    for (uint32_t n = 1; n <= nodes; ++n) {
      view.nodes.push_back({.name = model::node_name(pool.name, n),
                            .pool = static_cast<PoolIndex>(spec.pools.size() - 1),
                            .slurm = {NodeBase::idle, model::node_cloud | model::node_powered_down}});
    }
    view.slurm_known = true;
    view.instances_complete = true;
  }
  void add_way(Market market, const std::string& machine = "", const std::string& zone = "", double price = 0) {
    spec.pools[0].ways.push_back({.market = market, .offer = {machine, zone}, .price = price});
  }

  NodeView& node(const std::string& name) {
    return *std::find_if(view.nodes.begin(), view.nodes.end(), [&](const NodeView& n) { return n.name.str() == name; });
  }
  InstanceView& machine(const std::string& id) {
    return *std::find_if(view.instances.begin(), view.instances.end(),
                         [&](const InstanceView& i) { return i.id.str() == id; });
  }
  // Slurm gives the nodes to a job that waits for them.
  void want(JobId job, const std::vector<std::string>& names, bool requeueable = true) {
    JobView seen{.id = job, .requeueable = requeueable};
    for (const std::string& name : names) {
      node(name).slurm = {NodeBase::allocated, model::node_cloud | model::node_powering_up};
      node(name).busy = true;
      seen.nodes.emplace_back(name);
    }
    view.jobs.push_back(seen);
  }
  // The node is up on a machine of its own.
  InstanceView& serve(const std::string& name, bool busy, Market market = Market::on_demand) {
    node(name).slurm = {busy ? NodeBase::allocated : NodeBase::idle, model::node_cloud};
    node(name).busy = busy;
    node(name).last_busy = now;
    InstanceView machine{.id = InstanceId("i-" + std::to_string(++machines)), .pool = node(name).pool};
    machine.state = InstanceState::running;
    machine.address = "198.18.0." + std::to_string(machines);
    machine.launched_at = now;
    machine.agent = AgentState::serving;
    machine.agent_since = machine.slurmd_started = now;
    machine.bound = NodeName(name);
    machine.market = market;
    node(name).address = machine.address;
    return view.instances.emplace_back(machine);
  }

  // One round, `by` later. Launches are answered by `provider`; what it accepts is there in the next round, waiting.
  Plan step(Duration by = Duration(500)) {
    now += by;
    view.slurm_as_of = view.instances_as_of = now;
    if (jobs_seen) view.jobs_as_of = now;
    Plan plan = decide(view, spec, memory, now);
    for (const Terminate& end : plan.terminations) machine(end.instance.str()).state = InstanceState::gone;
    for (const Bind& bind : plan.binds) {
      machine(bind.instance.str()).bound = bind.node;
      machine(bind.instance.str()).agent = AgentState::starting;
    }
    for (const Launch& launch : plan.launches) {
      launches.push_back(launch);
      launched_at.push_back(now);
      const Answer answer = provider(launch);
      launch_answered(memory, spec, launch.token, answer.accepted, answer.refusals, now);
      for (uint32_t k = 0; k < answer.accepted; ++k) {
        InstanceView machine{.id = InstanceId("i-" + std::to_string(++machines)), .pool = launch.pool};
        machine.state = InstanceState::running;
        machine.address = "198.18.0." + std::to_string(machines);
        machine.launch_token = launch.token;
        machine.launched_at = machine.agent_since = now;
        machine.agent = AgentState::waiting;
        machine.market = launch.market;
        if (!launch.offers.empty()) machine.offer = launch.offers.front();
        machine.placement = launch.placement;
        view.instances.push_back(machine);
      }
    }
    for (const TellSlurm& tell : plan.tells) tells.push_back(tell);
    for (const TellJobs& tell : plan.job_tells) job_tells.push_back(tell);
    return plan;
  }
  // Steps of half a second.
  void run(Duration time) {
    for (const TimePoint end = now + time; now < end;) step();
  }
  // Nodes that were told so since the beginning.
  std::vector<std::string> told(Tell what) const {
    std::vector<std::string> names;
    for (const TellSlurm& tell : tells) {
      for (const NodeName& name : tell.nodes) {
        if (tell.what == what) names.push_back(name.str());
      }
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }
  size_t live() const {
    return static_cast<size_t>(std::count_if(view.instances.begin(), view.instances.end(),
                                             [](const InstanceView& i) { return i.state != InstanceState::gone; }));
  }

  struct Answer {
    uint32_t accepted = 0;
    std::vector<Refusal> refusals;
  };
  std::function<Answer(const Launch&)> provider = [](const Launch& launch) { return Answer{launch.count, {}}; };
  // Every offer is refused.
  static Answer none(const Launch& launch, ErrorCode code = ErrorCode::no_capacity) {
    Answer answer;
    for (const model::Offer& offer : launch.offers) answer.refusals.push_back({offer, {code, "sold out"}});
    return answer;
  }

  Spec spec;
  View view;
  Memory memory;
  TimePoint now{Duration(1'800'000'000'000)};
  bool jobs_seen = true;
  size_t machines = 0;
  std::vector<Launch> launches;
  std::vector<TimePoint> launched_at;
  std::vector<TellSlurm> tells;
  std::vector<TellJobs> job_tells;
};

}  // namespace slipway::engine::table
