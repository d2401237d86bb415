// Draws from a Latency: mostly around the median, now and then in its long tail.
#pragma once

#include <algorithm>

#include "sim/cloud.h"
#include "sim/timeline.h"

namespace slipway::sim {

inline Duration draw_latency(Random& random, const Latency& latency) {
  const int64_t median = latency.median.count();
  const int64_t longest = std::max(latency.longest.count(), median);
  // One in twenty is from the tail.
  if (random.below(20) == 0) return Duration(random.between(median, longest));
  return Duration(std::min(
      longest, median * 6 / 10 + static_cast<int64_t>(random.below(static_cast<uint64_t>(median * 8 / 10 + 1)))));
}

}  // namespace slipway::sim
