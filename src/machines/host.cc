#include "machines/host.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <map>
#include <memory>

#include "base/channel.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/loop.h"
#include "machines/fleet.h"
#include "machines/host_lock.h"
#include "machines/limits.h"
#include "machines/network.h"
#include "machines/protocol.h"

namespace slipway::machines {
namespace {

constexpr Duration idle_connection_max{30'000};
constexpr size_t connections_max = 256;
constexpr size_t request_bytes_max = 16 << 20;
constexpr Duration links_look_every{20};
constexpr Duration links_gone_max{20'000};

class Host {
 public:
  Host(const HostOptions& options, Network network)
      : options_(options), network_(std::move(network)), fleet_(clock_, loop_, network_, options_) {}

  Result<void> run() {
    if (auto signals = watch_signals(); !signals) return signals;
    fleet_.adopt();
    auto listener = Listener::unix_socket(loop_, host_socket(options_.state), 0600,
                                          [this](std::unique_ptr<Channel> channel) { accept(std::move(channel)); });
    if (!listener) return fail(listener.error());
    log_info("machine_host_started", {{"cluster", options_.cluster},
                                      {"subnet", subnet_text(network_.subnet())},
                                      {"bridge", network_.bridge()},
                                      {"pid", ::getpid()}});
    loop_.run();
    loop_.unwatch(signals_.get());
    connections_.clear();
    listener->reset();
    if (ended_) {
      log_info("machine_host_ended", {{"cluster", options_.cluster}});
    } else {
      log_info("machine_host_stopped", {{"machines", "run on"}});
    }
    return {};
  }

 private:
  struct Connection {
    std::unique_ptr<Channel> channel;
    Loop::TimerId timer = Loop::TimerId::none;
  };

  Result<void> watch_signals() {
    sigset_t wanted;
    ::sigemptyset(&wanted);
    for (int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&wanted, signal);
    ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
    signals_.reset(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return fail_errno("watch for signals");
    loop_.watch(signals_.get(), EPOLLIN, [this](uint32_t) {
      signalfd_siginfo info{};
      if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
      // A terminal that closes is no reason to stop: `slipway up` may have been typed there.
      if (info.ssi_signo != SIGHUP) loop_.stop();
    });
    return {};
  }

  void accept(std::unique_ptr<Channel> channel) {
    if (channel->peer().uid != 0) {
      log_warning("connection_refused", {{"uid", channel->peer().uid}, {"pid", channel->peer().pid}});
      return;
    }
    if (connections_.size() >= connections_max) {
      log_warning("connection_refused", {{"why", "too many connections"}});
      return;
    }
    uint64_t number = ++connection_last_;
    Connection& connection = connections_[number];
    connection.channel = std::move(channel);
    connection.channel->on_message([this, number](std::string frame) { answer(number, frame); });
    connection.channel->on_close([this, number](const std::string&) { drop(number); });
    connection.timer = loop_.after(idle_connection_max, [this, number] { drop(number); });
  }

  void drop(uint64_t number) {
    auto it = connections_.find(number);
    if (it == connections_.end()) return;
    loop_.cancel(it->second.timer);
    connections_.erase(it);
  }

  void reply(uint64_t number, const std::string& frame) {
    auto it = connections_.find(number);
    if (it == connections_.end()) return;
    it->second.channel->send(frame);
    it->second.channel->close_after_flush();
    drop(number);
  }

  void answer(uint64_t number, const std::string& frame) {
    auto request = decode_request(frame);
    if (!request) return reply(number, encode_error(request.error()));
    if (request->call == Call::shutdown) {
      // Ending a thousand machines may take longer than an idle connection lives.
      loop_.cancel(connections_[number].timer);
      waiting_for_end_.push_back(number);
      return end();
    }
    reply(number, carry_out(*request));
  }

  std::string carry_out(const Request& request) {
    auto done = [](const Result<void>& result) { return result ? encode_done() : encode_error(result.error()); };
    switch (request.call) {
      case Call::info:
        return encode_info({options_.cluster, subnet_text(network_.subnet()), ipv4_text(network_.subnet().gateway()),
                            network_.bridge(), SLIPWAY_VERSION, static_cast<int32_t>(::getpid())});
      case Call::launch: {
        auto result = fleet_.launch(request.spec, request.count, request.token, request.terms);
        return result ? encode_launch(*result) : encode_error(result.error());
      }
      case Call::list:
        return encode_list(fleet_.list());
      case Call::terminate:
        fleet_.terminate(request.ids);
        return encode_done();
      case Call::kill:
        fleet_.kill(request.ids);
        return encode_done();
      case Call::freeze:
        return done(fleet_.freeze(request.ids, true));
      case Call::thaw:
        return done(fleet_.freeze(request.ids, false));
      case Call::cut_off:
        return done(fleet_.cut_off(request.ids, true));
      case Call::reconnect:
        return done(fleet_.cut_off(request.ids, false));
      case Call::evict:
        return done(fleet_.evict(request.ids, request.notice));
      case Call::boot_trouble:
        fleet_.set_trouble(request.trouble);
        return encode_done();
      case Call::capacity:
        return done(fleet_.set_capacity(request.limit));
      case Call::clear_trouble:
        return done(fleet_.clear_trouble());
      case Call::shutdown:
        break;
    }
    SLIPWAY_CHECK(false && "shutdown is answered when it is done");
  }

  void end() {
    if (ended_) return;
    ended_ = true;
    log_info("shutting_down", {{"cluster", options_.cluster}});
    fleet_.end_all([this] { wait_for_links(std::chrono::steady_clock::now() + links_gone_max); });
  }

  // The kernel takes a dead machine's link away with its network namespace, a moment after its last process and many at
  // a time. That is much quicker than removing them one by one.
  void wait_for_links(std::chrono::steady_clock::time_point deadline) {
    auto remains = find_network(options_.state);
    if (remains && !remains->links.empty() && std::chrono::steady_clock::now() < deadline) {
      loop_.after(links_look_every, [this, deadline] { wait_for_links(deadline); });
      return;
    }
    auto removed = remove_network(options_.state);
    if (!removed) log_error("network_not_removed", {{"why", removed.error().message}});
    restore_limits(options_.state);
    for (uint64_t number : waiting_for_end_) reply(number, removed ? encode_done() : encode_error(removed.error()));
    // Time for the answers to leave.
    loop_.after(Duration(50), [this] { loop_.stop(); });
  }

  HostOptions options_;
  SystemClock clock_;
  Loop loop_;
  Network network_;
  Fleet fleet_;
  Fd signals_;
  std::map<uint64_t, Connection> connections_;
  uint64_t connection_last_ = 0;
  std::vector<uint64_t> waiting_for_end_;
  bool ended_ = false;
};

Result<void> check_options(const HostOptions& options) {
  if (::geteuid() != 0) {
    return fail(ErrorCode::denied,
                "machines are made of namespaces, which only root can make; run this as root or by sudo");
  }
  if (!options.state.is_absolute()) return fail(ErrorCode::bad_config, "the state folder must be an absolute path");
  std::error_code error;
  if (!std::filesystem::exists(options.programs / "slipway-agent", error)) {
    return fail(ErrorCode::bad_config, "there is no slipway-agent in " + options.programs.string());
  }
  return {};
}

}  // namespace

std::filesystem::path host_stop_mark(const std::filesystem::path& state) {
  return state / "host" / "stop";
}

std::filesystem::path host_socket(const std::filesystem::path& state) {
  return state / "host" / "host.sock";
}

std::filesystem::path machine_folder(const std::filesystem::path& state, const std::string& id) {
  return state / "machines" / id;
}

std::filesystem::path machine_logs(const std::filesystem::path& state, const std::string& id) {
  return machine_folder(state, id) / "log";
}

Result<void> run_host(const HostOptions& asked) {
  if (auto checked = check_options(asked); !checked) return checked;
  HostOptions options = asked;
  auto subnet = parse_subnet(options.subnet);
  if (!subnet) return fail(subnet.error());
  for (const char* folder : {"", "host", "host/root", "machines"}) {
    if (auto made = make_folder(options.state / folder, 0700); !made) return made;
  }
  // The one name of the folder, by which its bridge and its machines are found again.
  options.state = std::filesystem::canonical(options.state);
  options.programs = std::filesystem::absolute(options.programs);
  auto lock = HostLock::take(options.state);
  if (!lock) return fail(lock.error());
  raise_own_limits();
  ::signal(SIGPIPE, SIG_IGN);
  auto network = Network::set_up(options.state, *subnet);
  if (!network) return fail(network.error());
  return Host(options, std::move(*network)).run();
}

}  // namespace slipway::machines
