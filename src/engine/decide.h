// decide(): what to do now, from what is wanted and what exists. Pure: no I/O, no clock, no thread, no random source. The daemon runs it against
// real Slurm and real clouds, the simulator against simulated ones; both execute the Plan and feed what happened back into View and Memory.
//
// Cost: linear in nodes + instances + jobs' nodes, with a hash table of the nodes that aren't asleep; 100,000 nodes take well under 50 ms.
//
// Rules that hold in every round:
//   - machines are launched by number and bound late: a joined machine gets the first wanted name of its pool, jobs first, in Slurm's order;
//   - what was asked for and is not yet visible counts as existing, so nothing is launched twice (Memory::launches; after a restart, the
//     provider's own list and the idempotency token do the same);
//   - an instance is terminated only when it is unneeded, broken, bound to a node that Slurm lets go, or overdue; never while a job runs on it and
//     Slurm thinks well of the node;
//   - nothing is concluded from an instance's absence unless the listing is complete and younger than the instance's last sign of life by the
//     provider's consistency delay;
//   - with slurm_known false nothing is launched, bound or terminated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/memory.h"
#include "engine/situation.h"
#include "engine/view.h"

namespace slipway::engine {

struct Launch {
  PoolIndex pool = no_pool;
  uint32_t count = 0;
  std::string token;               // from the wanted names and what exists: the same want gives the same token, before and after a restart
};
struct Bind {
  NodeName node;
  InstanceId instance;
  std::string address;             // for NodeAddr
};
struct Terminate {
  InstanceId instance;
  std::string reason;
};
enum class Tell : uint8_t { down, power_down, power_up, resume };  // as slurm::NodeChange
struct TellSlurm {
  Tell what = Tell::resume;
  std::vector<NodeName> nodes;
  std::string reason;
};
struct Note {                      // becomes an event; one a transition
  std::string kind;
  PoolIndex pool = no_pool;
  NodeName node;
  InstanceId instance;
  JobId job = 0;
  std::string message;
};

struct Plan {
  std::vector<Launch> launches;
  std::vector<Bind> binds;
  std::vector<Bind> restarts;      // bound already: the agent restarts slurmd
  std::vector<Terminate> terminations;
  std::vector<TellSlurm> tells;    // grouped: one a kind and reason
  std::vector<Note> notes;
  TimePoint look_again{};          // when time alone will change something
  std::vector<Situation> situations;   // parallel to view.nodes
};

Plan decide(const View& view, const Spec& spec, Memory& memory, TimePoint now);

// What the shell must report back, because no observation shows it.
void launch_answered(Memory& memory, std::string_view token, uint32_t accepted);
void launch_refused(Memory& memory, std::string_view token, const Error& error, TimePoint now);

// One paragraph for `slipway explain`: what is wanted, what exists, what was tried, what comes next and when. Empty: no such node.
std::string explain_node(const View& view, const Spec& spec, const Memory& memory, TimePoint now, const NodeName& node);
std::string explain_job(const View& view, const Spec& spec, const Memory& memory, TimePoint now, const JobView& job,
                        std::string_view state, std::string_view slurm_reason);

}  // namespace slipway::engine
