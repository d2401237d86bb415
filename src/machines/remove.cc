// The end of a cluster from what is on disk alone. Its order, and what happens when it is interrupted at any point:
//   1. the machine host is ended first, so that nobody makes machines meanwhile;
//   2. machines are ended by their records, each proven by start time and network namespace, and then by SLIPWAY_STATE
//   in the environment of
//      any other PID 1 of a namespace: a machine whose record was lost;
//   3. links and bridge go when no process is left; the bridge last, because it is how links are found;
//   4. limits of the box are put back last: the file with the values before is what tells that they were changed.
// Each step finds what is left of it by itself, so doing all of it again is always right.
#include <signal.h>

#include <chrono>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "machines/host.h"
#include "machines/host_lock.h"
#include "machines/limits.h"
#include "machines/network.h"
#include "machines/process.h"
#include "machines/record.h"

namespace slipway::machines {
namespace {

using namespace std::chrono_literals;

constexpr auto end_max = 30s;  // after SIGKILL, for a thousand machines
constexpr auto links_gone_max = 20s;
constexpr int stray_rounds_max = 10;
constexpr int host_quiet_looks = 3;

Result<void> end_all(std::vector<Fd> processes, const std::string& what) {
  for (const Fd& process : processes) send_signal(process, SIGKILL);
  if (wait_ended(processes, end_max)) return {};
  return fail(ErrorCode::transient, what + " doesn't end; try again");
}

// The host's keeper would start it again, and may just be doing so: the mark forbids it, and a few looks make sure.
Result<void> end_host(const std::filesystem::path& state) {
  std::error_code ignored;
  if (std::filesystem::is_directory(host_stop_mark(state).parent_path(), ignored)) {
    // A full disk may refuse it; then the looks must do.
    (void)write_file(host_stop_mark(state), "");
  }
  for (int quiet = 0; quiet < host_quiet_looks;) {
    const ProcessId holder = lock_holder(state);
    std::vector<Fd> one;
    if (holder.pid != 0) {
      if (auto process = open_process(holder)) one.push_back(std::move(*process));
    }
    if (one.empty()) {
      ++quiet;
      std::this_thread::sleep_for(5ms);
      continue;
    }
    quiet = 0;
    auto ended = end_all(std::move(one), "the machine host (process " + std::to_string(holder.pid) + ")");
    if (!ended) return ended;
  }
  return {};
}

}  // namespace

Result<void> remove_everything(const std::filesystem::path& asked) {
  std::error_code error;
  std::filesystem::path state = std::filesystem::weakly_canonical(asked, error);
  if (error) state = asked;
  if (auto ended = end_host(state); !ended) return ended;

  std::vector<Fd> recorded;
  for (const Record& record : load_records(state)) {
    if (auto process = open_process(record.process)) recorded.push_back(std::move(*process));
  }
  if (auto ended = end_all(std::move(recorded), "a machine"); !ended) return ended;
  for (int round = 0;; ++round) {
    std::vector<Fd> strays;
    for (pid_t pid : find_machines("SLIPWAY_STATE=" + state.string())) {
      if (auto process = open_process(identify(pid))) {
        log_warning("stray_machine", {{"pid", pid}});
        strays.push_back(std::move(*process));
      }
    }
    if (strays.empty()) break;
    if (round == stray_rounds_max)
      return fail(ErrorCode::transient, "machines without a record keep turning up; try again");
    if (auto ended = end_all(std::move(strays), "a machine without a record"); !ended) return ended;
  }

  auto deadline = std::chrono::steady_clock::now() + links_gone_max;
  for (;;) {
    auto remains = find_network(state);
    if (!remains) return fail(remains.error());
    if (remains->links.empty() || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(20ms);
  }
  if (auto removed = remove_network(state); !removed) return removed;
  restore_limits(state);
  std::filesystem::remove(host_socket(state), error);
  return {};
}

}  // namespace slipway::machines
