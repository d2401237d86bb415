// The working tables of one round of decide(): the nodes that aren't asleep, the instances, who has whom, and per pool
// what is wanted and what there is. Internal to the room; lives on the stack of decide(). The steps run in the order of
// this file and each fills what the next reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/decide.h"
#include "engine/ways.h"

namespace slipway::engine {

inline constexpr uint32_t nothing = UINT32_MAX;

struct Work {                   // a node that isn't asleep, or that an instance claims
  uint32_t node = 0;            // into View::nodes
  uint32_t instance = nothing;  // into View::instances
  NodeMemory* memory = nullptr;
  JobId job = 0;                 // the first job that has it
  uint32_t job_place = nothing;  // that job, in View::jobs
  bool evicting = false;         // its machine will be taken by the provider
  bool queued = false;           // in its pool's list of wanted nodes
  Facts facts;
  Situation situation = Situation::held;
  uint8_t before = 0;  // NodeMemory::situation as the last round left it
};

struct Seat {               // parallel to View::instances
  uint32_t work = nothing;  // the node it is bound to
  InstanceMemory* memory = nullptr;
  bool doomed = false;   // we asked for its end
  bool usurped = false;  // its name belongs to another one
};

struct Asked {
  std::string placement;
  model::Market market = model::Market::on_demand;
  uint32_t count = 0;
};

struct PoolRound {
  std::vector<uint32_t> wanted;         // works without an instance, in the order in which they are served
  std::vector<uint32_t> waiting;        // unbound instances: ready for a name,
  std::vector<uint32_t> coming;         // and still on their way
  std::vector<Asked> asked_for;         // of `asked`, what exactly
  uint32_t replacements = 0;            // machines to be had before others are taken by the provider;
  uint32_t replacements_on_demand = 0;  // of them, for jobs that were evicted too often
  uint32_t busy = 0;                    // nodes that a job has, up or powering up
  uint32_t maybe_wanted = 0;   // held nodes that power up: nothing is done for them, but nothing is taken from them
  uint32_t asked = 0;          // launched, not yet visible
  uint32_t live = 0;           // instances that run or start, the doomed ones left out
  uint32_t up = 0;             // usable nodes that are up
  uint32_t coming_up = 0;      // nodes that power up, or were told to
  uint32_t boots_failed = 0;   // of machines without a name, in this round
  uint32_t usable = 0;         // nodes of a held pool that Slurm may pick, or is about to
  uint32_t sleeping = 0;       // of those, looked at so far
  uint32_t resuming = 0;       // of those, on their way to sleep
  bool any_drained = false;    // by us, a sleeping node
  bool found_full = false;     // a held pool has no room for the machine that would try it
  bool found_probing = false;  // one is on its way to try it
  bool unanswered = false;     // a launch whose answer hasn't come
  bool unheard = false;        // a running machine from before our start has not spoken yet
  uint32_t excess = 0;         // machines on their way, not yet there, that nothing wants
  uint64_t ids = 0;            // of its listed instances; see launch_token()
  std::string last_failure;
};

struct Round {
  Round(const View& view_in, const Spec& spec_in, Memory& memory_in, TimePoint now_in, Plan& plan_in)
      : view(view_in), spec(spec_in), memory(memory_in), now(now_in), plan(plan_in), pools(spec_in.pools.size()) {}

  const View& view;
  const Spec& spec;
  Memory& memory;
  const TimePoint now;
  Plan& plan;
  std::vector<Work> works;
  std::vector<Seat> seats;
  std::vector<PoolRound> pools;
  uint32_t powering_up = 0;
  bool ids_summed = false;
  bool any_nameless = false;                             // an instance without a name that doesn't speak
  std::unordered_map<std::string_view, uint32_t> by_id;  // instances; made on first use
  struct JobWork {
    uint32_t work = 0;
    uint32_t job = 0;  // into View::jobs
  };
  std::vector<JobWork> job_works;         // works of view.jobs' nodes, in that order
  std::vector<uint32_t> untokened;        // instances whose provider can't tell their launch
  std::vector<uint32_t> evicting;         // instances with a notice
  std::vector<uint32_t> evicting_unseen;  // works whose machine had one, and isn't in this listing
  std::vector<uint32_t> departing;        // works whose machines are to go, in one call
  std::vector<int8_t> may_terminate;      // by account: -1 not asked yet in this round

  std::unordered_map<std::string, size_t> tell_index;  // plan.tells, by kind and reason

  const NodeView& node(const Work& work) const { return view.nodes[work.node]; }
  const InstanceView& instance(const Work& work) const { return view.instances[work.instance]; }
  PoolRound& pool(const Work& work) { return pools[node(work).pool]; }
  bool known_pool(PoolIndex pool) const { return pool < pools.size(); }
  // `hint`: where it was in the last listing.
  uint32_t find_instance(const InstanceId& id, uint32_t hint);
  // Slurmctld registers nodes one after another: a crowd may take longer.
  Duration crowd() const { return spec.crowd_allowance * powering_up; }

  // Time alone will change something then.
  void due(TimePoint at) {
    if (at > now && (plan.look_again == TimePoint{} || at < plan.look_again)) plan.look_again = at;
  }
  void note(std::string_view kind, const Work& work, std::string message);
  void note_instance(std::string_view kind, uint32_t instance, std::string message);
  // Asks the provider once, and again every update_patience while the instance is still there.
  // Nothing happens while the account's budget is spent.
  // True when it was asked for, now or before.
  bool terminate(uint32_t instance, std::string_view kind, std::string reason);
  bool may_call(PoolIndex pool);
  // Tells Slurm, unless it was told in the present situation less than update_patience ago. True when it was told now.
  // `down` is followed by power_down in the same plan.
  bool tell(Work& work, Tell what, std::string_view reason = {});
  TellSlurm& tells_of(Tell what, std::string_view reason, bool jobs_may_restart);
};

bool is_live(const InstanceView& instance);  // pending or running

// Fills works and seats and says who has whom (bindings.cc).
void join_both_ends(Round& round);
// Facts, reclaim and situation of every work (facts.cc).
void gather_facts(Round& round);
// Machines that their provider is about to take (evictions.cc).
void heed_evictions(Round& round);
// Which idle nodes are given up, and every node's situation (reclaim.cc).
void choose_reclaims(Round& round);
uint32_t warm_target(Round& round, PoolIndex pool);
// What each node's situation asks for (act.cc).
void act_on_nodes(Round& round);
// Instances without a node (unbound.cc).
void sort_unbound(Round& round);
// Nothing wants it: it goes when that has lasted for the grace.
void unneeded(Round& round, uint32_t instance, const char* why);
// Bindings and launches (supply.cc).
void bind_and_launch(Round& round);
// Nodes woken to be kept warm (warm.cc).
void keep_warm(Round& round);
// Failed boots (boots.cc), counted once each.
void count_failed_boot(Round& round, PoolIndex pool, const InstanceView* instance, Failure kind,
                       const std::string& why);
void fade_boots(PoolMemory& pool, TimePoint now);
// Pools that can't get machines: their sleeping nodes, and what jobs are told (shortage.cc).
void open_pools(Round& round);
bool is_to_be_judged_anew(const Round& round, PoolIndex pool);  // what open_pools() found has changed in this round
void hold_short_pools(Round& round);
void give_back(Round& round, PoolIndex pool, const std::vector<uint32_t>& works);
bool is_drain(std::string_view reason);  // a node's reason is that of an eviction
bool is_hold(std::string_view reason);   // a node's reason is that of a hold
std::string hold_reason(const Round& round, PoolIndex pool);
void tell_jobs(Round& round);
// Sends one launch, as far as the API's budget goes; false: not now.
bool send_launch(Round& round, Launch launch, const std::vector<uint32_t>& works, std::vector<uint32_t> ways,
                 bool probe);
// What earlier launches still owe, and refusals (launches.cc).
void settle_launches(Round& round);
// Machines that are on their way though no launch is remembered, and those that nothing wants (withdraw.cc).
void adopt_launches(Round& round);
void withdraw_excess(Round& round);
std::string launch_token(Round& round, const std::vector<uint32_t>& wanted, const Launch& launch);

}  // namespace slipway::engine
