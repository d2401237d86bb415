#include "http/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <future>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>

#include "base/check.h"
#include "base/socket.h"
#include "http/connection.h"
#include "http/tls.h"

namespace slipway::http {

namespace {

constexpr int backlog = 4096;
constexpr int accepts_per_turn = 64;
constexpr Duration rest_of_full_doors{100};

struct OpenDoor {
  Fd socket;
  TlsContext tls;  // empty: plain
};

Result<Fd> listen_on(const std::string& text) {
  const auto address = tcp_address(text);
  if (!address) return fail(address.error());
  auto socket = open_socket(AF_INET);
  if (!socket) return socket;
  const int one = 1;
  setsockopt(socket->get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(socket->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      listen(socket->get(), backlog) != 0) {
    return fail(ErrorCode::permanent, errno_message("listen on " + text));
  }
  return socket;
}

std::string text_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text, sizeof text);
  }
  return text;
}

uint16_t port_of(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  Impl(Loop& l, ServerOptions o, Handler h) : loop(l), options(o), handler(std::move(h)) {}

  // What an Answer holds; the last copy that goes without having answered drops the connection.
  struct Ticket {
    std::weak_ptr<Impl> impl;
    uint64_t connection = 0;
    std::atomic<bool> used = false;

    Ticket(std::weak_ptr<Impl> i, uint64_t c) : impl(std::move(i)), connection(c) {}
    ~Ticket() {
      if (used) return;
      if (const auto server = impl.lock()) server->io.post([raw = server.get(), id = connection] { raw->drop(id); });
    }
    void answer(Response response) {
      if (used.exchange(true)) return;
      const auto server = impl.lock();
      if (!server) return;
      server->io.post([raw = server.get(), id = connection, response = std::move(response)]() mutable {
        const auto found = raw->connections.find(id);
        if (found != raw->connections.end()) found->second->answer(std::move(response));
      });
    }
  };

  // The loop's thread.
  Loop& loop;
  const ServerOptions options;
  Handler handler;
  bool alive = true;
  std::set<size_t> open_doors;
  size_t doors_ever = 0;

  // The IO thread (and whoever has joined it). What follows `io` uses it until destroyed.
  Loop io;
  std::map<size_t, OpenDoor> doors;
  bool doors_rest = false;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections;
  uint64_t connections_ever = 0;
  std::thread thread;

  void drop(uint64_t id) { connections.erase(id); }

  void accept_some(size_t number) {
    const OpenDoor& door = doors.at(number);
    for (int i = 0; i < accepts_per_turn; ++i) {
      if (connections.size() >= options.connections_max) return rest();
      sockaddr_storage address{};
      socklen_t length = sizeof address;
      Fd socket(
          accept4(door.socket.get(), reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) {
        if (errno == EAGAIN) return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return rest();
        continue;  // that one has gone already
      }
      const int one = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      TlsSession session;
      if (door.tls) session = accept_session(door.tls.get(), socket.get());
      begin(Wire(std::move(socket), std::move(session)), text_of(address), number);
    }
  }

  void begin(Wire wire, std::string peer, size_t door) {
    const uint64_t id = ++connections_ever;
    Connection::Host host;
    host.gone = [this, id] { drop(id); };
    host.ask = [this, id](Asked asked) {
      loop.post([weak = weak_from_this(), ticket = std::make_shared<Ticket>(weak_from_this(), id),
                 asked = std::make_shared<Asked>(std::move(asked))] {
        const auto self = weak.lock();
        if (!self || !self->alive || !self->open_doors.contains(asked->door)) return;
        self->handler(std::move(*asked), [ticket](Response response) { ticket->answer(std::move(response)); });
      });
    };
    auto& made = connections[id];
    made = std::make_unique<Connection>(io, options, std::move(wire), std::move(peer), door, std::move(host));
    made->start();
  }

  // Too many connections or files are open: who comes now waits in the kernel's queue.
  void rest() {
    if (doors_rest) return;
    doors_rest = true;
    for (const auto& [number, door] : doors) io.change(door.socket.get(), 0);
    io.after(rest_of_full_doors, [this] {
      doors_rest = false;
      for (const auto& [number, door] : doors) io.change(door.socket.get(), EPOLLIN);
    });
  }

  // Runs `act` on the IO thread, which never blocks, and waits for it.
  template <class Act>
  void on_io(Act act) {
    std::promise<void> done;
    io.post([&] {
      act();
      done.set_value();
    });
    done.get_future().wait();
  }
};

Server::Server(Loop& loop, ServerOptions options, Handler handler)
    : impl_(std::make_shared<Impl>(loop, options, std::move(handler))) {
  // Signals are for the thread that runs the loop; threads inherit the mask of the one that starts them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  impl_->thread = std::thread([impl = impl_.get()] { impl->io.run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Server::~Server() {
  impl_->alive = false;
  impl_->io.stop();
  impl_->thread.join();
  // An Answer may hold the rest for a moment longer; nobody is to wait for its sockets.
  impl_->connections.clear();
  impl_->doors.clear();
}

Result<Server::Opened> Server::add(Door door) {
  OpenDoor opened;
  if (!door.tls_certificate.empty()) {
    auto context = server_context(door.tls_certificate, door.tls_key);
    if (!context) return fail(context.error());
    opened.tls = std::move(*context);
  }
  opened.socket = std::move(door.socket);
  if (!door.listen.empty()) {
    auto socket = listen_on(door.listen);
    if (!socket) return fail(socket.error());
    opened.socket = std::move(*socket);
  }
  const int flags = fcntl(opened.socket.get(), F_GETFL);
  if (flags < 0 || fcntl(opened.socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail(ErrorCode::bad_config, errno_message("not a socket to listen on"));
  }
  const Opened result{++impl_->doors_ever, port_of(opened.socket.get())};
  impl_->open_doors.insert(result.door);
  impl_->on_io([&] {
    const int fd = opened.socket.get();
    impl_->doors.emplace(result.door, std::move(opened));
    impl_->io.watch(fd, impl_->doors_rest ? 0u : uint32_t{EPOLLIN},
                    [impl = impl_.get(), number = result.door](uint32_t) { impl->accept_some(number); });
  });
  return result;
}

void Server::close(size_t door) {
  if (impl_->open_doors.erase(door) == 0) return;
  impl_->on_io([&] {
    const auto found = impl_->doors.find(door);
    impl_->io.unwatch(found->second.socket.get());
    impl_->doors.erase(found);
    std::erase_if(impl_->connections, [&](const auto& each) { return each.second->door() == door; });
  });
}

}  // namespace slipway::http
