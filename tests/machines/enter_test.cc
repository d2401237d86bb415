#include "machines/enter.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <termios.h>

#include "test_cluster.h"

namespace slipway::machines {
namespace {

TEST(Enter, RunsAndReturnsTheStatus) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  EXPECT_EQ(run_in(machine, "exit 42").status, 42);
  EXPECT_EQ(run_in(machine, "kill -9 $$").status, 128 + 9);
  EXPECT_EQ(enter(machine, {.argv = {"no-such-program"}}).status, 127);
  EXPECT_EQ(enter(machine, {.argv = {"sh", "-c", "pwd; echo $HOME $USER $LOGNAME; id -u"}}).out,
            "/root\n/root root root\n0\n");
  Ran capabilities = run_in(machine, "grep CapBnd /proc/self/status; grep CapBnd /proc/1/status");
  EXPECT_EQ(capabilities.out.substr(0, capabilities.out.size() / 2),
            capabilities.out.substr(capabilities.out.size() / 2))
      << "no more rights than the machine's own";
  char folder[4096];
  ASSERT_NE(::getcwd(folder, sizeof folder), nullptr);
  ASSERT_TRUE(enter_machine(machine, {.argv = {"true"}}));
  EXPECT_EQ(std::filesystem::current_path(), folder) << "the caller stays where it was";
}

TEST(Enter, BecomesTheUserOfTheMachine) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  ASSERT_EQ(run_in(machine,
                   "echo 'ada:x:4321:4322::/home/ada:/bin/sh' >> /etc/passwd && echo 'ada:x:4322:' >> /etc/group && "
                   "echo 'extra:x:4400:bob,ada' >> /etc/group && mkdir /home/ada && chown 4321:4322 /home/ada")
                .status,
            0);
  EXPECT_EQ(enter(machine, {.user = "ada",
                            .argv = {"sh", "-c", "id -u; id -g; id -G; pwd; echo $HOME $USER $SHELL $TERM $LANG"}})
                .out,
            "4321\n4322\n4322 4400\n/home/ada\n/home/ada ada /bin/sh " +
                std::string(::getenv("TERM") ? ::getenv("TERM") : "dumb") + " C.UTF-8\n");
  EXPECT_NE(run_in(machine, "cat /etc/shadow", "ada").status, 0);
  EXPECT_EQ(enter(machine, {.user = "ada", .folder = "/usr", .argv = {"pwd"}}).out, "/usr\n");
  EXPECT_EQ(enter(machine, {.user = "ada", .folder = "/no/such", .argv = {"pwd"}}).status, 125);
  Ran unknown = enter(machine, {.user = "bob", .argv = {"true"}});
  EXPECT_EQ(unknown.out, "not_found: the machine has no user bob");
  EXPECT_EQ(run_apart([&] {
              int ends[2];
              if (::pipe(ends) != 0) return 1;
              std::string text = "echo I am $0\n";
              if (::write(ends[1], text.data(), text.size()) < 0) return 1;
              ::close(ends[1]);
              ::dup2(ends[0], 0);
              auto status = enter_machine(machine, {.user = "ada"});
              return status ? *status : 125;
            }).out,
            "I am -sh\n")
      << "without a command it is a login shell";
}

TEST(Enter, RefusesAMachineThatDoesNotRun) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  ASSERT_TRUE(cluster.client().kill({machine.id}));
  ASSERT_TRUE(cluster.wait_gone(machine.id));
  auto entered = enter_machine(machine, {.argv = {"true"}});
  ASSERT_FALSE(entered);
  EXPECT_EQ(entered.error().code, ErrorCode::not_found);
  Machine never;
  EXPECT_FALSE(enter_machine(never, {.argv = {"true"}}));
  Machine box;
  box.pid = 1;  // PID 1 of the box is no machine
  box.state = MachineState::running;
  EXPECT_FALSE(enter_machine(box, {.argv = {"true"}}));
}

TEST(Enter, SignalsReachTheProgramOnce) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  pid_t caller = ::fork();
  if (caller == 0) {
    ::setpgid(0, 0);
    ::dup2(ends[1], 1);
    auto status = enter_machine(
        machine,
        {.argv = {"sh", "-c", "trap 'echo got it' INT; trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"}});
    ::_exit(status ? *status : 125);
  }
  ::close(ends[1]);
  auto line = [&] {
    std::string text;
    char byte = 0;
    while (::read(ends[0], &byte, 1) == 1 && byte != '\n') text += byte;
    return text;
  };
  EXPECT_EQ(line(), "ready");
  ASSERT_EQ(::kill(-caller, SIGINT), 0) << "as a terminal does: to the whole group";
  EXPECT_EQ(line(), "got it");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  ASSERT_EQ(::kill(caller, SIGTERM), 0);
  EXPECT_EQ(line(), "") << "once: nothing more came before the end";
  int status = 0;
  ASSERT_EQ(::waitpid(caller, &status, 0), caller);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 9) << status;
  ::close(ends[0]);
}

TEST(Enter, WhatRunsEndsWithTheCallerAndWithTheMachine) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  auto start = [&] {
    pid_t caller = ::fork();
    if (caller == 0) {
      auto status = enter_machine(machine, {.argv = {"sleep", "54321"}});
      ::_exit(status ? *status : 125);
    }
    return caller;
  };
  auto sleeps = [&] {
    return run_in(machine, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 5432[1]'").out != "0\n";
  };
  pid_t caller = start();
  ASSERT_TRUE(eventually(sleeps));
  ::kill(caller, SIGKILL);
  ::waitpid(caller, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return !sleeps(); }));

  caller = start();
  ASSERT_TRUE(eventually(sleeps));
  ASSERT_TRUE(cluster.client().kill({machine.id}));
  int status = 0;
  ASSERT_EQ(::waitpid(caller, &status, 0), caller);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL) << status;
}

// A shell at a terminal: it must be able to run jobs of its own, and ^C must end the job and not the shell.
TEST(Enter, JobControlAtATerminal) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  int terminal = -1;
  pid_t caller = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(caller, 0);
  if (caller == 0) {
    auto status = enter_machine(machine, {.folder = "/", .argv = {"/bin/bash", "--norc", "-i"}});
    ::_exit(status ? *status : 125);
  }
  std::string seen;
  auto wait_for_text = [&](const std::string& text) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
    while (seen.find(text) == std::string::npos && std::chrono::steady_clock::now() < deadline) {
      pollfd poll{terminal, POLLIN, 0};
      if (::poll(&poll, 1, 100) <= 0) continue;
      char buffer[1024];
      ssize_t size = ::read(terminal, buffer, sizeof buffer);
      if (size <= 0) break;
      seen.append(buffer, static_cast<size_t>(size));
    }
    size_t at = seen.find(text);
    if (at == std::string::npos) return false;
    seen.erase(0, at + text.size());
    return true;
  };
  auto type = [&](const std::string& text) {
    ASSERT_EQ(::write(terminal, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  };
  type("echo he''llo\n");
  ASSERT_TRUE(wait_for_text("hello")) << seen;
  EXPECT_EQ(seen.find("no job control"), std::string::npos) << seen;
  type("sleep 600; echo sta''tus $?\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  type("\x03");
  type("echo af''ter\n");
  EXPECT_TRUE(wait_for_text("after")) << "^C ends the sleep, not the shell: " << seen;
  type("sleep 600\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  type("\x1a");
  EXPECT_TRUE(wait_for_text("Stopped")) << seen;
  type("kill %1; exit 5\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  type("exit 5\n");
  int status = 0;
  ASSERT_TRUE(eventually([&] { return ::waitpid(caller, &status, WNOHANG) == caller; })) << seen;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 5) << status;
  ::close(terminal);
}

}  // namespace
}  // namespace slipway::machines
