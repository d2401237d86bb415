// A model of slurmctld as far as power saving and jobs on whole nodes go: flags, timeouts, what its programs are called
// with and when, which registrations it ignores, what a restart loses. Facts: docs/slurm.md and what validation against
// real slurmctlds showed (tests/e2e/simulation_test.py). Whole nodes only: no CPUs, memory, fair-share.
//
// Event-driven: nothing is planned on the timeline while nothing is pending, and what is done costs what has changed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/view.h"
#include "sim/timeline.h"
#include "slurm/adapter.h"
#include "slurm/hook_protocol.h"

namespace slipway::sim {

struct PartitionSpec {
  std::string name;
  std::vector<engine::PoolIndex> pools;  // nodes are chosen in this order
};

enum class Release : uint8_t {
  r22_05,  // NOT_RESPONDING stays after a ResumeTimeout; a node's reason is cleared when it is usable again
  r24_11,  // the flag goes; the reason's text stays until a job runs there
};

struct SlurmOptions {
  Duration resume_timeout{600'000};
  Duration suspend_timeout{60'000};
  Duration cred_expire{60'000};
  Duration sched_interval{10'000};   // of full scheduling passes; a job's submission and end cause one too
  Duration power_interval{1'000};    // power saving looks so often
  Duration save_interval{300'000};   // of node state to disk, besides after job starts and ends and updates
  Duration job_retest{30'000};       // a job whose prolog is not ours is tested so often whether its nodes are up
  Duration slurmd_timeout{120'000};  // an up node that is not heard is NOT_RESPONDING from the next ping on (a third
                                     // of this apart) and DOWN after this and at most a ping more
  Duration registration{20};         // slurmctld's work for one; they queue up
  bool prolog = true;                // PrologSlurmctld is ours: job_start hints are answered by start_job()
  bool early_registrations = false;  // 22.05 before 23.11: a slurmd -b within a second of the resume may be ignored
  Release release = Release::r24_11;
  Duration sched_min_interval{500};  // between two scheduling passes
  Duration launch_retest{10'000};    // without our prolog: a batch job's launch is tried again so often
  Duration complete{100};            // a job's end on an up node
  Duration save_delay{5'000};        // state goes to disk so long after the first change that asks for it
};

struct JobRequest {
  uint32_t partition = 0;
  uint32_t nodes = 1;
  Duration runs{60'000};
  bool batch = true;  // else srun: a lost node ends it
  bool requeue = true;
  bool checkpoints = false;      // a signal makes it save what it has done
  bool dies_of_signals = false;  // it doesn't trap them: FAILED and not requeued
  Duration time_limit{0};        // 0: none
};

enum class JobState : uint8_t { pending, configuring, running, completing, done, failed, cancelled };

struct Job {
  JobId id = 0;
  JobRequest request;
  JobState state = JobState::pending;
  std::vector<uint32_t> nodes;  // into Slurm::nodes(); those it had when it has ended
  TimePoint submitted{};
  TimePoint begin_at{};  // not before
  TimePoint started{};   // this time
  TimePoint ended{};
  Duration done{0};  // of its work, saved by checkpoints
  uint32_t restarts = 0;
  std::string comment;  // AdminComment
};

class Slurm {
 public:
  // Nodes are those of the pools, in order, named by model::node_name().
  Slurm(Timeline& timeline, Random random, const std::vector<engine::Spec::Pool>& pools,
        std::vector<PartitionSpec> partitions, SlurmOptions options);
  ~Slurm();

  // --- users. While slurmctld is down their commands wait for it. ---
  JobId submit(const JobRequest& request);
  void cancel(JobId job);

  // --- what the daemon can see and do; nothing while it is down (transient failures) ---
  bool answers() const;
  const std::vector<engine::NodeView>& nodes() const;  // as scontrol shows them
  // Nodes that changed since the last call, each once, in no particular order.
  std::vector<uint32_t> take_changed();
  std::vector<engine::JobView> jobs() const;           // configuring and running, Slurm's order
  std::vector<engine::JobView> starting_jobs() const;  // only those that wait for their nodes
  std::vector<engine::PendingJob> pending() const;
  // As the adapter: what can be done is done; the failure names the nodes that were refused.
  Result<void> update(const slurm::NodeUpdate& update);
  Result<void> update(const slurm::JobUpdate& update);
  // The prolog of a job_start hint ends: the job starts if its nodes are up; else slurmctld looks again by itself.
  void start_job(JobId job);

  // --- slurmd ---
  // A slurmd with this name begins (with -b) and registers until it is answered; what it says of itself counts from
  // now.
  void slurmd_started(uint32_t node, const std::string& address);
  // Its machine is gone, and with it whatever ran there. With an address: only if the slurmd that has the name is
  // there.
  void slurmd_ended(uint32_t node, const std::string& address = {});
  // It runs on with its jobs, but nobody hears it; or is heard again.
  void slurmd_cut_off(uint32_t node, bool cut_off);
  // Whether a process of a job would be found on it; the machine's owner must not take it then.
  bool runs_job(uint32_t node) const;

  // --- faults ---
  void stop(bool lose_unsaved);  // SIGKILL; what was not saved is lost. The ends of jobs are kept all the same
  void start();
  void fail_over();  // the other controller takes over from what was saved
  void set_by_hand(uint32_t node, slurm::NodeChange change, const std::string& reason);

  // --- for the world. The two below must not call anything here that changes it; on_hook may. ---
  std::function<void(const slurm::Hint&)> on_hook;   // programs that slurmctld runs
  std::function<void(uint32_t node)> on_node_state;  // after each change of its state
  std::function<void(const Job&)> on_job_state;
  const std::map<JobId, Job>& all_jobs() const;
  uint32_t index_of(const NodeName& name) const;  // UINT32_MAX: none

 private:
  struct State;
  // Kept apart so that the header tells only what it is, not how.
  std::unique_ptr<State> state_;
};

}  // namespace slipway::sim
