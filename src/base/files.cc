#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace slipway {

namespace {

// Opening never hangs on a FIFO; a folder is refused here with a clear word instead of at the first read.
Result<Fd> open_to_read(const std::filesystem::path& path, struct stat& info) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    return fail_errno("open " + path.string());
  }
  if (fstat(fd.get(), &info) != 0) {
    return fail_errno("stat " + path.string());
  }
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    return fail_errno("read " + path.string());
  }
  return fd;
}

// Appends what is left in the file to `text`, at most `bytes_max` bytes; false with errno set when reading failed.
bool read_up_to(int fd, size_t bytes_max, std::string& text) {
  char buffer[64 << 10];
  while (bytes_max > 0) {
    const ssize_t count = read(fd, buffer, std::min(bytes_max, sizeof buffer));
    if (count == 0) {
      return true;
    }
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return false;
    }
    text.append(buffer, static_cast<size_t>(count));
    bytes_max -= static_cast<size_t>(count);
  }
  return true;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(fd, text.data(), text.size());
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return false;
    }
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset(other.release());
  }
  return *this;
}

int Fd::release() {
  return std::exchange(fd_, -1);
}

void Fd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old >= 0) {
    const int saved = errno;  // destructors run between a failed call and the look at its errno
    close(old);               // never repeated: on Linux the descriptor is gone even after EINTR
    errno = saved;
  }
}

Result<std::string> read_file(const std::filesystem::path& path, size_t bytes_max) {
  struct stat info {};
  auto fd = open_to_read(path, info);
  if (!fd) {
    return fail(fd.error());
  }
  std::string text;
  if (S_ISREG(info.st_mode) && info.st_size > 0) {
    text.reserve(std::min(static_cast<size_t>(info.st_size), bytes_max));
  }
  // One byte more than allowed tells a file of exactly that size from a longer one; the size in `info` may lie (/proc).
  const size_t limit = bytes_max == SIZE_MAX ? bytes_max : bytes_max + 1;
  if (!read_up_to(fd->get(), limit, text)) {
    return fail_errno("read " + path.string());
  }
  if (text.size() > bytes_max) {
    return fail(ErrorCode::permanent,
                path.string() + " is larger than the " + std::to_string(bytes_max) + " bytes that are read of it");
  }
  return text;
}

Result<std::string> read_tail(const std::filesystem::path& path, size_t bytes_max) {
  struct stat info {};
  auto fd = open_to_read(path, info);
  if (!fd) {
    return fail(fd.error());
  }
  const auto size = static_cast<size_t>(std::max<off_t>(info.st_size, 0));
  const bool cut = size > bytes_max;
  // The byte before the tail is read as well: when it ends a line, the tail begins one.
  if (cut && lseek(fd->get(), static_cast<off_t>(size - bytes_max - 1), SEEK_SET) < 0) {
    return fail_errno("seek " + path.string());
  }
  std::string text;
  if (!read_up_to(fd->get(), cut ? bytes_max + 1 : bytes_max, text)) {
    return fail_errno("read " + path.string());
  }
  if (cut) {
    const size_t line_end = text.find('\n');
    const bool line_begins = line_end != std::string::npos && line_end + 1 < text.size();
    text.erase(0, line_begins ? line_end + 1 : 1);
  }
  return text;
}

Result<void> write_file(const std::filesystem::path& path, std::string_view text, mode_t mode) {
  const std::filesystem::path folder = folder_of(path);
  // The name doesn't grow from the file's own, which may already be as long as names can be.
  std::string beside = (folder / ".slipway-XXXXXX").string();
  Fd fd(mkostemp(beside.data(), O_CLOEXEC));
  if (!fd) {
    return fail_errno("write beside " + path.string());
  }
  const char* failed = nullptr;
  if (!write_all(fd.get(), text)) {
    failed = "write ";
  } else if (fchmod(fd.get(), mode) != 0) {
    failed = "set the mode of ";
  } else if (fsync(fd.get()) != 0) {
    failed = "sync ";
  } else if (rename(beside.c_str(), path.c_str()) != 0) {
    failed = "replace ";
  }
  if (failed != nullptr) {
    const int error = errno;
    unlink(beside.c_str());
    errno = error;
    return fail_errno(failed + path.string());
  }
  // The rename itself lives in the folder. Some file systems can't sync a folder (EINVAL); then there is nothing to do.
  const Fd folder_fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder_fd && fsync(folder_fd.get()) != 0 && errno != EINVAL) {
    return fail_errno("sync " + folder.string());
  }
  return {};
}

Result<void> make_folder(const std::filesystem::path& path, mode_t mode) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    errno = error.value();
    return fail_errno("make the folder " + path.string());
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return fail_errno("stat " + path.string());
  }
  if (!S_ISDIR(info.st_mode)) {
    errno = ENOTDIR;
    return fail_errno("make the folder " + path.string());
  }
  const mode_t now = info.st_mode & 07777;
  // A sticky folder such as /tmp is shared with strangers: taking its bit away would harm them.
  const bool shared = (now & S_ISVTX) != 0 && (mode & S_ISVTX) == 0;
  if (now != mode && !shared && chmod(path.c_str(), mode) != 0) {
    return fail_errno("set the mode of " + path.string());
  }
  return {};
}

}  // namespace slipway
