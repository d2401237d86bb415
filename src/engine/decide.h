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
//     first, in Slurm's order; while a pool lacks capacity, only jobs that can have all their nodes;
//   - what was asked for and is not yet visible counts as existing, so nothing is launched twice (Memory::launches;
//     after a restart, the provider's own list and the idempotency token do the same);
//   - a want goes from way to way (market, machine type, zone) in the pool's order, in the round that follows a
//   refusal;
//     what failed pauses as engine/failure.h says. When no way is left, the pool is short: its jobs go back to Slurm,
//     its sleeping nodes are held DOWN, and one machine is tried after the pause (shortage.cc);
//   - machines on their way that nothing wants for `update_patience` are taken back before they cost anything, where the
//     provider can (withdraw.cc);
//   - wants of one launch window are one launch; every call to a provider takes a token of the account's budget;
//   - an instance is terminated only when it is unneeded, broken, bound to a node that Slurm lets go, or overdue; never
//     while a job runs on it and Slurm thinks well of the node;
//   - nothing is concluded from an instance's absence unless the listing is complete and younger than the instance's
//     last sign of life by the provider's consistency delay; nothing is launched on an incomplete listing;
//   - with slurm_known false (or no node at all in the answer) nothing is launched, bound or terminated;
//   - who has a name: what the agent says, then what was decided here, then whose address Slurm has in NodeAddr. Of two
//     machines with one name, Slurm's NodeAddr decides, then which serves, then age; the other one is terminated.
//
// Crash windows. Memory is lost with the process; View is not:
//   1. after a launch was asked for: its machines are in the listing and count, or aren't yet and the same want gives
//      the same token; an anonymous resize that goes on is told by the listing and adopted (View::on_the_way);
//   2. after a bind was sent: the agent says its name when it reconnects. Until Spec::settle has passed, nodes without
//      a machine are held as long as a running machine of the pool hasn't been heard, so that no second one gets the
//      name;
//   3. after a termination was asked for: the machine is listed as leaving, or is still unneeded, overdue or bound to a
//      node that powers down;
//   4. between two updates of Slurm (DOWN, then POWER_DOWN, then RESUME): each state by itself asks for the next one;
//   5. while a pool is held: its nodes are DOWN with our reason, which makes them usable again when nothing is paused.
//
// Two daemons never decide at once: only the holder of the lease does (daemon/lease.h).
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
  uint32_t minimum = 1;  // as cloud::LaunchRequest has it
  model::Market market = model::Market::on_demand;
  std::vector<model::Offer> offers;
  std::string placement;
  std::string
      token;  // from the wanted names and what exists: the same want gives the same token, before and after a restart
};
// Machines on their way that nothing wants any more are taken back (cloud::Provider::withdraw).
struct Withdraw {
  PoolIndex pool = no_pool;
  model::Market market = model::Market::on_demand;
  uint32_t count = 0;
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
// As slurm::NodeChange, but for hold: DOWN too, for nodes that sleep and shall not be picked. In the order in which a
// plan has them: first sleepers are held, so that a job that loses its nodes then isn't given those.
enum class Tell : uint8_t { hold, down, power_down, power_up, resume, hold_resumed, drain };
struct TellSlurm {
  Tell what = Tell::resume;
  std::vector<NodeName> nodes;
  std::string reason;
  bool jobs_may_restart =
      false;  // down: the machines are verifiably gone, so nothing of their jobs runs on; no penalty is due
};
enum class TellJob : uint8_t {
  signal,   // `text` is the signal's name without SIG: to the steps and the batch script
  requeue,  // ends it here and queues it again, without Slurm's delay
  comment,  // `text`, for the job's owner; empty: takes ours away
};
struct TellJobs {
  TellJob what = TellJob::comment;
  std::vector<JobId> jobs;
  std::string text;
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
  std::vector<Withdraw> withdrawals;
  std::vector<Bind> binds;
  std::vector<Bind> restarts;  // bound already: the agent restarts slurmd
  std::vector<Terminate> terminations;
  std::vector<TellSlurm> tells;     // one a kind and reason; to be sent in this order, for a node may be in two of them
                                    // (DOWN, then POWER_DOWN)
  std::vector<TellJobs> job_tells;  // after `tells`
  std::vector<Note> notes;
  bool jobs_wanted = false;           // View::jobs and View::pending should be looked at in full for the next round
  TimePoint look_again{};             // when time alone will change something
  std::vector<Situation> situations;  // parallel to view.nodes
};

Plan decide(const View& view, const Spec& spec, Memory& memory, TimePoint now);

// What the shell must report back, because no observation shows it. Tokens that are no longer remembered are fine.
//
// The answer to a launch. `refusals`: offers that gave less than was asked of them (cloud::LaunchReceipt).
struct Refusal {
  model::Offer offer;  // empty: each that was asked for
  Error error;
};
void launch_answered(Memory& memory, const Spec& spec, std::string_view token, uint32_t accepted,
                     const std::vector<Refusal>& refusals, TimePoint now);
// The call failed as a whole.
void launch_failed(Memory& memory, const Spec& spec, std::string_view token, const Error& error, TimePoint now);
// A later listing tells that machines of a launch will not come, or that a pool is in trouble.
struct Trouble {
  PoolIndex pool = no_pool;
  std::string token;  // empty: unknown
  model::Market market = model::Market::on_demand;
  model::Offer offer;  // empty: unknown
  uint32_t count = 0;  // machines that it cost; 0: unknown
  Error error;
};
void trouble_reported(Memory& memory, const Spec& spec, const Trouble& trouble, TimePoint now);
// The answer to a withdrawal: so many will not come.
void withdrawn(Memory& memory, const Withdraw& asked, uint32_t count, TimePoint now);
// Takes a token of an account's budget, for calls that the shell makes by itself (listings); false: not now.
bool take_call(Memory& memory, const Spec& spec, uint32_t account, TimePoint now);
// A call was throttled: every call of the account waits.
void throttled(Memory& memory, uint32_t account, const Error& error, TimePoint now);

// Every reason that we give to Slurm begins so; a DOWN node with another reason was set aside by somebody else.
inline constexpr std::string_view our_reason = "slipway: ";

// One paragraph for `slipway explain`: what is wanted, what exists, what was tried, what comes next and when. Empty: no
// such node.
std::string explain_node(const View& view, const Spec& spec, const Memory& memory, TimePoint now, const NodeName& node);
std::string explain_job(const View& view, const Spec& spec, const Memory& memory, TimePoint now, const JobView& job,
                        std::string_view state, std::string_view slurm_reason);

}  // namespace slipway::engine
