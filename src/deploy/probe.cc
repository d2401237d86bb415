#include "deploy/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <thread>

#include "base/channel.h"
#include "base/files.h"
#include "machines/enter.h"

namespace slipway::deploy {

namespace {

constexpr size_t excerpt_bytes = 1200;

// In the child: everything ends in _exit, so that nothing of the parent is flushed or unlocked twice.
[[noreturn]] void enter_quietly(const machines::Machine& machine, const std::string& user,
                                const std::vector<std::string>& argv) {
  ::setpgid(0, 0);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
  const auto status = machines::enter_machine(machine, {.user = user, .folder = "/", .argv = argv});
  ::_exit(status ? *status : 125);
}

}  // namespace

bool status_knows_slurm(std::string_view answer) {
  boost::json::error_code error;
  const auto value = boost::json::parse(boost::json::string_view(answer.data(), answer.size()), error);
  if (error || !value.is_object()) return false;
  const auto* ok = value.as_object().if_contains("ok");
  const auto* result = value.as_object().if_contains("result");
  if (ok == nullptr || !ok->is_bool() || !ok->get_bool() || result == nullptr || !result->is_object()) return false;
  const auto* slurm = result->as_object().if_contains("slurm");
  if (slurm == nullptr || !slurm->is_object()) return false;
  const auto* known = slurm->as_object().if_contains("known");
  return known != nullptr && known->is_bool() && known->get_bool();
}

Result<std::string> ask_status(const std::filesystem::path& api_socket, Duration timeout) {
  auto channel = BlockingChannel::connect_unix(api_socket, timeout);
  if (!channel) return Failure(channel.error());
  if (auto sent = channel->send(R"({"call":"status"})", timeout); !sent) return Failure(sent.error());
  return channel->receive(timeout);
}

bool runs_on(const machines::Machine& machine, const std::string& user, const std::vector<std::string>& argv,
             Duration timeout) {
  const pid_t pid = ::fork();
  if (pid < 0) return false;
  if (pid == 0) enter_quietly(machine, user, argv);
  ::setpgid(pid, pid);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  int status = 0;
  while (true) {
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (ended < 0 && errno != EINTR) return false;
    if (std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(-pid, SIGKILL);
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return false;
}

std::string log_excerpts(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    const auto tail = read_tail(folder / name, excerpt_bytes);
    if (!tail || tail->empty()) continue;
    text += "\n--- the end of " + name + ":\n" + *tail;
    while (!text.empty() && text.back() == '\n') text.pop_back();
  }
  return text;
}

}  // namespace slipway::deploy
