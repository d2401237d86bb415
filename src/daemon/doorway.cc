#include "daemon/doorway.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <vector>

#include "base/log.h"
#include "join/handshake.h"

namespace slipway::daemon {

namespace {

constexpr int accepts_per_turn = 64;
constexpr Duration pause_without_descriptors{200};

uint32_t read_length(const std::string& bytes) {
  uint32_t length = 0;
  for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

}  // namespace

Result<Ipv4Endpoint> parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  in_addr address{};
  uint16_t port = 0;
  if (colon != std::string::npos && inet_pton(AF_INET, text.substr(0, colon).c_str(), &address) == 1) {
    const char* end = text.data() + text.size();
    const auto [stop, bad] = std::from_chars(text.data() + colon + 1, end, port);
    if (bad == std::errc() && stop == end) return Ipv4Endpoint{ntohl(address.s_addr), port};
  }
  return fail(ErrorCode::bad_config, "\"" + text + "\" is not a numeric address and port, such as 198.18.0.2:6830");
}

Doorway::Doorway(Loop& loop, const Clock& clock, Options options, OnHello on_hello)
    : loop_(loop), clock_(clock), options_(std::move(options)), on_hello_(std::move(on_hello)) {}

Result<std::unique_ptr<Doorway>> Doorway::open(Loop& loop, const Clock& clock, Options options, OnHello on_hello) {
  std::unique_ptr<Doorway> door(new Doorway(loop, clock, std::move(options), std::move(on_hello)));
  if (auto listening = door->listen(); !listening) return fail(listening.error());
  return door;
}

Doorway::~Doorway() {
  loop_.cancel(sweep_timer_);
  loop_.cancel(pause_timer_);
  for (const auto& [fd, guest] : guests_) loop_.unwatch(fd);
  if (listener_) loop_.unwatch(listener_.get());
}

Result<void> Doorway::listen() {
  const auto endpoint = parse_endpoint(options_.listen);
  if (!endpoint) return fail(endpoint.error());
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("make a socket for agents");
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(endpoint->address);
  address.sin_port = htons(endpoint->port);
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("listen for agents on " + options_.listen);
  }
  if (::listen(socket.get(), 4096) != 0) return fail_errno("listen for agents on " + options_.listen);
  socklen_t length = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0) port_ = ntohs(address.sin_port);
  listener_ = std::move(socket);
  loop_.watch(listener_.get(), EPOLLIN, [this](uint32_t) { accept_some(); });
  return {};
}

void Doorway::accept_some() {
  for (int i = 0; i < accepts_per_turn; ++i) {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    Fd socket(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // Level-triggered: without a pause the loop would spin on the connection that can't be accepted.
        log_error("agents_not_accepted", {{"why", errno_message("accept")}});
        loop_.change(listener_.get(), 0);
        pause_timer_ = loop_.after(pause_without_descriptors, [this] {
          pause_timer_ = Loop::TimerId::none;
          loop_.change(listener_.get(), EPOLLIN);
        });
      }
      return;
    }
    const uint32_t address = ntohl(from.sin_addr.s_addr);
    size_t& same = per_address_[address];
    if (guests_.size() >= options_.guests_max || same >= options_.guests_per_address) {
      if (same == 0) per_address_.erase(address);
      continue;
    }
    ++same;
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char text[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &from.sin_addr, text, sizeof text);
    const int fd = socket.get();
    Guest guest;
    guest.socket = std::move(socket);
    guest.peer.address = std::string(text) + ":" + std::to_string(ntohs(from.sin_port));
    guest.address = address;
    const bool is_privileged = ntohs(from.sin_port) < privileged_ports;
    guest.hello_bytes_max = is_privileged ? join::hello_bytes_max : join::plain_hello_bytes_max;
    guest.deadline = clock_.now() + options_.patience;
    guests_.emplace(fd, std::move(guest));
    loop_.watch(fd, EPOLLIN, [this, fd](uint32_t) { read_from(fd); });
    if (sweep_timer_ == Loop::TimerId::none) sweep_timer_ = loop_.after(options_.patience, [this] { sweep(); });
  }
}

void Doorway::read_from(int fd) {
  const auto found = guests_.find(fd);
  if (found == guests_.end()) return;
  std::string& received = found->second.received;
  while (true) {
    size_t wanted = 4;
    if (received.size() >= 4) {
      const uint32_t length = read_length(received);
      if (length == 0 || length > found->second.hello_bytes_max) return drop(fd);
      wanted = 4 + length;
      if (received.size() == wanted) break;
    }
    char bytes[4 + join::hello_bytes_max];
    const ssize_t got = ::recv(fd, bytes, wanted - received.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got <= 0) return drop(fd);
    received.append(bytes, static_cast<size_t>(got));
  }
  Guest guest = std::move(found->second);
  loop_.unwatch(fd);
  if (--per_address_[guest.address] == 0) per_address_.erase(guest.address);
  guests_.erase(found);
  on_hello_(std::move(guest.socket), std::move(guest.peer), guest.received.substr(4));
}

void Doorway::drop(int fd) {
  const auto found = guests_.find(fd);
  if (found == guests_.end()) return;
  loop_.unwatch(fd);
  if (--per_address_[found->second.address] == 0) per_address_.erase(found->second.address);
  guests_.erase(found);
}

void Doorway::sweep() {
  sweep_timer_ = Loop::TimerId::none;
  const TimePoint now = clock_.now();
  std::vector<int> late;
  TimePoint next = now + options_.patience;
  for (const auto& [fd, guest] : guests_) {
    if (guest.deadline <= now) {
      late.push_back(fd);
    } else {
      next = std::min(next, guest.deadline);
    }
  }
  for (const int fd : late) drop(fd);
  if (!guests_.empty()) sweep_timer_ = loop_.after(next - now + Duration(1), [this] { sweep(); });
}

}  // namespace slipway::daemon
