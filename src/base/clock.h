// Time as everything in the house sees it.
//
// TimePoint is wall-clock time in milliseconds since the Unix epoch, because Slurm's and the clouds' times are. Only
// the edges own a SystemClock; everything else takes a `const Clock&` or a TimePoint.
#pragma once

#include <chrono>
#include <string>

namespace slipway {

using Duration = std::chrono::milliseconds;
using TimePoint = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

// The system's time at construction plus the steady time since: it never steps back while the process lives.
// Thread-safe.
class SystemClock final : public Clock {
 public:
  SystemClock();
  TimePoint now() const override;

 private:
  TimePoint origin_;
  std::chrono::steady_clock::time_point steady_origin_;
};

// A clock that stands still until it is told to move. For tests and simulation.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(TimePoint start) : now_(start) {}
  TimePoint now() const override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_;
};

// "2026-03-01T12:00:00.250Z" (UTC, milliseconds).
std::string to_iso8601(TimePoint time);
// "850ms", "12.3s", "4m05s", "2h10m", "3d04h": short, for people.
std::string to_short(Duration duration);

}  // namespace slipway
