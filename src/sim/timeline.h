// Virtual time: events in the order of their time, those of one moment in the order in which they were planned. One
// thread, one seed: the same run gives the same history, byte for byte.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/clock.h"

namespace slipway::sim {

// Closures of at most two words (this and an index) cost no allocation.
using Event = std::function<void()>;

class Timeline {
 public:
  explicit Timeline(TimePoint start) : now_(start) {}
  TimePoint now() const { return now_; }

  void at(TimePoint when, Event event) {
    heap_.push_back({std::max(when, now_), next_++, std::move(event)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(Duration delay, Event event) { at(now_ + delay, std::move(event)); }

  bool empty() const { return heap_.empty(); }
  // Of the next event. Precondition: not empty.
  TimePoint next_at() const { return heap_.front().when; }
  // Runs the next event at its time. Precondition: not empty.
  void step() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_ = entry.when;
    entry.event();
  }
  // Runs what is due up to and including `end`, and stands there afterwards.
  void run_until(TimePoint end) {
    while (!empty() && next_at() <= end) step();
    now_ = std::max(now_, end);
  }

 private:
  struct Entry {
    TimePoint when;
    uint64_t order = 0;
    Event event;
  };
  static bool later(const Entry& a, const Entry& b) { return a.when != b.when ? a.when > b.when : a.order > b.order; }

  TimePoint now_;
  uint64_t next_ = 0;
  std::vector<Entry> heap_;
};

// SplitMix64: the same numbers on every machine and with every library.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  int64_t between(int64_t low, int64_t high) {
    return high <= low ? low : low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
  }
  double fraction() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return fraction() < probability; }
  Duration between(Duration low, Duration high) { return Duration(between(low.count(), high.count())); }
  // A stream of its own, so that one part's draws don't shift another's.
  Random fork() { return Random(next()); }

 private:
  uint64_t state_;
};

}  // namespace slipway::sim
