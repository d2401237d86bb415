#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "testing.h"

namespace slipway {
namespace {

mode_t mode_of(const std::filesystem::path& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

size_t entries_in(const std::filesystem::path& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

bool is_open(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

TEST(Fd, ClosesItself) {
  int number = -1;
  {
    Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    number = fd.get();
    EXPECT_TRUE(is_open(number));
    Fd other(std::move(fd));
    EXPECT_FALSE(fd);
    EXPECT_EQ(other.get(), number);
    fd = std::move(other);
    EXPECT_EQ(fd.get(), number);
    Fd& same = fd;
    fd = std::move(same);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Files, WritesAndReadsBack) {
  const testing::TempFolder folder;
  const std::string text("one\0two\n", 8);
  ASSERT_TRUE(write_file(folder / "f", text, 0640));
  EXPECT_EQ(read_file(folder / "f").value(), text);
  EXPECT_EQ(mode_of(folder / "f"), 0640u);
  ASSERT_TRUE(write_file(folder / "f", "", 0600));
  EXPECT_EQ(read_file(folder / "f").value(), "");
  EXPECT_EQ(mode_of(folder / "f"), 0600u);
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(Files, ReadsWhatHasNoSize) {
  EXPECT_FALSE(read_file("/proc/self/status").value().empty());
}

TEST(Files, NamesWhatCannotBeRead) {
  const testing::TempFolder folder;
  const auto missing = read_file(folder / "none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_NE(missing.error().message.find((folder / "none").string()), std::string::npos);
  EXPECT_EQ(read_file(folder.path()).error().code, ErrorCode::permanent);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(read_file(folder / "pipe").value_or("x"), "");  // and doesn't hang
}

TEST(Files, RefusesToReadTooMuch) {
  const testing::TempFolder folder;
  ASSERT_TRUE(write_file(folder / "f", "12345"));
  EXPECT_EQ(read_file(folder / "f", 5).value(), "12345");
  EXPECT_EQ(read_file(folder / "f", 4).error().code, ErrorCode::permanent);
  EXPECT_EQ(read_file("/dev/zero", 1000).error().code, ErrorCode::permanent);
}

TEST(Files, ReadsTailsFromALineOn) {
  const testing::TempFolder folder;
  ASSERT_TRUE(write_file(folder / "f", "one\ntwo\nthree\n"));
  EXPECT_EQ(read_tail(folder / "f", 100).value(), "one\ntwo\nthree\n");
  EXPECT_EQ(read_tail(folder / "f", 14).value(), "one\ntwo\nthree\n");
  EXPECT_EQ(read_tail(folder / "f", 13).value(), "two\nthree\n");
  EXPECT_EQ(read_tail(folder / "f", 10).value(), "two\nthree\n");
  EXPECT_EQ(read_tail(folder / "f", 9).value(), "three\n");
  EXPECT_EQ(read_tail(folder / "f", 4).value(), "ree\n");
  EXPECT_EQ(read_tail(folder / "f", 0).value(), "");
  EXPECT_EQ(read_tail(folder / "none", 4).error().code, ErrorCode::not_found);
}

TEST(Files, ReadersSeeTheOldOrTheNewText) {
  const testing::TempFolder folder;
  const auto path = folder / "f";
  const std::string one(100'000, 'a');
  const std::string two(200'000, 'b');
  ASSERT_TRUE(write_file(path, one));
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) {
      EXPECT_TRUE(write_file(path, i % 2 == 0 ? two : one));
    }
    done = true;
  });
  while (!done) {
    const auto text = read_file(path);
    ASSERT_TRUE(text);
    ASSERT_TRUE(*text == one || *text == two);
  }
  writer.join();
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(Files, WritersAtTheSameTimeLeaveOneWholeText) {
  const testing::TempFolder folder;
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        EXPECT_TRUE(write_file(folder / "f", std::string(5'000, static_cast<char>('a' + t))));
      }
    });
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  const std::string text = read_file(folder / "f").value();
  EXPECT_EQ(text, std::string(5'000, text.at(0)));
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(Files, FailedWritesLeaveNothing) {
  const testing::TempFolder folder;
  EXPECT_EQ(write_file(folder / "none/f", "x").error().code, ErrorCode::not_found);
  ASSERT_TRUE(make_folder(folder / "sub"));
  EXPECT_FALSE(write_file(folder / "sub", "x"));  // a folder is in its place
  EXPECT_EQ(entries_in(folder.path()), 1u);
  EXPECT_TRUE(write_file(folder / std::string(255, 'n'), "x"));
}

TEST(Files, MakesFolders) {
  const testing::TempFolder folder;
  ASSERT_TRUE(make_folder(folder / "a/b/c", 0700));
  EXPECT_EQ(mode_of(folder / "a/b/c"), 0700u);
  EXPECT_TRUE(make_folder(folder / "a/b/c", 0750));
  EXPECT_EQ(mode_of(folder / "a/b/c"), 0750u);
  ASSERT_TRUE(make_folder(folder / "tmp", 01777));
  EXPECT_TRUE(make_folder(folder / "tmp"));
  EXPECT_EQ(mode_of(folder / "tmp"), 01777u);
  ASSERT_TRUE(write_file(folder / "f", "x"));
  EXPECT_FALSE(make_folder(folder / "f"));
  EXPECT_FALSE(make_folder(folder / "f/g"));
}

}  // namespace
}  // namespace slipway
