// decide(): what to do now, from what is wanted and what exists. Pure: no I/O, no clock, no thread, no random source.
// The daemon runs it against real Slurm and real clouds, the simulator against simulated ones; both execute the Plan
// and feed what happened back into View and Memory.
//
// Cost: O(nodes + instances + jobs' nodes) a round, plus sorting what is wanted or about to be reclaimed. Only nodes
// that aren't asleep are hashed (Memory::nodes); a sleeping node costs one look at its flags and allocates nothing.
// bench/decide_bench.cc has the figures.
//
// Rules that hold in every round:
//   - machines are launched by number and bound late: a joined machine gets the first wanted name of its pool, jobs
//   first, in Slurm's order;
//   - what was asked for and is not yet visible counts as existing, so nothing is launched twice (Memory::launches;
//   after a restart, the
//     provider's own list and the idempotency token do the same);
//   - an instance is terminated only when it is unneeded, broken, bound to a node that Slurm lets go, or overdue; never
//   while a job runs on it and
//     Slurm thinks well of the node;
//   - nothing is concluded from an instance's absence unless the listing is complete and younger than the instance's
//   last sign of life by the
//     provider's consistency delay; nothing is launched on an incomplete listing;
//   - with slurm_known false (or no node at all in the answer) nothing is launched, bound or terminated;
//   - who has a name: what the agent says, then what was decided here, then whose address Slurm has in NodeAddr. Of two
//   machines with one
//     name, Slurm's NodeAddr decides, then which serves, then age; the other one is terminated.
//
// Crash windows. Memory is lost with the process; View is not:
//   1. after a launch was asked for: its machines are in the listing and count, or aren't yet and the same want gives
//   the same token;
//   2. after a bind was sent: the agent says its name when it reconnects. Until Spec::settle has passed, nodes without
//   a machine are held as long as
//      a running machine of the pool hasn't been heard, so that no second one gets the name;
//   3. after a termination was asked for: the machine is listed as leaving, or is still unneeded, overdue or bound to a
//   node that powers down;
//   4. between two updates of Slurm (DOWN, then POWER_DOWN, then RESUME): each state by itself asks for the next one.
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
  std::string
      token;  // from the wanted names and what exists: the same want gives the same token, before and after a restart
};
struct Bind {  // to the agent and to Slurm's NodeAddr; repeated while the agent waits and hasn't taken its name
  NodeName node;
  InstanceId instance;
  std::string address;  // for NodeAddr
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
  bool jobs_may_restart = false;  // down: the machines are verifiably gone, so nothing of their jobs runs on; no penalty is due
};
struct Note {  // becomes an event; one a transition
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
  std::vector<Bind> restarts;  // bound already: the agent restarts slurmd
  std::vector<Terminate> terminations;
  std::vector<TellSlurm> tells;  // one a kind and reason; to be sent in this order, for a node may be in two of them
                                 // (DOWN, then POWER_DOWN)
  std::vector<Note> notes;
  TimePoint look_again{};             // when time alone will change something
  std::vector<Situation> situations;  // parallel to view.nodes
};

Plan decide(const View& view, const Spec& spec, Memory& memory, TimePoint now);

// What the shell must report back, because no observation shows it. With a receipt that accepted a part: first
// launch_answered, then launch_refused with the shortfall. Tokens that are no longer remembered are fine.
void launch_answered(Memory& memory, std::string_view token, uint32_t accepted);
// `count`: how many machines of an accepted launch it cost (a trouble in a later listing); 0 for the answer to the
// launch itself.
void launch_refused(Memory& memory, std::string_view token, const Error& error, TimePoint now, uint32_t count = 0);
// A pool's trouble that belongs to no launch we know: only the pause before the next one.
void pool_refused(Memory& memory, PoolIndex pool, const Error& error, TimePoint now);

// Every reason that we give to Slurm begins so; a DOWN node with another reason was set aside by somebody else.
inline constexpr std::string_view our_reason = "slipway: ";

// One paragraph for `slipway explain`: what is wanted, what exists, what was tried, what comes next and when. Empty: no
// such node.
std::string explain_node(const View& view, const Spec& spec, const Memory& memory, TimePoint now, const NodeName& node);
std::string explain_job(const View& view, const Spec& spec, const Memory& memory, TimePoint now, const JobView& job,
                        std::string_view state, std::string_view slurm_reason);

}  // namespace slipway::engine
