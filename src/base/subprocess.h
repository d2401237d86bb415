// Runs a program to its end, with a deadline. Blocking: for workers and command-line tools, never on a loop's thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace slipway {

struct Command {
  std::vector<std::string> argv;                   // argv[0] is searched on PATH
  std::map<std::string, std::string> environment;  // added to (and winning over) this process's own
  std::string input;                               // given as stdin; empty is /dev/null
  std::chrono::milliseconds timeout{30'000};       // then the whole process group is killed
  size_t output_max = 256 << 20;                   // of stdout and stderr each; more is an error
};

struct CommandOutput {
  int exit_status = 0;  // exit code, or 128 + signal
  std::string out;
  std::string err;
};

// The program's output, whatever its exit status. Ends with the program: processes that it left in the background, even
// with its stdout open, are neither waited for nor killed. Fails with not_found when the program doesn't exist,
// transient on the timeout, permanent when it cannot be started or prints too much.
Result<CommandOutput> run_command(const Command& command);

// The same, but an exit status other than 0 is a permanent failure whose message holds the command line and its stderr.
Result<std::string> run_checked(const Command& command);

// Whether `pid` is a child that a run_command of some thread still waits for. A process that reaps strangers (PID 1)
// must look with WNOWAIT first and leave such a child alone: its exit status would be lost. Thread-safe.
bool is_command_child(pid_t pid);

// Where `program` is on PATH (or in /usr/sbin:/usr/bin:/sbin:/bin); empty when nowhere.
std::string find_program(std::string_view program);

}  // namespace slipway
