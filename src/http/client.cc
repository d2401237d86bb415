#include "http/client.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>

#include "base/socket.h"
#include "http/parser.h"
#include "http/resolve.h"
#include "http/url.h"
#include "http/wire.h"

namespace slipway::http {

namespace {

using Steady = std::chrono::steady_clock;

constexpr size_t read_bytes = 64u << 10;

// Waits until the socket can be read or written; false when the deadline comes first.
bool wait_for(int fd, Step step, Steady::time_point deadline) {
  pollfd watched{fd, static_cast<short>(step == Step::want_read ? POLLIN : POLLOUT), 0};
  while (true) {
    const auto left = std::chrono::ceil<Duration>(deadline - Steady::now());
    if (left <= Duration(0)) return false;
    const int ready = poll(&watched, 1, static_cast<int>(std::min<Duration::rep>(left.count(), 1 << 30)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

Result<Fd> connect_to(const Address& address, Steady::time_point deadline) {
  auto socket = open_socket(address.storage.ss_family);
  if (!socket) return fail(ErrorCode::transient, socket.error().message);
  const int one = 1;
  setsockopt(socket->get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(socket->get(), address.get(), address.length) == 0) return socket;
  if (errno != EINPROGRESS) return fail(ErrorCode::transient, errno_message("connect"));
  if (!wait_for(socket->get(), Step::want_write, deadline)) {
    return fail(ErrorCode::transient, "connect: no answer in time");
  }
  socklen_t length = sizeof errno;
  int error = 0;
  getsockopt(socket->get(), SOL_SOCKET, SO_ERROR, &error, &length);
  errno = error;
  if (error != 0) return fail(ErrorCode::transient, errno_message("connect"));
  return socket;
}

Result<Fd> connect_to_any(const std::vector<Address>& addresses, Steady::time_point deadline) {
  Result<Fd> socket = fail(ErrorCode::transient, "it has no address");
  for (size_t i = 0; i < addresses.size(); ++i) {
    // An address that doesn't answer leaves the others their share of the time.
    const auto share = (deadline - Steady::now()) / static_cast<int>(addresses.size() - i);
    socket = connect_to(addresses[i], Steady::now() + share);
    if (socket) break;
  }
  return socket;
}

bool is_safe_to_repeat(const std::string& method) {
  return method == "GET" || method == "HEAD";
}

std::string host_header(const Url& url) {
  const std::string host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
  return url.port == (url.scheme == "https" ? 443 : 80) ? host : host + ":" + std::to_string(url.port);
}

Result<std::string> request_text(const Request& request, const Url& url, const std::string& user_agent) {
  const auto field = [](std::string& text, std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  if (!is_token(request.method)) return fail(ErrorCode::bad_config, "not an HTTP method: " + request.method);
  std::string text = request.method + " " + url.target + " HTTP/1.1\r\n";
  if (find_header(request.headers, "Host").empty()) field(text, "Host", host_header(url));
  if (find_header(request.headers, "User-Agent").empty()) field(text, "User-Agent", user_agent);
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name) || !is_field_value(value)) {
      return fail(ErrorCode::bad_config, "a header with characters that can't be sent: " + name);
    }
    field(text, name, value);
  }
  const bool says_length = !is_safe_to_repeat(request.method) && request.method != "DELETE";
  if (says_length || !request.body.empty()) field(text, "Content-Length", std::to_string(request.body.size()));
  return text.append("\r\n").append(request.body);
}

}  // namespace

struct Client::Impl {
  explicit Impl(ClientOptions o) : options(std::move(o)) {}

  struct Kept {
    Wire wire;
    Steady::time_point since;
  };

  const ClientOptions options;
  std::mutex mutex;
  std::map<std::string, std::deque<Kept>> kept;  // guarded by mutex; by origin, oldest first
  TlsContext tls;                                // guarded by mutex; made when first needed

  static std::string origin(const Url& url) { return url.scheme + "://" + url.host + ":" + std::to_string(url.port); }

  // A connection that waits for use; not open when there is none.
  Wire take_kept(const std::string& where) {
    std::deque<Kept> dropped;  // closed outside the lock
    const std::lock_guard lock(mutex);
    auto& list = kept[where];
    Wire found;
    while (!list.empty() && !found.is_open()) {
      Kept last = std::move(list.back());
      list.pop_back();
      if (Steady::now() - last.since < options.idle_for && !last.wire.is_stale()) {
        found = std::move(last.wire);
      } else {
        dropped.push_back(std::move(last));
      }
    }
    if (list.empty()) kept.erase(where);
    return found;
  }

  void keep(const std::string& where, Wire wire) {
    std::deque<Kept> dropped;
    const std::lock_guard lock(mutex);
    auto& list = kept[where];
    list.push_back({std::move(wire), Steady::now()});
    while (list.size() > options.idle_max ||
           (!list.empty() && Steady::now() - list.front().since >= options.idle_for)) {
      dropped.push_back(std::move(list.front()));
      list.pop_front();
    }
  }

  Result<ssl_ctx_st*> tls_context() {
    const std::lock_guard lock(mutex);
    if (!tls) {
      auto made = client_context(options.ca_file);
      if (!made) return fail(made.error());
      tls = std::move(*made);
    }
    return tls.get();
  }

  Result<Wire> open(const Url& url, Steady::time_point deadline) {
    const auto addresses = resolve(url.host, url.port, deadline);
    if (!addresses) return fail(addresses.error());
    auto socket = connect_to_any(*addresses, deadline);
    if (!socket) return fail(socket.error().code, "can't reach " + origin(url) + ": " + socket.error().message);
    if (url.scheme == "http") return Wire(std::move(*socket), nullptr);
    const auto context = tls_context();
    if (!context) return fail(context.error());
    auto session = connect_session(*context, url.host, socket->get());
    if (!session) return fail(session.error());
    Wire wire(std::move(*socket), std::move(*session));
    while (true) {
      const Step step = wire.handshake();
      if (step == Step::done) return wire;
      if (step == Step::closed) return fail(ErrorCode::transient, origin(url) + " closed the connection");
      if (step == Step::failed) return fail(wire.trouble().code, origin(url) + ": " + wire.trouble().message);
      if (!wait_for(wire.fd(), step, deadline)) {
        return fail(ErrorCode::transient, origin(url) + ": no TLS connection in time");
      }
    }
  }

  struct Attempt {
    Result<Response> response;
    size_t sent = 0;         // bytes that the socket took
    bool was_heard = false;  // something of an answer came
    bool can_be_kept = false;
  };

  Attempt exchange(Wire& wire, const std::string& text, bool is_head, Steady::time_point deadline) {
    Attempt attempt{fail(ErrorCode::outcome_unknown, "no answer in time")};
    const auto broken = [&](std::string why) {
      attempt.response = fail(attempt.sent == 0 ? ErrorCode::transient : ErrorCode::outcome_unknown, std::move(why));
      return std::move(attempt);
    };
    while (attempt.sent < text.size()) {
      size_t count = 0;
      const Step step = wire.write(std::string_view(text).substr(attempt.sent), count);
      attempt.sent += count;
      if (step == Step::done) continue;
      if (step == Step::closed || step == Step::failed) {
        if (attempt.sent == 0) return broken(wire.trouble().message);
        break;  // a server may refuse a long body with an answer before it has read all of it
      }
      if (!wait_for(wire.fd(), step, deadline)) return broken("no time left to send the request");
    }

    const auto kind = is_head ? Parser::Kind::response_to_head : Parser::Kind::response;
    const ParserLimits limits{.body_bytes_max = options.body_bytes_max};
    auto parser = Parser::make(kind, limits);
    std::string unread;
    const auto buffer = std::make_unique_for_overwrite<char[]>(read_bytes);
    while (true) {
      size_t count = 0;
      const Step step = wire.read(buffer.get(), read_bytes, count);
      if (step == Step::want_read || step == Step::want_write) {
        if (!wait_for(wire.fd(), step, deadline)) return broken("no answer in time");
        continue;
      }
      if (step == Step::failed) return broken(wire.trouble().message);
      const bool ended = step == Step::closed;
      if (ended) {
        if (!attempt.was_heard) return broken("the connection was closed without an answer");
        parser->put_end();
      }
      attempt.was_heard = true;
      unread.append(buffer.get(), count);
      while (!unread.empty() && !ended) {
        const size_t taken = parser->put(unread);
        unread.erase(0, taken);
        const bool is_interim = parser->state == Parser::State::done && parser->status < 200;
        if (!is_interim) break;
        parser = Parser::make(kind, limits);  // "100 Continue" and its like come before the answer
      }
      if (parser->state == Parser::State::failed) return broken("not a readable answer: " + parser->why);
      if (parser->state != Parser::State::done) continue;
      attempt.can_be_kept = parser->keeps_alive() && unread.empty() && !ended && attempt.sent == text.size();
      attempt.response = Response{parser->status, std::move(parser->headers), std::move(parser->body)};
      return attempt;
    }
  }
};

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Client::~Client() = default;

Result<Response> Client::send(const Request& request, Duration timeout) {
  const auto deadline = Steady::now() + timeout;
  const auto url = parse_url(request.url);
  if (!url) return fail(url.error());
  const auto text = request_text(request, *url, impl_->options.user_agent);
  if (!text) return fail(text.error());
  const std::string where = Impl::origin(*url);

  Wire wire = impl_->take_kept(where);
  bool is_fresh = !wire.is_open();
  while (true) {
    if (is_fresh) {
      auto opened = impl_->open(*url, deadline);
      if (!opened) return fail(opened.error());
      wire = std::move(*opened);
    }
    auto attempt = impl_->exchange(wire, *text, request.method == "HEAD", deadline);
    if (attempt.response) {
      if (attempt.can_be_kept) impl_->keep(where, std::move(wire));
      return std::move(attempt.response);
    }
    // The server may have closed a kept connection just when it was used again.
    const bool again = !is_fresh && !attempt.was_heard && Steady::now() < deadline &&
                       (attempt.sent == 0 || is_safe_to_repeat(request.method));
    if (!again) {
      const Error& error = attempt.response.error();
      return fail(error.code, request.method + " " + where + ": " + error.message);
    }
    is_fresh = true;
  }
}

}  // namespace slipway::http
