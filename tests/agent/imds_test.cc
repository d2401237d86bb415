// What the metadata service says, understood; and asked as Azure wants to be asked.
#include "agent/imds.h"

#include <random>

#include "fake_imds.h"

namespace slipway::agent {
namespace {

constexpr const char* two_events = R"({"DocumentIncarnation":7,"Events":[
  {"EventId":"A-1","EventType":"Preempt","ResourceType":"VirtualMachine","Resources":["vm_1","vm_2"],
   "EventStatus":"Scheduled","NotBefore":"Mon, 19 Sep 2016 18:29:47 GMT","DurationInSeconds":-1},
  {"EventId":"B-2","EventType":"Freeze","Resources":["vm_1"],"EventStatus":"Started","NotBefore":""},
  {"EventId":"C-3","EventType":"Reboot","Resources":["vm_1"],"EventStatus":"Completed","NotBefore":""}]})";

TEST(ImdsEvents, AreRead) {
  const auto got = parse_events(two_events);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->incarnation, 7u);
  ASSERT_EQ(got->events.size(), 2u) << "what is over isn't told";
  EXPECT_EQ(got->events[0].id, "A-1");
  EXPECT_EQ(got->events[0].kind, EventKind::preempt);
  EXPECT_FALSE(got->events[0].started);
  EXPECT_EQ(got->events[0].not_before, TimePoint(std::chrono::seconds(1'474'309'787)));
  EXPECT_EQ(got->events[0].resources, (std::vector<std::string>{"vm_1", "vm_2"}));
  EXPECT_EQ(got->events[1].kind, EventKind::freeze);
  EXPECT_TRUE(got->events[1].started);
  EXPECT_EQ(got->events[1].not_before, TimePoint{});
}

TEST(ImdsEvents, EachKindHasItsWord) {
  for (const auto& [word, kind] :
       {std::pair{"Freeze", EventKind::freeze}, std::pair{"Reboot", EventKind::reboot},
        std::pair{"Redeploy", EventKind::redeploy}, std::pair{"Preempt", EventKind::preempt},
        std::pair{"Terminate", EventKind::terminate}, std::pair{"Party", EventKind::other}}) {
    const auto got =
        parse_events(R"({"Events":[{"EventId":"1","EventStatus":"Scheduled","Resources":[],"EventType":")" +
                     std::string(word) + "\"}]}");
    ASSERT_TRUE(got);
    EXPECT_EQ(got->events.at(0).kind, kind) << word;
  }
}

TEST(ImdsEvents, MalformedDocumentsAreNoEmptyOnes) {
  for (const char* bad : {"", "nonsense", "[]", "{}", R"({"Events":7})", R"({"Events":null})"}) {
    EXPECT_EQ(parse_events(bad).error().code, ErrorCode::transient) << bad;
  }
}

TEST(ImdsEvents, MalformedEventsAreLeftOut) {
  for (const char* bad :
       {"7", "{}", R"({"EventId":"","EventStatus":"Scheduled","Resources":[]})",
        R"({"EventId":"1","EventStatus":"Perhaps","Resources":[]})", R"({"EventId":"1","EventStatus":"Scheduled"})",
        R"({"EventId":7,"EventStatus":"Scheduled","Resources":["vm_1"]})"}) {
    const auto got = parse_events("{\"Events\":[" + std::string(bad) + "]}");
    ASSERT_TRUE(got) << bad;
    EXPECT_TRUE(got->events.empty()) << bad;
  }
  for (const char* date : {"yesterday", "Mon, 99 Sep 2016 18:29:47 GMT", "Mon, 19 Sep 2016 18:29:47 GMT+2", "0"}) {
    const auto got =
        parse_events(R"({"Events":[{"EventId":"1","EventStatus":"Scheduled","Resources":[7,"vm"],"NotBefore":")" +
                     std::string(date) + "\"}]}");
    ASSERT_TRUE(got) << date;
    EXPECT_EQ(got->events.at(0).not_before, TimePoint{}) << date;
    EXPECT_EQ(got->events.at(0).resources, std::vector<std::string>{"vm"});
  }
}

TEST(ImdsAnswers, AreReadOrRefused) {
  EXPECT_EQ(parse_token(R"({"access_token":"a.b.c","expires_in":"3599"})").value(), "a.b.c");
  EXPECT_EQ(parse_attested(R"({"encoding":"pkcs7","signature":"MII"})").value(), "MII");
  const auto facts = parse_instance(R"({"compute":{"name":"n","vmId":"g"},"network":{"interface":[
      {"ipv4":{"ipAddress":[]}},{"ipv4":{"ipAddress":[{"privateIpAddress":"10.0.0.4"}]}}]}})");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->name, "n");
  EXPECT_EQ(facts->vm_id, "g");
  EXPECT_EQ(facts->address, "10.0.0.4");
  EXPECT_EQ(parse_instance(R"({"compute":{"name":"n"}})").value().address, "");
  for (const char* bad : {"", "7", "{}", R"({"access_token":7})", R"({"compute":[]})", R"({"compute":{"name":7}})",
                          R"({"encoding":"none","signature":"MII"})", R"({"encoding":"pkcs7"})", "{\"a\":"}) {
    EXPECT_EQ(parse_token(bad).error().code, ErrorCode::transient) << bad;
    EXPECT_EQ(parse_attested(bad).error().code, ErrorCode::transient) << bad;
    EXPECT_EQ(parse_instance(bad).error().code, ErrorCode::transient) << bad;
  }
}

TEST(ImdsAnswers, DamagedOnesNeverCrash) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text = two_events;
    for (int j = 0; j < 3; ++j) text[random() % text.size()] = static_cast<char>(random());
    (void)parse_events(text.substr(0, random() % text.size()));
    (void)parse_events(text);
  }
}

class ImdsTest : public ::testing::Test {
 protected:
  // The blocking question, while the loop answers it.
  template <class Ask>
  auto ask(Ask question) {
    Workers workers(loop_, 1);
    std::optional<decltype(question())> got;
    workers.run(std::move(question), [&](auto result) { got = std::move(result); });
    EXPECT_TRUE(pump_until(loop_, [&] { return got.has_value(); }));
    return std::move(*got);
  }
  Loop loop_;
  FakeImds server_{loop_};
  Imds imds_{server_.origin()};
};

TEST_F(ImdsTest, ATokenIsForTheMachinesOwnCloud) {
  server_.cloud = "AzureUSGovernmentCloud";
  const Duration time(2'000);
  ASSERT_TRUE(ask([&] { return imds_.identity_token("11111111-2222", time); }).has_value());
  ASSERT_TRUE(ask([&] { return imds_.identity_token("11111111-2222", time); }).has_value());
  EXPECT_EQ(server_.asked_for("resource=https%3A%2F%2Fmanagement.usgovcloudapi.net%2F"), 2u);
  EXPECT_EQ(server_.asked_for("/metadata/instance"), 1u) << "it doesn't move";
}

TEST_F(ImdsTest, AsksAsAzureWantsIt) {
  const Duration time(2'000);
  EXPECT_EQ(ask([&] { return imds_.identity_token("11111111-2222", time); }).value(), "h.e-a_d.er");
  EXPECT_EQ(ask([&] { return imds_.identity_token("/subscriptions/1/x", time); }).value(), "h.e-a_d.er");
  EXPECT_EQ(ask([&] { return imds_.attested_document(TimePoint(Duration(1'772'000'000'999)), time); }).value(),
            "MIIE+/==");
  EXPECT_EQ(ask([&] { return imds_.instance(time); }).value().name, "vm_1");
  EXPECT_TRUE(ask([&] { return imds_.events(time); }).value().events.empty());
  EXPECT_TRUE(ask([&] { return imds_.start_event("A-1", time); }));
  EXPECT_EQ(server_.asked,
            (std::vector<std::string>{
                "GET /metadata/instance?api-version=2021-02-01&format=json",
                "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com"
                "%2F&client_id=11111111-2222",
                "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com"
                "%2F&msi_res_id=%2Fsubscriptions%2F1%2Fx",
                "GET /metadata/attested/document?api-version=2021-02-01&nonce=1772000000",
                "GET /metadata/instance?api-version=2021-02-01&format=json",
                "GET /metadata/scheduledevents?api-version=2020-07-01",
                "POST /metadata/scheduledevents?api-version=2020-07-01"}));
  EXPECT_EQ(server_.started, std::vector<std::string>{R"({"StartRequests":[{"EventId":"A-1"}]})"});
}

TEST_F(ImdsTest, ErrorsSayWhatTheServiceSaid) {
  for (const auto& [status, code] : {std::pair{400, ErrorCode::denied}, std::pair{429, ErrorCode::throttled},
                                     std::pair{500, ErrorCode::transient}, std::pair{404, ErrorCode::transient}}) {
    server_.status = status;
    const auto got = ask([&] { return imds_.identity_token("1", Duration(2'000)); });
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, code);
    EXPECT_NE(got.error().message.find("Identity not found"), std::string::npos) << got.error().message;
  }
  server_.silent = true;
  EXPECT_EQ(ask([&] { return imds_.events(Duration(50)); }).error().code, ErrorCode::transient);
  Imds nobody("http://127.0.0.1:1");
  EXPECT_EQ(ask([&] { return nobody.instance(Duration(500)); }).error().code, ErrorCode::transient);
}

}  // namespace
}  // namespace slipway::agent
