#include "agent/join_machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "agent/setup.h"
#include "base/socket.h"
#include "base/subprocess.h"

namespace slipway::agent {

namespace fs = std::filesystem;

namespace {

using Steady = std::chrono::steady_clock;
constexpr Duration look_every{100};
constexpr Duration imds_timeout{5'000};
constexpr size_t log_tail_bytes = 4096;
constexpr const char* unit = "slipway-agent";

std::string value_of(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

// The address that this machine has towards `to`, which is where the daemon will see it. Empty: no route.
std::string address_towards(const std::string& to) {
  const auto address = tcp_address(to);
  const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in own{};
  socklen_t length = sizeof own;
  char text[INET_ADDRSTRLEN] = {};
  if (!address || !fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &length) != 0 ||
      inet_ntop(AF_INET, &own.sin_addr, text, sizeof text) == nullptr) {
    return {};
  }
  return text;
}

// The metadata service and the network may come up later than whoever called us.
Result<MachineFacts> ask_who_we_are(const std::string& origin, Duration patience) {
  Imds imds(origin);
  const auto deadline = Steady::now() + patience;
  while (true) {
    auto facts = imds.instance(std::min(patience, imds_timeout));
    if (facts || Steady::now() >= deadline) return facts;
    std::this_thread::sleep_for(std::min(patience / 10, Duration(1'000)));
  }
}

bool is_held(const fs::path& run) {
  const auto lock = take_lock(run);
  return !lock && lock.error().code == ErrorCode::denied;
}

// What an image's own services hold would be in the agent's way: another cluster's munge key, slurmd's port.
void stop_units_of_the_image() {
  (void)run_command({.argv = {"systemctl", "stop", "munge.service", "slurmd.service"}});
}

Result<void> start_as_unit(const std::string& agent, const fs::path& boot_data) {
  stop_units_of_the_image();
  auto started = run_checked(
      {.argv = {"systemd-run", std::string("--unit=") + unit, "--collect", "--quiet", "--description=Slipway's agent",
                // slurmd makes cgroups for its jobs below ours.
                "--property=Delegate=yes", "--property=TasksMax=infinity", "--property=LimitMEMLOCK=infinity",
                "--property=LimitSTACK=infinity", "--property=LimitNOFILE=65536",
                // The agent ends its daemons itself; who is left over when it died isn't
                // supervised by anybody and must not hold slurmd's port.
                "--property=KillMode=mixed", "--property=Restart=on-failure", "--property=RestartSec=1",
                // To its own log, as everywhere.
                "--property=StandardOutput=null", "--property=StandardError=null", agent, boot_data.string()}});
  if (!started) return fail(started.error());
  return {};
}

// A session of its own: the end of who called us, and of his process group, isn't the agent's.
Result<void> start_in_background(const std::string& agent, const fs::path& boot_data) {
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return fail_errno("open /dev/null");
  const std::string data = boot_data.string();
  // What the caller has in its environment, Batch's token among it, is nothing for a daemon's children.
  const std::string path = std::string("PATH=") + search_path;
  char* const argv[] = {const_cast<char*>(agent.c_str()), const_cast<char*>(data.c_str()), nullptr};
  char* const environment[] = {const_cast<char*>(path.c_str()), const_cast<char*>("HOME=/root"),
                               const_cast<char*>("LANG=C.UTF-8"), nullptr};
  const pid_t pid = fork();
  if (pid < 0) return fail_errno("fork for the agent");
  if (pid > 0) return {};
  sigset_t none;
  sigemptyset(&none);
  for (int signal = 1; signal < 32; ++signal) (void)::signal(signal, SIG_DFL);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)setsid();
  for (int fd = 0; fd <= 2; ++fd) (void)dup2(null.get(), fd);
  // Batch waits until its pipes to the start task are closed.
  (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (chdir("/") != 0) _exit(127);
  execve(argv[0], argv, environment);
  _exit(127);
}

Result<void> start_agent(const join::BootData& boot, const JoinOptions& options) {
  const fs::path boot_data = options.run / fs::path(join::boot_data_path).filename();
  if (auto written = put_file(boot_data, join::to_json(boot), 0600); !written) return written;
  (void)unlink((options.run / status_file).c_str());
  std::error_code error;
  // systemd starts it from elsewhere, where /proc/self is somebody else.
  fs::path agent =
      options.agent.starts_with("/proc/self") ? fs::read_symlink(options.agent, error) : fs::path(options.agent);
  if (error) return fail(ErrorCode::permanent, "the agent's program can't be found: " + error.message());
  if (fs::exists(options.systemd, error)) return start_as_unit(agent.string(), boot_data);
  return start_in_background(agent.string(), boot_data);
}

std::string status_of(const fs::path& run) {
  auto text = read_file(run / status_file, 4096).value_or("");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

int failed(const std::string& why) {
  std::fprintf(stderr, "slipway-agent: %s\n", why.c_str());
  return 1;
}

int agent_ended(const JoinOptions& options) {
  return failed("the agent ended at once; its log " + options.log.string() + " ends with:\n" +
                read_tail(options.log, log_tail_bytes).value_or("(nothing)"));
}

}  // namespace

Result<join::BootData> boot_data_of(const Environment& environment, Duration patience) {
  for (const char* name : {"SLIPWAY_CLUSTER", "SLIPWAY_POOL", "SLIPWAY_DAEMON", "SLIPWAY_DAEMON_KEY",
                           "SLIPWAY_PROVIDER", "SLIPWAY_KIND"}) {
    if (value_of(environment, name).empty()) {
      return fail(ErrorCode::bad_config, std::string(name) +
                                             " is not set: slipway-agent --join is called by the start task or custom "
                                             "data that Slipway gives to its machines");
    }
  }
  join::BootData boot;
  boot.cluster = value_of(environment, "SLIPWAY_CLUSTER");
  boot.role = "compute";
  boot.pool = value_of(environment, "SLIPWAY_POOL");
  boot.daemon = value_of(environment, "SLIPWAY_DAEMON");
  boot.provider = value_of(environment, "SLIPWAY_PROVIDER");
  boot.daemon_key = value_of(environment, "SLIPWAY_DAEMON_KEY");
  boot.identity = value_of(environment, "SLIPWAY_IDENTITY");
  boot.imds = value_of(environment, "SLIPWAY_IMDS");
  boot.address = address_towards(boot.daemon);
  if (boot.provider != "azure") {
    return fail(ErrorCode::bad_config, "SLIPWAY_PROVIDER must be azure, not \"" + boot.provider + "\"");
  }
  const std::string kind = value_of(environment, "SLIPWAY_KIND");
  std::string machine = value_of(environment, "AZ_BATCH_NODE_ID");
  if (kind == "batch") {
    if (machine.empty()) return fail(ErrorCode::bad_config, "AZ_BATCH_NODE_ID is not set: this is no Batch node");
  } else if (kind == "scale_set") {
    machine.clear();
  } else {
    return fail(ErrorCode::bad_config, "SLIPWAY_KIND must be batch or scale_set, not \"" + kind + "\"");
  }
  if (machine.empty() || boot.address.empty()) {
    auto facts = ask_who_we_are(boot.imds, patience);
    if (!facts) return fail(facts.error());
    if (machine.empty()) machine = facts->name;
    if (boot.address.empty()) boot.address = facts->address;
  }
  boot.instance = boot.pool + "/" + machine;
  return join::parse_boot_data(join::to_json(boot));
}

Result<Fd> take_lock(const fs::path& run) {
  if (auto folder = make_folder(run); !folder) return fail(folder.error());
  const fs::path path = run / lock_file;
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno("open " + path.string());
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return fail(ErrorCode::permanent, errno_message("lock " + path.string()));
  return fail(ErrorCode::denied, "another agent runs on this machine: it holds " + path.string());
}

int join_machine(const Environment& environment, const JoinOptions& options) {
  auto free = take_lock(options.run);
  if (!free && free.error().code != ErrorCode::denied) return failed(free.error().message);
  if (free) {
    auto boot = boot_data_of(environment, options.join_patience);
    if (!boot) return failed(boot.error().message);
    std::printf("slipway-agent: this machine is %s of the cluster %s\n", boot->instance.c_str(), boot->cluster.c_str());
    free->reset();
    const auto started = start_agent(*boot, options);
    // Also when it wasn't we who started it: systemd refuses a second unit while it is between two starts of the first.
    const auto deadline = Steady::now() + options.start_patience;
    while (!is_held(options.run)) {
      if (Steady::now() >= deadline) return started ? agent_ended(options) : failed(started.error().message);
      std::this_thread::sleep_for(look_every);
    }
  } else {
    std::printf("slipway-agent: an agent runs on this machine already\n");
  }
  const auto deadline = Steady::now() + options.join_patience;
  while (true) {
    const std::string status = status_of(options.run);
    if (status == status_joined) {
      std::printf("slipway-agent: joined\n");
      return 0;
    }
    if (!is_held(options.run)) return agent_ended(options);
    if (Steady::now() >= deadline) {
      std::printf("slipway-agent: not joined yet, and trying on: %s\n", status.empty() ? "no word" : status.c_str());
      return 0;
    }
    std::this_thread::sleep_for(look_every);
  }
}

}  // namespace slipway::agent
