// What stands before every simulated API: it counts calls, slows them, throttles them, loses their answers, as the
// levers say, and knows no cloud. On the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>

#include "base/clock.h"
#include "rehearse/levers.h"

namespace slipway::rehearse {

struct Passage {
  Duration delay{0};
  bool throttled = false;    // answer 429 with Retry-After: levers.retry_after
  bool lose_answer = false;  // do it, and say nothing
  int status = 0;            // not 0: answer so, and don't do it
  std::string code;
};

class Gate {
 public:
  Gate(const Clock& clock, uint64_t seed);
  // `operation`: the published name ("Pool_Resize"); `account`: whose budget it is.
  Passage pass(Levers& levers, const std::string& operation, const std::string& account, bool changes_something);
  const std::map<std::string, uint64_t>& calls() const { return calls_; }  // by operation, since the start or reset
  void reset_calls() { calls_.clear(); }

 private:
  struct Bucket {
    double tokens = 0;
    TimePoint at{};
  };
  const Clock& clock_;
  std::mt19937_64 random_;
  std::map<std::string, uint64_t> calls_;
  std::map<std::string, Bucket> buckets_;
};

}  // namespace slipway::rehearse
