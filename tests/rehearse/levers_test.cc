#include "rehearse/levers.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"

namespace slipway::rehearse {
namespace {

TEST(Levers, EveryKeyIsReadAndWritten) {
  constexpr const char* text = R"({
    "capacity": [{"size": "Standard_HB120rs_v3", "zone": "1", "market": "spot", "group": "cpu", "most": 3}],
    "quotas": [{"scope": "account", "family": "standardHBrsv3Family", "market": "on_demand", "cores": 240}],
    "replies": [{"operation": "Pool_Resize", "next": 2, "status": 503, "code": "ServerBusy"}],
    "boots": [{"group": "cpu", "never_every": 2, "unusable_every": 3, "start_task_fails_every": 4, "silent_every": 5}],
    "call_ms": [1, 2], "allocate_ms": 30, "boot_ms": [4, 5], "release_ms": [6, 7],
    "timed_out_after_ms": 900, "time_out": true, "calls_per_second": 2.5, "calls_burst": 8, "retry_after_ms": 1500})";
  const auto levers = parse_levers(text);
  ASSERT_TRUE(levers) << levers.error().message;
  ASSERT_EQ(levers->capacity.size(), 1u);
  EXPECT_EQ(levers->capacity[0].size, "Standard_HB120rs_v3");
  EXPECT_EQ(levers->capacity[0].zone, "1");
  EXPECT_EQ(levers->capacity[0].market, model::Market::spot);
  EXPECT_EQ(levers->capacity[0].group, "cpu");
  EXPECT_EQ(levers->capacity[0].most, 3u);
  ASSERT_EQ(levers->quotas.size(), 1u);
  EXPECT_EQ(levers->quotas[0].scope, "account");
  EXPECT_EQ(levers->quotas[0].family, "standardHBrsv3Family");
  EXPECT_EQ(levers->quotas[0].market, model::Market::on_demand);
  EXPECT_EQ(levers->quotas[0].cores, 240u);
  ASSERT_EQ(levers->replies.size(), 1u);
  EXPECT_EQ(levers->replies[0].operation, "Pool_Resize");
  EXPECT_EQ(levers->replies[0].next, 2u);
  EXPECT_EQ(levers->replies[0].status, 503);
  EXPECT_EQ(levers->replies[0].code, "ServerBusy");
  ASSERT_EQ(levers->boots.size(), 1u);
  EXPECT_EQ(levers->boots[0].group, "cpu");
  EXPECT_EQ(levers->boots[0].never_every, 2u);
  EXPECT_EQ(levers->boots[0].unusable_every, 3u);
  EXPECT_EQ(levers->boots[0].start_task_fails_every, 4u);
  EXPECT_EQ(levers->boots[0].silent_every, 5u);
  EXPECT_EQ(levers->call.most, Duration(2));
  EXPECT_EQ(levers->allocate.least, Duration(30));
  EXPECT_EQ(levers->allocate.most, Duration(30));
  EXPECT_EQ(levers->boot.most, Duration(5));
  EXPECT_EQ(levers->release.least, Duration(6));
  EXPECT_EQ(levers->timed_out_after, Duration(900));
  EXPECT_TRUE(levers->time_out);
  EXPECT_EQ(levers->calls_per_second, 2.5);
  EXPECT_EQ(levers->calls_burst, 8u);
  EXPECT_EQ(levers->retry_after, Duration(1500));

  const auto again = parse_levers(to_json(*levers));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json(*again), to_json(*levers));
  EXPECT_NE(to_json(*levers), to_json(Levers()));
}

TEST(Levers, NothingIsOffByItself) {
  const auto levers = parse_levers("{}");
  ASSERT_TRUE(levers);
  EXPECT_EQ(to_json(*levers), to_json(Levers()));
}

// The page is what people learn the keys from.
TEST(Levers, ThePageHasThemAll) {
  const std::filesystem::path page =
      std::filesystem::path(__FILE__).parent_path().parent_path().parent_path() / "docs/rehearsal.md";
  const auto text = read_file(page);
  ASSERT_TRUE(text) << text.error().message;
  const std::string start = "```json\n";
  const size_t begin = text->find(start) + start.size();
  const auto example = parse_levers(text->substr(begin, text->find("```", begin) - begin));
  ASSERT_TRUE(example) << example.error().message;
  EXPECT_EQ(example->allocate.most, Duration(5'000));
  EXPECT_EQ(example->replies.size(), 1u);
  Levers all;
  all.capacity.emplace_back();
  all.quotas.emplace_back();
  all.replies.emplace_back();
  all.boots.emplace_back();
  const std::string keys = to_json(all);
  size_t known = 0;
  for (size_t at = keys.find('"'); at != std::string::npos; at = keys.find('"', at + 1)) {
    const size_t end = keys.find('"', at + 1);
    const std::string word = keys.substr(at + 1, end - at - 1);
    if (keys[end + 1] == ':') {
      ++known;
      EXPECT_NE(text->find("`" + word + "`"), std::string::npos) << word << " isn't on the page";
    }
    at = end;
  }
  EXPECT_GT(known, 25u);
}

TEST(Levers, MistakesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"[1]", "must be a JSON object"},
      {"{", "aren't JSON"},
      {R"({"alocate_ms": 3})", "alocate_ms isn't known; did you mean 'allocate_ms'?"},
      {R"({"capacity": [{"most": 1}, {"mots": 2}]})", "capacity[1].most is missing"},
      {R"({"capacity": [{"most": 1, "sizes": "x"}]})", "capacity[0].sizes isn't known; did you mean 'size'?"},
      {R"({"capacity": [{"most": -1}]})", "capacity[0].most must be a whole number"},
      {R"({"capacity": {}})", "capacity must be a list"},
      {R"({"capacity": [3]})", "capacity[0] must be a JSON object"},
      {R"({"quotas": [{"cores": 4294967296}]})", "quotas[0].cores must be a whole number"},
      {R"({"quotas": [{"cores": 1, "market": "low"}]})", "quotas[0].market must be"},
      {R"({"call_ms": [5, 2]})", "call_ms must be milliseconds"},
      {R"({"call_ms": "5"})", "call_ms must be milliseconds"},
      {R"({"retry_after_ms": 99999999999999})", "retry_after_ms must be milliseconds"},
      {R"({"replies": [{"next": 1, "status": 200}]})", "replies[0].status must be 0, or a status"},
      {R"({"calls_per_second": -1})", "calls_per_second must be a number"},
      {R"({"time_out": 1})", "time_out must be true or false"},
  };
  for (const auto& [text, expected] : cases) {
    const auto levers = parse_levers(text);
    ASSERT_FALSE(levers) << text;
    EXPECT_EQ(levers.error().code, ErrorCode::bad_config);
    EXPECT_NE(levers.error().message.find(expected), std::string::npos) << text << ": " << levers.error().message;
  }
}

}  // namespace
}  // namespace slipway::rehearse
