#include "sim/agents.h"

#include <algorithm>

#include "sim/latency.h"
#include "sim/world.h"

namespace slipway::sim {

using engine::AgentState;

namespace {

constexpr Duration first_word{300};       // from the boot to the first try to connect
constexpr Duration stop_patience{1'200};  // slurmd's, to end
constexpr Duration heartbeat{20'000};
constexpr uint32_t no_node = UINT32_MAX;

const char* word(AgentState state) {
  switch (state) {
    case AgentState::none:
      return "off";
    case AgentState::preparing:
      return "prepares itself";
    case AgentState::waiting:
      return "waits for a name";
    case AgentState::starting:
      return "starts slurmd";
    case AgentState::serving:
      return "serves";
    case AgentState::failed:
      return "gave up";
    case AgentState::silent:
      return "is silent";
  }
  return "";
}

}  // namespace

Agents::Agents(World& world, Random random, AgentOptions agent_options)
    : options(agent_options), world_(world), random_(random) {
  server_.assign(world.slurm.nodes().size(), nobody);
  holders_.resize(world.slurm.nodes().size());
}

Agents::Machine& Agents::at(uint32_t machine) {
  if (machine >= machines_.size()) machines_.resize(machine + 1);
  return machines_[machine];
}

const Agents::Machine& Agents::machine(uint32_t machine) const {
  static const Machine none;
  return machine < machines_.size() ? machines_[machine] : none;
}

Duration Agents::draw(const Latency& latency) {
  return draw_latency(random_, latency);
}

// --- boots and ends ---

void Agents::booted(uint32_t machine) {
  Machine& m = at(machine);
  const bool first = m.step == 0;
  ++m.step;
  m.alive = true;
  m.welcomed = false;
  m.ready = false;
  if (first && random_.chance(options.cut_off_at_boot)) {
    m.cut_from_daemon = true;
    m.cut_from_slurmctld = true;
    m.unheard_since = world_.now();
  }
  enter(machine, AgentState::preparing);
  try_connect(machine, first_word);
}

void Agents::rebooting(uint32_t machine) {
  Machine& m = at(machine);
  if (!m.alive) return;
  stop_slurmd(machine);
  ++m.step;
  m.alive = false;
  m.said.state = AgentState::none;
  hang_up(machine);
}

void Agents::hang_up(uint32_t machine) {
  Machine& m = at(machine);
  if (!m.connected) return;
  m.connected = false;
  if (Daemon* daemon = world_.holder(); daemon != nullptr && daemon->life() == m.life) {
    daemon->on_connection_lost(machine);
  }
}

void Agents::ended(uint32_t machine) {
  Machine& m = at(machine);
  stop_slurmd(machine);
  ++m.step;
  m.alive = false;
  drop_name(machine);
  m.said = AgentReport{};
  // A machine that loses its power says no goodbye; most end in an orderly way.
  if (!m.connected || random_.below(4) != 0) return hang_up(machine);
  m.connected = false;
  fall_silent(machine);
}

void Agents::noticed_eviction(uint32_t machine) {
  Machine& m = at(machine);
  if (!m.alive) return;
  m.said.evict_at = world_.cloud.machines()[machine].instance.evict_at;
  send(machine);
}

// --- the connection ---

void Agents::try_connect(uint32_t machine, Duration within) {
  world_.timeline.after(random_.between(Duration(50), std::max(within, Duration(50))), [this, machine] {
    Machine& m = at(machine);
    if (!m.alive || m.connected || m.cut_from_daemon) return;
    Daemon* daemon = world_.holder();
    if (daemon == nullptr || daemon->epoch() < m.epoch) return;
    m.connected = true;
    m.unheard_since = TimePoint{};
    m.life = daemon->life();
    m.epoch = daemon->epoch();
    daemon->on_connect(machine);
    send(machine);
  });
}

void Agents::daemon_began() {
  for (uint32_t machine = 0; machine < machines_.size(); ++machine) {
    if (machines_[machine].alive) try_connect(machine, options.reconnect);
  }
}

void Agents::daemon_ended() {
  for (Machine& m : machines_) m.connected = false;
}

void Agents::send(uint32_t machine) {
  Machine& m = at(machine);
  if (!m.connected || m.cut_from_daemon) return;
  m.arrives_at = std::max(m.arrives_at, world_.now() + draw(options.message));
  world_.timeline.at(m.arrives_at, [this, machine, life = m.life, said = m.said] {
    const Machine& sender = at(machine);
    Daemon* daemon = world_.holder();
    if (!sender.connected || sender.cut_from_daemon || daemon == nullptr || daemon->life() != life) return;
    daemon->on_report(machine, said);
  });
}

void Agents::cut_from_daemon(uint32_t machine, bool cut, bool noticed_at_once) {
  Machine& m = at(machine);
  if (m.cut_from_daemon == cut || !m.alive) return;
  m.cut_from_daemon = cut;
  if (!cut) {
    if (!m.connected) return try_connect(machine, options.reconnect);
    // The old connection is still open on both sides: what is said now arrives.
    m.unheard_since = TimePoint{};
    if (Daemon* daemon = world_.holder(); daemon != nullptr && daemon->life() == m.life) daemon->on_connect(machine);
    send(machine);
    return;
  }
  m.unheard_since = world_.now();
  if (!m.connected) return;
  if (noticed_at_once) {
    hang_up(machine);
  } else {
    fall_silent(machine);
  }
}

// The daemon hears no heartbeat any more.
void Agents::fall_silent(uint32_t machine) {
  const Duration silence = world_.spec.agent_silence - random_.between(Duration(0), heartbeat);
  world_.timeline.after(silence, [this, machine, life = at(machine).life, since = world_.now()] {
    const Machine& quiet = at(machine);
    const bool still = !quiet.alive || (quiet.cut_from_daemon && quiet.connected && quiet.unheard_since == since);
    Daemon* daemon = world_.holder();
    if (still && daemon != nullptr && daemon->life() == life) daemon->on_silence(machine);
  });
}

// --- what it does ---

void Agents::enter(uint32_t machine, AgentState state) {
  Machine& m = at(machine);
  if (m.said.state != state && world_.trace.on()) {
    std::string text = world_.machine_name(machine);
    if (m.node != no_node) text += " (" + world_.node_name(m.node) + ")";
    world_.tell({.node = m.node, .machine = machine}, text + " " + word(state));
  }
  if (state == AgentState::failed && m.said.state != state) world_.invariants.agent_failed(machine);
  m.said.state = state;
  m.said.node = m.node;
  m.said.slurmd_started = m.slurmd ? m.said.slurmd_started : TimePoint{};
  send(machine);
}

void Agents::welcome(uint32_t machine, uint64_t life) {
  Machine& m = at(machine);
  if (!m.alive || !m.connected || m.cut_from_daemon || m.life != life || m.welcomed) return;
  m.welcomed = true;
  prepare(machine);
}

void Agents::prepare(uint32_t machine) {
  Machine& m = at(machine);
  const bool fails = random_.chance(options.fails_prep);
  world_.timeline.after(draw(options.prepare), [this, machine, step = m.step, fails] {
    Machine& one = at(machine);
    if (one.step != step) return;
    if (fails) {
      one.said.failed_prep = true;
      enter(machine, AgentState::failed);
    } else {
      ready(machine);
    }
  });
}

void Agents::ready(uint32_t machine) {
  Machine& m = at(machine);
  m.ready = true;
  if (m.node == no_node) {
    enter(machine, AgentState::waiting);
  } else {
    enter(machine, AgentState::starting);
    start_slurmd(machine, Duration(0));
  }
}

void Agents::take_name(uint32_t machine, uint32_t node) {
  Machine& m = at(machine);
  if (m.node == node) return;
  drop_name(machine);
  m.node = node;
  holders_[node].push_back(machine);
  world_.invariants.name_taken(machine, node);
}

void Agents::drop_name(uint32_t machine) {
  Machine& m = at(machine);
  if (m.node == no_node) return;
  std::erase(holders_[m.node], machine);
  m.node = no_node;
}

void Agents::bind(uint32_t machine, uint32_t node, uint64_t epoch, uint64_t life) {
  Machine& m = at(machine);
  if (!m.alive || !m.connected || m.cut_from_daemon || m.life != life || epoch < m.epoch) return;
  if (m.said.state == AgentState::failed) return send(machine);
  const Duration stopping = m.slurmd ? random_.between(Duration(20), stop_patience) : Duration(0);
  stop_slurmd(machine);
  take_name(machine, node);
  if (!m.ready) {
    enter(machine, AgentState::preparing);
    return;
  }
  ++m.step;
  enter(machine, AgentState::starting);
  start_slurmd(machine, stopping);
}

void Agents::leave(uint32_t machine, uint64_t epoch, uint64_t life) {
  Machine& m = at(machine);
  if (!m.alive || !m.connected || m.cut_from_daemon || m.life != life || epoch < m.epoch) return;
  stop_slurmd(machine);
  drop_name(machine);
  m.said.node = no_node;
  if (!m.ready) return;
  ++m.step;
  world_.timeline.after(random_.between(Duration(20), stop_patience), [this, machine, step = m.step] {
    const Machine& one = at(machine);
    if (one.step == step && one.alive) enter(machine, AgentState::waiting);
  });
}

void Agents::start_slurmd(uint32_t machine, Duration delay) {
  world_.timeline.after(delay + draw(options.slurmd), [this, machine, step = at(machine).step] {
    Machine& m = at(machine);
    if (m.step != step || !m.alive || m.node == no_node) return;
    m.slurmd = true;
    m.said.slurmd_started = world_.now();
    if (!m.cut_from_slurmctld) {
      server_[m.node] = machine;
      world_.slurm.slurmd_started(m.node, world_.cloud.machines()[machine].instance.address);
    }
    enter(machine, AgentState::serving);
  });
}

void Agents::stop_slurmd(uint32_t machine) {
  Machine& m = at(machine);
  if (!m.slurmd) return;
  m.slurmd = false;
  m.said.slurmd_started = TimePoint{};
  if (m.node == no_node || server_[m.node] != machine) return;
  server_[m.node] = nobody;
  world_.slurm.slurmd_ended(m.node, world_.cloud.machines()[machine].instance.address);
}

void Agents::cut_from_slurmctld(uint32_t machine, bool cut) {
  Machine& m = at(machine);
  if (m.cut_from_slurmctld == cut || !m.alive) return;
  m.cut_from_slurmctld = cut;
  if (!m.slurmd || m.node == no_node) return;
  if (server_[m.node] == machine) {
    world_.slurm.slurmd_cut_off(m.node, cut);
  } else if (!cut && server_[m.node] == nobody) {  // it began while nobody heard it
    server_[m.node] = machine;
    world_.slurm.slurmd_started(m.node, world_.cloud.machines()[machine].instance.address);
  }
}

}  // namespace slipway::sim
