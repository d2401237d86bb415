#include "journal/journal.h"

#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <thread>

namespace slipway::journal {
namespace {

namespace fs = std::filesystem;

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "slipway-journal-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    file_ = folder_ / "events.db";
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<Journal> open() {
    auto opened = Journal::open(file_);
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    return std::move(*opened);
  }

  static Event event(int64_t at_ms, std::string kind, std::string node = "", std::string instance = "") {
    Event made;
    made.at = TimePoint(Duration(at_ms));
    made.kind = std::move(kind);
    made.node = std::move(node);
    made.instance = std::move(instance);
    return made;
  }

  std::vector<fs::path> aside() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const auto name = entry.path().filename().string();
      if (name.find(".bad-") != std::string::npos && !name.ends_with("-wal") && !name.ends_with("-shm")) {
        found.push_back(entry.path());
      }
    }
    return found;
  }

  static std::vector<Event> all(Journal& journal, Query query = {}) {
    auto rows = journal.read(query);
    EXPECT_TRUE(rows.has_value()) << rows.error().message;
    return rows ? *rows : std::vector<Event>();
  }

  fs::path folder_;
  fs::path file_;
};

TEST_F(JournalTest, EveryFieldSurvivesReopen) {
  Event full = event(1'700'000'000'123, "node_bound", "cpu-0001", "i-7");
  full.pool = "cpu";
  full.job = 4'000'000'000u;
  full.message = std::string("quotes ' \" and\nlines and a \0 byte", 33);
  {
    auto journal = open();
    journal->append(full);
  }
  auto journal = open();
  const auto rows = all(*journal);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].id, 1);
  EXPECT_EQ(rows[0].at, full.at);
  EXPECT_EQ(rows[0].kind, full.kind);
  EXPECT_EQ(rows[0].pool, full.pool);
  EXPECT_EQ(rows[0].node, full.node);
  EXPECT_EQ(rows[0].instance, full.instance);
  EXPECT_EQ(rows[0].job, full.job);
  EXPECT_EQ(rows[0].message, full.message);
  journal->append(event(1, "next"));
  EXPECT_EQ(all(*journal).back().id, 2);
}

TEST_F(JournalTest, ReadSeesWhatWasJustAppendedOnceEach) {
  auto journal = open();
  for (int i = 1; i <= 500; ++i) {
    journal->append(event(i, "kind"));
    const auto rows = all(*journal);
    ASSERT_EQ(rows.size(), static_cast<size_t>(i));
    for (int j = 0; j < i; ++j) ASSERT_EQ(rows[j].id, j + 1);
  }
}

TEST_F(JournalTest, QueriesFilterAndKeepTheNewestOldestFirst) {
  auto journal = open();
  for (int i = 0; i < 100; ++i) {
    journal->append(event(i, "kind", i % 2 == 0 ? "even" : "odd", i % 10 == 0 ? "i-ten" : ""));
    if (i == 50) journal->flush();  // some from the file, some from memory
  }
  Query even{.node = "even"};
  EXPECT_EQ(all(*journal, even).size(), 50u);
  even.limit = 3;
  const auto last = all(*journal, even);
  ASSERT_EQ(last.size(), 3u);
  EXPECT_EQ(last[0].id, 95);
  EXPECT_EQ(last[2].id, 99);
  EXPECT_EQ(all(*journal, {.instance = "i-ten"}).size(), 10u);
  EXPECT_EQ(all(*journal, {.node = "odd", .instance = "i-ten"}).size(), 0u);
  const auto after = all(*journal, {.after_id = 98});
  ASSERT_EQ(after.size(), 2u);
  EXPECT_EQ(after[0].id, 99);
  EXPECT_TRUE(all(*journal, {.limit = 0}).empty());
}

TEST_F(JournalTest, ManyThreadsLoseNothing) {
  constexpr int threads = 8;
  constexpr int each = 500;
  {
    auto journal = open();
    std::vector<std::thread> writers;
    for (int t = 0; t < threads; ++t) {
      writers.emplace_back([&, t] {
        for (int i = 0; i < each; ++i) {
          journal->append(event(i, "k", "n" + std::to_string(t)));
          if (i % 100 == 0) (void)journal->read({.limit = 5});
        }
      });
    }
    for (auto& writer : writers) writer.join();
  }
  auto journal = open();
  const auto rows = all(*journal, {.limit = 100'000});
  ASSERT_EQ(rows.size(), static_cast<size_t>(threads * each));
  std::set<int64_t> ids;
  for (const auto& row : rows) ids.insert(row.id);
  EXPECT_EQ(ids.size(), rows.size());
}

TEST_F(JournalTest, ForgetsWhatIsOld) {
  auto journal = open();
  for (int i = 0; i < 10; ++i) journal->append(event(i * 1000, "k"));
  journal->flush();
  journal->forget_before(TimePoint(Duration(5000)));
  journal->flush();
  const auto rows = all(*journal);
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_EQ(rows.front().at, TimePoint(Duration(5000)));
}

TEST_F(JournalTest, ADamagedFileIsMovedAside) {
  std::ofstream(file_) << std::string(8192, 'x');
  auto journal = open();
  journal->append(event(1, "k"));
  journal->flush();
  EXPECT_EQ(all(*journal).size(), 1u);
  ASSERT_EQ(aside().size(), 1u);
  EXPECT_EQ(fs::file_size(aside()[0]), 8192u);
}

TEST_F(JournalTest, APageDamagedInsideIsNoticedAtOpen) {
  {
    auto journal = open();
    for (int i = 0; i < 2000; ++i) journal->append(event(i, "kind", "node-" + std::to_string(i)));
    journal->flush();
  }
  {
    std::fstream out(file_, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(4096);
    out << std::string(8192, '\xff');
  }
  auto journal = open();
  EXPECT_TRUE(all(*journal).empty());
  EXPECT_EQ(aside().size(), 1u);
  journal->append(event(1, "again"));
  EXPECT_GT(all(*journal).at(0).id, 2000) << "ids must not go back for followers";
}

TEST_F(JournalTest, ANewerVersionIsMovedAsideUntouched) {
  {
    auto journal = open();
    journal->append(event(1, "future"));
  }
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(handle, "PRAGMA user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(handle);

  auto journal = open();
  EXPECT_TRUE(all(*journal).empty());
  ASSERT_EQ(aside().size(), 1u);
  ASSERT_EQ(sqlite3_open(aside()[0].c_str(), &handle), SQLITE_OK);
  int rows = 0;
  auto count = [](void* into, int, char** values, char**) {
    *static_cast<int*>(into) = std::stoi(values[0]);
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(handle, "SELECT count(*) FROM events", count, &rows, nullptr), SQLITE_OK);
  EXPECT_EQ(rows, 1);
  sqlite3_close(handle);
}

TEST_F(JournalTest, AFolderOrNoNameIsRefused) {
  EXPECT_FALSE(Journal::open(folder_).has_value());
  EXPECT_FALSE(Journal::open("").has_value());
}

// A full disk: a small tmpfs in a mount namespace of a child, so that nothing outside can be hit.
TEST_F(JournalTest, AFullDiskCostsNothingOnceThereIsRoomAgain) {
  if (geteuid() != 0) FAIL() << "these tests run as root";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto run = [&]() -> int {
      if (unshare(CLONE_NEWNS) != 0) return 10;
      if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 11;
      if (mount("none", folder_.c_str(), "tmpfs", 0, "size=512k") != 0) return 12;
      auto opened = Journal::open(file_);
      if (!opened) return 13;
      auto& journal = **opened;
      journal.append(event(1, "before"));
      journal.flush();
      {
        std::ofstream ballast(folder_ / "ballast");
        const std::string block(4096, 'b');
        while (ballast << block << std::flush) {
        }
      }
      Event big = event(2, "while_full");
      big.message = std::string(8000, 'm');
      for (int i = 0; i < 20; ++i) journal.append(big);
      journal.flush();  // must come back although nothing can be written
      auto meanwhile = journal.read({});
      if (!meanwhile || meanwhile->size() != 21) return 14;
      fs::remove(folder_ / "ballast");
      journal.flush();
      opened->reset();
      auto again = Journal::open(file_);
      if (!again) return 15;
      auto rows = (*again)->read({});
      if (!rows || rows->size() != 21) return 16;
      for (size_t i = 1; i < rows->size(); ++i) {
        if ((*rows)[i].id <= (*rows)[i - 1].id) return 17;
      }
      return 0;
    };
    _exit(run());
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(JournalTest, AReadOnlyDiskKeepsTheNewestInMemory) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto run = [&]() -> int {
      if (unshare(CLONE_NEWNS) != 0) return 10;
      if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 11;
      if (mount("none", folder_.c_str(), "tmpfs", MS_RDONLY, "") != 0) return 12;
      auto opened = Journal::open(file_);
      if (!opened) return 13;
      auto& journal = **opened;
      for (int i = 0; i < 30'000; ++i) journal.append(event(i, "k"));
      journal.flush();
      auto rows = journal.read({.limit = 100'000});
      if (!rows || rows->size() > 21'000 || rows->size() < 10'000) return 14;
      if (rows->back().at != TimePoint(Duration(29'999))) return 15;
      if (mount("none", folder_.c_str(), nullptr, MS_REMOUNT, "") != 0) return 16;
      journal.flush();
      return fs::exists(file_) ? 0 : 17;
    };
    _exit(run());
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace slipway::journal
