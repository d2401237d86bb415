#include "http/connection.h"

#include <strings.h>
#include <sys/epoll.h>

#include <algorithm>
#include <ctime>

#include "base/check.h"

namespace slipway::http {

namespace {

constexpr size_t read_bytes = 64u << 10;
constexpr Duration drain_time_max{2'000};
constexpr size_t drain_bytes_max = 32u << 20;
constexpr size_t kept_bytes_max = 4096;  // of a buffer that a waiting connection keeps

std::string_view reason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7).
std::string date() {
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const time_t now = time(nullptr);
  tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  const int size = snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday], utc.tm_mday,
                            months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
  return {text, static_cast<size_t>(size)};
}

bool is_same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool can_be_sent(const Response& response) {
  return response.status >= 200 && response.status <= 599 &&
         std::all_of(response.headers.begin(), response.headers.end(),
                     [](const auto& header) { return is_token(header.first) && is_field_value(header.second); });
}

std::string to_text(const Response& response, bool is_head, bool keeps_alive) {
  std::string text = "HTTP/1.1 " + std::to_string(response.status) + " ";
  text.append(reason(response.status)).append("\r\n");
  for (const auto& [name, value] : response.headers) {
    if (is_same(name, "Content-Length") || is_same(name, "Connection") || is_same(name, "Transfer-Encoding")) continue;
    text.append(name).append(": ").append(value).append("\r\n");
  }
  if (response.header("Date").empty()) text.append("Date: ").append(date()).append("\r\n");
  const bool has_body = response.status != 204 && response.status != 304;
  if (has_body) text.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
  text.append(keeps_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
  if (has_body && !is_head) text.append(response.body);
  return text;
}

}  // namespace

Connection::Connection(Loop& io, const ServerOptions& options, Wire wire, std::string peer, size_t door, Host host)
    : io_(io), options_(options), wire_(std::move(wire)), peer_(std::move(peer)), door_(door), host_(std::move(host)) {}

Connection::~Connection() {
  io_.cancel(timer_);
  io_.unwatch(wire_.fd());
}

void Connection::start() {
  watched_ = EPOLLIN | EPOLLRDHUP;
  io_.watch(wire_.fd(), watched_, [this](uint32_t events) { on_ready(events); });
  enter(wire_.has_tls() ? State::handshake : State::idle);
  go_on();
}

bool Connection::end() {
  host_.gone();
  return false;
}

void Connection::enter(State state) {
  state_ = state;
  io_.cancel(timer_);
  timer_ = Loop::TimerId::none;
  if (state == State::waiting) return;  // as long as it takes
  const Duration time = state == State::idle       ? options_.idle
                        : state == State::draining ? drain_time_max
                                                   : options_.patience;
  timer_ = io_.after(time, [this] {
    timer_ = Loop::TimerId::none;
    if (state_ == State::reading) {
      refuse(408, "the request took too long");
      go_on();
    } else {
      end();
    }
  });
}

void Connection::wait_for(uint32_t events) {
  if (watched_ == events) return;
  watched_ = events;
  io_.change(wire_.fd(), events);
}

void Connection::wait_for(Step step) {
  wait_for(step == Step::want_write ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
}

void Connection::on_ready(uint32_t events) {
  if (state_ == State::waiting) {
    // Nobody is there any more to read the answer; or the next request is early and must wait unread.
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
      end();
    } else {
      wait_for(EPOLLRDHUP);
    }
    return;
  }
  go_on();
}

void Connection::go_on() {
  while (true) {
    switch (state_) {
      case State::handshake: {
        const Step step = wire_.handshake();
        if (step == Step::closed || step == Step::failed) return static_cast<void>(end());
        if (step != Step::done) return wait_for(step);
        enter(State::idle);
        break;
      }
      case State::idle:
      case State::reading:
      case State::draining:
        if (!read_some()) return;
        break;
      case State::writing:
        if (!write_some()) return;
        break;
      case State::waiting:
        return;
    }
  }
}

// False: nothing more to do now.
bool Connection::read_some() {
  if (state_ != State::draining && !in_.empty()) {
    const State before = state_;
    const size_t held = in_.size();
    if (!take_in()) return false;
    if (state_ != before || in_.size() != held) return true;
  }
  thread_local const auto buffer = std::make_unique_for_overwrite<char[]>(read_bytes);
  size_t count = 0;
  const Step step = wire_.read(buffer.get(), read_bytes, count);
  if (step == Step::closed || step == Step::failed) return end();
  if (step != Step::done) {
    wait_for(step);
    return false;
  }
  if (state_ == State::draining) {
    drained_ += count;
    return drained_ < drain_bytes_max || end();
  }
  in_.append(buffer.get(), count);
  return take_in();
}

// Parses what was read. False: this waits for its answer.
bool Connection::take_in() {
  if (!parser_) {
    parser_ = Parser::make(Parser::Kind::request, {options_.head_bytes_max, options_.body_bytes_max});
    told_to_continue_ = false;
    enter(State::reading);
  }
  in_.erase(0, parser_->put(in_));
  switch (parser_->state) {
    case Parser::State::failed:
      refuse(parser_->refusal, std::move(parser_->why));
      return state_ != State::waiting;
    case Parser::State::done:
      ask();
      return state_ != State::waiting;
    case Parser::State::head:
      return true;
    case Parser::State::body:
      break;
  }
  const std::string_view expected = find_header(parser_->headers, "Expect");
  if (expected.empty() || told_to_continue_) return true;
  if (!is_same(expected, "100-continue")) {
    refuse(417, "only 100-continue may be expected");
    return true;
  }
  told_to_continue_ = true;
  size_t count = 0;
  constexpr std::string_view go = "HTTP/1.1 100 Continue\r\n\r\n";
  // The first bytes in a socket's empty buffer always fit.
  if (parser_->version >= 11 && (wire_.write(go, count) != Step::done || count != go.size())) return end();
  return true;
}

void Connection::ask() {
  if (parser_->version >= 11 && find_header(parser_->headers, "Host").empty()) {
    return refuse(400, "a request without Host");
  }
  keeps_alive_ = parser_->keeps_alive();
  is_head_ = parser_->method == "HEAD";
  Asked asked{std::move(parser_->method),
              std::move(parser_->target),
              std::move(parser_->headers),
              std::move(parser_->body),
              peer_,
              door_};
  parser_.reset();
  if (in_.empty() && in_.capacity() > kept_bytes_max) std::string().swap(in_);
  enter(State::waiting);
  host_.ask(std::move(asked));
}

void Connection::refuse(int status, std::string why) {
  keeps_alive_ = false;
  is_head_ = false;
  parser_.reset();
  in_.clear();
  out_ = to_text({status, {{"Content-Type", "text/plain"}}, std::move(why) + "\n"}, false, false);
  written_ = 0;
  enter(State::writing);
}

void Connection::answer(Response response) {
  SLIPWAY_CHECK(state_ == State::waiting);
  if (!can_be_sent(response)) response = {500, {}, "the answer has a status or header that can't be sent\n"};
  out_ = to_text(response, is_head_, keeps_alive_);
  written_ = 0;
  enter(State::writing);
  go_on();
}

// False: nothing more to do now.
bool Connection::write_some() {
  while (written_ < out_.size()) {
    size_t count = 0;
    const Step step = wire_.write(std::string_view(out_).substr(written_), count);
    written_ += count;
    if (step == Step::closed || step == Step::failed) return end();
    if (step != Step::done) {
      wait_for(step);
      return false;
    }
  }
  std::string().swap(out_);
  if (keeps_alive_) {
    enter(State::idle);
  } else {
    wire_.end();
    in_.clear();
    enter(State::draining);
  }
  return true;
}

}  // namespace slipway::http
