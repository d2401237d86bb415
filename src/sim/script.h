// Scenarios that run in the simulator (`slipway simulate --script FILE`) and, by tests/e2e/simulation_test.py, against
// a real slurmctld with the local provider. Both record which states each node and each job went through; the two must
// agree. Plain text, a statement a line, `#` begins a comment:
//
//   pool NAME MAX [MARKET…] [boot_timeout=TIME]   the cluster: pools, …
//   partition NAME POOL…                          … partitions, the first is the default one, …
//   idle_reclaim TIME                             … and when idle nodes go (10s)
//
//   submit JOB PARTITION NODES TIME [srun] [no_requeue]   JOB is a name for it here; it works for TIME on whole nodes
//   cancel JOB
//   wait node NODE STATE [TIME]     until it is, or since the statement before was, in this state; fails after TIME
//   (2m) wait job JOB STATE [TIME] sleep TIME capacity POOL MARKET N          so many machines there and no more; `any`
//   for no limit boot POOL delay TIME            machines launched from now on boot so much later boot POOL never N the
//   next N never boot kill NODE                       its machine loses power evict NODE TIME                 its
//   machine will be taken in TIME cut_off NODE                    nobody hears its machine any more set NODE
//   down|resume|drain|undrain|power_down|power_up [REASON…]    an administrator's scontrol update restart_slurmctld
//   [kill]        SIGTERM, or SIGKILL; it is there again after a second or two
//
// A node's state is BASE/POWER: idle, busy or down; asleep, booting, up or leaving; "+drain" when it is drained. A
// job's is pending, configuring, running, completing, done, failed or cancelled. Times are 500ms, 10s, 2m or 1h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/slurm_state.h"
#include "sim/slurm.h"

namespace slipway::sim {

enum class Verb : uint8_t {
  submit,
  cancel,
  wait_node,
  wait_job,
  sleep,
  capacity,
  boot_delay,
  boot_never,
  kill,
  evict,
  cut_off,
  set,
  restart_slurmctld,
};

struct Step {
  Verb verb = Verb::sleep;
  uint32_t line = 0;
  std::string subject;                                 // job, node or pool; empty for sleep and restart_slurmctld
  std::string state;                                   // waits
  std::string partition;                               // submit
  uint32_t count = 0;                                  // submit: nodes; capacity: UINT32_MAX is any; boot_never
  Duration time{0};                                    // submit, sleep, boot_delay, evict; waits: at most
  bool batch = true;                                   // submit
  bool requeue = true;                                 // submit
  bool hard = false;                                   // restart_slurmctld: SIGKILL
  model::Market market = model::Market::on_demand;     // capacity
  slurm::NodeChange change = slurm::NodeChange::down;  // set
  std::string reason;                                  // set
};

struct ScriptPool {
  std::string name;
  uint32_t max = 0;
  std::vector<model::Market> markets;  // at least one
  Duration boot_timeout{30'000};
};

struct ScriptPartition {
  std::string name;
  std::vector<std::string> pools;
};

struct Script {
  std::vector<ScriptPool> pools;
  std::vector<ScriptPartition> partitions;
  Duration idle_reclaim{10'000};
  std::vector<Step> steps;
};

// bad_config names each line that is wrong: unknown words, nodes, jobs, pools or partitions included.
Result<Script> parse_script(std::string_view text);

// What the simulator must be told to be that cluster. Indices of pools are those of the script.
std::vector<PartitionSpec> partitions_of(const Script& script);

std::string node_word(const model::SlurmNodeState& state);
std::string_view job_word(JobState state);

// The states that nodes and jobs went through. Flags that come and go by themselves (NOT_RESPONDING, COMPLETING,
// requests not acted on yet) are not part of a node's state here.
class ScriptTrace {
 public:
  void node(const NodeName& node, const model::SlurmNodeState& state, TimePoint now) {
    add(nodes_[node.str()], node_word(state), now);
  }
  void job(const std::string& name, JobState state, TimePoint now) {
    add(jobs_[name], std::string(job_word(state)), now);
  }

  // Whether the step's node or job is in its state, or came into it at `since` or later.
  bool reached(const Step& wait, TimePoint since) const;
  // {"nodes": {"cpu-0001": [{"state": "idle/asleep", "seconds": 3.2}, …]}, "jobs": {…}}: how long each lasted, the last
  // until `end`. Nodes that never changed are left out.
  std::string to_json(TimePoint end) const;

 private:
  struct Entry {
    std::string state;
    TimePoint since{};
  };
  using History = std::vector<Entry>;
  static void add(History& history, std::string state, TimePoint now);

  std::map<std::string, History> nodes_, jobs_;
};

}  // namespace slipway::sim
