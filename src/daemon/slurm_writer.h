// Writes to Slurm, of nodes and of jobs, one command at a time and in order. Tells go at once; bindings wait a moment
// for each other, because nothing waits for them: they are the record of who is where, for a later daemon and for
// people. On the loop's thread; the commands run on `workers`.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <variant>

#include "base/clock.h"
#include "base/loop.h"
#include "daemon/slurm_side.h"
#include "model/ids.h"

namespace slipway::daemon {

using SlurmUpdate = std::variant<slurm::NodeUpdate, slurm::JobUpdate>;

class SlurmWriter {
 public:
  struct Options {
    Duration bind_lull{200};        // a batch of bindings is complete when none came for so long
    Duration bind_patience{1'000};  // and at the latest after this
    size_t queue_max = 64;
  };
  struct Events {
    // A binding may have ended while it waited to be written; then it must not be.
    std::function<bool(const NodeName&, const InstanceId&)> is_still_bound;
    std::function<void(const SlurmUpdate&, const Result<void>&)> written;
  };

  SlurmWriter(Loop& loop, const Clock& clock, Workers& workers, SlurmSide& slurm, Options options, Events events);
  ~SlurmWriter();
  SlurmWriter(const SlurmWriter&) = delete;
  SlurmWriter& operator=(const SlurmWriter&) = delete;

  void bind(const NodeName& node, const InstanceId& instance, const std::string& address);
  // An update that already waits unchanged isn't queued again; a full queue drops the newest, since the engine asks
  // again.
  void tell(slurm::NodeUpdate update);
  void tell(slurm::JobUpdate update);
  bool is_idle() const { return !in_flight_ && queue_.empty() && bindings_.empty(); }

 private:
  struct Binding {
    InstanceId instance;
    std::string address;
  };
  void arm();
  void flush_bindings();
  void enqueue(SlurmUpdate update);
  void start_next();

  Loop& loop_;
  const Clock& clock_;
  Workers& workers_;
  SlurmSide& slurm_;
  const Options options_;
  Events events_;
  std::map<NodeName, Binding> bindings_;  // sorted, so that hostlists fold
  TimePoint first_binding_at_{};
  Loop::TimerId timer_ = Loop::TimerId::none;
  std::deque<SlurmUpdate> queue_;
  bool in_flight_ = false;
};

}  // namespace slipway::daemon
