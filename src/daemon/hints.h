// The socket that slurmctld's programs speak to: run_folder/hook.sock. Anybody may connect, only root and the SlurmUser
// are heard. A hint that is lost, late or nonsense costs seconds, never a node. On the loop's thread.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/channel.h"
#include "base/clock.h"
#include "base/loop.h"
#include "slurm/hook_protocol.h"

namespace slipway::daemon {

class Hints {
 public:
  struct Options {
    std::filesystem::path socket;
    std::function<std::optional<uid_t>()> slurm_uid;  // asked anew while it is unknown
    size_t callers_max = 256;
    Duration patience{5'000};
  };
  // Called for every message of a trusted program, also when it can't be decoded: it is a reason to look at Slurm. The
  // channel may be taken, for a program that waits for an answer (slurm::HintKind::job_start); else it is closed.
  using OnHint = std::function<void(const Result<slurm::Hint>&, std::unique_ptr<Channel>)>;

  static Result<std::unique_ptr<Hints>> open(Loop& loop, const Clock& clock, Options options, OnHint on_hint);
  ~Hints();
  Hints(const Hints&) = delete;
  Hints& operator=(const Hints&) = delete;

 private:
  struct Caller {
    std::unique_ptr<Channel> channel;
    TimePoint deadline{};
  };
  Hints(Loop& loop, const Clock& clock, Options options, OnHint on_hint);
  void accept(std::unique_ptr<Channel> channel);
  bool is_trusted(uid_t uid);
  void sweep();

  Loop& loop_;
  const Clock& clock_;
  const Options options_;
  OnHint on_hint_;
  std::optional<uid_t> slurm_uid_;
  std::unordered_map<uint64_t, Caller> callers_;
  uint64_t next_ = 1;
  std::unique_ptr<Listener> listener_;
  Loop::TimerId timer_ = Loop::TimerId::none;
};

}  // namespace slipway::daemon
