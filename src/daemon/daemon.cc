// Puts the daemon together from its options and runs it until a signal.
#include "daemon/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "daemon/api_server.h"
#include "daemon/cluster_file.h"
#include "daemon/hints.h"
#include "daemon/lease.h"
#include "daemon/names.h"
#include "daemon/providers.h"
#include "daemon/shell.h"
#include "daemon/slurm_user.h"

namespace slipway::daemon {

namespace {

constexpr unsigned stop_patience_s = 5;

// The write end of a pipe: all that a signal handler may touch.
volatile sig_atomic_t stop_pipe = -1;

void on_stop_signal(int) {
  const int saved = errno;
  const char byte = 1;
  if (stop_pipe >= 0) (void)!write(stop_pipe, &byte, 1);
  errno = saved;
}

// A worker that hangs in a command must not hold the end up: everything that matters is on disk or at both ends.
void on_patience_over(int) {
  _exit(0);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

class StopSignals {
 public:
  explicit StopSignals(Loop& loop) : loop_(loop) {
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    read_ = Fd(ends[0]);
    write_ = Fd(ends[1]);
    stop_pipe = write_.get();
    loop_.watch(read_.get(), EPOLLIN, [this](uint32_t) {
      char bytes[16];
      (void)!read(read_.get(), bytes, sizeof bytes);
      loop_.stop();
    });
    handle(SIGTERM, on_stop_signal);
    handle(SIGINT, on_stop_signal);
  }
  ~StopSignals() {
    handle(SIGTERM, SIG_DFL);
    handle(SIGINT, SIG_DFL);
    stop_pipe = -1;
    if (read_) loop_.unwatch(read_.get());
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  Loop& loop_;
  Fd read_;
  Fd write_;
};

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

// Beside what slurmctld itself shares with its backup.
Result<std::filesystem::path> lease_file(const std::filesystem::path& slurm_conf) {
  const auto text = read_file(slurm_conf);
  if (!text) return fail(text.error());
  const std::string folder = slurm_conf_value(*text, "StateSaveLocation", "");
  if (folder.empty()) return fail(ErrorCode::bad_config, slurm_conf.string() + " names no StateSaveLocation");
  return std::filesystem::path(folder) / "slipway-lease";
}

// Nothing may be finished in order any more: another daemon acts already, or is about to.
[[noreturn]] void on_lease_lost(const std::string&) {
  _exit(1);
}

Result<join::Key> read_master(const std::filesystem::path& file) {
  const auto text = read_file(file, 4096);
  if (!text) return fail(text.error());
  auto key = join::parse_key(trimmed(*text));
  if (!key) return fail(ErrorCode::bad_config, file.string() + ": " + key.error().message);
  return *key;
}

}  // namespace

Result<void> run_daemon(const DaemonOptions& options) {
  auto cluster = load_cluster(options.cluster_file);
  if (!cluster) return fail(cluster.error());
  const auto master = read_master(options.keys_folder / "master.key");
  if (!master) return fail(master.error());
  auto munge_key = read_file(options.keys_folder / "munge.key", 64 << 10);
  if (!munge_key) return fail(munge_key.error());
  for (const auto& folder : {options.run_folder, options.data_folder}) {
    std::error_code ignored;
    if (std::filesystem::is_directory(folder, ignored)) continue;
    if (auto made = make_folder(folder); !made) return made;
  }
  const auto lease_path = lease_file(options.slurm_conf);
  if (!lease_path) return fail(lease_path.error());

  handle(SIGPIPE, SIG_IGN);
  const SystemClock clock;
  Loop loop;
  const StopSignals signals(loop);
  LeaseKeeper lease(loop, {{.file = *lease_path, .holder = own_holder_name(), .boot_id = own_boot_id()}},
                    {[&loop] { loop.stop(); }, on_lease_lost});
  loop.run();
  if (!lease.is_held()) return {};  // told to stop while it stood by

  auto journal = journal::Journal::open(options.data_folder / "events.db");
  if (!journal) return fail(journal.error());
  const auto provider = make_providers(*cluster, clock, {options.host_socket, options.listen, *master});
  if (!provider) return fail(provider.error());
  const auto slurm = make_slurm_side(options.slurm_conf);

  ShellOptions shell_options;
  shell_options.listen = options.listen;
  shell_options.master = *master;
  shell_options.munge_key = std::move(*munge_key);
  shell_options.slurm_conf = options.slurm_conf;
  shell_options.hosts_file = options.hosts_file;
  shell_options.may_act = [&lease] { return lease.is_held(); };
  shell_options.lease = {lease.holder(), lease.epoch()};
  auto shell =
      Shell::start(loop, {clock, *slurm, **provider, **journal}, std::move(*cluster), std::move(shell_options));
  if (!shell) return fail(shell.error());

  Hints::Options hint_options;
  hint_options.socket = options.run_folder / "hook.sock";
  hint_options.slurm_uid = [file = options.slurm_conf] { return find_slurm_uid(file); };
  auto hints = Hints::open(loop, clock, std::move(hint_options),
                           [&shell](const Result<slurm::Hint>& hint, std::unique_ptr<Channel> channel) {
                             (*shell)->on_hint(hint, std::move(channel));
                           });
  if (!hints) return fail(hints.error());
  auto api = ApiServer::open(loop, clock, **shell, **journal, {.socket = options.run_folder / "api.sock"});
  if (!api) return fail(api.error());

  // Without it programs that ask for nodes by name wait long, but jobs run: not a reason to give up.
  const std::string address = options.listen.substr(0, options.listen.rfind(':'));
  auto names = NameServer::open(loop, address + ":53", (*shell)->names());
  if (!names) log_error("no_name_server", {{"why", names.error().message}});

  log_info("daemon_ready", {{"version", SLIPWAY_VERSION}, {"listen", options.listen}, {"pid", getpid()}});
  loop.run();
  log_info("daemon_stops");
  handle(SIGALRM, on_patience_over);
  alarm(stop_patience_s);
  (*journal)->flush();
  if (names) names->reset();
  api->reset();
  hints->reset();
  shell->reset();
  return {};
}

}  // namespace slipway::daemon
