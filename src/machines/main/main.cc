// slipway-machines: the machine host of one cluster (machines/host.h). `slipway up` starts it.
//
// Two processes: a keeper that does nothing but wait, and the host, which it starts again when it is killed or crashes. Nothing else on a plain box would, and
// running machines don't need the host, only new ones do.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/log.h"
#include "machines/host.h"

namespace {

constexpr const char* usage =
    "usage: slipway-machines --cluster NAME --state FOLDER --subnet NETWORK/PREFIX --programs FOLDER [--share "
    "SOURCE:TARGET[:ro]]...\n"
    "\n"
    "Makes, lists and ends the machines of one cluster on this box, on the Unix socket FOLDER/host/host.sock. Needs "
    "root.\n"
    "Runs in the foreground and logs to stderr. SIGTERM stops it and leaves its machines running.\n";

constexpr int wrong_usage = 2;

bool add_share(std::string_view text, std::vector<slipway::machines::Mount>& shared) {
  slipway::machines::Mount mount;
  if (text.ends_with(":ro")) {
    mount.read_only = true;
    text.remove_suffix(3);
  }
  // The source may hold colons, the target can't.
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) return false;
  mount.source = text.substr(0, colon);
  mount.target = text.substr(colon + 1);
  shared.push_back(std::move(mount));
  return true;
}

volatile pid_t host_pid = 0;

void pass_on(int signal) {
  if (host_pid > 0) kill(host_pid, signal);
}

int run(const slipway::machines::HostOptions& options) {
  auto ran = slipway::machines::run_host(options);
  if (ran) return 0;
  std::fprintf(stderr, "slipway-machines: %s\n", ran.error().message.c_str());
  return 1;
}

// Returns the exit status: the host's own when it ends by itself.
int keep(const slipway::machines::HostOptions& options) {
  using std::chrono::steady_clock;
  constexpr useconds_t pause_first = 100'000;
  constexpr useconds_t pause_max = 5'000'000;
  useconds_t pause = pause_first;
  for (;;) {
    const auto started = steady_clock::now();
    const pid_t child = fork();
    if (child == 0) return run(options);
    if (child < 0) return run(options);  // no process to spare: better unkept than not at all
    host_pid = child;
    signal(SIGTERM, pass_on);
    signal(SIGINT, pass_on);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    host_pid = 0;
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    std::error_code ignored;
    if (std::filesystem::exists(slipway::machines::host_stop_mark(options.state), ignored)) return 0;
    slipway::log_warning("machine_host_died", {{"signal", WTERMSIG(status)}});
    if (steady_clock::now() - started > std::chrono::seconds(30)) pause = pause_first;
    usleep(pause);
    pause = std::min(pause * 2, pause_max);
  }
}

}  // namespace

int main(int count, char** words) {
  slipway::machines::HostOptions options;
  for (int i = 1; i < count; ++i) {
    std::string_view word = words[i];
    if (word == "--help" || word == "-h") {
      std::fputs(usage, stdout);
      return 0;
    }
    if (i + 1 == count) {
      std::fprintf(stderr, "slipway-machines: %s needs a value, or isn't known\n%s", words[i], usage);
      return wrong_usage;
    }
    std::string value = words[++i];
    if (word == "--cluster") {
      options.cluster = value;
    } else if (word == "--state") {
      options.state = value;
    } else if (word == "--subnet") {
      options.subnet = value;
    } else if (word == "--programs") {
      options.programs = value;
    } else if (word == "--share") {
      if (!add_share(value, options.shared)) {
        std::fprintf(stderr, "slipway-machines: --share wants SOURCE:TARGET, not '%s'\n", value.c_str());
        return wrong_usage;
      }
    } else {
      std::fprintf(stderr, "slipway-machines: unknown option %s\n%s", words[i - 1], usage);
      return wrong_usage;
    }
  }
  if (options.cluster.empty() || options.state.empty() || options.subnet.empty() || options.programs.empty()) {
    std::fputs(usage, stderr);
    return wrong_usage;
  }
  std::error_code ignored;
  std::filesystem::remove(slipway::machines::host_stop_mark(options.state), ignored);
  return keep(options);
}
