// The writer thread takes everything that waits as one transaction, so a burst of a thousand events costs a handful of
// commits.
//
// Two locks, never taken together in the other order: `disk_` around the connection (held during I/O), `lock_` around
// the queue (never held during I/O, so append() never waits for the disk). An event stays in the queue until its
// transaction is committed: a reader, who looks at the file first and the queue second under `disk_`, sees each event
// exactly once.
#include "journal/journal.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "journal/database.h"

namespace slipway::journal {

namespace {

constexpr size_t waiting_max = 20'000;  // events kept in memory while the disk refuses them; then the oldest go
constexpr size_t message_bytes_max = 16 << 10;
constexpr Duration retry_min{1'000};
constexpr Duration retry_max{30'000};
constexpr Duration flush_patience{10'000};

bool matches(const Event& event, const Query& query) {
  return event.id > query.after_id && (query.node.empty() || event.node == query.node) &&
         (query.instance.empty() || event.instance == query.instance);
}

class FileJournal final : public Journal {
 public:
  explicit FileJournal(std::filesystem::path file) : file_(std::move(file)) {
    reopen();
    writer_ = std::thread([this] { write_for_ever(); });
  }

  ~FileJournal() override {
    {
      std::lock_guard hold(lock_);
      stopping_ = true;
    }
    wake_.notify_all();
    writer_.join();
  }

  void append(Event event) override {
    if (event.message.size() > message_bytes_max) event.message.resize(message_bytes_max);
    {
      std::lock_guard hold(lock_);
      event.id = next_id_++;
      waiting_.push_back(std::move(event));
      if (waiting_.size() > waiting_max && in_writing_ == 0) {
        waiting_.pop_front();
        ++dropped_;
      }
    }
    wake_.notify_all();
  }

  Result<std::vector<Event>> read(const Query& query) override {
    std::lock_guard disk(disk_);
    std::vector<Event> events;
    std::string trouble;
    if (database_) {
      auto rows = database_->read(query);
      if (rows) {
        events = std::move(*rows);
      } else {
        trouble = rows.error().message;
      }
    }
    {
      std::lock_guard hold(lock_);
      for (const auto& event : waiting_) {
        if (matches(event, query)) events.push_back(event);
      }
    }
    if (!trouble.empty() && events.empty()) {
      return fail(ErrorCode::transient, "the journal " + file_.string() + " can't be read: " + trouble);
    }
    if (events.size() > query.limit) {
      events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(query.limit));
    }
    return events;
  }

  void flush() override {
    {
      std::unique_lock hold(lock_);
      const uint64_t ticket = ++flush_asked_;
      wake_.notify_all();
      // One attempt that began after the call, whether it worked or not: a disk that refuses must not hold the caller.
      written_.wait_for(hold, flush_patience, [&] { return flush_done_ >= ticket; });
    }
    std::lock_guard disk(disk_);
    if (database_) database_->checkpoint();
  }

  void forget_before(TimePoint time) override {
    {
      std::lock_guard hold(lock_);
      forget_ = time;
    }
    wake_.notify_all();
  }

 private:
  void write_for_ever() {
    Duration patience{0};  // after a failure
    std::unique_lock hold(lock_);
    while (true) {
      const auto is_urgent = [this] { return stopping_ || flush_asked_ > flush_done_; };
      if (patience.count() > 0) {
        wake_.wait_for(hold, patience, is_urgent);
      } else {
        wake_.wait(hold, [&] { return is_urgent() || !waiting_.empty() || forget_; });
      }
      const bool last = stopping_;
      const bool fine = write_once(hold);
      patience = fine ? Duration(0) : std::clamp(patience * 2, retry_min, retry_max);
      if (last) return;
    }
  }

  // Called with `hold` locked and returns so; unlocked during the I/O.
  bool write_once(std::unique_lock<std::mutex>& hold) {
    std::vector<Event> batch(waiting_.begin(), waiting_.end());
    const auto forget = std::exchange(forget_, std::nullopt);
    const uint64_t ticket = flush_asked_;
    in_writing_ = batch.size();
    hold.unlock();
    std::unique_lock disk(disk_);
    if (!database_) reopen();
    DatabaseResult<void> done;
    if (!database_) {
      done = tl::unexpected(DatabaseError{Trouble::passing, open_trouble_});
    } else {
      if (!batch.empty()) done = database_->write(batch);
      if (done && forget) done = database_->forget_before(*forget);
      if (!done && done.error().trouble == Trouble::damage) {
        database_.reset();
        move_aside(done.error().message);
        reopen();
        if (database_) done = database_->write(batch);
      }
    }
    report(done);
    hold.lock();
    if (done) {
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(batch.size()));
    } else if (forget && !forget_) {
      forget_ = forget;
    }
    flush_done_ = ticket;
    in_writing_ = 0;
    while (waiting_.size() > waiting_max) {
      waiting_.pop_front();
      ++dropped_;
    }
    // Only now may a reader look: it would see a committed event in the file and in the queue.
    disk.unlock();
    written_.notify_all();
    return done.has_value();
  }

  // With disk_ held (or before the thread starts).
  void reopen() {
    auto opened = Database::open(file_);
    if (!opened && opened.error().trouble == Trouble::damage) {
      move_aside(opened.error().message);
      opened = Database::open(file_);
    }
    if (!opened) {
      open_trouble_ = opened.error().message;
      never_go_back();
      return;
    }
    database_ = std::move(*opened);
    const auto last = database_->last_id();
    std::lock_guard hold(lock_);
    if (last) next_id_ = std::max(next_id_, *last + 1);
  }

  void move_aside(const std::string& why) {
    const auto now = SystemClock().now();
    const std::string suffix = ".bad-" + std::to_string(now.time_since_epoch().count());
    std::error_code failed;
    for (const char* part : {"", "-wal", "-shm"}) {
      const std::filesystem::path from = file_.string() + part;
      std::error_code ignored;
      std::filesystem::rename(from, file_.string() + suffix + part, *part == '\0' ? failed : ignored);
    }
    log_warning("journal_moved_aside", {{"file", file_.string()},
                                        {"to", file_.string() + suffix},
                                        {"why", why},
                                        {"trouble", failed ? failed.message() : std::string()}});
    never_go_back();
  }

  // Ids are promised to ascend, also for a follower who saw those of a file that is no longer there. Milliseconds since
  // 1970 are above any count of events.
  void never_go_back() {
    const int64_t floor = SystemClock().now().time_since_epoch().count();
    std::lock_guard hold(lock_);
    next_id_ = std::max(next_id_, floor);
  }

  void report(const DatabaseResult<void>& done) {
    if (!done && !refused_) {
      log_error("journal_not_writable",
                {{"file", file_.string()},
                 {"why", done.error().message},
                 {"what_to_do", "free space or make the folder writable; events are kept in memory until then"}});
      refused_ = true;
    }
    if (done && refused_) {
      uint64_t dropped = 0;
      {
        std::lock_guard hold(lock_);
        dropped = dropped_;
      }
      log_info("journal_writable_again", {{"file", file_.string()}, {"events_lost", dropped}});
      refused_ = false;
    }
  }

  const std::filesystem::path file_;

  std::mutex disk_;
  std::unique_ptr<Database> database_;
  std::string open_trouble_;
  bool refused_ = false;

  std::mutex lock_;
  std::condition_variable wake_;
  std::condition_variable written_;
  std::deque<Event> waiting_;
  std::optional<TimePoint> forget_;
  size_t in_writing_ = 0;  // of the front of waiting_; those must not be dropped meanwhile
  int64_t next_id_ = 1;
  uint64_t dropped_ = 0;
  uint64_t flush_asked_ = 0;
  uint64_t flush_done_ = 0;
  bool stopping_ = false;

  std::thread writer_;
};

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const std::filesystem::path& file) {
  std::error_code failed;
  if (file.empty() || std::filesystem::is_directory(file, failed)) {
    return fail(ErrorCode::bad_config, "the journal \"" + file.string() + "\" must be a file");
  }
  if (file.has_parent_path() && !std::filesystem::exists(file.parent_path(), failed)) {
    if (auto made = make_folder(file.parent_path(), 0700); !made) return fail(made.error());
  }
  return std::unique_ptr<Journal>(std::make_unique<FileJournal>(file));
}

}  // namespace slipway::journal
