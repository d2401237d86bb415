// Files read, written and removed the careful way.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace slipway {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release();
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// The whole file; fails with permanent above `bytes_max`.
Result<std::string> read_file(const std::filesystem::path& path, size_t bytes_max = 64 << 20);
// The last `bytes_max` bytes of the file, cut at a line's start.
Result<std::string> read_tail(const std::filesystem::path& path, size_t bytes_max);
// Writes beside `path` and renames over it, so that a reader sees the old or the new text, never a part; synced to
// disk.
Result<void> write_file(const std::filesystem::path& path, std::string_view text, mode_t mode = 0644);
// Makes the folder and its parents; sets `mode` on the last one.
Result<void> make_folder(const std::filesystem::path& path, mode_t mode = 0755);

}  // namespace slipway
