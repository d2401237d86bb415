// What is worth remembering and can be lost: events, in SQLite (WAL). The control path never reads it back to decide
// anything.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::journal {

struct Event {
  int64_t id = 0;  // ascending; set by the journal
  TimePoint at{};
  std::string kind;  // stable: "node_wanted", "launch_requested", "node_serving", "instance_died", …
  std::string pool;
  std::string node;
  std::string instance;
  uint32_t job = 0;     // 0: none
  std::string message;  // a sentence for a person
};

struct Query {
  int64_t after_id = 0;
  std::string node;  // empty: any
  std::string instance;
  uint32_t limit = 1000;  // the newest so many, returned oldest first
};

// Thread-safe: one connection behind one writer thread; append never blocks on the disk. A journal that cannot be
// written (disk full) says so once in the log, keeps the newest events in memory and tries again: the daemon goes on.
class Journal {
 public:
  // Opens or makes the file; a file of a newer version or a damaged one is moved aside (".bad-<time>") and a new one is
  // begun.
  static Result<std::unique_ptr<Journal>> open(const std::filesystem::path& file);
  virtual ~Journal() = default;
  virtual void append(Event event) = 0;
  virtual Result<std::vector<Event>> read(const Query& query) = 0;
  virtual void flush() = 0;  // waits until what was appended is on disk
  virtual void forget_before(TimePoint time) = 0;
};

}  // namespace slipway::journal
