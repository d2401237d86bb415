// The insides of the model of slurmctld. One idea a file: slurm_nodes.cc the node table and who is free, slurm_jobs.cc
// a job's life, slurm_schedule.cc which job gets which nodes, slurm_power.cc power saving, slurm_register.cc slurmds
// and whether they are heard, slurm_update.cc scontrol's updates, slurm_restart.cc what is saved and what a restart
// loses.
//
// Work that slurmctld does in regular passes is planned only while there is some: each kind of pass keeps the time of
// its next run, and an event of any other time is an old one that does nothing.
#pragma once

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "sim/slurm.h"

namespace slipway::sim {

inline constexpr TimePoint never = TimePoint::max();

// What slurmctld's state file tells of a node.
struct SavedNode {
  model::SlurmNodeState state;
  std::string address;
  std::string reason;
  TimePoint resumed_at{};
  TimePoint suspended_at{};
};

struct NodeRecord {
  JobId job = 0;  // that has it, also while it completes; 0: none
  TimePoint resumed_at{};
  TimePoint suspended_at{};
  TimePoint unheard_since{};  // up and not heard; epoch: heard, or not up
  // The slurmd that has this name, as it really is.
  bool slurmd = false;
  bool cut_off = false;
  bool registering = false;  // not answered yet
  uint8_t attempts = 0;
  TimePoint slurmd_began{};
  std::string slurmd_address;
  JobId process = 0;  // whose processes run there
  // Membership of lists.
  bool changed = false;
  bool unsaved = false;
  bool in_power_list = false;
  bool in_unheard_list = false;
  bool awaits_answer = false;
  bool usable = false;
  SavedNode saved;

  bool heard() const { return slurmd && !cut_off; }
};

struct JobRecord {
  Job* job = nullptr;
  bool prolog = false;            // PrologSlurmctld runs
  bool requeue = false;           // completing: it becomes pending
  JobState end = JobState::done;  // completing: else this
  uint32_t completing = 0;        // nodes
  TimePoint allocated_at{};
  TimePoint ends_at{};
  bool unsaved = false;
  Job saved;
};

// A set of node indices from which the lowest come first.
class NodeSet {
 public:
  explicit NodeSet(size_t size) : words_((size + 63) / 64) {}
  void set(uint32_t index, bool in);
  bool has(uint32_t index) const { return (words_[index / 64] >> (index % 64) & 1) != 0; }
  // The lowest in [from, to); `to` if there is none.
  uint32_t next(uint32_t from, uint32_t to) const;

 private:
  std::vector<uint64_t> words_;
};

struct PoolNodes {
  uint32_t begin = 0, end = 0;  // node indices
  uint32_t free_up = 0;         // up or booting, without a job
  uint32_t free_asleep = 0;
  uint32_t usable = 0;  // with or without a job, now or when they have been powered down
};

struct Slurm::State {
  State(Slurm& owner, Timeline& timeline, Random random, const std::vector<engine::Spec::Pool>& pools,
        std::vector<PartitionSpec> partitions, SlurmOptions options);

  // --- nodes ---
  // The only way to change what scontrol shows of a node's state.
  void set(uint32_t node, model::SlurmNodeState state);
  void touched(uint32_t node);  // another field of its view changed
  void mark(uint32_t node);     // the same, and set() follows
  void reset_address(uint32_t node);
  void back_in_service(uint32_t node);  // its reason is of the past

  // --- jobs ---
  JobRecord& record(JobId job) { return job_records[job - 1]; }
  void change(JobRecord& job, JobState state);
  void allocate(JobRecord& job, std::vector<uint32_t> chosen);
  void run_prolog(JobId job);
  void run_if_ready(JobId job);
  void reach_end(JobId job);
  void reach_time_limit(JobId job);
  void finish(JobRecord& job, JobState end, bool requeue, TimePoint begin_at);
  void node_completed(uint32_t node);
  void stop_completing(uint32_t node);
  void left_by(JobId job, uint32_t node);
  void release(JobRecord& job);
  void queue(JobRecord& job);
  void lose_node(JobId job, TimePoint begin_at);  // a node of it failed: requeue or fail
  void retest();
  void arm_retest();
  bool ready(const Job& job) const;

  // --- scheduling ---
  void arm_pass(TimePoint when);
  void pass();
  void pass_of(uint32_t partition);
  std::vector<uint32_t> choose(uint32_t partition, uint32_t count) const;
  uint32_t overtakers(JobId front) const;

  // --- power saving ---
  bool wants_power(const model::SlurmNodeState& state) const;
  void arm_scan(TimePoint when);
  void scan();
  void resume(uint32_t node);
  void suspend(uint32_t node);
  void time_out_suspends();
  void time_out_resumes(std::vector<uint32_t>& failed);
  void fire(slurm::HintKind kind, std::vector<uint32_t>& chosen, std::vector<slurm::HintJob> jobs);

  // --- slurmds ---
  void try_to_register(uint32_t node);
  void be_served(uint32_t node);
  void accept(uint32_t node);
  void ask_to_register(uint32_t node);
  void watch(uint32_t node);
  void await_answer(uint32_t node);
  void be_answered(uint32_t node);
  void arm_ping();
  void ping();
  void kill_process(uint32_t node) { records[node].process = 0; }

  // --- updates ---
  bool apply(uint32_t node, slurm::NodeChange change, const std::string& reason, bool jobs_may_restart);
  void set_down(uint32_t node, const std::string& reason, TimePoint begin_at);
  void require_registration(uint32_t node);

  // --- what is saved ---
  void arm_save(TimePoint when);
  void save_soon() { arm_save(timeline.now() + options.save_delay); }
  void save();
  void unsaved(uint32_t node);
  void unsaved(JobRecord& job);
  void stop(bool lose);
  void start();
  void revert_jobs();
  void revert_nodes();
  void take_up_work();

  // The first instant at or after `when` at which something that runs each `interval` since slurmctld's start does so.
  TimePoint grid(TimePoint when, Duration interval) const;
  TimePoint after_penalty() const { return timeline.now() + options.cred_expire + Duration(1'000); }

  Slurm& owner;
  Timeline& timeline;
  const SlurmOptions options;
  const std::vector<PartitionSpec> partitions;
  Duration phase;  // of the kernel's seconds against the clock's

  std::vector<engine::NodeView> views;
  std::vector<NodeRecord> records;
  std::vector<PoolNodes> pools;
  NodeSet free_up, free_asleep;
  std::vector<uint32_t> changed;
  std::unordered_map<std::string_view, uint32_t> index;

  std::map<JobId, Job> jobs;
  std::deque<JobRecord> job_records;        // by id
  std::vector<JobId> active;                // configuring, running, completing; in order
  std::vector<std::vector<JobId>> waiting;  // by partition, in order

  bool up = true;
  bool lost = false;  // stopped with unsaved state
  TimePoint started_at;
  std::vector<JobId> cancel_at_start;

  TimePoint pass_at = never, last_pass{};
  TimePoint scan_at = never, ping_at = never, save_at = never, retest_at = never;

  std::vector<JobId> resume_jobs;
  std::vector<uint32_t> power_list;
  std::deque<std::pair<TimePoint, uint32_t>> resumes,
      suspends;  // in order of time; old entries stay until they are due
  TimePoint registered_until{};
  std::vector<uint32_t> unheard_list;
  std::vector<uint32_t> unsaved_nodes;
  std::vector<JobId> unsaved_jobs;
};

}  // namespace slipway::sim
