#include "machines/enter.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "base/files.h"
#include "machines/accounts.h"
#include "machines/privileges.h"
#include "machines/process.h"

namespace slipway::machines {
namespace {

constexpr size_t account_file_max = 16 << 20;
constexpr int cannot_run = 126;
constexpr int no_such_program = 127;

// What the child says when it can't become the program: a code for the caller, then the reason.
struct EntryFailure {
  ErrorCode code = ErrorCode::permanent;
  char reason[500] = {};
};

[[noreturn]] void refuse(int line, ErrorCode code, const std::string& reason) {
  EntryFailure refusal;
  refusal.code = code;
  reason.copy(refusal.reason, sizeof refusal.reason - 1);
  while (::write(line, &refusal, sizeof refusal) < 0 && errno == EINTR) {
  }
  ::_exit(cannot_run);
}

Result<void> join_namespaces(const Machine& machine) {
  auto gone = [&] { return fail(ErrorCode::not_found, "the machine " + machine.id + " doesn't run"); };
  if (machine.pid <= 0 || machine.state == MachineState::gone) return gone();
  auto process = open_process(identify(machine.pid));
  auto status = read_file("/proc/" + std::to_string(machine.pid) + "/status");
  if (!process || !status || !is_first_process(*status)) return gone();
  if (::setns(process->get(), CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) == 0) return {};
  if (errno == ESRCH) return gone();
  if (errno == EPERM) return fail(ErrorCode::denied, "only root can enter a machine");
  return fail_errno("enter the machine " + machine.id);
}

// Runs as the user, in the machine, in a process of its own.
[[noreturn]] void become(const EnterOptions& options, int line) {
  Account account{"root", 0, 0, "/root", "/bin/sh"};
  std::string wanted = options.user.empty() ? "root" : options.user;
  auto passwd = read_file("/etc/passwd", account_file_max);
  auto found = find_account(passwd ? *passwd : "", wanted);
  if (found) account = *found;
  if (!found && wanted != "root") refuse(line, ErrorCode::not_found, "the machine has no user " + wanted);
  auto group = read_file("/etc/group", account_file_max);
  std::vector<gid_t> groups = groups_of(group ? *group : "", account.name, account.gid);

  drop_capabilities();
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setgid(account.gid) != 0 || ::setuid(account.uid) != 0) {
    refuse(line, ErrorCode::permanent, errno_message("become " + account.name));
  }
  // After the change of user, which clears it: when the command that entered is killed, so is what it runs.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::string folder = options.folder.empty() ? account.home : options.folder;
  if (::chdir(folder.c_str()) != 0) {
    if (!options.folder.empty()) refuse(line, ErrorCode::not_found, errno_message("go to " + folder));
    // A home that isn't there (yet) is no reason not to work.
    if (::chdir("/") != 0) refuse(line, ErrorCode::permanent, errno_message("go to /"));
  }

  std::string shell = account.shell.empty() ? "/bin/sh" : account.shell;
  const char* terminal = ::getenv("TERM");
  bool admin = account.uid == 0;
  std::vector<std::string> environment = {
      "HOME=" + account.home,
      "USER=" + account.name,
      "LOGNAME=" + account.name,
      "SHELL=" + shell,
      std::string("PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games") +
          (admin ? ":/usr/local/sbin:/usr/sbin:/sbin" : ":/opt/slipway/bin"),
      std::string("TERM=") + (terminal ? terminal : "dumb"),
      // The box's language may not exist in an image; C.UTF-8 does everywhere.
      "LANG=C.UTF-8",
  };
  std::vector<char*> environment_words;
  for (std::string& word : environment) environment_words.push_back(word.data());
  environment_words.push_back(nullptr);

  std::vector<std::string> words = options.argv;
  std::string program = words.empty() ? shell : words[0];
  // A login shell is told by a dash before its name.
  if (words.empty()) words = {"-" + shell.substr(shell.rfind('/') + 1)};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // execvpe looks into this process's PATH, which is the box's.
  ::setenv("PATH", environment[4].c_str() + 5, 1);
  ::execvpe(program.c_str(), argv.data(), environment_words.data());
  if (errno == ENOENT) {
    std::string text = "slipway: " + program + ": not found in the machine\n";
    [[maybe_unused]] ssize_t written = ::write(2, text.data(), text.size());
    ::_exit(no_such_program);
  }
  refuse(line, ErrorCode::permanent, errno_message("run " + program));
}

// In the machine's namespaces, though still a process of the box; leads the process group that the program is in. Every
// signal that is passed on is blocked here, so that only the program gets it.
[[noreturn]] void run_between(const Machine& machine, const EnterOptions& options, int line, bool has_terminal) {
  ::setpgid(0, 0);
  if (has_terminal) ::tcsetpgrp(0, ::getpid());
  if (auto joined = join_namespaces(machine); !joined) refuse(line, joined.error().code, joined.error().message);
  pid_t child = ::fork();
  if (child < 0) refuse(line, ErrorCode::permanent, errno_message("start a process in the machine"));
  if (child == 0) become(options, line);
  ::close(line);
  for (;;) {
    int status = 0;
    if (::waitpid(child, &status, WUNTRACED) < 0) {
      if (errno == EINTR) continue;
      ::_exit(cannot_run);
    }
    if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
    if (WIFSIGNALED(status)) ::_exit(128 + WTERMSIG(status));
    // ^Z in the machine: stop too, which tells the process outside.
    ::raise(SIGSTOP);
  }
}

// Waits for the group's leader, passes on signals meanwhile, and stops and continues with it as a shell's job does.
int wait_for(pid_t leader, bool has_terminal, const sigset_t& signals) {
  for (;;) {
    int status = 0;
    pid_t changed = ::waitpid(leader, &status, WNOHANG | WUNTRACED);
    if (changed < 0 && errno != EINTR) return cannot_run;
    if (changed == leader && WIFEXITED(status)) return WEXITSTATUS(status);
    if (changed == leader && WIFSIGNALED(status)) return 128 + WTERMSIG(status);
    if (changed == leader && WIFSTOPPED(status)) {
      if (has_terminal) ::tcsetpgrp(0, ::getpgrp());
      ::kill(0, SIGSTOP);  // our own group: back to the shell, until fg
      if (has_terminal) ::tcsetpgrp(0, leader);
      ::kill(-leader, SIGCONT);
      continue;
    }
    // The time only matters to a caller who lets nobody have SIGCHLD.
    timespec patience{0, 200'000'000};
    int signal = ::sigtimedwait(&signals, nullptr, &patience);
    if (signal > 0 && signal != SIGCHLD && signal != SIGTTOU) ::kill(-leader, signal);
  }
}

}  // namespace

Result<int> enter_machine(const Machine& machine, const EnterOptions& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  // The program gets a process group of its own, and with it the terminal, so that ^C and ^Z reach it once and nobody
  // else.
  bool has_terminal = ::isatty(0) == 1 && ::tcgetpgrp(0) == ::getpgrp();
  sigset_t signals;
  sigset_t before;
  ::sigemptyset(&signals);
  // SIGTTOU comes to a background process that hands the terminal over.
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD, SIGTTOU})
    ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, &before);

  // A process in between: joining a mount namespace changes a process's own root and working folder for good.
  pid_t caller = ::getpid();
  pid_t leader = ::fork();
  if (leader == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != caller) ::_exit(cannot_run);
    run_between(machine, options, write_end.get(), has_terminal);
  }
  int failed = errno;
  write_end.reset();
  int status = cannot_run;
  if (leader > 0) {
    ::setpgid(leader, leader);
    status = wait_for(leader, has_terminal, signals);
    if (has_terminal) ::tcsetpgrp(0, ::getpgrp());
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (leader < 0) {
    errno = failed;
    return fail_errno("start a process");
  }

  EntryFailure refusal;
  ssize_t size = 0;
  while ((size = ::read(read_end.get(), &refusal, sizeof refusal)) < 0 && errno == EINTR) {
  }
  if (size == sizeof refusal) return fail(refusal.code, refusal.reason);
  return status;
}

}  // namespace slipway::machines
