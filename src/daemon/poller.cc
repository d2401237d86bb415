#include "daemon/poller.h"

#include <algorithm>

namespace slipway::daemon {

Poller::Poller(Loop& loop, const Clock& clock, std::function<void()> start)
    : loop_(loop), clock_(clock), start_(std::move(start)) {}

Poller::~Poller() {
  disarm();
}

void Poller::now() {
  if (in_flight_) {
    again_ = true;
    return;
  }
  disarm();
  in_flight_ = true;
  start_();
}

void Poller::within(Duration delay) {
  const TimePoint at = clock_.now() + std::max(delay, Duration(0));
  if (timer_ != Loop::TimerId::none && due_ <= at) return;
  arm(at);
}

void Poller::finished() {
  in_flight_ = false;
  if (std::exchange(again_, false)) now();
}

void Poller::arm(TimePoint at) {
  disarm();
  due_ = at;
  timer_ = loop_.after(at - clock_.now(), [this] {
    timer_ = Loop::TimerId::none;
    now();
  });
}

void Poller::disarm() {
  if (timer_ != Loop::TimerId::none) loop_.cancel(std::exchange(timer_, Loop::TimerId::none));
}

Duration unhurried(Duration quick, Duration slow, Duration quiet_for) {
  return std::clamp(quiet_for / 10, quick, slow);
}

}  // namespace slipway::daemon
