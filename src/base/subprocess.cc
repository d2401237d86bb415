#include "base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <set>

#include "base/files.h"

namespace slipway {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::string_view standard_path = "/usr/sbin:/usr/bin:/sbin:/bin";
// How long a killed program may take to leave the kernel before it is given up.
constexpr std::chrono::milliseconds reap_max{5'000};
// Without pidfds (kernels before 5.3) the child is looked at this often.
constexpr int poll_without_pidfd_ms = 10;
// What a pipe can hold: all that the program itself can have left in it when it ended.
constexpr size_t pipe_capacity_max = 1 << 20;
constexpr size_t message_tail_max = 2'000;

// --- the children of run_command ---

struct Children {
  std::mutex mutex;  // held from before a child exists until its pid is in `pids`
  std::set<pid_t> pids;
};

Children& children() {
  static Children* const all = new Children;  // never destroyed: threads may still run commands at exit
  return *all;
}

// --- finding the program ---

bool is_program(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::string find_in(std::string_view folders, std::string_view program) {
  while (!folders.empty()) {
    const size_t colon = folders.find(':');
    const std::string_view folder = folders.substr(0, colon);
    // An empty folder means the current one to a shell; nothing should be run from wherever we happen to be.
    if (!folder.empty()) {
      std::string path = std::string(folder) + "/" + std::string(program);
      if (is_program(path)) {
        return path;
      }
    }
    folders.remove_prefix(colon == std::string_view::npos ? folders.size() : colon + 1);
  }
  return {};
}

std::string find_with_path(std::string_view program, std::string_view path) {
  if (program.empty() || program.find('\0') != std::string_view::npos) {
    return {};
  }
  if (program.find('/') != std::string_view::npos) {
    std::string given(program);
    return is_program(given) ? given : std::string();
  }
  std::string found = find_in(path, program);
  return found.empty() ? find_in(standard_path, program) : found;
}

std::string_view own_path() {
  const char* path = std::getenv("PATH");
  return path == nullptr ? std::string_view() : std::string_view(path);
}

// --- messages ---

std::string command_line(const Command& command) {
  constexpr size_t shown_max = 300;
  std::string line;
  for (const std::string& word : command.argv) {
    line += line.empty() ? "" : " ";
    line += word.substr(0, shown_max);
    if (line.size() > shown_max) {
      return line.substr(0, shown_max) + "...";
    }
  }
  return line;
}

std::string tail_of(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  if (text.size() > message_tail_max) {
    return "..." + std::string(text.substr(text.size() - message_tail_max));
  }
  return std::string(text);
}

std::string with_stderr(std::string sentence, std::string_view err) {
  const std::string tail = tail_of(err);
  return tail.empty() ? sentence : sentence + ": " + tail;
}

// --- starting ---

// A descriptor above 2 in place of `fd`, so that the child's dup2 onto 0, 1 and 2 can't overwrite one that is still
// needed when this process runs with some of these closed.
Fd above_standard(Fd fd) {
  if (!fd || fd.get() > STDERR_FILENO) {
    return fd;
  }
  return Fd(fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

struct Pipe {
  Fd read_end;
  Fd write_end;
};

bool make_pipe(Pipe& made) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return false;
  }
  made.read_end = above_standard(Fd(ends[0]));
  made.write_end = above_standard(Fd(ends[1]));
  return made.read_end && made.write_end && fcntl(made.read_end.get(), F_SETFL, O_NONBLOCK) == 0;
}

// A file in memory with the whole input: unlike a pipe it can't block, break or raise SIGPIPE.
Fd open_input(const std::string& input) {
  if (input.empty()) {
    return above_standard(Fd(open("/dev/null", O_RDONLY | O_CLOEXEC)));
  }
  Fd file = above_standard(Fd(memfd_create("input", MFD_CLOEXEC)));
  std::string_view rest = input;
  while (file && !rest.empty()) {
    const ssize_t count = write(file.get(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      file.reset();
      break;
    }
    rest.remove_prefix(static_cast<size_t>(count));
  }
  if (file && lseek(file.get(), 0, SEEK_SET) != 0) {
    file.reset();
  }
  return file;
}

std::vector<std::string> environment_of(const Command& command) {
  std::vector<std::string> all;
  bool has_path = false;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string name(text.substr(0, text.find('=')));
    if (command.environment.count(name) > 0 || text == "PATH=") {
      continue;
    }
    has_path = has_path || name == "PATH";
    all.emplace_back(text);
  }
  for (const auto& [name, value] : command.environment) {
    has_path = has_path || name == "PATH";
    all.push_back(name + "=" + value);
  }
  if (!has_path) {
    all.push_back("PATH=" + std::string(standard_path));
  }
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

bool has_nul(const Command& command) {
  auto bad = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  return std::any_of(command.argv.begin(), command.argv.end(), bad) ||
         std::any_of(command.environment.begin(), command.environment.end(),
                     [&](const auto& entry) { return bad(entry.first) || bad(entry.second); });
}

// Returns 0 or an error number. The child leads its own process group, with every signal unblocked and at its default.
int spawn(const std::string& program, const Command& command, int in, int out, int err, pid_t& pid) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  if (int error = posix_spawnattr_init(&attributes); error != 0) {
    return error;
  }
  if (int error = posix_spawn_file_actions_init(&actions); error != 0) {
    posix_spawnattr_destroy(&attributes);
    return error;
  }
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  sigdelset(&all, SIGKILL);
  sigdelset(&all, SIGSTOP);
  int error =
      posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  error = error != 0 ? error : posix_spawnattr_setpgroup(&attributes, 0);
  error = error != 0 ? error : posix_spawnattr_setsigdefault(&attributes, &all);
  error = error != 0 ? error : posix_spawnattr_setsigmask(&attributes, &none);
  error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  if (error == 0) {
    std::vector<std::string> arguments = command.argv;
    std::vector<std::string> environment = environment_of(command);
    const std::vector<char*> argv = pointers_to(arguments);
    const std::vector<char*> envp = pointers_to(environment);
    const std::lock_guard lock(children().mutex);
    error = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), envp.data());
    if (error == 0) {
      children().pids.insert(pid);
    }
  }
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

// --- waiting ---

int remaining_ms(Steady::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

// One running child and what it prints.
class Child {
 public:
  Child(pid_t pid, Fd out, Fd err, size_t output_max)
      : pid_(pid),
        pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))),
        streams_{{std::move(out), {}}, {std::move(err), {}}},
        output_max_(output_max) {}

  ~Child() {
    if (!ended_) {
      kill_group();
    }
    const std::lock_guard lock(children().mutex);
    children().pids.erase(pid_);
  }

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  enum class End { exited, timed_out, printed_too_much, lost };

  End wait(Steady::time_point deadline) {
    while (true) {
      if (reap()) {
        break;
      }
      if (Steady::now() >= deadline) {
        return End::timed_out;
      }
      wait_for_event(remaining_ms(deadline), true);
      if (!read_streams(output_max_)) {
        return End::printed_too_much;
      }
    }
    // What the program wrote before it ended is in the pipes already; what others hold open is not waited for.
    if (!read_streams(pipe_capacity_max)) {
      return End::printed_too_much;
    }
    return lost_ ? End::lost : End::exited;
  }

  int exit_status() const { return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_); }
  std::string& out() { return streams_[0].text; }
  std::string& err() { return streams_[1].text; }

 private:
  struct Stream {
    Fd fd;
    std::string text;
  };

  bool reap() {
    const pid_t got = waitpid(pid_, &status_, WNOHANG);
    // ECHILD: somebody else took the exit status (SIGCHLD ignored, or a foreign waitpid).
    lost_ = got < 0 && errno == ECHILD;
    ended_ = got == pid_ || lost_;
    return ended_;
  }

  void wait_for_event(int timeout_ms, bool with_streams) {
    pollfd fds[3];
    nfds_t count = 0;
    if (pidfd_) {
      fds[count++] = {pidfd_.get(), POLLIN, 0};
    } else {
      timeout_ms = std::min(timeout_ms, poll_without_pidfd_ms);
    }
    for (Stream& stream : streams_) {
      if (with_streams && stream.fd) {
        fds[count++] = {stream.fd.get(), POLLIN, 0};
      }
    }
    poll(fds, count, timeout_ms);  // EINTR is one more turn of the caller's loop
  }

  // Reads what is there, at most `bytes_max` of each; false when one printed more than allowed.
  bool read_streams(size_t bytes_max) {
    char buffer[64 << 10];
    for (Stream& stream : streams_) {
      size_t budget = bytes_max;
      while (stream.fd && budget > 0) {
        const ssize_t count = read(stream.fd.get(), buffer, std::min(sizeof buffer, budget));
        if (count > 0) {
          if (static_cast<size_t>(count) > output_max_ - stream.text.size()) {
            return false;
          }
          stream.text.append(buffer, static_cast<size_t>(count));
          budget -= static_cast<size_t>(count);
        } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
          stream.fd.reset();
        } else if (errno == EAGAIN) {
          break;
        }
      }
    }
    return true;
  }

  void kill_group() {
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);  // it may have left its group
    const Steady::time_point deadline = Steady::now() + reap_max;
    while (!reap() && Steady::now() < deadline) {
      wait_for_event(remaining_ms(deadline), false);
    }
  }

  pid_t pid_;
  Fd pidfd_;
  Stream streams_[2];
  size_t output_max_;
  int status_ = 0;
  bool ended_ = false;
  bool lost_ = false;
};

std::string seconds_text(std::chrono::milliseconds time) {
  const auto ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

}  // namespace

Result<CommandOutput> run_command(const Command& command) {
  if (command.argv.empty() || command.argv[0].empty()) {
    return fail(ErrorCode::permanent, "no program was named");
  }
  if (has_nul(command)) {
    return fail(ErrorCode::permanent, "cannot run " + command.argv[0] + ": an argument or variable holds a NUL byte");
  }
  const auto given_path = command.environment.find("PATH");
  const std::string program =
      find_with_path(command.argv[0], given_path == command.environment.end() ? own_path() : given_path->second);
  if (program.empty()) {
    return fail(ErrorCode::not_found, "no such program: " + command.argv[0]);
  }
  Pipe out;
  Pipe err;
  if (!make_pipe(out) || !make_pipe(err)) {
    return fail_errno("make a pipe to " + command.argv[0]);
  }
  Fd in = open_input(command.input);
  if (!in) {
    return fail_errno("open the input of " + command.argv[0]);
  }
  const Steady::time_point start = Steady::now();
  pid_t pid = 0;
  if (const int error = spawn(program, command, in.get(), out.write_end.get(), err.write_end.get(), pid); error != 0) {
    errno = error;
    const std::string message = errno_message("cannot start " + command_line(command));
    return fail(error == ENOENT ? ErrorCode::not_found : ErrorCode::permanent, message);
  }
  in.reset();
  out.write_end.reset();
  err.write_end.reset();

  // A century without a deadline is more than any caller means, and keeps the sum from overflowing.
  constexpr std::chrono::milliseconds timeout_max = std::chrono::hours(24 * 365 * 100);
  Child child(pid, std::move(out.read_end), std::move(err.read_end), command.output_max);
  switch (child.wait(start + std::min(command.timeout, timeout_max))) {
    case Child::End::exited:
      return CommandOutput{child.exit_status(), std::move(child.out()), std::move(child.err())};
    case Child::End::timed_out:
      return fail(
          ErrorCode::transient,
          with_stderr("timed out after " + seconds_text(command.timeout) + ": " + command_line(command), child.err()));
    case Child::End::printed_too_much:
      return fail(ErrorCode::permanent,
                  "printed more than " + std::to_string(command.output_max) + " bytes: " + command_line(command));
    case Child::End::lost:
      break;
  }
  return fail(ErrorCode::outcome_unknown,
              "exit status lost, another part of the process reaped it: " + command_line(command));
}

Result<std::string> run_checked(const Command& command) {
  auto output = run_command(command);
  if (!output) {
    return fail(output.error());
  }
  if (output->exit_status != 0) {
    return fail(
        ErrorCode::permanent,
        with_stderr("exit status " + std::to_string(output->exit_status) + ": " + command_line(command), output->err));
  }
  return std::move(output->out);
}

bool is_command_child(pid_t pid) {
  const std::lock_guard lock(children().mutex);
  return children().pids.count(pid) > 0;
}

std::string find_program(std::string_view program) {
  return find_with_path(program, own_path());
}

}  // namespace slipway
