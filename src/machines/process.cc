#include "machines/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>

namespace slipway::machines {
namespace {

constexpr int freeze_rounds_max = 20;
constexpr size_t proc_file_max = 4 << 20;

std::string proc(pid_t pid, std::string_view file) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(file);
}

uint64_t inode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

uint64_t parse_start_time(std::string_view stat) {
  // The program's name, in brackets, may hold anything; after its last bracket come single words from the third field
  // on.
  size_t bracket = stat.rfind(')');
  if (bracket == std::string_view::npos) return 0;
  std::string_view rest = stat.substr(bracket + 1);
  for (int field = 3;; ++field) {
    size_t start = rest.find_first_not_of(' ');
    if (start == std::string_view::npos) return 0;
    rest.remove_prefix(start);
    size_t end = std::min(rest.find(' '), rest.size());
    if (field == 22) {
      uint64_t value = 0;
      auto parsed = std::from_chars(rest.data(), rest.data() + end, value);
      return parsed.ec == std::errc() ? value : 0;
    }
    rest.remove_prefix(end);
  }
}

uint64_t start_time(pid_t pid) {
  auto stat = read_file(proc(pid, "stat"), proc_file_max);
  return stat ? parse_start_time(*stat) : 0;
}

uint64_t net_namespace(pid_t pid) {
  return inode_of(proc(pid, "ns/net"));
}
uint64_t pid_namespace(pid_t pid) {
  return inode_of(proc(pid, "ns/pid"));
}

std::string boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", 256);
  return text ? text->substr(0, text->find('\n')) : "";
}

ProcessId identify(pid_t pid) {
  static const std::string this_boot = boot_id();
  return {pid, start_time(pid), net_namespace(pid), this_boot};
}

Result<Fd> open_process(const ProcessId& id) {
  if (id.pid <= 0) return fail(ErrorCode::not_found, "no process");
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0)));
  if (!process && errno != ESRCH) return fail_errno("watch process " + std::to_string(id.pid));
  // The look comes after the open: what is open now can't change into another process.
  ProcessId now = identify(id.pid);
  bool same = process && id.start_time != 0 && now.start_time == id.start_time && now.boot_id == id.boot_id &&
              (id.net_namespace == 0 || now.net_namespace == id.net_namespace);
  if (!same || has_ended(process)) return fail(ErrorCode::not_found, "process " + std::to_string(id.pid) + " ended");
  return process;
}

bool send_signal(const Fd& process, int signal) {
  return process && ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) == 0;
}

bool has_ended(const Fd& process) {
  pollfd poll{process.get(), POLLIN, 0};
  return ::poll(&poll, 1, 0) > 0;
}

bool wait_ended(const std::vector<Fd>& processes, std::chrono::milliseconds timeout) {
  auto deadline = std::chrono::steady_clock::now() + timeout;
  for (const Fd& process : processes) {
    for (;;) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      pollfd poll{process.get(), POLLIN, 0};
      int ready = ::poll(&poll, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
      if (ready > 0) break;
      if (ready == 0) return false;
      if (errno != EINTR) return false;
    }
  }
  return true;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename();
    pid_t pid = 0;
    auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size()) pids.push_back(pid);
  }
  return pids;
}

std::map<uint64_t, std::vector<pid_t>> processes_of(const std::set<uint64_t>& namespaces) {
  std::map<uint64_t, std::vector<pid_t>> found;
  for (pid_t pid : all_processes()) {
    uint64_t inside = pid_namespace(pid);
    if (inside != 0 && namespaces.contains(inside)) found[inside].push_back(pid);
  }
  return found;
}

void signal_namespaces(const std::set<uint64_t>& namespaces, int signal) {
  std::set<std::pair<pid_t, uint64_t>> done;
  for (int round = 0; round < freeze_rounds_max; ++round) {
    bool anything_new = false;
    for (const auto& [inside, pids] : processes_of(namespaces)) {
      for (pid_t pid : pids) {
        ProcessId id = identify(pid);
        if (!done.insert({pid, id.start_time}).second) continue;
        auto process = open_process(id);
        if (!process || pid_namespace(pid) != inside) continue;
        anything_new |= send_signal(*process, signal);
      }
    }
    if (!anything_new) return;
  }
}

bool is_first_process(std::string_view status) {
  constexpr std::string_view key = "NSpid:";
  size_t line = status.starts_with(key) ? 0 : status.find("\nNSpid:");
  if (line == std::string_view::npos) return false;
  std::string_view rest = status.substr(status.find(':', line) + 1);
  rest = rest.substr(0, rest.find('\n'));
  size_t last = rest.find_last_of("\t ");
  if (last == std::string_view::npos || rest.substr(last + 1) != "1") return false;
  // At least two levels: the box's own PID 1 has one.
  return rest.find_first_not_of("\t ") < last;
}

std::vector<pid_t> find_machines(const std::string& entry) {
  std::vector<pid_t> found;
  for (pid_t pid : all_processes()) {
    auto status = read_file(proc(pid, "status"), proc_file_max);
    if (!status || !is_first_process(*status)) continue;
    auto environment = read_file(proc(pid, "environ"), proc_file_max);
    if (!environment) continue;
    std::string_view rest = *environment;
    while (!rest.empty()) {
      size_t end = std::min(rest.find('\0'), rest.size());
      if (rest.substr(0, end) == entry) {
        found.push_back(pid);
        break;
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return found;
}

}  // namespace slipway::machines
