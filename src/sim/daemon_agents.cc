// What the daemon of the simulator and the agents say to each other.
#include "sim/daemon_rules.h"

namespace slipway::sim {

// --- agents ---

Daemon::Known& Daemon::known(uint32_t machine) {
  if (machine >= known_.size()) known_.resize(machine + 1);
  if (machine >= instance_of_.size()) instance_of_.resize(machine + 1, none);
  return known_[machine];
}

void Daemon::see_agent(uint32_t machine) {
  const Known& agent = known(machine);
  const uint32_t index = instance_of_[machine];
  if (index == none || !agent.heard) return;
  engine::InstanceView& view = view_.instances[index];
  view.agent = agent.silent ? AgentState::silent : agent.said.state;
  view.bound = agent.said.node == none ? NodeName() : view_name(agent.said.node);
  view.agent_since = agent.since;
  view.slurmd_started = agent.said.slurmd_started;
  if (agent.said.evict_at != TimePoint{}) view.evict_at = agent.said.evict_at;
  if (agent.said.failed_prep) view.message = "prep script: exit status 1";
  dirty_ = true;
}

const NodeName& Daemon::view_name(uint32_t node) const {
  return world_.slurm.nodes()[node].name;
}

void Daemon::on_connect(uint32_t machine) {
  in_this_life(life_, [this, machine] {
    Known& agent = known(machine);
    agent.connected = true;
    agent.welcomed = false;
    agent.silent = false;
    admit(machine);
  });
}

void Daemon::admit(uint32_t machine) {
  Known& agent = known(machine);
  const uint32_t index = instance_of_[machine];
  if (index == none || view_.instances[index].state == model::InstanceState::gone) {
    if (provider_failures_ == 0) ask_provider_within(world_.options.daemon.provider_quick);
    return;
  }
  agent.welcomed = true;
  world_.timeline.after(draw_latency(random_, world_.options.agents.message),
                        [agents = &world_.agents, machine, life = life_] { agents->welcome(machine, life); });
}

void Daemon::on_report(uint32_t machine, const AgentReport& report) {
  in_this_life(life_, [this, machine, report] {
    Known& agent = known(machine);
    const bool same_phase = agent.heard && !agent.silent && agent.said.state == report.state;
    const bool first = !agent.heard;
    if (!same_phase) agent.since = clock();
    agent.heard = true;
    agent.silent = false;
    agent.said = report;
    if (report.state != AgentState::waiting && report.node != none) agent.assigned = report.node;
    const bool resend = report.state == AgentState::waiting && report.node == none && agent.assigned != none && !first;
    if (resend) {
      // The binding may have been lost with an earlier connection.
      const auto remembered = memory_.nodes.find(view_name(agent.assigned));
      const bool meant = remembered != memory_.nodes.end() && world_.cloud.machines().size() > machine &&
                         remembered->second.bound == world_.cloud.machines()[machine].instance.id;
      if (meant) send_name(agent.assigned, machine);
    }
    see_agent(machine);
    if (report.state == AgentState::serving && !prologs_.empty()) {
      quick_looks_ = quick_looks_max;
      something_to_see_ = true;
      ask_slurm_within(quick_look);
    }
    ask_round(world_.options.daemon.gather);
  });
}

void Daemon::send_name(uint32_t node, uint32_t machine) {
  known(machine).assigned = node;
  if (!known(machine).connected || world_.agents.options.loses_binds) return;
  world_.timeline.after(draw_latency(random_, world_.options.agents.message),
                        [agents = &world_.agents, machine, node, epoch = epoch_, life = life_] {
                          agents->bind(machine, node, epoch, life);
                        });
}

void Daemon::on_connection_lost(uint32_t machine) {
  in_this_life(life_, [this, machine] {
    Known& agent = known(machine);
    if (!agent.connected) return;
    agent.connected = false;
    agent.welcomed = false;
    agent.silent = true;
    agent.since = clock();
    see_agent(machine);
    suspect(machine);
  });
}

void Daemon::on_silence(uint32_t machine) {
  in_this_life(life_, [this, machine] {
    Known& agent = known(machine);
    if (!agent.heard || agent.silent) return;
    agent.silent = true;
    agent.since = clock();
    see_agent(machine);
    ask_round(world_.options.daemon.gather);
  });
}

void Daemon::suspect(uint32_t machine) {
  ask_round(world_.options.daemon.gather);
  const uint32_t index = instance_of_[machine];
  if (index == none || !(view_.instances[index].state == model::InstanceState::pending ||
                         view_.instances[index].state == model::InstanceState::running)) {
    return;
  }
  ask_provider_now();
  suspicion_ = 0;
  look_closer();
}

void Daemon::look_closer() {
  if (suspicion_ >= std::size(suspect_again)) return;
  world_.timeline.after(suspect_again[suspicion_++], [this, life = life_] {
    in_this_life(life, [this] {
      ask_provider_now();
      look_closer();
    });
  });
}

}  // namespace slipway::sim
