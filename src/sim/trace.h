// What happened, one line a transition. Off at first, and then it costs one look at a flag: a run that fails is run
// again from its seed with the trace on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/ids.h"

namespace slipway::sim {

inline constexpr uint32_t nobody = UINT32_MAX;

// Whom a line or a violation is about, each by its number; `nobody` and 0 where it is about none.
struct About {
  uint32_t node = nobody;     // into Slurm::nodes()
  uint32_t machine = nobody;  // into Cloud::machines()
  JobId job = 0;
};

struct TraceLine {
  Duration at{0};  // since the world began
  About about;
  std::string text;
};

class Trace {
 public:
  void turn_on() { on_ = true; }
  bool on() const { return on_; }
  void add(Duration at, About about, std::string text) { lines_.push_back({at, about, std::move(text)}); }
  const std::vector<TraceLine>& lines() const { return lines_; }
  // Every line: "  12m04.2s cpu-0003 …".
  std::string text() const;
  // The last `count` lines that concern `about`, or everybody.
  std::string tail(const About& about, size_t count) const;

 private:
  bool on_ = false;
  std::vector<TraceLine> lines_;
};

}  // namespace slipway::sim
