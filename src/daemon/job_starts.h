// Jobs that have their nodes and wait for them to be up: one kept channel each, to a slipway-prolog (slurm/hook_protocol.h says what is exchanged).
//
// slurmctld starts a job the moment its slipway-prolog ends, so "go" is said as soon as a look at Slurm shows every node of the job ready. On the
// loop's thread. Nothing is lost with a channel: without an answer the hook ends by itself and the job starts at Slurm's own pace.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/channel.h"
#include "base/clock.h"
#include "base/loop.h"
#include "engine/view.h"
#include "slurm/hook_protocol.h"

namespace slipway::daemon {

// Whether a job may start on a node in this state. A node that is DOWN or that Slurm doesn't know ends the waiting too: slurmctld knows what to do.
bool ends_waiting(model::SlurmNodeState state);

class JobStarts {
 public:
  struct Options {
    size_t waiting_max = 20'000;    // more are told "go" at once: Slurm's own pace
    Duration remind_every{10'000};  // the hook gives up after 30 s of silence
  };

  JobStarts(Loop& loop, const Clock& clock, Options options) : loop_(loop), clock_(clock), options_(options) {}
  ~JobStarts();
  JobStarts(const JobStarts&) = delete;
  JobStarts& operator=(const JobStarts&) = delete;

  // Takes over the channel.
  void add(std::unique_ptr<Channel> channel, slurm::Hint hint);
  // After each look at Slurm, which began at `as_of`: says "go" to the jobs whose nodes are ready in it. A look that began before a hook asked
  // proves nothing for it.
  void check(const std::vector<engine::NodeView>& nodes, TimePoint as_of);

  bool empty() const { return waiting_.empty(); }
  size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    std::unique_ptr<Channel> channel;
    JobId job = 0;
    std::vector<NodeName> nodes;
    TimePoint since{};
  };
  void remind();

  Loop& loop_;
  const Clock& clock_;
  const Options options_;
  std::unordered_map<uint64_t, Waiting> waiting_;
  uint64_t next_ = 1;
  Loop::TimerId timer_ = Loop::TimerId::none;
};

}  // namespace slipway::daemon
