// When to look again. One question is in flight at most; whatever asks for another meanwhile makes one more right
// behind it, so that an answer always belongs to a question asked after its reason. On the loop's thread.
#pragma once

#include <functional>

#include "base/clock.h"
#include "base/loop.h"

namespace slipway::daemon {

class Poller {
 public:
  // `start` begins the question; its owner calls finished() when the answer is there, good or bad.
  Poller(Loop& loop, const Clock& clock, std::function<void()> start);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void now();
  // At the latest after `delay`; an earlier appointment stays.
  void within(Duration delay);
  void finished();
  bool in_flight() const { return in_flight_; }

 private:
  void arm(TimePoint at);
  void disarm();

  Loop& loop_;
  const Clock& clock_;
  std::function<void()> start_;
  bool in_flight_ = false;
  bool again_ = false;
  Loop::TimerId timer_ = Loop::TimerId::none;
  TimePoint due_{};  // of timer_
};

// A quick pace that slows down while nothing changes: a node that hangs for hours isn't worth a look every second.
// A tenth of the quiet time, within [quick, slow].
Duration unhurried(Duration quick, Duration slow, Duration quiet_for);

}  // namespace slipway::daemon
