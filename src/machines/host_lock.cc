#include "machines/host_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <thread>

namespace slipway::machines {
namespace {

constexpr std::chrono::milliseconds patience{1'000};

std::filesystem::path lock_path(const std::filesystem::path& state) {
  return state / "host" / "lock";
}

// "<pid> <start time>"
ProcessId read_holder(const std::filesystem::path& state) {
  ProcessId holder;
  auto text = read_file(lock_path(state), 256);
  if (!text) return holder;
  const char* end = text->data() + text->size();
  auto pid = std::from_chars(text->data(), end, holder.pid);
  if (pid.ec == std::errc() && pid.ptr != end) std::from_chars(pid.ptr + 1, end, holder.start_time);
  holder.boot_id = boot_id();
  return holder;
}

}  // namespace

Result<HostLock> HostLock::take(const std::filesystem::path& state) {
  Fd fd(::open(lock_path(state).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("open " + lock_path(state).string());
  // One that has just answered a shutdown is about to go.
  auto deadline = std::chrono::steady_clock::now() + patience;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      continue;
    }
    if (errno != EWOULDBLOCK) return fail_errno("lock " + lock_path(state).string());
    return fail(ErrorCode::bad_config, "another machine host (process " + std::to_string(read_holder(state).pid) +
                                           ") already serves " + state.string() +
                                           "; end that cluster with `slipway down`, or that process with kill");
  }
  std::string text = std::to_string(::getpid()) + " " + std::to_string(start_time(::getpid())) + "\n";
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail_errno("write " + lock_path(state).string());
  }
  return HostLock(std::move(fd));
}

ProcessId lock_holder(const std::filesystem::path& state) {
  Fd fd(::open(lock_path(state).c_str(), O_RDWR | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return {};
  return read_holder(state);
}

}  // namespace slipway::machines
