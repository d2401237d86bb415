// One connection to the events file: thin RAII over SQLite's C API. Used by one thread at a time (journal.cc holds the
// lock).
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "journal/journal.h"

struct sqlite3;

namespace slipway::journal {

inline constexpr int schema_version = 1;

// What a failure asks for: trouble passes by itself (disk full, read-only, busy); damage never does, the file must go
// aside.
enum class Trouble { passing, damage };

struct DatabaseError {
  Trouble trouble = Trouble::passing;
  std::string message;
};

template <class T>
using DatabaseResult = tl::expected<T, DatabaseError>;

class Database {
 public:
  // Opens or makes the file, checks it and its version; a newer version counts as damage, since this program can't use
  // it.
  static DatabaseResult<std::unique_ptr<Database>> open(const std::filesystem::path& file);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  DatabaseResult<int64_t> last_id();
  // All of them or none.
  DatabaseResult<void> write(std::span<const Event> events);
  DatabaseResult<std::vector<Event>> read(const Query& query);
  DatabaseResult<void> forget_before(TimePoint time);
  // Copies the write-ahead log into the file and syncs it.
  void checkpoint();

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  DatabaseResult<void> prepare_schema();
  DatabaseResult<void> execute(const char* sql);
  DatabaseResult<int64_t> number(const char* sql);
  tl::unexpected<DatabaseError> failure(int code);

  sqlite3* handle_ = nullptr;
};

}  // namespace slipway::journal
