// A loop that runs while a test waits.
#pragma once

#include <chrono>
#include <functional>

#include "base/loop.h"

namespace slipway::rehearse {

inline void run_for(Loop& loop, Duration time) {
  loop.after(time, [&loop] { loop.stop(); });
  loop.run();
}

// False on the timeout.
inline bool run_until(Loop& loop, const std::function<bool()>& holds, Duration timeout = Duration(20'000)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    run_for(loop, Duration(2));
  }
  return true;
}

}  // namespace slipway::rehearse
