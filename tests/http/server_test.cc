// What the server does with connections that no client of ours would make.
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <deque>

#include "fixture.h"

namespace slipway::http {
namespace {

using namespace std::chrono_literals;

void echo(Asked asked, Answer answer) {
  answer({200, {{"X-Target", asked.target}}, asked.body});
}

std::string status_line(const std::string& answer) {
  return answer.substr(0, answer.find("\r\n"));
}

std::string body_of(const std::string& answer) {
  const size_t head = answer.find("\r\n\r\n");
  return head == std::string::npos ? "" : answer.substr(head + 4);
}

// What a connection of its own gets for `text`, until the server closes it.
std::string said(uint16_t port, std::string_view text) {
  const Fd socket = connect_raw(port);
  write_raw(socket.get(), text);
  return read_all(socket.get());
}

TEST(Server, chunked_requests) {
  Serving serving(echo);
  const std::string head = "POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string answer =
      said(serving.port(), head + "5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Target: /trailer\r\n\r\n");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 200 OK");
  EXPECT_EQ(body_of(answer), "hello world");
}

TEST(Server, requests_in_pieces_of_one_byte) {
  Serving serving(echo);
  const Fd socket = connect_raw(serving.port());
  const std::string text = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
  for (const char& c : text) write_raw(socket.get(), {&c, 1});
  EXPECT_EQ(body_of(read_all(socket.get())), "abc");
}

TEST(Server, the_next_request_may_be_early) {
  Serving serving(echo);
  const std::string answers =
      said(serving.port(),
           "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
           "\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo");
  EXPECT_LT(answers.find("\r\n\r\none"), answers.find("\r\n\r\ntwo"));
  EXPECT_TRUE(answers.ends_with("two")) << answers;
}

TEST(Server, tells_to_continue) {
  Serving serving(echo);
  const Fd socket = connect_raw(serving.port());
  write_raw(socket.get(),
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(read_until(socket.get(), "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  write_raw(socket.get(), "ab");
  EXPECT_EQ(body_of(read_all(socket.get())), "ab");
}

TEST(Server, does_not_tell_to_continue_with_a_body_it_will_not_take) {
  ServerOptions options;
  options.body_bytes_max = 10;
  Serving serving(echo, options);
  const std::string answer =
      said(serving.port(), "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 413 Content Too Large");
}

TEST(Server, http_1_0_closes) {
  Serving serving(echo);
  const std::string answer = said(serving.port(), "GET /old HTTP/1.0\r\n\r\n");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 200 OK");
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
}

TEST(Server, malformed_requests_are_refused_and_never_asked) {
  std::atomic<int> asked = 0;
  ServerOptions options;
  options.head_bytes_max = 1000;
  options.body_bytes_max = 1000;
  Serving serving(
      [&](Asked, Answer answer) {
        ++asked;
        answer({200, {}, ""});
      },
      options);
  const std::pair<std::string, int> cases[] = {
      {"HELLO\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: x\r\nX: a\x01z\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x'), 413},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(100'000, 'x'), 400},
      {"POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417},
      {"GET /" + std::string(1000, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(1000, 'x'), 431},
      {std::string("\x16\x03\x01\x02\x00\x01\x00", 7) + "\r\n\r\n", 400},
  };
  for (const auto& [text, status] : cases) {
    const std::string answer = said(serving.port(), text);
    EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 " + std::to_string(status)) << text.substr(0, 80) << "\n→ " << answer;
  }
  EXPECT_EQ(asked, 0);
}

TEST(Server, a_request_that_is_said_too_slowly) {
  ServerOptions options;
  options.patience = 50ms;
  Serving serving(echo, options);
  const std::string answer = said(serving.port(), "GET / HTTP/1.1\r\nHo");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 408 Request Timeout");
}

TEST(Server, a_handshake_that_never_comes) {
  const Identity authority = make_authority("a");
  ServerOptions options;
  options.patience = 50ms;
  Serving serving(echo, options, make_identity(authority, "localhost", "127.0.0.1"));
  EXPECT_EQ(said(serving.port(), ""), "");
  EXPECT_EQ(said(serving.port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n").find("HTTP/1.1 2"), std::string::npos);
}

TEST(Server, an_idle_connection_is_closed) {
  ServerOptions options;
  options.idle = 50ms;
  Serving serving(echo, options);
  EXPECT_EQ(said(serving.port(), ""), "");
  const std::string answer = said(serving.port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 200 OK");
}

TEST(Server, who_takes_no_answer_is_left) {
  ServerOptions options;
  options.patience = 100ms;
  Serving serving([](Asked, Answer answer) { answer({200, {}, std::string(32u << 20, 'x')}); }, options);
  const Fd socket = connect_raw(serving.port());
  write_raw(socket.get(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  std::this_thread::sleep_for(400ms);
  EXPECT_LT(read_all(socket.get()).size(), 32u << 20);
}

TEST(Server, headers_of_an_answer_can_not_become_others) {
  Serving serving([](Asked, Answer answer) { answer({200, {{"X", "a\r\nY: b"}}, ""}); });
  const std::string answer = said(serving.port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 500 Internal Server Error");
  EXPECT_EQ(answer.find("Y: b"), std::string::npos);
}

TEST(Server, two_thousand_requests_wait) {
  constexpr int count = 2'000;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 2 * count + 100) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 2 * count + 100);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  }
  std::vector<std::pair<std::string, Answer>> waiting;
  Serving serving([&](Asked asked, Answer answer) { waiting.emplace_back(asked.target, std::move(answer)); });
  std::vector<Fd> sockets;
  for (int i = 0; i < count; ++i) {
    sockets.push_back(connect_raw(serving.port()));
    write_raw(sockets.back().get(), "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }
  size_t arrived = 0;
  while (arrived < count) serving.on_loop([&] { arrived = waiting.size(); });
  serving.on_loop([&] {
    for (auto& [target, answer] : waiting) answer({200, {}, target});
    waiting.clear();
  });
  for (int i = 0; i < count; ++i) ASSERT_EQ(body_of(read_all(sockets[i].get())), "/" + std::to_string(i));
}

TEST(Server, above_its_connections_others_wait) {
  ServerOptions options;
  options.connections_max = 2;
  Serving serving(echo, options);
  const std::string request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  Fd first = connect_raw(serving.port());
  Fd second = connect_raw(serving.port());
  for (const Fd* socket : {&first, &second}) {
    write_raw(socket->get(), request);
    EXPECT_NE(read_until(socket->get(), "\r\n\r\n"), "");
  }
  Fd third = connect_raw(serving.port());
  write_raw(third.get(), request);
  const timeval moment{0, 150'000};
  setsockopt(third.get(), SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment);
  EXPECT_EQ(read_until(third.get(), "\r\n\r\n"), "");
  first.reset();
  const timeval patience{5, 0};
  setsockopt(third.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  EXPECT_NE(read_until(third.get(), "\r\n\r\n"), "");
}

TEST(Server, whoever_left_is_not_answered) {
  std::deque<Answer> waiting;
  Serving serving([&](Asked, Answer answer) { waiting.push_back(std::move(answer)); });
  {
    const Fd gone = connect_raw(serving.port());
    write_raw(gone.get(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    size_t arrived = 0;
    while (arrived < 1) serving.on_loop([&] { arrived = waiting.size(); });
  }
  const Fd socket = connect_raw(serving.port());
  write_raw(socket.get(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  size_t arrived = 0;
  while (arrived < 2) serving.on_loop([&] { arrived = waiting.size(); });
  serving.on_loop([&] {
    for (auto& answer : waiting) {
      answer({200, {}, "here"});
      answer({500, {}, "twice"});  // ignored
    }
    waiting.clear();
  });
  EXPECT_EQ(body_of(read_all(socket.get())), "here");
}

TEST(Server, a_door_can_be_closed_and_opened_at_the_same_port) {
  Serving serving(echo);
  const uint16_t port = serving.port();
  const Fd socket = connect_raw(port);
  Result<Server::Opened> again = fail(ErrorCode::permanent, "");
  serving.on_loop([&] {
    serving.server()->close(serving.door());
    Door door;
    door.listen = "127.0.0.1:" + std::to_string(port);
    again = serving.server()->add(std::move(door));
  });
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_NE(again->door, serving.door());
  EXPECT_EQ(read_all(socket.get()), "");  // the old door's connection
  EXPECT_EQ(status_line(said(port, "GET / HTTP/1.0\r\n\r\n")), "HTTP/1.1 200 OK");
}

TEST(Server, adopts_a_socket_and_tells_its_door) {
  std::atomic<size_t> door = 0;
  Serving serving([&](Asked asked, Answer answer) {
    door = asked.door;
    answer({200, {}, ""});
  });
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(listen(socket.get(), 4), 0);  // on any free port of all addresses
  Result<Server::Opened> opened = fail(ErrorCode::permanent, "");
  serving.on_loop([&] {
    Door adopted;
    adopted.socket = std::move(socket);
    opened = serving.server()->add(std::move(adopted));
  });
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(status_line(said(opened->port, "GET / HTTP/1.0\r\n\r\n")), "HTTP/1.1 200 OK");
  EXPECT_EQ(door, opened->door);
}

TEST(Server, a_taken_port_and_a_bad_address_are_told) {
  Serving serving(echo);
  serving.on_loop([&] {
    Door door;
    door.listen = "127.0.0.1:" + std::to_string(serving.port());
    const auto taken = serving.server()->add(std::move(door));
    EXPECT_EQ(taken.error().code, ErrorCode::permanent);
    Door bad;
    bad.listen = "somewhere";
    EXPECT_EQ(serving.server()->add(std::move(bad)).error().code, ErrorCode::bad_config);
    EXPECT_EQ(serving.server()->add(Door{}).error().code, ErrorCode::bad_config);
  });
}

}  // namespace
}  // namespace slipway::http
