// What the client does with servers that no server of ours would be.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <future>

#include "fixture.h"

namespace slipway::http {
namespace {

using namespace std::chrono_literals;

const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

Request get(const std::string& url) {
  return {"GET", url, {}, ""};
}

// Reads one request's head and answers with `text`; closes.
std::function<void(int, int)> answers(std::string text) {
  return [text = std::move(text)](int socket, int) {
    read_until(socket, "\r\n\r\n");
    write_raw(socket, text);
  };
}

TEST(Client, one_connection_serves_many_requests) {
  RawServer server([](int socket, int) {
    while (!read_until(socket, "\r\n\r\n").empty()) write_raw(socket, ok);
  });
  Client client;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.send(get(server.url()), 5s));
  EXPECT_EQ(server.accepted(), 1);
}

TEST(Client, a_connection_is_not_kept_beyond_its_time_or_against_the_servers_word) {
  RawServer server([](int socket, int number) {
    read_until(socket, "\r\n\r\n");
    write_raw(socket, number < 2 ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok" : ok);
    read_all(socket);  // stays open until the client closes it
  });
  Client client{{.idle_for = 1ms}};
  ASSERT_TRUE(client.send(get(server.url()), 5s));
  ASSERT_TRUE(client.send(get(server.url()), 5s));
  ASSERT_TRUE(client.send(get(server.url()), 5s));
  std::this_thread::sleep_for(5ms);
  ASSERT_TRUE(client.send(get(server.url()), 5s));
  EXPECT_EQ(server.accepted(), 4);
}

TEST(Client, a_kept_connection_that_was_closed_is_replaced_for_any_method) {
  RawServer server(answers(ok));
  Client client;
  for (int i = 0; i < 3; ++i) {
    const auto response = client.send({"POST", server.url(), {}, "x"}, 5s);
    ASSERT_TRUE(response) << response.error().message;
    std::this_thread::sleep_for(5ms);  // the close arrives
  }
}

TEST(Client, sends_what_it_was_given) {
  std::string heard;
  RawServer server([&](int socket, int) {
    heard = read_until(socket, "\r\n\r\n");
    write_raw(socket, ok);
  });
  Client client{{.user_agent = "test/1"}};
  ASSERT_TRUE(client.send({"POST", server.url() + "x?y=%20", {{"X-A", "1"}, {"x-a", "2"}}, ""}, 5s));
  EXPECT_EQ(heard, "POST /x?y=%20 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
                       "\r\nUser-Agent: test/1\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n");
}

TEST(Client, reads_answers_of_all_shapes) {
  const std::pair<const char*, const char*> cases[] = {
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"},
      {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end"},
      {"HTTP/1.0 200 OK\r\n\r\n", ""},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
       "2\r\n\r\nok",
       "ok"},
  };
  for (const auto& [text, body] : cases) {
    RawServer server(answers(text));
    Client client;
    const auto response = client.send(get(server.url()), 5s);
    ASSERT_TRUE(response) << text << response.error().message;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, body);
  }
}

TEST(Client, an_answer_that_is_not_whole_or_not_http_leaves_the_outcome_unknown) {
  const char* cases[] = {
      "",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
      "HTTP/1.1 200 OK\r\nContent-",
      "SSH-2.0-OpenSSH_9.2\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
  };
  for (const char* text : cases) {
    RawServer server(answers(text));
    Client client;
    const auto response = client.send(get(server.url()), 5s);
    ASSERT_FALSE(response) << text;
    EXPECT_EQ(response.error().code, ErrorCode::outcome_unknown) << text << response.error().message;
  }
}

TEST(Client, what_was_not_sent_is_transient) {
  Client client;
  uint16_t port = 0;
  {
    RawServer server([](int, int) {});
    port = server.port();
  }
  const auto refused = client.send(get("http://127.0.0.1:" + std::to_string(port) + "/"), 5s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::transient) << refused.error().message;
}

// Each stage is cut off by the deadline, with the right code.
TEST(Client, no_connection_in_time) {
  // A full queue of connections: Linux drops what comes on top, so connecting never ends.
  Fd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(listen(listening.get(), 0), 0);
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ASSERT_EQ(getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const uint16_t port = ntohs(address.sin_port);
  std::vector<Fd> queue;
  for (int i = 0; i < 3; ++i) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    static_cast<void>(connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
    queue.push_back(std::move(socket));
  }
  Client client;
  const auto response = client.send(get("http://127.0.0.1:" + std::to_string(port) + "/"), 100ms);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::transient) << response.error().message;
}

TEST(Client, no_handshake_in_time) {
  RawServer server([](int socket, int) { read_all(socket); });
  Client client;
  const auto response = client.send(get(server.url("https")), 100ms);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::transient) << response.error().message;
}

TEST(Client, no_tls_there) {
  RawServer server(answers("HTTP/1.1 400 Bad Request\r\n\r\n"));
  Client client;
  const auto response = client.send(get(server.url("https")), 1s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::transient) << response.error().message;
}

TEST(Client, a_request_that_nobody_reads) {
  std::promise<void> given_up;
  RawServer server([&](int, int) { given_up.get_future().wait(); });
  Client client;
  const auto response = client.send({"POST", server.url(), {}, std::string(16u << 20, 'x')}, 400ms);
  given_up.set_value();
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::outcome_unknown) << response.error().message;
}

TEST(Client, half_an_answer_in_time) {
  RawServer server([](int socket, int) {
    read_until(socket, "\r\n\r\n");
    write_raw(socket, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    read_all(socket);
  });
  Client client;
  const auto response = client.send(get(server.url()), 100ms);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::outcome_unknown) << response.error().message;
}

TEST(Client, text_that_would_become_another_header_is_not_sent) {
  Client client;
  for (const Request& request : {Request{"GET", "http://127.0.0.1:1/", {{"X", "a\r\nY: b"}}, ""},
                                 Request{"GET", "http://127.0.0.1:1/", {{"X: a\r\nY", "b"}}, ""},
                                 Request{"GET / HTTP/1.1\r\nX:", "http://127.0.0.1:1/", {}, ""},
                                 Request{"GET", "http://127.0.0.1:1/ HTTP/1.1", {}, ""}}) {
    const auto response = client.send(request, 1s);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, ErrorCode::bad_config) << response.error().message;
  }
}

}  // namespace
}  // namespace slipway::http
