#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/channel.h"
#include "base/log.h"
#include "base/socket.h"

namespace slipway {

namespace {

constexpr int backlog = 4096;
// Connections taken in one turn of the loop, so that a flood of them doesn't starve the others.
constexpr int accepts_per_turn = 256;
constexpr Duration pause_without_descriptors{100};

}  // namespace

struct Listener::Impl : std::enable_shared_from_this<Listener::Impl> {
  explicit Impl(Loop& l) : loop(l) {}

  Loop& loop;
  Fd socket;
  std::string address;
  bool is_unix = false;
  std::filesystem::path path;  // of a Unix socket whose file is ours to remove
  struct stat identity {};
  OnAccept on_accept;
  bool stopped = false;
  bool starved = false;
  Loop::TimerId resume = Loop::TimerId::none;

  void start() {
    loop.watch(socket.get(), EPOLLIN, [this](uint32_t) {
      const auto self = shared_from_this();  // a callback may destroy the Listener
      accept_some();
    });
  }

  void stop() {
    stopped = true;
    loop.cancel(resume);
    loop.unwatch(socket.get());
    socket.reset();
    struct stat now {};
    if (!path.empty() && lstat(path.c_str(), &now) == 0 && now.st_dev == identity.st_dev &&
        now.st_ino == identity.st_ino) {
      unlink(path.c_str());
    }
  }

  void accept_some() {
    for (int i = 0; i < accepts_per_turn && !stopped; ++i) {
      sockaddr_storage from{};
      socklen_t length = sizeof from;
      Fd connection(accept4(socket.get(), reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (connection) {
        starved = false;
        Peer peer;
        if (is_unix) {
          peer = unix_peer(connection.get());
        } else {
          peer.address = to_string(reinterpret_cast<const sockaddr_in&>(from));
        }
        on_accept(std::make_unique<Channel>(loop, std::move(connection), std::move(peer)));
        continue;
      }
      if (errno == EAGAIN) {
        return;
      }
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause();
        return;
      }
      // Anything else concerns the one connection only: it ended before it was taken.
    }
  }

  // The socket stays readable, so watching it while nothing can be accepted would spin.
  void pause() {
    if (!starved) {
      log_error("accept_paused", {{"address", address}, {"reason", errno_message("accept")}});
      starved = true;
    }
    loop.change(socket.get(), 0);
    resume = loop.after(pause_without_descriptors, [this] {
      resume = Loop::TimerId::none;
      loop.change(socket.get(), EPOLLIN);
    });
  }
};

Listener::Listener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->start();
}

Listener::~Listener() {
  impl_->stop();
}

const std::string& Listener::address() const {
  return impl_->address;
}

Result<std::unique_ptr<Listener>> Listener::unix_socket(Loop& loop, const std::filesystem::path& path, mode_t mode,
                                                        OnAccept on_accept) {
  auto impl = std::make_shared<Impl>(loop);
  auto socket = open_socket(AF_UNIX);
  if (!socket) {
    return fail(socket.error());
  }
  // Bound beside its place and moved there when its mode is right and it listens: nobody ever meets a socket that is
  // neither.
  std::filesystem::path beside = path;
  beside += ".new";
  auto address = unix_address(beside);
  if (!address) {
    return fail(address.error());
  }
  unlink(beside.c_str());
  if (bind(socket->get(), address->get(), address->length) != 0) {
    return fail_errno("bind " + path.string());
  }
  if (chmod(beside.c_str(), mode) != 0 || listen(socket->get(), backlog) != 0 ||
      lstat(beside.c_str(), &impl->identity) != 0 || rename(beside.c_str(), path.c_str()) != 0) {
    Failure failure = fail_errno("listen on " + path.string());
    unlink(beside.c_str());
    return failure;
  }
  impl->socket = std::move(*socket);
  impl->address = path.string();
  impl->is_unix = true;
  impl->path = path;
  impl->on_accept = std::move(on_accept);
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Result<std::unique_ptr<Listener>> Listener::tcp(Loop& loop, const std::string& ipv4_and_port, OnAccept on_accept) {
  auto impl = std::make_shared<Impl>(loop);
  auto address = tcp_address(ipv4_and_port);
  if (!address) {
    return fail(address.error());
  }
  auto socket = open_socket(AF_INET);
  if (!socket) {
    return fail(socket.error());
  }
  // A restarted daemon must get its port back while connections of its former life linger.
  const int on = 1;
  socklen_t length = sizeof *address;
  if (setsockopt(socket->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(socket->get(), reinterpret_cast<const sockaddr*>(&*address), length) != 0 ||
      listen(socket->get(), backlog) != 0 ||
      getsockname(socket->get(), reinterpret_cast<sockaddr*>(&*address), &length) != 0) {
    return fail_errno("listen on " + ipv4_and_port);
  }
  impl->socket = std::move(*socket);
  impl->address = to_string(*address);
  impl->on_accept = std::move(on_accept);
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

}  // namespace slipway
