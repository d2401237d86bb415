// The agents of all machines, by machine number: join, set up, wait for a name, run slurmd. As src/agent/ does, a name
// once given is kept (over reconnects and reboots) until the daemon says "leave", and is told to every daemon that an
// agent meets. It obeys only the daemon with the highest lease epoch that it has met.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/view.h"
#include "sim/cloud.h"
#include "sim/timeline.h"

namespace slipway::sim {

class World;

struct AgentOptions {
  Latency message{Duration(5), Duration(60)};          // one way
  Latency prepare{Duration(2'000), Duration(15'000)};  // munge, users, the pool's script
  Latency slurmd{Duration(700), Duration(4'000)};      // until it listens
  Duration reconnect{5'000};                           // at most so long after a daemon can be reached
  double fails_prep = 0;                               // of all machines
  double cut_off_at_boot = 0;                          // the network never reaches these
  bool loses_binds = false;
};

// What an agent says; the last one counts.
struct AgentReport {
  engine::AgentState state = engine::AgentState::none;
  uint32_t node = UINT32_MAX;
  TimePoint slurmd_started{};  // epoch: doesn't run
  TimePoint evict_at{};
  bool failed_prep = false;
};

class Agents {
 public:
  Agents(World& world, Random random, AgentOptions options);

  // --- the machine's owner ---
  void booted(uint32_t machine);
  void rebooting(uint32_t machine);  // booted() follows
  void ended(uint32_t machine);
  void noticed_eviction(uint32_t machine);

  // --- the daemon, after the message's latency; all are of the connection that `life` opened ---
  void welcome(uint32_t machine, uint64_t life);
  void bind(uint32_t machine, uint32_t node, uint64_t epoch, uint64_t life);
  void leave(uint32_t machine, uint64_t epoch, uint64_t life);
  void daemon_began();  // each agent finds it within AgentOptions::reconnect
  void daemon_ended();  // its sockets close

  // --- faults ---
  // Nothing passes between agent and daemon, or between slurmd and slurmctld.
  void cut_from_daemon(uint32_t machine, bool cut, bool noticed_at_once);
  void cut_from_slurmctld(uint32_t machine, bool cut);
  AgentOptions options;

  // --- for invariants and tests ---
  struct Machine {
    AgentReport said;            // or would say, had it a connection
    uint32_t node = UINT32_MAX;  // the name it has
    bool alive = false;          // the software runs
    bool welcomed = false;       // in this boot
    bool ready = false;          // set up
    bool slurmd = false;         // runs
    bool cut_from_daemon = false;
    bool cut_from_slurmctld = false;
    bool connected = false;     // to the present holder
    uint64_t life = 0;          // of the daemon it is connected to
    uint64_t epoch = 0;         // the highest seen
    uint32_t step = 0;          // counts up with whatever makes planned steps obsolete
    TimePoint arrives_at{};     // of its last message: messages don't overtake each other
    TimePoint unheard_since{};  // by the daemon; epoch: heard
  };
  const Machine& machine(uint32_t machine) const;
  // The machine whose slurmd Slurm heard last under that name, if it still runs; `nobody` otherwise.
  uint32_t server_of(uint32_t node) const { return server_[node]; }
  // Live machines that have the name.
  const std::vector<uint32_t>& holders_of(uint32_t node) const { return holders_[node]; }

 private:
  Machine& at(uint32_t machine);
  void enter(uint32_t machine, engine::AgentState state);
  void send(uint32_t machine);
  void try_connect(uint32_t machine, Duration within);
  void hang_up(uint32_t machine);
  void fall_silent(uint32_t machine);
  void take_name(uint32_t machine, uint32_t node);
  void drop_name(uint32_t machine);
  void prepare(uint32_t machine);
  void ready(uint32_t machine);
  void start_slurmd(uint32_t machine, Duration delay);
  void stop_slurmd(uint32_t machine);
  Duration draw(const Latency& latency);

  World& world_;
  Random random_;
  std::vector<Machine> machines_;
  std::vector<uint32_t> server_;
  std::vector<std::vector<uint32_t>> holders_;
};

}  // namespace slipway::sim
