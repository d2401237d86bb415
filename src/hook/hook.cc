// slipway-hook: what slurmctld runs as ResumeProgram, SuspendProgram, ResumeFailProgram and PrologSlurmctld. It hands
// its arguments and the resume file to the daemon's socket and is gone (frame: slurm/hook_protocol.h, which this file
// must agree with).
//
// A lost hint costs seconds, never a node, because the daemon also looks at Slurm by itself. So nothing here retries
// for long or keeps a record: the whole run ends within `run_max`, whatever the daemon does.
//
// As PrologSlurmctld it stays: slurmctld looks whether a job's nodes have booted only every 30 s, but also at the
// moment when a job's prolog ends. So this one ends when the daemon says that the nodes are up. It always exits with 0,
// for a failed prolog requeues the job; without a daemon it ends at once, and the job starts at slurmctld's next look.
//
// The places where slurmctld starts it are hostile: 22.05 runs it under slurmctld's locks with descriptors 0 to 2
// closed, nearly no environment and a mask of blocked signals; later releases kill its process group when it is slow.
// It links only libc, allocates one buffer, and starts no thread.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

namespace {

constexpr int64_t run_max_ms = 1000;
constexpr size_t resume_file_max = 16 << 20;
// A waiting prolog: how long for the daemon's first word, for each later one, for a daemon that went away to come back,
// and in all.
constexpr int64_t first_word_max_ms = 5'000;
constexpr int64_t silence_max_ms = 30'000;
constexpr int64_t absence_max_ms = 10'000;
constexpr int64_t wait_max_ms = 3'600'000;
constexpr const char* socket_default = "/run/slipway/hook.sock";

enum Exit { exit_done = 0, exit_failed = 1, exit_usage = 2 };

constexpr const char* help =
    "Usage: slipway-resume HOSTLIST | slipway-suspend HOSTLIST | slipway-resume-fail HOSTLIST\n"
    "\n"
    "slurmctld runs this program as its ResumeProgram, SuspendProgram and ResumeFailProgram. It\n"
    "tells slipwayd which nodes are meant and ends at once; slipwayd does the work. As\n"
    "PrologSlurmctld (slipway-prolog, without a hostlist) it waits until slipwayd says that the\n"
    "job's nodes are up, so that the job starts at that moment. The name it is called by says\n"
    "which of the four it is; all are links to slipway-hook.\n"
    "\n"
    "There is no need to run it by hand: `scontrol update NodeName=... State=POWER_UP` (or\n"
    "POWER_DOWN) makes slurmctld run it.\n"
    "\n"
    "Environment:\n"
    "  SLURM_RESUME_FILE    JSON with the jobs that wait for the nodes; set by slurmctld\n"
    "  SLURM_JOB_ID         the job that starts or asked for a reboot; set by slurmctld\n"
    "  SLURM_JOB_NODELIST   the nodes of the job that starts; set by slurmctld\n"
    "  SLIPWAY_HOOK_SOCKET  slipwayd's socket, default /run/slipway/hook.sock\n"
    "\n"
    "Exit status: 0 handed over, 1 slipwayd not reached (it will notice by itself), 2 wrong usage.\n";

void write_all(int fd, const char* text, size_t size) {
  while (size > 0) {
    const ssize_t written = write(fd, text, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody listens: there is no better place to say it
    text += written;
    size -= static_cast<size_t>(written);
  }
}

void say(const char* program, const char* what, const char* detail) {
  char line[512];
  size_t used = 0;
  for (const char* part : {program, ": ", what, detail[0] != '\0' ? ": " : "", detail, "\n"}) {
    const size_t size = strnlen(part, 200);
    if (used + size > sizeof line) break;
    memcpy(line + used, part, size);
    used += size;
  }
  write_all(STDERR_FILENO, line, used);
}

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

// 22.05 closes 0, 1 and 2. A socket opened now would become one of them, and every stray message would be written into
// it.
void open_standard_descriptors() {
  for (;;) {
    const int fd = open("/dev/null", O_RDWR);
    if (fd < 0) return;
    if (fd > STDERR_FILENO) {
      close(fd);
      return;
    }
  }
}

void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

struct Buffer {
  char* data = nullptr;
  size_t size = 0;
};

// The resume file is a memfd under /proc that ends with this process's parent's patience; read it once, now. Without it
// the hint is still good: it only lacks the jobs' order.
Buffer read_resume_file(const char* program, const char* path) {
  Buffer text;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat about {};
  if (fd < 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
    say(program, "cannot read the resume file, sending the nodes without their jobs", path);
    if (fd >= 0) close(fd);
    return text;
  }
  size_t capacity = 0;
  for (;;) {
    if (text.size == capacity) {
      capacity = capacity == 0 ? 64 << 10 : capacity * 2;
      char* const grown = text.size > resume_file_max ? nullptr : static_cast<char*>(realloc(text.data, capacity));
      if (grown == nullptr) {
        say(program, "the resume file is too long, sending the nodes without their jobs", path);
        text.size = 0;
        break;
      }
      text.data = grown;
    }
    const ssize_t got = read(fd, text.data + text.size, capacity - text.size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.size += static_cast<size_t>(got);
  }
  if (text.size > resume_file_max) text.size = 0;
  close(fd);
  return text;
}

// A Unix socket whose queue is full refuses a non-blocking connect with EAGAIN and offers nothing to poll for: try
// again a little later.
int connect_to_daemon(const char* path, int64_t deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  while (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN || now_ms() >= deadline) {
      const int reason = errno == EAGAIN ? ETIMEDOUT : errno;
      close(fd);
      errno = reason;
      return -1;
    }
    poll(nullptr, 0, 10);
  }
  return fd;
}

bool send_all(int fd, iovec* parts, size_t count, int64_t deadline) {
  while (count > 0) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return false;
      const int64_t left = deadline - now_ms();
      pollfd wait{fd, POLLOUT, 0};
      if (left <= 0 || poll(&wait, 1, static_cast<int>(left)) == 0) {
        errno = ETIMEDOUT;
        return false;
      }
      continue;
    }
    size_t rest = static_cast<size_t>(sent);
    while (count > 0 && rest >= parts->iov_len) {
      rest -= parts->iov_len;
      ++parts;
      --count;
    }
    if (count > 0) {
      parts->iov_base = static_cast<char*>(parts->iov_base) + rest;
      parts->iov_len -= rest;
    }
  }
  return true;
}

// One message, as parts that may be sent several times.
class Frame {
 public:
  Frame(const char* kind, const char* hostlist, const char* job, Buffer resume_file)
      : parts_{{length_, sizeof length_},           text("1"), text(kind), text(hostlist), text(job),
               {resume_file.data, resume_file.size}} {
    size_t body = 0;
    for (size_t i = 1; i < part_count; ++i) body += parts_[i].iov_len;
    for (size_t i = 0; i < sizeof length_; ++i) length_[i] = static_cast<char>(body >> (24 - 8 * i));
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  bool send(int fd, int64_t deadline) const {
    iovec parts[part_count];
    memcpy(parts, parts_, sizeof parts);
    return send_all(fd, parts, part_count, deadline);
  }

 private:
  static iovec text(const char* value) { return {const_cast<char*>(value), strlen(value) + 1}; }

  static constexpr size_t part_count = 6;
  char length_[4] = {};
  iovec parts_[part_count];
};

// The connected socket, or -1 with errno.
int connect_and_send(const char* path, const Frame& frame, int64_t deadline) {
  const int fd = connect_to_daemon(path, deadline);
  if (fd >= 0 && !frame.send(fd, deadline)) {
    const int reason = errno;
    close(fd);
    errno = reason;
    return -1;
  }
  return fd;
}

// The daemon's words are frames "wait" (again at least every `silence_max`) and "go". No frame is long enough for its
// length to hold a 'g'.
enum class Word { wait, go, lost, silence };

Word next_word(int fd, int64_t deadline) {
  for (;;) {
    const int64_t left = deadline - now_ms();
    pollfd wait{fd, POLLIN, 0};
    if (left <= 0) return Word::silence;
    const int ready = poll(&wait, 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return Word::lost;
    if (ready <= 0) continue;
    char bytes[256];
    const ssize_t got = read(fd, bytes, sizeof bytes);
    if (got > 0) return memchr(bytes, 'g', static_cast<size_t>(got)) != nullptr ? Word::go : Word::wait;
    if (got == 0 || (errno != EINTR && errno != EAGAIN)) return Word::lost;
  }
}

// Returns when the daemon says "go", or when there is no point in waiting for it. A daemon that asked to wait and then
// went away is being restarted: it gets the request again.
void wait_for_nodes(const char* path, const Frame& frame) {
  const int64_t end = now_ms() + wait_max_ms;
  int64_t present = 0;  // when the daemon last asked to wait; 0: never
  for (;;) {
    const int fd = connect_and_send(path, frame, now_ms() + run_max_ms);
    Word word = fd < 0 ? Word::lost : Word::wait;
    bool greeted = false;
    while (word == Word::wait && now_ms() < end) {
      word = next_word(fd, now_ms() + (greeted ? silence_max_ms : first_word_max_ms));
      if (word == Word::wait) {
        greeted = true;
        present = now_ms();
      }
    }
    if (fd >= 0) close(fd);
    if (word != Word::lost || present == 0 || now_ms() - present > absence_max_ms) return;
    poll(nullptr, 0, 200);
  }
}

// strerror() would pull in the message catalogues.
const char* reason_of(int error) {
  switch (error) {
    case ENOENT:
      return "its socket does not exist";
    case ECONNREFUSED:
      return "nobody listens on its socket";
    case EACCES:
      return "no permission for its socket";
    case ETIMEDOUT:
      return "it does not answer";
    case EPIPE:
    case ECONNRESET:
      return "it closed the connection";
    case ENAMETOOLONG:
      return "the socket's path is too long";
    default:
      return "the socket failed";
  }
}

const char* kind_of(const char* name) {
  if (strcmp(name, "slipway-resume") == 0) return "resume";
  if (strcmp(name, "slipway-suspend") == 0) return "suspend";
  if (strcmp(name, "slipway-resume-fail") == 0) return "resume_fail";
  if (strcmp(name, "slipway-prolog") == 0) return "job_start";
  return nullptr;
}

const char* environment(const char* name, const char* otherwise) {
  const char* const value = getenv(name);
  return value != nullptr && value[0] != '\0' ? value : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  reset_signals();

  const char* program = argc > 0 ? argv[0] : "slipway-hook";
  if (const char* const slash = strrchr(program, '/')) program = slash + 1;
  if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
    write_all(STDOUT_FILENO, help, strlen(help));
    return exit_done;
  }
  if (argc > 1 && strcmp(argv[1], "--version") == 0) {
    constexpr const char* version = "slipway-hook " SLIPWAY_VERSION "\n";
    write_all(STDOUT_FILENO, version, strlen(version));
    return exit_done;
  }
  const char* const kind = kind_of(program);
  const bool is_prolog = kind != nullptr && strcmp(kind, "job_start") == 0;
  // A third argument is the reboot form's feature list: the nodes are restarted all the same.
  const char* const hostlist = is_prolog ? environment("SLURM_JOB_NODELIST", "") : argc > 1 ? argv[1] : "";
  if (kind == nullptr || hostlist[0] == '\0') {
    say(program, "expected to be run by slurmctld as slipway-resume, -suspend, -resume-fail or -prolog; see --help",
        "");
    return exit_usage;
  }

  Buffer resume_file;
  if (const char* const path = environment("SLURM_RESUME_FILE", nullptr)) resume_file = read_resume_file(program, path);
  const Frame frame(kind, hostlist, environment("SLURM_JOB_ID", ""), resume_file);
  const char* const socket_path = environment("SLIPWAY_HOOK_SOCKET", socket_default);
  if (is_prolog) {
    wait_for_nodes(socket_path, frame);
    return exit_done;
  }
  const int fd = connect_and_send(socket_path, frame, now_ms() + run_max_ms);
  if (fd < 0) {
    say(program, "cannot tell slipwayd, which will notice by itself", reason_of(errno));
    return exit_failed;
  }
  close(fd);
  return exit_done;
}
