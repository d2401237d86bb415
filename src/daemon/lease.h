// Which of two daemons acts: a lease in a file that both controllers see, beside slurmctld's own state.
//
// The file is one line of text that its holder writes anew every `renew_every`. A standby takes the lease over when the
// line has not changed for `validity`, by the standby's own steady clock: no two machines' clocks are compared. At once
// it takes what was released in order, and what a dead process of the same running kernel held: that one's lock on the
// file is gone, and of its own kernel's locks a machine knows the truth. The epoch grows with every change of hands.
//
// The holder counts its validity from before it began to renew and stops `margin` earlier, so it ends before a standby
// begins. It asks is_held() before everything it does: a process that was frozen finds out before it acts. What it had
// handed to a cloud or to scontrol before it froze can still take effect; launch tokens and the state of both ends make
// that harmless.
//
// Crash windows: a line that was cut off by a crash counts as a holder that nobody knows; it is waited for.
// The file's lock is held for as long as a read and a write take. A process frozen in between keeps others from
// taking over until it goes on or dies.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/files.h"
#include "base/loop.h"
#include "base/result.h"

namespace slipway::daemon {

// Since the machine's boot, time asleep included; never steps.
Duration boot_time();

struct LeaseLine {
  uint64_t epoch = 0;
  uint64_t beat = 0;  // of this holder, counted
  enum class State : uint8_t {
    held,
    held_locked,  // and its process holds the file's second lock for as long as it lives
    released,
  } state = State::held;
  std::string boot_id;  // of the holder's kernel
  std::string holder;   // "controller/4711/9f3a…"
  std::string at;       // wall clock, for people only
  bool operator==(const LeaseLine&) const = default;
};
std::string encode_lease(const LeaseLine& line);
Result<LeaseLine> decode_lease(std::string_view text);

// The file's side. Blocking; one thread at a time.
class Lease {
 public:
  struct Options {
    std::filesystem::path file;
    std::string holder;   // of this process, unique
    std::string boot_id;  // of this kernel; empty: unknown
    Duration validity{10'000};
    Duration margin{1'000};
    std::function<Duration()> clock = boot_time;
  };
  struct Outcome {
    bool held = false;
    bool lost = false;        // it was ours and is another's now
    Duration valid_until{0};  // by Options::clock; when held
    uint64_t epoch = 0;       // of whoever has it
    std::string holder;       // whoever has it; empty: unknown
  };

  explicit Lease(Options options);
  ~Lease();  // without a release: as if the process had died
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  // Takes it, renews it, or looks at it.
  Result<Outcome> step();
  // Whoever stands by takes it at its next look.
  void release();

 private:
  Result<void> open();
  bool may_take(const Result<LeaseLine>& line);
  uint64_t next_epoch(const Result<LeaseLine>& line) const;
  Result<void> write(LeaseLine line);

  const Options options_;
  Fd file_;
  bool held_ = false;
  bool locked_ = false;  // the second lock
  LeaseLine own_;
  std::string seen_;     // the text that the file had last
  Duration seen_at_{0};  // first
};

// Keeps stepping, on a worker, and tells the loop. Once lost it never holds again: the process ends and begins afresh.
class LeaseKeeper {
 public:
  struct Options {
    Lease::Options lease;
    Duration renew_every{2'000};
    Duration look_every{1'000};  // while another has it
  };
  struct Events {
    std::function<void()> taken;
    std::function<void(const std::string& why)> lost;
  };
  LeaseKeeper(Loop& loop, Options options, Events events);
  // Releases it, when it is held.
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // Whether this process may act at this very moment. Calls `lost` when it held the lease and was too late to renew it.
  bool is_held();
  uint64_t epoch() const { return epoch_; }
  const std::string& holder() const { return options_.lease.holder; }

 private:
  void step();
  void stepped(const Result<Lease::Outcome>& outcome);
  void lose(const std::string& why);

  Loop& loop_;
  const Options options_;
  Events events_;
  Lease lease_;
  bool held_ = false;
  bool lost_ = false;
  Duration valid_until_{0};
  uint64_t epoch_ = 0;
  std::string waits_for_;  // what was said in the log
  Loop::TimerId timer_ = Loop::TimerId::none;
  Loop::TimerId watch_ = Loop::TimerId::none;
  std::optional<Workers> worker_;
};

// "controller/4711/9f3a…": this process, for the lease and for people.
std::string own_holder_name();
// Of the kernel that runs; empty when it can't be read.
std::string own_boot_id();

}  // namespace slipway::daemon
