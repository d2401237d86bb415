// slipway-vm: the first process of a simulated cloud's machine. It waits for its recipe, runs the start task as root,
// says what became of it, and reaps whatever ends. On SIGTERM the machine ends in order. rehearse/vm_files.h has the
// files.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "base/loop.h"
#include "rehearse/vm_files.h"

namespace {

using slipway::Duration;
using slipway::Fd;

constexpr const char* folder = "/var/log/slipway";
// The machine host's own word to the machine: a cloud's machine knows only what its start task tells.
constexpr const char* boot_data = "/run/slipway/boot.json";
constexpr size_t recipe_bytes_max = 4 << 20;
constexpr Duration ending_max{2'000};  // the machine host waits a little longer

std::string in_folder(const char* name) {
  return std::string(folder) + "/" + name;
}

// Unsynced: after a crash of the box there is no machine.
void say_status(const std::string& status) {
  const std::string path = in_folder(slipway::rehearse::status_file);
  const std::string beside = path + ".new";
  const Fd file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file || write(file.get(), status.data(), status.size()) != static_cast<ssize_t>(status.size()) ||
      rename(beside.c_str(), path.c_str()) != 0) {
    slipway::log_error("status_not_written", {{"why", slipway::errno_message(path)}});
  }
}

struct Recipe {
  std::string command;
  std::vector<std::string> environment;
};

Recipe parse_recipe(std::string_view text) {
  Recipe recipe;
  bool first = true;
  for (; !text.empty(); first = false) {
    const size_t end = std::min(text.find('\0'), text.size());
    if (first) {
      recipe.command = text.substr(0, end);
    } else if (end > 0) {
      recipe.environment.emplace_back(text.substr(0, end));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return recipe;
}

// The usual variables, but for those that the recipe has.
std::vector<std::string> whole_environment(const Recipe& recipe) {
  std::vector<std::string> whole = recipe.environment;
  for (const std::string usual : {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                                  "LANG=C.UTF-8", "USER=root"}) {
    const std::string name = usual.substr(0, usual.find('=') + 1);
    bool given = false;
    for (const std::string& entry : recipe.environment) given |= entry.starts_with(name);
    if (!given) whole.push_back(usual);
  }
  return whole;
}

// In the child, between fork and exec.
[[noreturn]] void become(char* const* argv, char* const* environment, int input, int output, int errors) {
  for (int number = 1; number < NSIG; ++number) (void)signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)setsid();
  if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) _exit(126);
  (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  umask(022);
  if (chdir("/") != 0) _exit(126);
  execve(argv[0], argv, environment);
  _exit(127);
}

class Machine {
 public:
  bool start() {
    (void)unlink(boot_data);
    sigset_t heard;
    sigemptyset(&heard);
    for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGPWR}) sigaddset(&heard, number);
    if (sigprocmask(SIG_BLOCK, &heard, nullptr) != 0) return false;
    signals_ = Fd(signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK));
    arrivals_ = Fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!signals_ || !arrivals_ || inotify_add_watch(arrivals_.get(), folder, IN_MOVED_TO) < 0) return false;
    loop_.watch(signals_.get(), EPOLLIN, [this](uint32_t) { hear(); });
    loop_.watch(arrivals_.get(), EPOLLIN, [this](uint32_t) { look(); });
    look();  // it may have come first
    return true;
  }

  void run() { loop_.run(); }

 private:
  void hear() {
    signalfd_siginfo heard{};
    while (read(signals_.get(), &heard, sizeof heard) == static_cast<ssize_t>(sizeof heard)) {
      if (heard.ssi_signo != SIGCHLD) end();
    }
    reap();
  }

  void reap() {
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid < 0 && errno == EINTR) continue;
      // While the machine ends: nobody is left.
      if (pid < 0 && ending_) loop_.stop();
      if (pid <= 0) return;
      if (pid != task_) continue;
      task_ = 0;
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      slipway::log_info("start_task_ended", {{"status", code}});
      say_status("ended " + std::to_string(code) + "\n");
    }
  }

  // The recipe comes once; anything else in the folder is the machine's own.
  void look() {
    char events[4096];
    while (read(arrivals_.get(), events, sizeof events) > 0) {
    }
    const std::string path = in_folder(slipway::rehearse::recipe_file);
    if (begun_ || ending_ || access(path.c_str(), F_OK) != 0) return;
    auto text = slipway::read_file(path, recipe_bytes_max);
    (void)unlink(path.c_str());
    begun_ = true;
    loop_.unwatch(arrivals_.get());
    arrivals_.reset();
    say_status("begun\n");
    if (!text) {
      slipway::log_error("recipe_unreadable", {{"why", text.error().message}});
      say_status("ended 126\n");
      return;
    }
    const Recipe recipe = parse_recipe(*text);
    if (recipe.command.empty()) return say_status("ended 0\n");
    if (!begin(recipe)) {
      slipway::log_error("start_task_not_started", {{"why", slipway::errno_message("fork")}});
      say_status("ended 126\n");
    }
  }

  bool begin(const Recipe& recipe) {
    const auto log = [](const char* name) {
      return Fd(open(in_folder(name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    };
    const Fd input(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const Fd output = log(slipway::rehearse::output_file);
    const Fd errors = log(slipway::rehearse::errors_file);
    if (!input || !output || !errors) return false;
    const std::vector<std::string> entries = whole_environment(recipe);
    std::vector<char*> environment;
    for (const std::string& entry : entries) environment.push_back(const_cast<char*>(entry.c_str()));
    environment.push_back(nullptr);
    char* argv[] = {const_cast<char*>("/bin/sh"), const_cast<char*>("-c"), const_cast<char*>(recipe.command.c_str()),
                    nullptr};
    task_ = fork();
    if (task_ == 0) become(argv, environment.data(), input.get(), output.get(), errors.get());
    return task_ > 0;
  }

  // TERM to everybody, then KILL to who is left: the kernel's, when this process ends.
  void end() {
    if (ending_) return;
    ending_ = true;
    slipway::log_info("ending");
    (void)kill(-1, SIGTERM);
    (void)kill(-1, SIGCONT);
    loop_.after(ending_max, [this] { loop_.stop(); });
    loop_.after(Duration(0), [this] { reap(); });
  }

  slipway::Loop loop_;
  Fd signals_;
  Fd arrivals_;
  pid_t task_ = 0;
  bool begun_ = false;
  bool ending_ = false;
};

}  // namespace

int main(int argc, char**) {
  if (argc > 1 || getpid() != 1) {
    std::fputs("slipway-vm is the first process of a simulated machine; not meant for people.\n", stderr);
    return 2;
  }
  Machine machine;
  if (!machine.start()) {
    slipway::log_error("vm_failed", {{"why", slipway::errno_message("set the machine up")}});
    return 1;
  }
  slipway::log_info("vm_ready");
  machine.run();
  return 0;
}
