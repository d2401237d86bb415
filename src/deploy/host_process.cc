#include "deploy/host_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "deploy/wait.h"
#include "machines/client.h"

namespace slipway::deploy {

namespace {

constexpr Duration host_start_max{20'000};
constexpr size_t log_excerpt_bytes = 1500;

// Between fork and exec: nothing here allocates or locks.
[[noreturn]] void become(char* const* argv, int null, int log) {
  ::setsid();
  ::dup2(null, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  ::close_range(3, ~0U, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGCHLD}) ::signal(signal, SIG_DFL);
  ::umask(022);
  if (::chdir("/") != 0) ::_exit(126);
  ::execv(argv[0], argv);
  ::_exit(127);
}

std::string ended(int status) {
  return WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status))
                             : "ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::vector<std::string> host_command(const machines::HostOptions& options) {
  std::vector<std::string> argv{(options.programs / "slipway-machines").string(),
                                "--cluster",
                                options.cluster,
                                "--state",
                                options.state.string(),
                                "--subnet",
                                options.subnet,
                                "--programs",
                                options.programs.string()};
  for (const machines::Mount& mount : options.shared) {
    argv.emplace_back("--share");
    argv.push_back(mount.source + ":" + mount.target);
  }
  return argv;
}

Result<pid_t> start_host(const machines::HostOptions& options, const std::filesystem::path& log,
                         const std::function<bool()>& interrupted) {
  std::vector<std::string> words = host_command(options);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const Fd out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!null || !out) return fail_errno("open " + log.string());
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) become(argv.data(), null.get(), out.get());

  const machines::Client client(machines::host_socket(options.state), Duration(2'000));
  const auto answered = wait_until("the start of the machine host", host_start_max, interrupted, [&]() -> Result<bool> {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      const auto tail = read_tail(log, log_excerpt_bytes);
      return fail(ErrorCode::permanent, "the machine host " + ended(status) + (tail ? ":\n" + *tail : ""));
    }
    const auto info = client.info();
    return static_cast<bool>(info);  // one host a state folder: its lock sees to it
  });
  if (!answered) return Failure(answered.error());
  return pid;
}

}  // namespace slipway::deploy
