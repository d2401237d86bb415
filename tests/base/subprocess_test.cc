#include "base/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "base/files.h"
#include "testing.h"

namespace slipway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Command shell(const std::string& script) {
  Command command;
  command.argv = {"sh", "-c", script};
  return command;
}

bool has_ended(pid_t pid) {
  for (int i = 0; i < 500; ++i) {
    const auto state = read_file("/proc/" + std::to_string(pid) + "/stat");
    if (!state || state->find(") Z ") != std::string::npos) {
      return true;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

TEST(Subprocess, GivesOutputAndStatus) {
  const auto output = run_command(shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->out, "out\n");
  EXPECT_EQ(output->err, "err\n");
  EXPECT_EQ(output->exit_status, 3);
  EXPECT_EQ(run_command(shell("kill -TERM $$"))->exit_status, 128 + SIGTERM);
}

TEST(Subprocess, GivesInputAndEnvironment) {
  Command command = shell("cat; printf %s \"$EXTRA\"");
  command.input = std::string(300'000, 'x');
  command.environment["EXTRA"] = "more";
  EXPECT_EQ(run_command(command)->out, command.input + "more");
  EXPECT_EQ(run_command(shell("cat"))->out, "");
}

TEST(Subprocess, ReadsBothStreamsWithoutDeadlock) {
  const auto output =
      run_command(shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; head -c 100 /dev/zero"));
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out.size(), 3'000'100u);
  EXPECT_EQ(output->err.size(), 3'000'000u);
}

TEST(Subprocess, RefusesTooMuchOutput) {
  Command command = shell("head -c 5000 /dev/zero");
  command.output_max = 5000;
  EXPECT_EQ(run_command(command)->out.size(), 5000u);
  command.output_max = 4999;
  EXPECT_EQ(run_command(command).error().code, ErrorCode::permanent);
  Command endless = shell("exec cat /dev/zero");
  endless.output_max = 1 << 20;
  EXPECT_EQ(run_command(endless).error().code, ErrorCode::permanent);
}

TEST(Subprocess, NamesWhatIsMissing) {
  Command command;
  command.argv = {"no-such-program-here", "x"};
  const auto output = run_command(command);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, ErrorCode::not_found);
  EXPECT_NE(output.error().message.find("no-such-program-here"), std::string::npos);
  command.argv = {"/no/such/path"};
  EXPECT_EQ(run_command(command).error().code, ErrorCode::not_found);
  command.argv = {};
  EXPECT_EQ(run_command(command).error().code, ErrorCode::permanent);
  command.argv = {"echo", std::string("a\0b", 3)};
  EXPECT_EQ(run_command(command).error().code, ErrorCode::permanent);
}

TEST(Subprocess, RefusesWhatCannotBeStarted) {
  const testing::TempFolder folder;
  ASSERT_TRUE(write_file(folder / "odd", "\x7f not a program", 0755));
  ASSERT_TRUE(write_file(folder / "orphan", "#!/no/such/interpreter\n", 0755));
  ASSERT_TRUE(write_file(folder / "text", "#!/bin/sh\n", 0644));
  Command command;
  command.argv = {(folder / "odd").string()};
  EXPECT_EQ(run_command(command).error().code, ErrorCode::permanent);
  command.argv = {(folder / "orphan").string()};
  EXPECT_EQ(run_command(command).error().code, ErrorCode::not_found);
  command.argv = {(folder / "text").string()};
  EXPECT_FALSE(run_command(command));
}

TEST(Subprocess, KillsTheWholeGroupOnTimeout) {
  const testing::TempFolder folder;
  Command command =
      shell("trap '' TERM; sleep 1000 & echo $! > " + (folder / "pid").string() + "; echo last words >&2; wait");
  command.timeout = milliseconds(400);
  const auto start = std::chrono::steady_clock::now();
  const auto output = run_command(command);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, ErrorCode::transient);
  EXPECT_NE(output.error().message.find("timed out after 400 ms"), std::string::npos);
  EXPECT_NE(output.error().message.find("last words"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
  const pid_t sleeper = std::stoi(read_file(folder / "pid").value());
  EXPECT_TRUE(has_ended(sleeper));
}

TEST(Subprocess, DoesNotWaitForWhatIsLeftInTheBackground) {
  const auto start = std::chrono::steady_clock::now();
  const auto output = run_command(shell("sleep 1000 & echo $!"));
  ASSERT_TRUE(output);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
  const pid_t sleeper = std::stoi(output->out);
  EXPECT_EQ(kill(sleeper, 0), 0);
  kill(sleeper, SIGKILL);
}

TEST(Subprocess, StartsWithCleanSignals) {
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  const auto ignored = signal(SIGUSR1, SIG_IGN);
  const auto output = run_command(shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"));
  signal(SIGUSR1, ignored);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(output);
  std::istringstream lines(output->out);
  std::string name;
  uint64_t blocked_there = 1;
  uint64_t ignored_there = 1;
  lines >> name >> std::hex >> blocked_there >> name >> ignored_there;
  EXPECT_EQ(blocked_there, 0u) << output->out;
  // glibc keeps its own two signals (32 and 33) ignored in what it spawns; the program's threads library sets them up
  // again.
  EXPECT_EQ(ignored_there & ~uint64_t{0x180000000}, 0u) << output->out;
}

TEST(Subprocess, LeaksNoDescriptors) {
  // The child sees its three, the folder that ls reads, and what this process was given to pass on.
  long expected = 3 + 1;
  for (int fd = 3; fd < 1024; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    expected += flags >= 0 && (flags & FD_CLOEXEC) == 0 ? 1 : 0;
  }
  const auto output = run_command(shell("exec ls /proc/self/fd"));
  ASSERT_TRUE(output);
  EXPECT_EQ(std::count(output->out.begin(), output->out.end(), '\n'), expected) << output->out;
  const Fd lowest_before(dup(0));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(run_command(shell("true")));
  }
  const Fd lowest_after(dup(0));
  EXPECT_EQ(lowest_after.get(), lowest_before.get() + 1);
}

TEST(Subprocess, WorksWithoutPathAndStandardDescriptors) {
  // In a child process, so that this one keeps its own.
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("PATH");
    close(0);
    close(1);
    close(2);
    const auto output = run_command(shell("cat; ls / >/dev/null && printf '%s' \"$PATH\"; echo e >&2"));
    const bool good = output && output->out == "/usr/sbin:/usr/bin:/sbin:/bin" && output->err == "e\n" &&
                      !find_program("true").empty();
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Subprocess, CheckedTurnsExitStatusIntoFailure) {
  EXPECT_EQ(run_checked(shell("echo fine")).value(), "fine\n");
  const auto failed = run_checked(shell("echo bad node name >&2; exit 7"));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::permanent);
  EXPECT_NE(failed.error().message.find("exit status 7: sh -c"), std::string::npos);
  EXPECT_NE(failed.error().message.find("bad node name"), std::string::npos);
}

TEST(Subprocess, RunsOnManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 15; ++i) {
        const std::string word = std::to_string(t) + "-" + std::to_string(i);
        const auto output = run_command(shell("echo " + word + "; exit " + std::to_string(i)));
        ASSERT_TRUE(output) << output.error().message;
        EXPECT_EQ(output->out, word + "\n");
        EXPECT_EQ(output->exit_status, i);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST(Subprocess, TellsItsChildrenFromStrangers) {
  const testing::TempFolder folder;
  std::thread runner([&] {
    EXPECT_TRUE(run_command(shell("echo $$ > " + (folder / "pid").string() + "; while [ ! -e " +
                                  (folder / "go").string() + " ]; do sleep 0.02; done")));
  });
  pid_t pid = 0;
  for (int i = 0; i < 1000 && pid == 0; ++i) {
    const auto text = read_file(folder / "pid");
    pid = text && text->find('\n') != std::string::npos ? std::stoi(*text) : 0;
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_TRUE(is_command_child(pid));
  EXPECT_FALSE(is_command_child(getpid()));
  EXPECT_TRUE(write_file(folder / "go", ""));
  runner.join();
  EXPECT_FALSE(is_command_child(pid));
}

TEST(Subprocess, SaysWhenTheExitStatusWasTaken) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGCHLD, SIG_IGN);  // the kernel reaps at once
    const auto output = run_command(shell("exit 0"));
    _exit(!output && output.error().code == ErrorCode::outcome_unknown ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Subprocess, FindsPrograms) {
  const testing::TempFolder folder;
  EXPECT_FALSE(find_program("sh").empty());
  EXPECT_EQ(find_program("no-such-program-here"), "");
  EXPECT_EQ(find_program(""), "");
  EXPECT_EQ(find_program("/bin/sh"), "/bin/sh");
  EXPECT_EQ(find_program(folder.path().string()), "");
  ASSERT_TRUE(write_file(folder / "slipway-test-tool", "#!/bin/sh\necho mine\n", 0755));
  Command command;
  command.argv = {"slipway-test-tool"};
  command.environment["PATH"] = folder.path().string();
  EXPECT_EQ(run_checked(command).value(), "mine\n");
}

}  // namespace
}  // namespace slipway
