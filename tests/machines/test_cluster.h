// A cluster of a test's own: a state folder, a machine host in a process of its own, and a folder with a tiny program
// in the agent's place. Needs root. Everything it made is gone when it ends, whatever the test did to it.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "machines/client.h"
#include "machines/enter.h"
#include "machines/host.h"
#include "machines/network.h"
#include "machines/process.h"

namespace slipway::machines {

inline void write_text_file(const std::filesystem::path& path, const std::string& text, mode_t mode = 0644) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
  ASSERT_EQ(::chmod(path.c_str(), mode), 0) << path;
}

// Waits until `holds`, looking every few milliseconds; false on the timeout.
inline bool eventually(const std::function<bool()>& holds, Duration timeout = Duration(20'000)) {
  auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

struct Ran {
  int status = -1;
  std::string out;  // stdout and stderr
};

// Runs `work` in a process of its own whose stdout and stderr are caught; its result is the exit status. Killed after
// `timeout`.
inline Ran run_apart(const std::function<int()>& work, Duration timeout = Duration(60'000)) {
  Ran ran;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ran;
  pid_t pid = ::fork();
  if (pid == 0) {
    ::setpgid(0, 0);
    int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(null, 0);
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::_exit(work());
  }
  ::close(ends[1]);
  auto deadline = std::chrono::steady_clock::now() + timeout;
  char buffer[4096];
  for (;;) {
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd poll{ends[0], POLLIN, 0};
    if (left <= 0 || ::poll(&poll, 1, static_cast<int>(left)) == 0) {
      ::kill(-pid, SIGKILL);
      ::kill(pid, SIGKILL);
      ran.out += "[took too long]";
      break;
    }
    ssize_t size = ::read(ends[0], buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    ran.out.append(buffer, static_cast<size_t>(size));
  }
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

inline Ran enter(const Machine& machine, const EnterOptions& options) {
  return run_apart([&] {
    auto status = enter_machine(machine, options);
    if (status) return *status;
    std::string text = std::string(to_string(status.error().code)) + ": " + status.error().message;
    [[maybe_unused]] ssize_t written = ::write(2, text.data(), text.size());
    return 125;
  });
}

// Runs a shell command in the machine.
inline Ran run_in(const Machine& machine, const std::string& command, const std::string& user = "") {
  return enter(machine, {.user = user, .folder = "/", .argv = {"/bin/sh", "-c", command}});
}

inline bool join_network_of(pid_t pid) {
  if (pid == 0) return true;
  Fd net(::open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
  return net && ::setns(net.get(), CLONE_NEWNET) == 0;
}

// A TCP round trip: a server in the network of `server`, a client in the network of `client_pid` (0: the box's). True
// when the bytes came back.
inline bool talks(pid_t client_pid, const Machine& server, Duration timeout = Duration(3'000)) {
  constexpr uint16_t port = 7123;
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, server.address.c_str(), &address.sin_addr);
  pid_t echo = ::fork();
  if (echo == 0) {
    if (!join_network_of(server.pid)) ::_exit(1);
    int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 8) != 0)
      ::_exit(1);
    if (::write(ready[1], "r", 1) != 1) ::_exit(1);
    int peer = ::accept(listener, nullptr, nullptr);
    char byte = 0;
    ::_exit(::read(peer, &byte, 1) == 1 && ::write(peer, &byte, 1) == 1 ? 0 : 1);
  }
  ::close(ready[1]);
  char byte = 0;
  bool listening = ::read(ready[0], &byte, 1) == 1;
  ::close(ready[0]);
  Ran client = run_apart([&] {
    if (!listening || !join_network_of(client_pid)) return 1;
    int connection = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    timeval patience{timeout.count() / 1000, timeout.count() % 1000 * 1000};
    ::setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 1;
    char back = 0;
    return ::write(connection, "x", 1) == 1 && ::read(connection, &back, 1) == 1 && back == 'x' ? 0 : 1;
  });
  ::kill(echo, SIGKILL);
  ::waitpid(echo, nullptr, 0);
  return client.status == 0;
}

// Packets that reached the machine's eth0.
inline uint64_t packets_received(const Machine& machine) {
  auto text = read_file("/proc/" + std::to_string(machine.pid) + "/net/dev");
  if (!text) return UINT64_MAX;
  size_t at = text->find("eth0:");
  if (at == std::string::npos) return UINT64_MAX;
  std::istringstream words(text->substr(at + 5));
  uint64_t bytes = 0;
  uint64_t packets = 0;
  words >> bytes >> packets;
  return packets;
}

// What is left on the box of the cluster with this state folder. Empty when nothing is.
inline std::string leftovers(const std::filesystem::path& state) {
  std::string left;
  for (pid_t pid : find_machines("SLIPWAY_STATE=" + state.string())) left += "process " + std::to_string(pid) + "\n";
  auto network = find_network(state);
  if (!network) return "can't look: " + network.error().message;
  if (!network->bridge.empty()) left += "bridge " + network->bridge + "\n";
  for (const std::string& link : network->links) left += "link " + link + "\n";
  auto mounts = read_file("/proc/self/mountinfo");
  if (!mounts) return "can't look: " + mounts.error().message;
  if (mounts->find(state.string()) != std::string::npos) left += "a mount\n";
  return left;
}

// The lock that `slipway up` holds too from its choice of a subnet until its bridge has it. The host looks before it
// makes its bridge: without the lock two that start at once may both get the same subnet, and neither can start again.
class SubnetChoice {
 public:
  SubnetChoice() : lock_(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
    while (::flock(lock_.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  // Not by closing it: a host that was forked meanwhile has it open too.
  ~SubnetChoice() { ::flock(lock_.get(), LOCK_UN); }
  SubnetChoice(const SubnetChoice&) = delete;
  SubnetChoice& operator=(const SubnetChoice&) = delete;

 private:
  Fd lock_;
};

class TestCluster {
 public:
  TestCluster() {
    if (::geteuid() != 0) {
      ADD_FAILURE() << "machines are made of namespaces: run this test as root";
      std::abort();
    }
    // Not below /tmp, which machines don't see anyway.
    char name[] = "/var/lib/slipway-test-XXXXXX";
    if (!::mkdtemp(name)) std::abort();
    base_ = name;
    write_text_file(state() / "keys/master.key", std::string(63, '5') + "a\n", 0600);
    write_text_file(programs() / "slipway-agent",
                    "#!/bin/sh\n"
                    "trap 'echo told to end; exit 0' TERM\n"
                    "echo started as $$\n"
                    "while :; do sleep 1000 & wait $!; done\n",
                    0755);
  }

  ~TestCluster() {
    kill_host();
    auto removed = remove_everything(state());
    EXPECT_TRUE(removed) << removed.error().message;
    EXPECT_EQ(leftovers(state()), "");
    std::error_code ignored;
    std::filesystem::remove_all(base_, ignored);
  }
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  std::filesystem::path base() const { return base_; }  // the folder of clusters' states
  std::filesystem::path state() const { return base_ / "state"; }
  std::filesystem::path programs() const { return base_ / "programs"; }
  const std::string& subnet() const { return subnet_; }
  pid_t host_pid() const { return host_pid_; }
  Client client() const { return Client(host_socket(state())); }

  HostOptions options() const {
    HostOptions options;
    options.cluster = "test";
    options.state = state();
    options.subnet = subnet_;
    options.programs = programs();
    return options;
  }

  // Starts the machine host and waits until it answers. `change` may alter its options first.
  void start_host(const std::function<void(HostOptions&)>& change = {}) {
    // Something else may take the same free subnet at the same moment.
    for (int attempt = 0; attempt < 10; ++attempt) {
      bool first_time = subnet_.empty();
      std::optional<SubnetChoice> choice;
      if (first_time) {
        choice.emplace();
        auto chosen = choose_subnet();
        ASSERT_TRUE(chosen) << chosen.error().message;
        subnet_ = *chosen;
      }
      HostOptions asked = options();
      if (change) change(asked);
      fork_host(asked);
      bool answered = eventually([&] {
        int status = 0;
        if (::waitpid(host_pid_, &status, WNOHANG) == host_pid_) {
          host_pid_ = 0;
          return true;
        }
        auto info = client().info();
        return info && info->pid == host_pid_;
      });
      if (host_pid_ != 0 && answered) return;
      if (!first_time) break;
      subnet_.clear();
    }
    FAIL() << "the machine host didn't start: " << host_log();
  }

  void kill_host() { end_host(SIGKILL); }
  void stop_host() { end_host(SIGTERM); }  // machines run on
  // Waits until the host ended by itself.
  bool host_ends() {
    return eventually([&] {
      if (host_pid_ == 0 || ::waitpid(host_pid_, nullptr, WNOHANG) != host_pid_) return host_pid_ == 0;
      host_pid_ = 0;
      return true;
    });
  }
  std::string host_log() const {
    auto text = read_file(base_ / "host.log");
    return text ? *text : "";
  }

  // A spec that the test agent is content with.
  MachineSpec compute(const std::string& pool = "cpu") const {
    MachineSpec spec;
    spec.role = "compute";
    spec.pool = pool;
    spec.boot_data = R"({"daemon":"198.18.0.2:6830"})";
    return spec;
  }

  // Launches and waits until all run.
  std::vector<Machine> launch(uint32_t count, const MachineSpec& spec) {
    auto launched = client().launch(spec, count, "");
    if (!launched) {
      ADD_FAILURE() << launched.error().message;
      return {};
    }
    EXPECT_EQ(launched->ids.size(), count) << (launched->refusals.empty() ? "" : launched->refusals[0].error.message);
    std::vector<Machine> machines;
    for (const std::string& id : launched->ids) {
      bool runs = wait_for(
          id, [](const Machine& machine) { return machine.state != MachineState::starting; }, Duration(60'000));
      machines.push_back(find(id));
      EXPECT_TRUE(runs && machines.back().state == MachineState::running) << id << ": " << machines.back().end;
    }
    return machines;
  }
  std::vector<Machine> launch(uint32_t count) { return launch(count, compute()); }
  Machine launch_one(const MachineSpec& spec) {
    auto machines = launch(1, spec);
    return machines.empty() ? Machine() : machines.front();
  }
  Machine launch_one() { return launch_one(compute()); }

  Machine find(const std::string& id) const {  // id empty: it isn't listed
    auto machines = client().list();
    if (machines) {
      for (const Machine& machine : *machines) {
        if (machine.id == id) return machine;
      }
    }
    return {};
  }
  // Waits until `wanted` holds for the machine; false on the timeout.
  bool wait_for(const std::string& id, const std::function<bool(const Machine&)>& wanted,
                Duration timeout = Duration(20'000)) const {
    return eventually([&] { return wanted(find(id)); }, timeout);
  }
  bool wait_gone(const std::string& id, Duration timeout = Duration(20'000)) const {
    return wait_for(
        id, [](const Machine& machine) { return machine.state == MachineState::gone; }, timeout);
  }

 private:
  void fork_host(const HostOptions& asked) {
    host_pid_ = ::fork();
    ASSERT_GE(host_pid_, 0);
    if (host_pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = ::open((base_ / "host.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(log, 1);
    ::dup2(log, 2);
    auto ran = run_host(asked);
    if (!ran) {
      std::string text = ran.error().message + "\n";
      [[maybe_unused]] ssize_t written = ::write(2, text.data(), text.size());
    }
    ::_exit(ran ? 0 : 1);
  }

  void end_host(int signal) {
    if (host_pid_ == 0) return;
    ::kill(host_pid_, signal);
    while (::waitpid(host_pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    host_pid_ = 0;
  }

  std::filesystem::path base_;
  std::string subnet_;
  pid_t host_pid_ = 0;
};

}  // namespace slipway::machines
