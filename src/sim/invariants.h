// What must hold at any time, whatever goes wrong, and what must come true once nothing does. Each check sits where its
// rule can break and costs next to nothing; `limits` says how long each may be broken before it counts.
//
//   theft         a machine on which a healthy node's job has run for longer than a look takes is not terminated
//   two machines  no two live machines have one name for longer than it takes to notice; none is given a name that
//                 another connected machine is known to have
//   unasked       every launched machine is justified by a want, a loss, an eviction, a probe or a lost answer
//   pool max      no more good machines than the pool may have and its spares
//   hammering     launch calls of a pool in a minute are bounded by what changed in it
//   budget        calls stay within rate × time + burst
//   unknown       nothing is launched, bound or terminated without knowing both ends
//   requeue loop  no job is started again and again within minutes
//   atomic        no job holds machines for long while others of its machines can't be had
//   eviction      the node of a machine that is taken with due notice takes no new jobs
//   idle money    a machine that nobody needs goes after its idle time
//   needless      decide() does nothing when nothing changed and nothing is due
//   progress      after healing every job ends
//   leak          without jobs no machine is left beyond the warm ones, and every other node sleeps, undrained by us
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/decide.h"
#include "sim/slurm.h"
#include "sim/timeline.h"
#include "sim/trace.h"

namespace slipway::sim {

class World;

struct Violation {
  std::string rule;  // one of the words above
  std::string text;
  Duration at{0};  // since the world began
  About about;
};

class Invariants {
 public:
  Invariants(World& world, bool on);

  // --- called by those who do it ---
  void daemon_began(uint32_t daemon);
  void daemon_ended(uint32_t daemon);
  void decided(const engine::View& view, const engine::Plan& plan, bool needless);
  void launch_sent(const engine::Launch& launch);
  // An answer to a launch of so many; false: the asker had died, or what came of it is unknown.
  void launch_heard(engine::PoolIndex pool, const std::string& token, uint32_t count, bool heard);
  void refusal_heard(engine::PoolIndex pool);
  void call_made();
  void bind_sent(uint32_t node, uint32_t machine);
  void terminate_sent(uint32_t machine);
  void machine_made(uint32_t machine);
  void machine_ended(uint32_t machine);
  void eviction_noticed(uint32_t machine);
  void job_moved(JobId job);  // by us, away from a machine that is taken
  void name_taken(uint32_t machine, uint32_t node);
  void agent_failed(uint32_t machine);
  void node_changed(uint32_t node, model::SlurmNodeState before, model::SlurmNodeState after);
  void job_changed(const Job& job);
  void fault();

  // --- at the end of a run ---
  // Every job that can run somewhere has ended.
  void all_jobs_done();
  // Nothing is wanted for long enough: only warm machines are left.
  void nothing_left();

  bool violated() const { return first_.has_value(); }
  const std::optional<Violation>& first() const { return first_; }

 private:
  struct Machine {
    TimePoint terminate_sent{};
    TimePoint needed_until{};  // it served, or may have been about to serve, somebody
    bool ended = false;
    bool given_up = false;   // a plan ends it
    bool good = true;        // counts against the pool's maximum
    TimePoint noticed_at{};  // of an eviction
    bool evicting = false;
  };
  struct Pool {
    uint64_t justified = 0;
    uint64_t launched = 0;
    uint64_t lost = 0;  // machines of launches whose answer nobody heard
    uint32_t good = 0;
    std::vector<TimePoint> calls;      // of the last minute
    std::set<std::string> placements;  // that launches named, ever
    std::vector<TimePoint> reasons;    // why a call may be made, of the last minute
  };
  void broken(const char* rule, std::string text, About about);
  void justify(engine::PoolIndex pool, uint64_t machines = 1);
  void given_up(uint32_t machine);
  void not_good(uint32_t machine);
  Duration longest_boot() const;
  void look_at_jobs();
  void look_for_loop(const Job& job);
  void look_for_twins(uint32_t node);
  static uint32_t recent(std::vector<TimePoint>& times, TimePoint now);
  Machine& at(uint32_t machine);

  World& world_;
  const bool on_;
  std::optional<Violation> first_;
  std::vector<Machine> machines_;
  std::vector<Pool> pools_;
  std::vector<TimePoint> runs_since_;      // by node: a job runs on it since then; epoch: none
  std::vector<TimePoint> changed_at_;      // by node
  std::vector<uint32_t> promised_to_;      // by node: machine, by the present holder
  std::map<JobId, TimePoint> incomplete_;  // configuring jobs of several nodes that hold some machines but not all
  struct Restarts {
    TimePoint since{};
    uint32_t then = 0;
  };
  std::map<JobId, Restarts> restarts_;
  std::vector<uint32_t> ending_;  // machines that the present plan terminates
  std::map<std::string, std::pair<engine::PoolIndex, uint32_t>> in_flight_;  // launches, by token
  double call_tokens_ = 0;
  TimePoint call_tokens_at_{};
  bool looking_at_jobs_ = false;
  TimePoint last_fault_{};
};

}  // namespace slipway::sim
