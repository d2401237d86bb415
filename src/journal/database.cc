#include "journal/database.h"

#include <sqlite3.h>

#include <algorithm>

namespace slipway::journal {

namespace {

constexpr const char* schema_sql =
    "CREATE TABLE IF NOT EXISTS events("
    "id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, pool TEXT NOT NULL, node TEXT NOT NULL, "
    "instance TEXT NOT NULL, job INTEGER NOT NULL, message TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS events_node ON events(node, id) WHERE node <> '';"
    "CREATE INDEX IF NOT EXISTS events_instance ON events(instance, id) WHERE instance <> '';"
    "CREATE INDEX IF NOT EXISTS events_at ON events(at);"
    "PRAGMA user_version = 1;";

constexpr uint32_t rows_max = 100'000;  // of one answer

Trouble trouble_of(int code) {
  const int primary = code & 0xff;
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ? Trouble::damage : Trouble::passing;
}

struct StatementCloser {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, StatementCloser>;

Statement prepare(sqlite3* handle, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(handle, sql, -1, &statement, nullptr);
  return Statement(statement);
}

void bind_text(sqlite3_stmt* statement, int index, const std::string& text) {
  sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

std::string column_text(sqlite3_stmt* statement, int index) {
  const auto* text = sqlite3_column_text(statement, index);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(sqlite3_column_bytes(statement, index))};
}

}  // namespace

DatabaseResult<std::unique_ptr<Database>> Database::open(const std::filesystem::path& file) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) return database->failure(code);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 5'000);
  if (auto ready = database->prepare_schema(); !ready) return tl::unexpected(ready.error());
  return database;
}

Database::~Database() {
  sqlite3_close_v2(handle_);
}

DatabaseResult<void> Database::prepare_schema() {
  auto version = number("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  if (*version > schema_version) {
    return tl::unexpected(DatabaseError{Trouble::damage, "its version is " + std::to_string(*version) +
                                                             ", newer than this program's " +
                                                             std::to_string(schema_version)});
  }
  auto check = prepare(handle_, "PRAGMA quick_check(1)");
  const int code = check ? sqlite3_step(check.get()) : sqlite3_extended_errcode(handle_);
  if (code != SQLITE_ROW) return failure(code);
  if (const auto verdict = column_text(check.get(), 0); verdict != "ok") {
    return tl::unexpected(DatabaseError{Trouble::damage, verdict});
  }
  check.reset();
  // NORMAL loses at most the last moments on a power cut, never the file; a full sync a commit would cost more than
  // events are worth.
  for (const char* sql : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -512",
                          "PRAGMA journal_size_limit = 4194304"}) {
    if (auto set = execute(sql); !set) return set;
  }
  if (*version == schema_version) return {};
  auto made = execute("BEGIN IMMEDIATE");
  if (made) made = execute(schema_sql);
  if (made) made = execute("COMMIT");
  if (!made) (void)execute("ROLLBACK");
  return made;
}

DatabaseResult<int64_t> Database::last_id() {
  return number("SELECT coalesce(max(id), 0) FROM events");
}

DatabaseResult<void> Database::write(std::span<const Event> events) {
  if (auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
  auto insert = prepare(handle_, "INSERT OR REPLACE INTO events VALUES(?,?,?,?,?,?,?,?)");
  int code = insert ? SQLITE_DONE : sqlite3_extended_errcode(handle_);
  for (const auto& event : events) {
    if (code != SQLITE_DONE) break;
    sqlite3_bind_int64(insert.get(), 1, event.id);
    sqlite3_bind_int64(insert.get(), 2, event.at.time_since_epoch().count());
    bind_text(insert.get(), 3, event.kind);
    bind_text(insert.get(), 4, event.pool);
    bind_text(insert.get(), 5, event.node);
    bind_text(insert.get(), 6, event.instance);
    sqlite3_bind_int64(insert.get(), 7, event.job);
    bind_text(insert.get(), 8, event.message);
    code = sqlite3_step(insert.get());
    sqlite3_reset(insert.get());
  }
  if (code == SQLITE_DONE) {
    auto committed = execute("COMMIT");
    if (!committed) (void)execute("ROLLBACK");
    return committed;
  }
  auto failed = failure(code);
  insert.reset();
  (void)execute("ROLLBACK");
  return failed;
}

DatabaseResult<std::vector<Event>> Database::read(const Query& query) {
  std::string sql = "SELECT id, at, kind, pool, node, instance, job, message FROM events WHERE id > ?1";
  if (!query.node.empty()) sql += " AND node <> '' AND node = ?2";
  if (!query.instance.empty()) sql += " AND instance <> '' AND instance = ?3";
  sql += " ORDER BY id DESC LIMIT ?4";
  auto select = prepare(handle_, sql.c_str());
  if (!select) return failure(sqlite3_extended_errcode(handle_));
  sqlite3_bind_int64(select.get(), 1, query.after_id);
  if (!query.node.empty()) bind_text(select.get(), 2, query.node);
  if (!query.instance.empty()) bind_text(select.get(), 3, query.instance);
  sqlite3_bind_int64(select.get(), 4, std::min(query.limit, rows_max));
  std::vector<Event> events;
  int code = sqlite3_step(select.get());
  for (; code == SQLITE_ROW; code = sqlite3_step(select.get())) {
    Event event;
    event.id = sqlite3_column_int64(select.get(), 0);
    event.at = TimePoint(Duration(sqlite3_column_int64(select.get(), 1)));
    event.kind = column_text(select.get(), 2);
    event.pool = column_text(select.get(), 3);
    event.node = column_text(select.get(), 4);
    event.instance = column_text(select.get(), 5);
    event.job = static_cast<uint32_t>(sqlite3_column_int64(select.get(), 6));
    event.message = column_text(select.get(), 7);
    events.push_back(std::move(event));
  }
  if (code != SQLITE_DONE) return failure(code);
  std::reverse(events.begin(), events.end());
  return events;
}

DatabaseResult<void> Database::forget_before(TimePoint time) {
  auto remove = prepare(handle_, "DELETE FROM events WHERE at < ?1");
  if (!remove) return failure(sqlite3_extended_errcode(handle_));
  sqlite3_bind_int64(remove.get(), 1, time.time_since_epoch().count());
  const int code = sqlite3_step(remove.get());
  if (code != SQLITE_DONE) return failure(code);
  return {};
}

void Database::checkpoint() {
  sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

DatabaseResult<void> Database::execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(code);
  return {};
}

DatabaseResult<int64_t> Database::number(const char* sql) {
  auto statement = prepare(handle_, sql);
  const int code = statement ? sqlite3_step(statement.get()) : sqlite3_extended_errcode(handle_);
  if (code != SQLITE_ROW) return failure(code);
  return sqlite3_column_int64(statement.get(), 0);
}

tl::unexpected<DatabaseError> Database::failure(int code) {
  const char* words = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  return tl::unexpected(DatabaseError{trouble_of(code), words});
}

}  // namespace slipway::journal
