// The client against the server.
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <future>

#include "fixture.h"

namespace slipway::http {
namespace {

using namespace std::chrono_literals;

void echo(Asked asked, Answer answer) {
  answer({200, {{"X-Method", asked.method}, {"X-Target", asked.target}, {"X-Peer", asked.peer}}, asked.body});
}

struct Exchange : testing::TestWithParam<bool> {
  Identity authority = make_authority("test authority");
  TextFile ca{authority.certificate};
  Identity identity = GetParam() ? make_identity(authority, "localhost", "127.0.0.1") : Identity{};
  Client client{{.ca_file = ca.path()}};
};
INSTANTIATE_TEST_SUITE_P(PlainAndTls, Exchange, testing::Bool(),
                         [](const auto& each) { return each.param ? "tls" : "plain"; });

TEST_P(Exchange, carries_method_target_headers_and_body) {
  Serving serving(echo, {}, identity);
  const auto response = client.send({"POST", serving.url("/a%20b?c=d"), {}, "hello"}, 5s);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "hello");
  EXPECT_EQ(response->header("x-method"), "POST");
  EXPECT_EQ(response->header("X-Target"), "/a%20b?c=d");
  EXPECT_EQ(response->header("X-Peer"), "127.0.0.1");
  EXPECT_EQ(response->header("Date").size(), 29u);
}

TEST_P(Exchange, a_name_is_looked_up) {
  Serving serving(echo, {}, identity);
  const auto response = client.send({"GET", serving.url("/", "localhost"), {}, ""}, 5s);
  ASSERT_TRUE(response) << response.error().message;
}

TEST_P(Exchange, connections_are_kept) {
  Serving serving(echo, {}, identity);
  for (int i = 0; i < 20; ++i) {
    const auto response = client.send({"POST", serving.url(), {}, std::to_string(i)}, 5s);
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, std::to_string(i));
  }
  // A closed door closes its connections: a kept one is found stale, and nothing can be reached.
  serving.on_loop([&] { serving.server()->close(serving.door()); });
  const auto response = client.send({"POST", serving.url(), {}, ""}, 5s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::transient) << response.error().message;
}

TEST_P(Exchange, large_bodies_go_both_ways) {
  Serving serving(echo, {}, identity);
  std::string body(8u << 20, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 24);
  const auto response = client.send({"PUT", serving.url(), {}, body}, 20s);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_TRUE(response->body == body);
}

TEST_P(Exchange, head_has_a_length_and_no_body) {
  Serving serving([](Asked, Answer answer) { answer({200, {}, "twelve bytes"}); }, {}, identity);
  for (int i = 0; i < 2; ++i) {  // the second finds the connection in order
    const auto response = client.send({"HEAD", serving.url(), {}, ""}, 5s);
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->header("Content-Length"), "12");
    EXPECT_EQ(response->body, "");
  }
}

TEST_P(Exchange, an_answer_without_body) {
  Serving serving([](Asked, Answer answer) { answer({204, {}, ""}); }, {}, identity);
  for (int i = 0; i < 2; ++i) {
    const auto response = client.send({"DELETE", serving.url(), {}, ""}, 5s);
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->status, 204);
  }
}

TEST_P(Exchange, a_dropped_answer_is_a_lost_one) {
  std::atomic<int> asked = 0;
  Serving serving([&](Asked, Answer) { ++asked; }, {}, identity);
  auto response = client.send({"POST", serving.url(), {}, "x"}, 5s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::outcome_unknown) << response.error().message;
  EXPECT_EQ(asked, 1);
}

TEST_P(Exchange, a_lost_answer_on_a_kept_connection_is_asked_again_only_when_that_is_safe) {
  std::atomic<int> asked = 0;
  Serving serving(
      [&](Asked request, Answer answer) {
        if (++asked == 2) return;
        answer({200, {}, request.method});
      },
      {}, identity);
  ASSERT_TRUE(client.send({"GET", serving.url(), {}, ""}, 5s));
  EXPECT_TRUE(client.send({"GET", serving.url(), {}, ""}, 5s));
  EXPECT_EQ(asked, 3);
  asked = 1;
  const auto response = client.send({"POST", serving.url(), {}, ""}, 5s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::outcome_unknown);
  EXPECT_EQ(asked, 2);
}

TEST_P(Exchange, no_answer_in_time) {
  std::vector<Answer> answers;
  Serving serving(
      [&](Asked asked, Answer answer) {
        if (asked.target == "/at-once") return answer({200, {}, ""});
        answers.push_back(std::move(answer));
      },
      {}, identity);
  ASSERT_TRUE(client.send({"GET", serving.url("/at-once"), {}, ""}, 5s));
  const auto before = std::chrono::steady_clock::now();
  const auto response = client.send({"GET", serving.url(), {}, ""}, 100ms);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::outcome_unknown) << response.error().message;
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_GE(took, 100ms);
  EXPECT_LT(took, 3s);
  serving.on_loop([&] { answers.clear(); });
}

TEST_P(Exchange, a_body_above_the_limit_is_refused_and_not_asked) {
  std::atomic<int> asked = 0;
  ServerOptions options;
  options.body_bytes_max = 1000;
  Serving serving(
      [&](Asked, Answer answer) {
        ++asked;
        answer({200, {}, ""});
      },
      options, identity);
  // Much more than sockets hold: the refusal comes while the body is still being sent.
  auto response = client.send({"POST", serving.url(), {}, std::string(4u << 20, 'x')}, 5s);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 413);
  response = client.send({"POST", serving.url(), {}, std::string(1001, 'x')}, 5s);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(asked, 0);
  response = client.send({"POST", serving.url(), {}, std::string(1000, 'x')}, 5s);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
}

TEST_P(Exchange, an_answer_above_the_limit_is_an_error) {
  Client small{{.ca_file = ca.path(), .body_bytes_max = 1000}};
  Serving serving([](Asked, Answer answer) { answer({200, {}, std::string(1001, 'x')}); }, {}, identity);
  const auto response = small.send({"GET", serving.url(), {}, ""}, 5s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::outcome_unknown) << response.error().message;
}

TEST_P(Exchange, many_threads_share_a_client) {
  Serving serving(echo, {}, identity);
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const std::string body = std::to_string(t * 100 + i);
        const auto response = client.send({"POST", serving.url(), {}, body}, 10s);
        good += response && response->body == body ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
}

TEST_P(Exchange, answers_after_the_servers_end_do_nothing) {
  std::vector<Answer> answers;
  Serving serving([&](Asked, Answer answer) { answers.push_back(std::move(answer)); }, {}, identity);
  auto response = std::async(std::launch::async, [&] { return client.send({"GET", serving.url(), {}, ""}, 5s); });
  size_t waiting = 0;
  while (waiting == 0) serving.on_loop([&] { waiting = answers.size(); });
  serving.on_loop([&] { serving.server().reset(); });
  EXPECT_FALSE(response.get());
  serving.on_loop([&] {
    answers.front()({200, {}, "late"});
    answers.clear();
  });
}

TEST(Tls, a_certificate_for_another_name_is_refused) {
  const Identity authority = make_authority("test authority");
  const TextFile ca(authority.certificate);
  Client client{{.ca_file = ca.path()}};
  Serving other_name(echo, {}, make_identity(authority, "example.test", "127.0.0.1"));
  auto response = client.send({"GET", other_name.url("/", "localhost"), {}, ""}, 5s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::bad_config) << response.error().message;
  Serving other_address(echo, {}, make_identity(authority, "127.0.0.1", "127.0.0.2"));
  response = client.send({"GET", other_address.url(), {}, ""}, 5s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::bad_config) << response.error().message;
}

TEST(Tls, an_unknown_authority_is_refused) {
  const Identity authority = make_authority("test authority");
  const TextFile other(make_authority("test authority").certificate);
  std::atomic<int> asked = 0;
  Serving serving([&](Asked, Answer) { ++asked; }, {}, make_identity(authority, "localhost", "127.0.0.1"));
  Client with_other{{.ca_file = other.path()}};
  Client with_none;
  for (Client* client : {&with_other, &with_none}) {
    const auto response = client->send({"GET", serving.url(), {}, ""}, 5s);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, ErrorCode::bad_config) << response.error().message;
  }
  EXPECT_EQ(asked, 0);
}

TEST(Tls, a_ca_file_that_is_none_is_told) {
  const TextFile none("no certificate\n");
  Client client{{.ca_file = none.path()}};
  Serving serving(echo, {}, make_identity(make_authority("a"), "localhost", "127.0.0.1"));
  const auto response = client.send({"GET", serving.url(), {}, ""}, 5s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::bad_config);
  EXPECT_NE(response.error().message.find(none.path()), std::string::npos) << response.error().message;
}

TEST(Tls, a_door_refuses_a_key_that_is_not_its_certificates) {
  const Identity authority = make_authority("a");
  Loop loop;
  Server server(loop, {}, echo);
  Door door;
  door.listen = "127.0.0.1:0";
  door.tls_certificate = make_identity(authority, "localhost", "127.0.0.1").certificate;
  door.tls_key = authority.key;
  const auto opened = server.add(std::move(door));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::bad_config);
}

}  // namespace
}  // namespace slipway::http
