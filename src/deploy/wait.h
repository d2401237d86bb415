// Waiting for something that another process does, with a deadline and a way out for an impatient operator.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::deploy {

// Asks `done` every `pause` until it says true or fails. Fails with transient and "`what` took longer than …" at the
// deadline, and with "interrupted" as soon as `interrupted` (may be empty) says so.
template <class Done>
Result<void> wait_until(const std::string& what, Duration patience, const std::function<bool()>& interrupted, Done done,
                        Duration pause = Duration(25)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    Result<bool> answer = done();
    if (!answer) return Failure(answer.error());
    if (*answer) return {};
    if (interrupted && interrupted()) return fail(ErrorCode::transient, "interrupted");
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(ErrorCode::transient, what + " took longer than " + to_short(patience));
    }
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace slipway::deploy
