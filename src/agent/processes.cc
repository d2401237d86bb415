#include "agent/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace slipway::agent {

namespace {

constexpr off_t log_bytes_max = 64 << 20;
constexpr rlim_t open_files_max = 65536;

// Opens the log at its end; a log that has grown large is put aside once, so that a daemon that restarts for ever fills
// no disk.
Result<Fd> open_log(const std::filesystem::path& path, uid_t owner, gid_t group) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && info.st_size > log_bytes_max) {
    (void)rename(path.c_str(), (path.string() + ".1").c_str());
  }
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644));
  if (!fd) return fail_errno("open " + path.string());
  if (owner != 0) (void)fchown(fd.get(), owner, group);
  return fd;
}

void say(const char* text) {
  (void)!write(STDERR_FILENO, text, strlen(text));
}

// Lifts a limit to `wanted`, or as far as a container's root may.
void raise_limit(int resource, rlim_t wanted) {
  const rlimit lifted{wanted, wanted};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &lifted) == 0) return;
  rlimit now{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) return;
  now.rlim_cur = std::min(now.rlim_max, wanted);
  (void)setrlimit(static_cast<__rlimit_resource>(resource), &now);
}

// In the child, between fork and exec: only calls that are safe there.
[[noreturn]] void become(const Program& program, char* const* argv, char* const* environment, int null, int log) {
  sigset_t none;
  sigemptyset(&none);
  for (int signal = 1; signal < 32; ++signal) (void)::signal(signal, SIG_DFL);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)setsid();
  if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(127);
  (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  raise_limit(RLIMIT_NOFILE, open_files_max);
  if (program.lock_memory) {
    raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
    raise_limit(RLIMIT_STACK, RLIM_INFINITY);
  }
  umask(022);
  if (chdir("/") != 0) _exit(127);
  const Identity& who = program.run_as;
  if (who.uid != 0 || who.gid != 0) {
    if (setgroups(who.groups.size(), who.groups.data()) != 0 || setgid(who.gid) != 0 || setuid(who.uid) != 0) {
      say("agent: cannot become the program's user\n");
      _exit(127);
    }
  }
  execve(argv[0], argv, environment);
  say("agent: cannot execute ");
  say(argv[0]);
  say(errno == ENOENT ? ": no such program (or its interpreter is missing)\n" : ": not executable here\n");
  _exit(127);
}

}  // namespace

std::string describe_exit(int status) {
  if (WIFEXITED(status)) return "ended with status " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "ended in an unknown way";
}

Processes::Processes(Loop& loop) : loop_(loop) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  (void)sigprocmask(SIG_BLOCK, &child, nullptr);
  if (getpid() != 1) (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
  signals_ = Fd(signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC));
  if (signals_) loop_.watch(signals_.get(), EPOLLIN, [this](uint32_t) { reap(); });
}

Processes::~Processes() {
  if (signals_) loop_.unwatch(signals_.get());
}

Result<pid_t> Processes::spawn(const Program& program, OnExit on_exit) {
  auto log = open_log(program.log, program.run_as.uid, program.run_as.gid);
  if (!log) return fail(log.error());
  Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return fail_errno("open /dev/null");

  std::vector<char*> argv;
  for (const std::string& argument : program.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::string path = std::string("PATH=") + search_path;
  std::vector<char*> environment{const_cast<char*>(path.c_str()), const_cast<char*>("HOME=/root"),
                                 const_cast<char*>("LANG=C.UTF-8")};
  for (const std::string& entry : program.environment) environment.push_back(const_cast<char*>(entry.c_str()));
  environment.push_back(nullptr);

  const pid_t pid = fork();
  if (pid < 0) return fail_errno("fork for " + program.argv[0]);
  if (pid == 0) become(program, argv.data(), environment.data(), null.get(), log->get());
  // The child can't be reaped before this: reaping happens on this thread, from the loop.
  callbacks_[pid] = std::move(on_exit);
  return pid;
}

void Processes::forget(pid_t pid) {
  callbacks_.erase(pid);
}

void Processes::reap() {
  signalfd_siginfo ignored[8];
  while (read(signals_.get(), ignored, sizeof ignored) > 0) {
  }
  // One signal may stand for many ends.
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    const auto found = callbacks_.find(pid);
    if (found == callbacks_.end()) continue;
    const OnExit on_exit = std::move(found->second);
    callbacks_.erase(found);
    if (on_exit) on_exit(status);
  }
}

}  // namespace slipway::agent
