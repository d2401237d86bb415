#include "machines/boot.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/log.h"
#include "machines/privileges.h"
#include "machines/root.h"

namespace slipway::machines {
namespace {

constexpr int line_fd = 3;  // the only descriptor that a machine keeps until exec, besides 0 to 2
// Slurm's daemons raise their own; programs that close every possible descriptor shouldn't have a million of them.
constexpr rlim_t open_files = 4096;
constexpr rlim_t open_files_max = 65'536;

// PID 1 of a namespace ignores SIGTERM unless it has a handler; a machine that is still booting has nothing to save.
void end_at_once(int) {
  ::_exit(0);
}

void own_signals() {
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  struct sigaction action {};
  action.sa_handler = end_at_once;
  ::sigaction(SIGTERM, &action, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The host's descriptors must not live on in machines: its lock, its listening socket and the lines of other machines.
bool keep_only(int line) {
  if (::dup3(line, line_fd, O_CLOEXEC) < 0 && errno != EINVAL) return false;
  if (line == line_fd) ::fcntl(line_fd, F_SETFD, FD_CLOEXEC);
  return ::syscall(SYS_close_range, line_fd + 1, ~0u, 0) == 0;
}

bool wait_for_host() {
  char byte = 0;
  for (;;) {
    ssize_t size = ::read(line_fd, &byte, 1);
    if (size >= 0 || errno != EINTR) return size == 1;
  }
}

[[noreturn]] void give_up(const std::string& why) {
  std::string_view rest = why;
  while (!rest.empty()) {
    ssize_t size = ::send(line_fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (size <= 0) break;
    rest.remove_prefix(static_cast<size_t>(size));
  }
  ::_exit(1);
}

void sleep_for(Duration delay) {
  timespec left{delay.count() / 1000, delay.count() % 1000 * 1'000'000};
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

// "slipway-agent" logs to agent.log.
std::string log_of(std::string_view program) {
  constexpr std::string_view ours = "slipway-";
  if (program.starts_with(ours)) program.remove_prefix(ours.size());
  return "/var/log/slipway/" + std::string(program) + ".log";
}

Result<void> set_standard_streams(const std::string& log_path) {
  Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Fd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!null) return fail_errno("open /dev/null");
  if (!log) return fail_errno("open " + log_path);
  if (::dup2(null.get(), 0) < 0 || ::dup2(log.get(), 1) < 0 || ::dup2(log.get(), 2) < 0)
    return fail_errno("set stdin, stdout and stderr");
  return {};
}

void set_limits() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_max = std::min(files.rlim_max, open_files_max);
    files.rlim_cur = std::min(files.rlim_max, open_files);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  rlimit none{0, RLIM_INFINITY};
  ::setrlimit(RLIMIT_CORE, &none);
}

[[noreturn]] void run_machine(const BootPlan& plan, int line) {
  own_signals();
  if (!keep_only(line) || !wait_for_host()) ::_exit(1);
  ::setsid();
  ::umask(022);
  if (auto done = set_up_inside(plan.network); !done) give_up(done.error().message);
  if (auto done = build_root(plan); !done) give_up(done.error().message);
  if (::sethostname(plan.id.data(), plan.id.size()) != 0) give_up(errno_message("set the host name"));
  if (auto done = set_standard_streams(log_of(plan.program)); !done) give_up(done.error().message);
  set_limits();
  drop_capabilities();

  std::string state = "SLIPWAY_STATE=" + plan.state;
  std::string program = "/opt/slipway/bin/" + plan.program;
  std::array<char*, 2> argv = {program.data(), nullptr};
  std::array<char*, 5> environment = {
      const_cast<char*>("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
      const_cast<char*>("HOME=/root"), const_cast<char*>("LANG=C.UTF-8"), state.data(), nullptr};
  if (plan.never || plan.delay.count() > 0) {
    // To everybody else this machine runs.
    ::close(line_fd);
    while (plan.never) ::pause();
    sleep_for(plan.delay);
  }
  ::execve(program.c_str(), argv.data(), environment.data());
  if (plan.delay.count() > 0) ::_exit(127);
  give_up(errno_message("start " + program));
}

}  // namespace

Result<Booting> start_machine(const BootPlan& plan) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("make a socket pair");
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  int process = -1;
  clone_args arguments{};
  arguments.flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uint64_t>(&process);
  arguments.exit_signal = SIGCHLD;
  long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) run_machine(plan, theirs.get());
  if (pid < 0) {
    bool room = errno == ENOMEM || errno == EAGAIN || errno == ENOSPC;
    return fail(room ? ErrorCode::no_capacity : ErrorCode::permanent, errno_message("make a machine's namespaces"));
  }
  Booting booting{static_cast<pid_t>(pid), Fd(process), std::move(ours)};
  // The child waits for the host to let it go and says why it failed at the end: neither may ever hold the host up.
  ::fcntl(booting.line.get(), F_SETFL, O_NONBLOCK);
  return booting;
}

Result<void> let_go(const Booting& booting) {
  if (::send(booting.line.get(), "!", 1, MSG_NOSIGNAL) != 1) return fail_errno("let the machine go");
  return {};
}

}  // namespace slipway::machines
