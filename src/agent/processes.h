// Starts programs and hears of every end. As PID 1 (or as subreaper, where something else is) the agent inherits every
// orphan of the machine; whoever ends is reaped here, known or not. On the loop's thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/setup.h"
#include "base/files.h"
#include "base/loop.h"
#include "base/result.h"

namespace slipway::agent {

inline constexpr const char* search_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct Program {
  std::vector<std::string> argv;         // argv[0] is an absolute path
  std::vector<std::string> environment;  // "KEY=value", besides PATH, HOME and LANG: a daemon inherits nothing else
  Identity run_as;                       // root unless told otherwise
  std::filesystem::path log;             // stdout and stderr are appended to it
  bool lock_memory = false;              // lifts RLIMIT_MEMLOCK, which MPI's fabrics need of slurmd's children
};

// What waitpid said, in words for a person: "ended with status 1", "was killed by signal 9".
std::string describe_exit(int status);

class Processes {
 public:
  using OnExit = std::function<void(int status)>;

  // Blocks SIGCHLD for this thread and reaps from `loop`.
  explicit Processes(Loop& loop);
  ~Processes();
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  // Runs the program as leader of its own session. `on_exit` is called once on the loop. Fails when the kernel gives no
  // process or the log can't be opened; a program that can't be executed ends with status 127 and says why in its log.
  Result<pid_t> spawn(const Program& program, OnExit on_exit);
  // The process will be reaped in silence.
  void forget(pid_t pid);
  size_t running() const { return callbacks_.size(); }

 private:
  void reap();

  Loop& loop_;
  Fd signals_;
  std::unordered_map<pid_t, OnExit> callbacks_;
};

}  // namespace slipway::agent
