#include "cli/json.h"

#include <gtest/gtest.h>

namespace slipway::cli {
namespace {

TEST(Json, ReadsWhatIsThere) {
  const auto json = Json::parse(
      R"({"name":"a","count":7,"big":18446744073709551615,"half":2.5,"yes":true,"list":["x",3],"none":null,"deep":{"k":"v"}})");
  ASSERT_TRUE(json);
  EXPECT_EQ("a", json->text("name"));
  EXPECT_EQ("7", json->text("count"));
  EXPECT_EQ(7, json->number("count"));
  EXPECT_EQ(INT64_MAX, json->number("big"));
  EXPECT_EQ(2, json->number("half"));
  EXPECT_TRUE(json->flag("yes"));
  EXPECT_EQ((std::vector<std::string>{"x", "3"}), json->strings("list"));
  EXPECT_EQ("v", json->at("deep").text("k"));
  EXPECT_TRUE(json->at("none").is_nothing());
}

TEST(Json, ReadsNothingWhereThereIsNothing) {
  const auto json = Json::parse(R"({"name":"a","list":[1]})");
  ASSERT_TRUE(json);
  EXPECT_EQ("", json->text("missing"));
  EXPECT_EQ(0, json->number("name"));
  EXPECT_FALSE(json->flag("name"));
  EXPECT_TRUE(json->at("missing").at("deeper").is_nothing());
  EXPECT_TRUE(json->at("name").items().empty());
  EXPECT_EQ("null", json->at("missing").dump());
  EXPECT_FALSE(json->time("name"));
  EXPECT_FALSE(Json::parse(""));
  EXPECT_FALSE(Json::parse("{\"a\":"));
  EXPECT_FALSE(Json::parse(std::string(10'000, '[')));
}

TEST(Json, OutlivesItsDocument) {
  Json part = Json::parse("{}").value();
  {
    const auto whole = Json::parse(R"({"a":{"b":"text"}})");
    part = whole->at("a");
  }
  EXPECT_EQ("text", part.text("b"));
}

TEST(Json, Times) {
  const auto json = Json::parse(
      R"({"iso":"2026-03-01T12:00:00.250Z","short":"2026-03-01T12:00:00Z","ms":1772366400250,"zero":0,"silly":9e30,"bad":"yesterday"})");
  ASSERT_TRUE(json);
  const TimePoint expected{Duration(1'772'366'400'250)};
  EXPECT_EQ(expected, json->time("iso"));
  EXPECT_EQ(expected - Duration(250), json->time("short"));
  EXPECT_EQ(expected, json->time("ms"));
  EXPECT_FALSE(json->time("zero"));
  EXPECT_FALSE(json->time("silly"));
  EXPECT_FALSE(json->time("bad"));
  EXPECT_EQ("2026-03-01T12:00:00.250Z", to_iso8601(*parse_iso8601("2026-03-01T12:00:00.25Z")));
  for (const char* text :
       {"", "Z", "2026-13-01T12:00:00Z", "2026-03-01T12:00:00", "2026-03-01T12:00:00.xZ", "1970-01-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_iso8601(text)) << text;
  }
}

TEST(Json, WritesRequests) {
  EXPECT_EQ(R"({"call":"nodes","all":true,"limit":5,"node":"a\"b\n"})",
            object({{"call", "nodes"}, {"all", true}, {"limit", int64_t{5}}, {"node", "a\"b\n"}}));
  EXPECT_EQ("{}", object({}));
  EXPECT_EQ(R"({"a":[1]})", object({raw("a", "[1]")}));
}

TEST(Json, GainsMembers) {
  EXPECT_EQ(R"({"a":1,"b":"x"})", Json::parse(R"({"a":1})")->dump_with({{"b", "x"}}));
  EXPECT_EQ(R"({"b":"x"})", Json::parse("{}")->dump_with({{"b", "x"}}));
  EXPECT_EQ(R"({"a":1})", Json::parse(R"({"a":1})")->dump_with({}));
}

}  // namespace
}  // namespace slipway::cli
