// What decide() sees: both ends, as last observed, joined into flat tables. The daemon and the simulator fill it;
// decide() never changes it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/cluster.h"
#include "model/ids.h"
#include "model/instance.h"
#include "model/slurm_state.h"

namespace slipway::engine {

using PoolIndex = uint32_t;  // into Spec::pools
inline constexpr PoolIndex no_pool = std::numeric_limits<uint32_t>::max();

// The parts of the cluster file that decisions need. Made by make_spec().
struct Spec {
  // One way to get a machine: what the provider can be asked for.
  struct Way {
    model::Market market = model::Market::on_demand;
    model::Offer offer;
    double price = 0;  // of an hour, in any currency; 0: unknown
  };
  struct Pool {
    PoolName name;
    uint32_t max = 0;
    model::Warm warm;
    Duration idle_reclaim{0};
    Duration boot_timeout{0};      // launch → agent joined
    Duration register_timeout{0};  // bound → registered with slurmctld
    std::vector<Way> ways;         // in order of preference, those of one market together; empty: one, on demand
    model::Placement placement = model::Placement::none;
    double spares = 0;
    Duration billing_period{0};
    model::Eviction eviction;
    uint32_t account = 0;  // into Spec::accounts; beyond them: no limit
  };
  std::string cluster;  // part of launch tokens, so that two clusters in one account never share one
  std::vector<Pool> pools;
  std::vector<NodeName> reclaim_exclude;  // sorted
  model::LaunchWindow launch_window;
  std::vector<model::ApiBudget> accounts;
  Duration surplus_grace{30'000};  // an instance that nothing wants is kept so long for the next job before it goes
  Duration agent_silence{75'000};  // an agent that says nothing for so long is lost
  Duration consistency_delay{0};   // provider: a new instance may be missing from listings for so long
  Duration launch_delay{0};        // provider: an accepted launch's machines may take so long to exist or to be refused
  Duration update_patience{
      5'000};  // before an update of Slurm or a request to the provider that shows no effect is repeated
  Duration ghost_grace{
      30'000};  // slurmctld may lose POWERING_UP in a crash; the booting machine's registration makes the node up again
  Duration settle{6'000};  // after our own restart: agents reconnect within this; until then their silence says nothing
  Duration reconnect_patience{15'000};  // an agent that is `silent` for less than this may just be reconnecting
  Duration stuck_after{10'000};         // slurmd runs for so long and isn't registered: restart it
  Duration restart_every{20'000};       // at most
  Duration crowd_allowance{
      50};  // added to stuck_after and register_timeout for each node that powers up: slurmctld registers one by one
  uint32_t boots_failed_max = 5;  // machines that failed for one node; then Slurm gets it back, DOWN
};
Spec make_spec(const model::Cluster& cluster);

struct NodeView {
  NodeName name;
  PoolIndex pool = no_pool;  // no_pool: not ours (existing nodes); decide leaves it alone
  model::SlurmNodeState slurm;
  std::string address;         // NodeAddr
  bool busy = false;           // a job is allocated to it, CONFIGURING jobs included
  TimePoint last_busy{};       // Slurm's LastBusyTime; epoch: never
  TimePoint slurmd_started{};  // SlurmdStartTime, whole seconds: of the slurmd that registered last, heeded or not
  std::string reason;
};

// What the daemon knows of an instance's agent.
enum class AgentState : uint8_t {
  none,       // never heard of it (since this daemon started)
  preparing,  // joined; setting up
  waiting,    // joined; ready for a name
  starting,   // has a name, starts slurmd
  serving,    // slurmd runs
  failed,     // gave up and said why
  silent,  // was connected; has said nothing for Spec::agent_silence, or its connection ended and it hasn't come back
};

struct InstanceView {
  InstanceId id;
  PoolIndex pool = no_pool;
  model::InstanceState state = model::InstanceState::pending;
  std::string address;
  std::string launch_token;
  TimePoint launched_at{};
  AgentState agent = AgentState::none;
  TimePoint evict_at{};        // the provider or the machine itself says that it will be taken then; epoch: no notice
  NodeName bound;              // the name its agent says it has; empty: none
  TimePoint agent_since{};     // when it entered `agent`
  TimePoint slurmd_started{};  // epoch: doesn't run
  model::Market market = model::Market::on_demand;
  model::Offer offer;
  std::string placement;
  std::string message;   // the agent's failure, or the provider's trouble
  bool trouble = false;  // the provider says that it is broken; a message without an agent means the same
};

// A job that has nodes. Those that wait for them to boot are always known, those that run when Plan::jobs_wanted asked.
struct JobView {
  JobId id = 0;
  std::vector<NodeName> nodes;  // the nodes it has been given and waits for, or runs on
  bool running = false;
  bool requeueable = false;  // Slurm starts it again when it loses a node: a batch job without --no-requeue
  std::string told = {};     // our comment on it, if any
};

// A job that waits for nodes to be free or usable.
struct PendingJob {
  JobId id = 0;
  std::vector<PoolIndex> pools;  // those of its partitions
  std::string told;              // our comment on it, if any
};

// Machines that the provider was asked for and that don't exist yet, as it tells them (cloud::OnTheWay).
struct OnTheWay {
  PoolIndex pool = no_pool;
  model::Market market = model::Market::on_demand;
  uint32_t count = 0;
};

struct View {
  bool slurm_known = false;  // slurmctld answered at least once and its last poll did not fail
  TimePoint slurm_as_of{};
  TimePoint slurm_since{};          // it has answered every look since then
  std::vector<NodeView> nodes;      // every node that slurmctld knows
  bool instances_complete = false;  // the last listing was complete
  TimePoint instances_as_of{};
  std::vector<InstanceView> instances;
  std::vector<OnTheWay> on_the_way;
  std::vector<JobView> jobs;        // in Slurm's order; the front is served first
  std::vector<PendingJob> pending;  // in Slurm's order, as far as Plan::jobs_wanted asked for them
  TimePoint jobs_as_of{};           // of the last full look at jobs; epoch: none yet
  Duration utc_offset{0};           // of the controller's local time now, for calendars
};

}  // namespace slipway::engine
