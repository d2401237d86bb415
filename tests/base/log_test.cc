#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "base/files.h"
#include "testing.h"

namespace slipway {
namespace {

// Stderr goes to a file while this lives.
class Capture {
 public:
  Capture() : saved_(dup(STDERR_FILENO)) {
    const Fd file(open((folder_ / "log").c_str(), O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600));
    dup2(file.get(), STDERR_FILENO);
  }
  ~Capture() { dup2(saved_.get(), STDERR_FILENO); }
  std::string text() const { return read_file(folder_ / "log").value_or(""); }

 private:
  testing::TempFolder folder_;
  Fd saved_;
};

// Lines without their times.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    EXPECT_GT(line.size(), 25u);
    EXPECT_EQ(line.substr(23, 2), "Z ") << line;
    lines.push_back(line.substr(std::min<size_t>(25, line.size())));
    begin = end + 1;
  }
  return lines;
}

TEST(Log, WritesOneLinePerEvent) {
  const Capture capture;
  log_info("node_bound", {{"node", "cpu-0001"}, {"instance", std::string("i-4f")}, {"count", 7}, {"delta", -3}});
  log_warning("odd");
  log_error("broken", {{"ok", false}});
  EXPECT_EQ(lines_of(capture.text()),
            (std::vector<std::string>{"info node_bound node=cpu-0001 instance=i-4f count=7 delta=-3", "warning odd",
                                      "error broken ok=0"}));
}

TEST(Log, QuotesWhatWouldBreakALine) {
  const Capture capture;
  log_info("x", {{"a", "two words"}, {"b", "say \"hi\" \\"}, {"c", "1\n2\t\x1b[31m"}, {"d", ""}, {"e", "k=v"}});
  EXPECT_EQ(lines_of(capture.text()),
            (std::vector<std::string>{R"(info x a="two words" b="say \"hi\" \\" c="1\n2\t\x1b[31m" d="" e="k=v")"}));
}

TEST(Log, CutsEndlessValues) {
  const Capture capture;
  log_info("x", {{"a", std::string(1 << 20, 'y')}});
  EXPECT_LT(capture.text().size(), 20'000u);
  EXPECT_NE(capture.text().find("yyy...\"\n"), std::string::npos);
}

TEST(Log, DropsLinesBelowTheLevel) {
  const Capture capture;
  log_debug("hidden");
  set_log_level(LogLevel::debug);
  log_debug("shown");
  set_log_level(LogLevel::error);
  log_warning("hidden");
  set_log_level(LogLevel::info);
  EXPECT_EQ(lines_of(capture.text()), (std::vector<std::string>{"debug shown"}));
}

TEST(Log, LeavesErrnoAlone) {
  const Capture capture;
  errno = ENOTTY;
  log_info("x");
  EXPECT_EQ(errno, ENOTTY);
}

TEST(Log, ThreadsDoNotTearLines) {
  const Capture capture;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 250; ++i) {
        log_info("tick", {{"text", std::string(200, static_cast<char>('a' + t))}});
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const auto lines = lines_of(capture.text());
  EXPECT_EQ(lines.size(), 1000u);
  for (const std::string& line : lines) {
    EXPECT_EQ(line, "info tick text=" + std::string(200, line.back()));
  }
}

}  // namespace
}  // namespace slipway
