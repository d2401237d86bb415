#include "deploy/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "deploy/deploy.h"

namespace slipway::deploy {

namespace fs = std::filesystem;

namespace {

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\r')) text.pop_back();
  return text;
}

// Whether the entry may stay in a folder that counts as clean.
bool harmless(const std::string& name) {
  return name == "lock" || name == "shared" || name == "data" || name.rfind("version", 0) == 0;
}

// mountinfo writes blanks and backslashes as \040 and the like.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

Result<std::optional<Fd>> lock_file(const fs::path& file, int flags, Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    Fd fd(::open(file.c_str(), flags | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("open " + file.string());
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      // The holder before us may have removed the file: then this is the lock of one that nobody else will ever open.
      struct stat here {};
      struct stat there {};
      if (::fstat(fd.get(), &here) == 0 && ::stat(file.c_str(), &there) == 0 && here.st_ino == there.st_ino) {
        return std::optional<Fd>(std::move(fd));
      }
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("lock " + file.string());
    if (std::chrono::steady_clock::now() >= deadline) return std::optional<Fd>();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

Result<FolderLook> look_at_state(const fs::path& state) {
  std::error_code error;
  const auto status = fs::symlink_status(state, error);
  if (!fs::exists(status)) return FolderLook{};
  if (!fs::is_directory(status)) return FolderLook{FolderState::foreign, ""};
  bool empty = true;
  bool harmless_only = true;
  bool has_shared = false;
  for (auto entry = fs::directory_iterator(state, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    empty = false;
    has_shared = has_shared || name == "shared" || name == "data";
    harmless_only = harmless_only && harmless(name);
  }
  if (error)
    return fail(ErrorCode::denied, "the state folder " + state.string() + " can't be read: " + error.message());
  if (empty) return FolderLook{};
  const auto version = read_file(state / "version", 4096);
  if (!version) {
    // Only an `up` that was killed at its very first step leaves a folder with a lock and no version.
    const bool begun = harmless_only && !has_shared;
    return FolderLook{begun ? FolderState::absent : FolderState::foreign, ""};
  }
  const std::string written = trimmed(*version);
  if (written != std::to_string(layout_version)) return FolderLook{FolderState::other, written};
  return FolderLook{harmless_only ? FolderState::clean : FolderState::used, written};
}

Result<Fd> lock_network(Duration patience) {
  // The kernel's own file for this network namespace: a lock that all of them share and that leaves nothing behind.
  auto fd = lock_file("/proc/self/ns/net", O_RDONLY, patience);
  if (!fd) return Failure(fd.error());
  if (!*fd)
    return fail(ErrorCode::transient, "another cluster is being brought up on this box; try again when it is up");
  return std::move(**fd);
}

Result<StateLock> StateLock::take(const fs::path& state, Duration patience) {
  constexpr int attempts = 10;
  for (int attempt = 1;; ++attempt) {
    if (auto made = make_folder(state, 0700); !made) return Failure(made.error());
    auto fd = lock_file(state / "lock", O_RDWR | O_CREAT | O_NOFOLLOW, patience);
    // Somebody who took the cluster down removed the folder under us.
    if (!fd && fd.error().code == ErrorCode::not_found && attempt < attempts) continue;
    if (!fd) return Failure(fd.error());
    if (!*fd) {
      return fail(ErrorCode::transient, "another `slipway up` or `slipway down` works on this cluster (it holds " +
                                            (state / "lock").string() + "); wait for it, then try again");
    }
    if (!fs::exists(state / "version")) {
      auto written = write_file(state / "version", std::to_string(layout_version) + "\n");
      if (!written) return Failure(written.error());
    }
    return StateLock(std::move(**fd));
  }
}

bool StateLock::is_held(const fs::path& state) {
  Fd fd(::open((state / "lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

std::vector<std::string> mounts_below(std::string_view mountinfo, const fs::path& folder) {
  std::vector<std::string> found;
  const std::string prefix = folder.string() + "/";
  while (!mountinfo.empty()) {
    const size_t end = mountinfo.find('\n');
    std::string_view line = mountinfo.substr(0, end);
    mountinfo = end == std::string_view::npos ? std::string_view() : mountinfo.substr(end + 1);
    // The fifth field is the mount point.
    for (int skip = 0; skip < 4 && !line.empty(); ++skip) {
      const size_t blank = line.find(' ');
      line = blank == std::string_view::npos ? std::string_view() : line.substr(blank + 1);
    }
    std::string point = unescape(line.substr(0, line.find(' ')));
    if (point.rfind(prefix, 0) == 0) found.push_back(std::move(point));
  }
  std::reverse(found.begin(), found.end());
  return found;
}

Result<void> remove_state(const fs::path& state, bool keep_data) {
  std::error_code error;
  const fs::path real = fs::canonical(state, error);
  if (error) {
    if (error == std::errc::no_such_file_or_directory) return {};
    return fail(ErrorCode::permanent, "the state folder " + state.string() + " can't be reached: " + error.message());
  }
  const auto mountinfo = read_file("/proc/self/mountinfo");
  if (!mountinfo) return Failure(mountinfo.error());
  for (const std::string& point : mounts_below(*mountinfo, real)) {
    if (::umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT) {
      return fail(ErrorCode::permanent, "something is mounted at " + point + " and can't be unmounted (" +
                                            std::strerror(errno) + "); unmount it, then run `slipway down` again");
    }
  }
  bool kept = false;
  for (auto entry = fs::directory_iterator(real, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == "version" || name == "lock") continue;
    if (keep_data && (name == "shared" || name == "data")) {
      kept = true;
      continue;
    }
    std::error_code why;
    fs::remove_all(entry->path(), why);
    if (why) {
      return fail(ErrorCode::permanent, entry->path().string() + " can't be removed: " + why.message() +
                                            "; remove it, then run `slipway down` again");
    }
  }
  if (error)
    return fail(ErrorCode::permanent, "the state folder " + real.string() + " can't be read: " + error.message());
  fs::remove(real / "lock", error);
  if (kept) return {};
  fs::remove(real / "version", error);
  fs::remove(real, error);
  if (error && error != std::errc::directory_not_empty) {
    return fail(ErrorCode::permanent, real.string() + " can't be removed: " + error.message());
  }
  return {};
}

}  // namespace slipway::deploy
