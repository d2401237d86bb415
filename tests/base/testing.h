// What the tests of this room share.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <string>

#include "base/loop.h"

namespace slipway::testing {

// A folder of the test's own, removed at its end.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "slipway-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Runs the loop until `done` holds; false when it still doesn't after `deadline`.
inline bool run_until(Loop& loop, const std::function<bool()>& done, Duration deadline = std::chrono::seconds(20)) {
  bool late = false;
  const auto limit = loop.after(deadline, [&] {
    late = true;
    loop.stop();
  });
  Loop::TimerId next = Loop::TimerId::none;
  std::function<void()> look = [&] {
    if (done()) {
      loop.stop();
    } else {
      next = loop.after(Duration(1), look);
    }
  };
  next = loop.after(Duration(0), look);
  loop.run();
  loop.cancel(limit);
  loop.cancel(next);
  return !late;
}

inline void run_for(Loop& loop, Duration time) {
  run_until(
      loop, [] { return false; }, time);
}

}  // namespace slipway::testing
