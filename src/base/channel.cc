#include "base/channel.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/frame.h"
#include "base/socket.h"

namespace slipway {

namespace {

constexpr size_t queue_max_default = 256 << 20;
// Bytes taken from one connection in one turn of the loop, so that a busy one doesn't starve the others.
constexpr size_t read_per_turn = 1 << 20;
// A queue's sent part is dropped when it is at least this and half of the queue.
constexpr size_t compact_min = 64 << 10;
constexpr Duration connect_max = std::chrono::seconds(10);
constexpr Duration retry_connect{20};

}  // namespace

// Lives on while one of its callbacks runs, and after close_after_flush() until all is sent: the loop's watch owns a
// reference.
struct Channel::Impl : std::enable_shared_from_this<Channel::Impl> {
  enum class Phase {
    connecting,
    open,
    flushing,   // close_after_flush: sending the rest, deaf to the peer
    lingering,  // everything sent and our side shut down; until the peer has read it and closes too
    closed,
  };
  using OnText = std::function<void(std::string)>;

  Impl(Loop& l, Fd s, Peer p, size_t message_max)
      : loop(l),
        socket(std::move(s)),
        peer(std::move(p)),
        send_max(std::max(message_max, message_max_default)),
        reader(message_max) {}

  Loop& loop;
  Fd socket;
  Peer peer;
  size_t send_max;
  size_t queue_max = queue_max_default;
  FrameReader reader;
  Phase phase = Phase::open;
  uint32_t watched = 0;    // epoll events
  bool failed = false;     // its close is on its way to on_close
  bool closing = false;    // close_after_flush was called
  bool peer_done = false;  // the peer sends no more, while we are flushing
  int broken = 0;          // the error number of a failed send
  std::string queue;       // frames to send, from `sent` on
  size_t sent = 0;
  std::unique_ptr<Sealer> sealer;
  // Shared, so that a callback survives its own replacement or the Channel's end while it runs.
  std::shared_ptr<OnText> on_message;
  std::shared_ptr<OnText> on_close;
  Loop::TimerId timer = Loop::TimerId::none;  // of the connect or of the patience
  // What connect() needs again when the listener's queue was full.
  std::function<int()> reconnect;

  // --- the socket's life ---

  void start(uint32_t events) {
    watched = events;
    loop.watch(socket.get(), events, [self = shared_from_this()](uint32_t ready) { self->handle(ready); });
  }

  void want(uint32_t events) {
    if (watched != events) {
      watched = events;
      loop.change(socket.get(), events);
    }
  }

  // Closes without a callback. `this` may be gone afterwards unless the caller holds a reference.
  void close() {
    if (phase == Phase::closed) {
      return;
    }
    const auto self = shared_from_this();
    phase = Phase::closed;
    loop.cancel(std::exchange(timer, Loop::TimerId::none));
    loop.unwatch(socket.get());
    socket.reset();
    queue = {};
    sent = 0;
    reconnect = nullptr;
    on_message.reset();
  }

  // The connection ended by itself. The caller holds a reference and must not touch anything afterwards.
  void end(std::string reason) {
    if (phase == Phase::closed) {
      return;
    }
    const bool announced = phase == Phase::open || phase == Phase::connecting;
    close();
    if (const auto callback = std::exchange(on_close, nullptr); callback && announced && *callback) {
      (*callback)(std::move(reason));
    }
  }

  // The same from inside a call of the owner's, who doesn't expect to be called back before it returns.
  void end_later(std::string reason) {
    if (failed || phase == Phase::closed) {
      return;
    }
    failed = true;
    queue = {};
    sent = 0;
    loop.unwatch(socket.get());
    loop.after(Duration(0), [weak = weak_from_this(), reason = std::move(reason)] {
      if (const auto self = weak.lock()) {
        self->end(reason);
      }
    });
  }

  void release() {
    on_message.reset();
    on_close.reset();
    if (!closing || failed) {
      close();
    }
  }

  // --- connecting ---

  void connect_with(std::function<int()> attempt) {
    phase = Phase::connecting;
    reconnect = std::move(attempt);
    timer = loop.after(connect_max, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->timer = Loop::TimerId::none;
        self->end("timed out connecting");
      }
    });
    attempt_connect();
  }

  void attempt_connect() {
    const int error = reconnect();
    // Watched only from here on: a socket that isn't connecting yet reports a hang-up again and again.
    if (error == 0 || error == EINPROGRESS || error == EINTR) {
      start(EPOLLOUT);
    } else if (error == EAGAIN) {
      // A Unix listener whose queue is full; connect_max bounds the retries.
      loop.after(retry_connect, [self = shared_from_this()] {
        if (self->phase == Phase::connecting && !self->failed) {
          self->attempt_connect();
        }
      });
    } else {
      errno = error;
      end_later(errno_message("connect"));
    }
  }

  // False when the connection failed, and has ended.
  bool finish_connect() {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
      error = errno;
    }
    if (error != 0) {
      errno = error;
      end(errno_message("connect"));
      return false;
    }
    reconnect = nullptr;
    if (closing) {
      phase = Phase::flushing;  // the timer is the patience, and stays
    } else {
      phase = Phase::open;
      loop.cancel(std::exchange(timer, Loop::TimerId::none));
    }
    if (peer.address.empty()) {
      peer = unix_peer(socket.get());
    }
    want(EPOLLIN);
    return true;
  }

  // --- sending ---

  size_t waiting() const { return queue.size() - sent; }

  // Writes as much as the socket takes; the error number when it broke, else 0.
  int flush() {
    while (waiting() > 0) {
      const ssize_t count = ::send(socket.get(), queue.data() + sent, waiting(), MSG_NOSIGNAL);
      if (count < 0) {
        if (errno == EINTR) {
          continue;
        }
        if (errno != EAGAIN) {
          return errno;
        }
        break;
      }
      sent += static_cast<size_t>(count);
    }
    if (waiting() == 0) {
      // The memory of a burst is given back.
      if (queue.capacity() > compact_min) {
        queue = {};
      } else {
        queue.clear();
      }
      sent = 0;
    } else if (sent >= compact_min && sent >= queue.size() / 2) {
      queue.erase(0, sent);
      sent = 0;
    }
    want((peer_done ? 0u : EPOLLIN) | (waiting() > 0 ? EPOLLOUT : 0u));
    return 0;
  }

  void enqueue(std::string_view message) {
    if (failed || (phase != Phase::open && phase != Phase::connecting)) {
      return;
    }
    std::string sealed;
    if (sealer) {
      sealed = sealer->seal(message);
      message = sealed;
    }
    if (message.size() > std::min(send_max, frame_body_max)) {
      end_later("message of " + std::to_string(message.size()) + " bytes is too long to send");
      return;
    }
    const bool idle = waiting() == 0;
    append_frame_header(queue, message.size());
    queue += message;
    // When something waited already, the socket is full and the loop will say when it isn't.
    if (idle && phase == Phase::open) {
      if (const int error = flush(); error != 0) {
        errno = error;
        end_later(errno_message("send"));
        return;
      }
    }
    if (waiting() > queue_max) {
      end_later("peer does not read: more than " + std::to_string(queue_max) + " bytes wait for it");
    }
  }

  void close_after_flush(Duration patience) {
    if (failed || phase == Phase::closed) {
      close();
      return;
    }
    if (closing) {
      return;
    }
    on_message.reset();
    on_close.reset();
    loop.cancel(timer);
    timer = loop.after(patience, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->timer = Loop::TimerId::none;
        self->close();
      }
    });
    closing = true;
    if (phase == Phase::open) {
      phase = Phase::flushing;
      linger_when_flushed();
    }
  }

  // Closing with unread bytes would make the kernel throw away what the peer hasn't read yet; so our side is shut down
  // first, and the socket closed when the peer has closed its own or the patience ends.
  void linger_when_flushed() {
    if (waiting() == 0 && peer_done) {
      close();
    } else if (waiting() == 0) {
      phase = Phase::lingering;
      shutdown(socket.get(), SHUT_WR);
      want(EPOLLIN);
    }
  }

  // --- the loop's calls ---

  void handle(uint32_t ready) {
    const auto self = shared_from_this();
    if (failed || phase == Phase::closed) {
      return;
    }
    if (phase == Phase::connecting) {
      if (!finish_connect()) {
        return;
      }
      ready = EPOLLOUT;
    }
    if (phase == Phase::flushing && (ready & (EPOLLHUP | EPOLLERR)) != 0) {
      close();  // nobody is there to send to
      return;
    }
    if ((ready & EPOLLOUT) != 0) {
      if (const int error = flush(); error != 0) {
        // What the peer said before it broke off is still worth reading.
        if (phase != Phase::open) {
          close();
          return;
        }
        queue = {};
        sent = 0;
        broken = error;
        want(EPOLLIN);
        ready |= EPOLLIN;
      }
      if (phase == Phase::flushing) {
        linger_when_flushed();
      }
    }
    if ((ready & ~static_cast<uint32_t>(EPOLLOUT)) != 0 && phase != Phase::closed) {
      read_some();
    }
    if (broken != 0 && !failed && phase == Phase::open) {
      errno = broken;
      end(errno_message("send"));
    }
  }

  void read_some() {
    char buffer[64 << 10];
    for (size_t budget = read_per_turn; budget >= sizeof buffer; budget -= sizeof buffer) {
      const ssize_t count = recv(socket.get(), buffer, sizeof buffer, 0);
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count < 0 && errno == EAGAIN) {
        return;
      }
      if (count < 0) {
        end(errno_message("receive"));
        return;
      }
      if (count == 0 && phase == Phase::flushing) {
        peer_done = true;
        want(EPOLLOUT);
        return;
      }
      if (count == 0) {
        end(reader.inside_frame() ? "closed by peer in the middle of a message" : "closed by peer");
        return;
      }
      if (!consume(std::string_view(buffer, static_cast<size_t>(count)))) {
        return;
      }
      if (static_cast<size_t>(count) < sizeof buffer) {
        return;  // the socket is empty, or will say again that it isn't
      }
    }
  }

  // False when the connection ended.
  bool consume(std::string_view data) {
    while (!data.empty() && phase == Phase::open && !failed) {
      switch (reader.consume(data)) {
        case FrameReader::State::incomplete:
          break;
        case FrameReader::State::too_long:
          end("frame too long");
          return false;
        case FrameReader::State::complete:
          deliver(reader.take());
          break;
      }
    }
    return phase != Phase::closed && !failed;
  }

  void deliver(std::string body) {
    if (sealer) {
      auto opened = sealer->open(body);
      if (!opened) {
        end("message refused: " + opened.error().message);
        return;
      }
      body = std::move(*opened);
    }
    if (const auto callback = on_message; callback && *callback) {
      (*callback)(std::move(body));
    }
  }
};

Channel::Channel(Loop& loop, Fd socket, Peer peer, size_t message_max)
    : impl_(std::make_shared<Impl>(loop, std::move(socket), std::move(peer), message_max)) {
  const int flags = fcntl(impl_->socket.get(), F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
    fcntl(impl_->socket.get(), F_SETFL, flags | O_NONBLOCK);
  }
  set_tcp_options(impl_->socket.get());
  impl_->start(EPOLLIN);
}

Channel::Channel(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Channel::~Channel() {
  impl_->release();
}

Result<std::unique_ptr<Channel>> Channel::connect_unix(Loop& loop, const std::filesystem::path& path) {
  // Checked now, so that an impossible path is told at once; opened again for each attempt, so that none is kept open.
  if (auto address = unix_address(path); !address && address.error().code == ErrorCode::bad_config) {
    return fail(address.error());
  }
  auto socket = open_socket(AF_UNIX);
  if (!socket) {
    return fail(socket.error());
  }
  const int fd = socket->get();
  auto impl = std::make_shared<Impl>(loop, std::move(*socket), Peer{}, message_max_default);
  impl->connect_with([fd, path] {
    auto address = unix_address(path);
    if (!address) {
      return address.error().code == ErrorCode::not_found ? ENOENT : EACCES;
    }
    return ::connect(fd, address->get(), address->length) == 0 ? 0 : errno;
  });
  return std::unique_ptr<Channel>(new Channel(std::move(impl)));
}

Result<std::unique_ptr<Channel>> Channel::connect_tcp(Loop& loop, const std::string& ipv4_and_port) {
  auto address = tcp_address(ipv4_and_port);
  if (!address) {
    return fail(address.error());
  }
  auto socket = open_socket(AF_INET);
  if (!socket) {
    return fail(socket.error());
  }
  const int fd = socket->get();
  set_tcp_options(fd);
  Peer peer;
  peer.address = to_string(*address);
  auto impl = std::make_shared<Impl>(loop, std::move(*socket), std::move(peer), message_max_default);
  impl->connect_with([fd, to = *address] {
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
  });
  return std::unique_ptr<Channel>(new Channel(std::move(impl)));
}

void Channel::on_message(std::function<void(std::string)> callback) {
  impl_->on_message = std::make_shared<Impl::OnText>(std::move(callback));
}

void Channel::on_close(std::function<void(std::string)> callback) {
  impl_->on_close = std::make_shared<Impl::OnText>(std::move(callback));
}

void Channel::send(std::string_view message) {
  impl_->enqueue(message);
}
void Channel::set_queue_max(size_t bytes) {
  impl_->queue_max = bytes;
}
void Channel::seal_with(std::unique_ptr<Sealer> sealer) {
  impl_->sealer = std::move(sealer);
}
void Channel::close_after_flush(Duration patience) {
  impl_->close_after_flush(patience);
}
const Peer& Channel::peer() const {
  return impl_->peer;
}

}  // namespace slipway
