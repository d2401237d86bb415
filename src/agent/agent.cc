#include "agent/agent.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "agent/context.h"
#include "agent/join_machine.h"
#include "agent/privileged.h"
#include "base/log.h"
#include "base/subprocess.h"
#include "join/handshake.h"

namespace slipway::agent {

namespace {

// Whoever ends the machine waits a little longer than this before it pulls the plug.
constexpr Duration shut_down_max{1'900};

uint64_t random_seed() {
  const join::Key key = join::random_key();
  uint64_t seed = 0;
  std::memcpy(&seed, key.data(), sizeof seed);
  return seed;
}

std::unique_ptr<Role> make_role(Context context) {
  if (context.boot.role == "compute") return make_compute(context);
  if (context.boot.role == "login") return make_login(context);
  if (context.boot.role == "controller") return make_controller(context);
  return nullptr;
}

}  // namespace

Result<std::string> need_program(const std::string& program, const std::string& package) {
  std::string path = find_program(program);
  if (path.empty()) {
    return fail(ErrorCode::not_found,
                program + " is not installed on this machine; install the Debian package " + package + " in its image");
  }
  return path;
}

int run_agent(const join::BootData& boot) {
  setenv("PATH", search_path, 1);
  umask(022);
  (void)!chdir("/");
  Fd lock;
  if (is_claimed(boot)) {
    auto taken = take_lock(run_folder);
    if (!taken) {
      log_error("agent_failed", {{"why", taken.error().message}});
      return 1;
    }
    lock = std::move(*taken);
    (void)unlink((std::filesystem::path(run_folder) / status_file).c_str());
    reserve_privileged_ports();
  }
  sigset_t ends;
  sigemptyset(&ends);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ends, signal);
  (void)sigprocmask(SIG_BLOCK, &ends, nullptr);
  (void)::signal(SIGPIPE, SIG_IGN);

  Loop loop;
  const SystemClock clock;
  std::mt19937_64 random(random_seed());
  Processes processes(loop);
  const std::unique_ptr<Role> role = make_role({loop, clock, processes, boot, random});
  if (!role) {
    log_error("agent_failed", {{"why", "an unknown role: " + boot.role}});
    return 1;
  }

  const Fd signals(signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!signals) {
    log_error("agent_failed", {{"why", errno_message("signalfd")}});
    return 1;
  }
  bool ending = false;
  loop.watch(signals.get(), EPOLLIN, [&](uint32_t) {
    signalfd_siginfo info{};
    bool asked = false;
    while (read(signals.get(), &info, sizeof info) == sizeof info) asked = asked || info.ssi_signo != SIGHUP;
    if (!asked || ending) return;
    ending = true;
    log_info("agent_ending", {{"signal", info.ssi_signo}});
    loop.after(shut_down_max, [&loop] { loop.stop(); });
    role->shut_down([&loop] { loop.stop(); });
  });

  log_info("agent_started", {{"role", boot.role}, {"instance", boot.instance}, {"version", SLIPWAY_VERSION}});
  role->start();
  loop.run();
  loop.unwatch(signals.get());
  log_info("agent_ended");
  return 0;
}

}  // namespace slipway::agent
