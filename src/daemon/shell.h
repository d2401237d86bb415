// The loop's shell: decides when to look and when to decide, and joins the parts. observe (two pollers and their
// workers) → world → decide → act.
//
// Pace. Slurm is polled at once after a hint or a write of ours, every second while nodes are between states, every ten
// otherwise; the provider at once when an agent appears or vanishes, twice a second while something is on its way,
// every five otherwise. squeue is asked when a node boots for a job that no hint named, and every second while the
// engine wants to know about jobs (Plan::jobs_wanted). While nothing changes the quick paces slow down by themselves. A
// round follows each answer; agents' reports make one a few milliseconds later, so that a crowd makes one, not
// hundreds.
//
// Nothing is decided before Slurm and a complete listing have been seen once, nor while slurmctld doesn't answer.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "cloud/provider.h"
#include "daemon/act.h"
#include "daemon/agents.h"
#include "daemon/job_starts.h"
#include "daemon/names.h"
#include "daemon/observe.h"
#include "daemon/poller.h"
#include "daemon/slurm_side.h"
#include "daemon/slurm_writer.h"
#include "daemon/welcome.h"
#include "daemon/world.h"
#include "journal/journal.h"

namespace slipway::daemon {

struct ShellOptions {
  std::string listen;  // for agents
  join::Key master{};
  std::string munge_key;
  std::filesystem::path slurm_conf;
  std::function<bool()> may_act;  // asked right before each plan is carried out; empty: yes
  LeaseHeld lease;
  std::filesystem::path hosts_file;  // gets the names of login machines; empty: left alone
  Duration slurm_quick{1'000};
  Duration slurm_slow{10'000};
  Duration jobs_quick{1'000};
  Duration provider_quick{500};
  Duration provider_slow{5'000};
  Duration gather{4};  // agents' reports of so long make one round
  Duration events_kept{std::chrono::hours(24 * 30)};
};

class Shell {
 public:
  struct Seams {
    const Clock& clock;
    SlurmSide& slurm;
    cloud::Provider& provider;
    journal::Journal& journal;
  };

  // Listens for agents and makes the first looks. Fails when the address is in use.
  static Result<std::unique_ptr<Shell>> start(Loop& loop, Seams seams, model::Cluster cluster, ShellOptions options);
  ~Shell();
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  // `channel`: kept for a job_start hint, which waits for an answer; closed otherwise.
  void on_hint(const Result<slurm::Hint>& hint, std::unique_ptr<Channel> channel = nullptr);
  const World& world() const { return world_; }
  // The cluster's names, for a NameServer.
  NameLookup names() const;
  uint16_t agents_port() const { return agents_->port(); }

  // Calls `then` with squeue's answer of this moment in world().jobs; after `patience` with what there is.
  void with_jobs(Duration patience, std::function<void()> then);
  // Called after each event that went to the journal.
  void on_event(std::function<void()> callback) { on_event_ = std::move(callback); }

 private:
  struct NodesAnswer;
  struct ListingAnswer;
  struct JobsWaiter {
    TimePoint deadline{};
    std::function<void()> then;
  };

  Shell(Loop& loop, Seams seams, model::Cluster cluster, ShellOptions options);

  void poll_slurm();
  void slurm_answered(NodesAnswer answer);
  void poll_provider();
  void provider_answered(ListingAnswer answer);
  void poll_jobs();
  void jobs_answered(const Result<std::vector<slurm::Job>>& jobs, uint64_t asked_at_hint, TimePoint asked_at);
  void serve_jobs_waiters(bool all);
  void arm_waiters();
  void learn_version();

  void ask_round(Duration within);
  void round();
  void look_at_jobs(bool wanted);
  void choose_pace(const engine::Plan& plan, bool acted);
  bool is_anything_moving() const;

  void suspect(const InstanceId& instance);
  void look_closer();
  void admit_waiting();
  std::vector<HostLine> logins() const;
  void admit_login(const InstanceId& instance);
  void agent_changed(const InstanceId& instance);
  bool is_bound(const NodeName& node, const InstanceId& instance) const;
  void written(const SlurmUpdate& update, const Result<void>& done);
  void record(std::string kind, std::string message);
  void housekeeping();

  Loop& loop_;
  Seams seams_;
  const ShellOptions options_;
  World world_;
  const PoolMap pools_;
  WelcomeMaker welcome_;
  JobBook book_;

  Workers slurm_readers_;
  Workers slurm_writers_;
  Workers listers_;
  Workers vouchers_;
  Workers doers_;
  Poller slurm_poller_;
  Poller provider_poller_;
  Poller jobs_poller_;
  std::unique_ptr<Agents> agents_;
  std::unique_ptr<SlurmWriter> writer_;
  std::unique_ptr<Act> act_;

  Duration look_every_{0};  // the provider, at most
  TimePoint listed_at_{};   // the last listing was asked for; epoch: none
  std::unordered_map<InstanceId, std::string> others_;  // listed, but of no pool, and their addresses
  std::unordered_map<InstanceId, std::string> logins_;  // joined as login machines, and their addresses
  JobStarts job_starts_;
  uint64_t hints_ = 0;          // of any kind
  uint64_t hints_at_poll_ = 0;  // when the present Slurm poll was asked
  TimePoint jobs_asked_at_{};
  size_t suspicion_ = 0;  // extra listings made since an agent's connection ended
  int provider_failures_ = 0;
  int quick_looks_ = 0;     // looks at Slurm still to be made in a hurry, for jobs that wait to start
  TimePoint changed_at_{};  // when anything last moved
  std::vector<std::pair<InstanceId, model::InstanceState>> last_states_;
  std::deque<JobsWaiter> jobs_waiters_;
  std::function<void()> on_event_;
  Loop::TimerId round_timer_ = Loop::TimerId::none;
  TimePoint round_due_{};
  Loop::TimerId look_timer_ = Loop::TimerId::none;
  Loop::TimerId suspect_timer_ = Loop::TimerId::none;
  Loop::TimerId waiters_timer_ = Loop::TimerId::none;
  Loop::TimerId jobs_timer_ = Loop::TimerId::none;
  Loop::TimerId housekeeping_timer_ = Loop::TimerId::none;
};

}  // namespace slipway::daemon
