// A whole cluster in virtual time: slurmctld, a cloud, the machines with their agents, one or two daemons around
// engine::decide(), users, and everything that can go wrong. One seed, one history.
//
//   users ─submit─▶ Slurm ─hooks─▶ Daemon ─launch─▶ Cloud ─boots─▶ Agents ─slurmd─▶ Slurm
//                     ▲               │ ▲                            │ ▲
//                     └────updates────┘ └────────reports─────────────┘ └─names── Daemon
//
// The parts know the world and call each other through it, each message with its latency; nothing is shared that real
// parts don't share. Invariants watches all of them and belongs to none. Nothing runs but by an event of `timeline`;
// idle time costs nothing but the daemon's looks.
//
//   World world(options);
//   world.slurm.submit({.nodes = 4});
//   world.run_for(std::chrono::minutes(10));
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/view.h"
#include "model/cluster.h"
#include "sim/agents.h"
#include "sim/cloud.h"
#include "sim/daemon.h"
#include "sim/faults.h"
#include "sim/invariants.h"
#include "sim/slurm.h"
#include "sim/timeline.h"
#include "sim/trace.h"
#include "sim/users.h"

namespace slipway::sim {

struct WorldOptions {
  uint64_t seed = 1;
  model::Cluster cluster;  // pools, partitions, warm levels, windows; its provider's kind doesn't matter here
  SlurmOptions slurm;
  CloudOptions cloud;
  AgentOptions agents;
  DaemonOptions daemon;
  uint32_t daemons = 1;
  Duration utc_offset{0};
  Decide decide;  // empty: engine::decide
  bool trace = false;
  bool check = true;       // invariants
  bool skip_looks = true;  // at listings that cannot differ from the last one
};

// Everybody's time begins here: a Monday, midnight.
inline constexpr TimePoint world_begins{std::chrono::milliseconds(1'767'571'200'000)};

class World {
 public:
  explicit World(WorldOptions options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  const WorldOptions options;
  const engine::Spec spec;  // as the daemons have it
  Timeline timeline;
  Random random;
  Trace trace;
  Slurm slurm;
  Cloud cloud;
  Invariants invariants;
  Agents agents;
  Users users;
  Faults faults;
  std::vector<std::unique_ptr<Daemon>> daemons;

  TimePoint now() const { return timeline.now(); }
  Duration elapsed() const { return timeline.now() - world_begins; }
  // Both end at once when an invariant is violated.
  void run_until(TimePoint end);
  void run_for(Duration time) { run_until(now() + time); }

  // --- the lease: at most one daemon holds it; who takes it over counts one up ---
  struct Lease {
    uint32_t holder = nobody;
    uint64_t epoch = 0;
    TimePoint renewed_at{};
  } lease;
  static constexpr Duration lease_valid{10'000};
  static constexpr Duration lease_margin{1'000};  // its holder stops so much earlier
  static constexpr Duration lease_renewed_every{2'000};
  // The daemon that holds it and runs; null while none does (a frozen one doesn't).
  Daemon* holder();
  // A daemon began to hold it: agents and waiting prologs turn to it.
  void holder_began(uint32_t daemon);
  void holder_ended();
  void holder_frozen();

  // --- network ---
  bool daemon_reaches_slurm = true;
  // slurmctld's programs can't reach the daemon, or their words come late or twice.
  double lose_hook = 0;
  double repeat_hook = 0;
  double delay_hook = 0;
  // The wall clock of the controller's box is ahead of true time by so much; a daemon takes it when it starts.
  Duration clock_error{0};

  // --- levers of scripts, by pool: machines made from now on boot later, or the next ones never ---
  struct Boots {
    Duration later{0};
    uint32_t never = 0;
  };
  std::vector<Boots> boots;
  // Whoever wants to watch, after each change.
  std::function<void(uint32_t node)> on_node;
  std::function<void(const Job&)> on_job;

  // --- what changed since the holder looked last ---
  std::vector<uint32_t> take_changed_nodes() { return slurm.take_changed(); }
  void update(const slurm::NodeUpdate& update);  // of a daemon
  void note_new_machines();
  bool nodes_changed = true;  // take_changed_nodes() may have something
  bool jobs_changed = true;
  uint64_t cloud_version = 1;  // a listing made at another version may differ

  // Slurm's programs ended: prologs that wait for the daemon's word are gone with slurmctld.
  void slurm_stops(bool lose_unsaved);
  void slurm_starts();
  void slurm_fails_over();
  void prolog_ends(JobId job);

  bool jobs_done() const;
  std::string node_name(uint32_t node) const { return slurm.nodes()[node].name.str(); }
  std::string machine_name(uint32_t machine) const { return cloud.machines()[machine].instance.id.str(); }
  // With the trace on only; callers ask trace.on() before they make text.
  void tell(About about, std::string text) { trace.add(elapsed(), about, std::move(text)); }

 private:
  void on_hook(const slurm::Hint& hint);
  void deliver_hint(const slurm::Hint& hint);
  void look_after_prologs();
  void on_node_state(uint32_t node);
  void on_job_state(const Job& job);
  void wake_the_others();

  struct Prolog {
    JobId job = 0;
    std::vector<NodeName> nodes;
    TimePoint silent_since{};  // no daemon answers it since then; epoch: one does
  };
  std::vector<Prolog> prologs_;
  bool prologs_looked_after_ = false;
  size_t machines_noted_ = 0;
  std::vector<Duration> boot_delays_;          // by machine; below zero: it never boots
  std::vector<model::SlurmNodeState> states_;  // of nodes, as they were before their last change
  Random hooks_;
};

}  // namespace slipway::sim
