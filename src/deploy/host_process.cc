#include "deploy/host_process.h"

#include <sys/wait.h>

#include "base/files.h"
#include "deploy/background.h"
#include "deploy/wait.h"
#include "machines/client.h"

namespace slipway::deploy {

namespace {

constexpr Duration host_start_max{20'000};
constexpr size_t log_excerpt_bytes = 1500;

}  // namespace

std::vector<std::string> host_command(const machines::HostOptions& options) {
  std::vector<std::string> argv{(options.programs / "slipway-machines").string(),
                                "--cluster",
                                options.cluster,
                                "--state",
                                options.state.string(),
                                "--subnet",
                                options.subnet,
                                "--programs",
                                options.programs.string()};
  for (const machines::Mount& mount : options.shared) {
    argv.emplace_back("--share");
    argv.push_back(mount.source + ":" + mount.target);
  }
  return argv;
}

Result<pid_t> start_host(const machines::HostOptions& options, const std::filesystem::path& log,
                         const std::function<bool()>& interrupted) {
  const auto started = start_in_background(host_command(options), log);
  if (!started) return started;
  const pid_t pid = *started;
  const machines::Client client(machines::host_socket(options.state), Duration(2'000));
  const auto answered = wait_until("the start of the machine host", host_start_max, interrupted, [&]() -> Result<bool> {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      const auto tail = read_tail(log, log_excerpt_bytes);
      return fail(ErrorCode::permanent, "the machine host " + how_it_ended(status) + (tail ? ":\n" + *tail : ""));
    }
    const auto info = client.info();
    return static_cast<bool>(info);  // one host a state folder: its lock sees to it
  });
  if (!answered) return Failure(answered.error());
  return pid;
}

}  // namespace slipway::deploy
