// How much of a pool stays up, and when.
#include "helpers.h"

namespace slipway::config {
namespace {

using model::WarmHours;
using model::WarmLevel;

model::Warm warm_of(const std::string& text) {
  model::Cluster cluster = parse_clean("cluster: a\npools: {p: {max: 20, warm: " + text + "}}\n");
  return cluster.pools.at(0).warm;
}

TEST(Warm, IsACountAShareOrBoth) {
  EXPECT_EQ(warm_of("3").usual, (WarmLevel{3, 0}));
  EXPECT_EQ(warm_of("0").usual, (WarmLevel{0, 0}));
  EXPECT_EQ(warm_of("10%").usual, (WarmLevel{0, 0.1}));
  EXPECT_EQ(warm_of("\"100%\"").usual, (WarmLevel{0, 1}));
  EXPECT_EQ(warm_of("[2, 12.5%]").usual, (WarmLevel{2, 0.125}));
  EXPECT_EQ(warm_of("[12.5%, 2]").usual, (WarmLevel{2, 0.125}));
  EXPECT_EQ(warm_of("{usual: 1}").usual, (WarmLevel{1, 0}));
  EXPECT_TRUE(warm_of("3").hours.empty());
}

TEST(Warm, HoldsAtHours) {
  model::Warm warm = warm_of(
      "{usual: 5%, hours: [{days: mon-fri, from: 08:00, to: \"18:00\", warm: 20}, {days: [sat, sun], warm: [1, 2%]}]}");
  EXPECT_EQ(warm.usual, (WarmLevel{0, 0.05}));
  ASSERT_EQ(warm.hours.size(), 2u);
  EXPECT_EQ(warm.hours[0], (WarmHours{0x1f, 480, 1080, {20, 0}}));
  EXPECT_EQ(warm.hours[1], (WarmHours{0x60, 0, 1440, {1, 0.02}}));
}

TEST(Warm, MayGoOverMidnightAndTheWeeksEnd) {
  model::Warm warm = warm_of(
      "{hours: [{days: fri-mon, from: 22:00, to: 6:00, warm: 1}, {from: 18:00, warm: 2}, {to: 07:30, warm: 3}]}");
  EXPECT_EQ(warm.usual, WarmLevel());
  ASSERT_EQ(warm.hours.size(), 3u);
  EXPECT_EQ(warm.hours[0], (WarmHours{0x71, 1320, 360, {1, 0}}));
  EXPECT_EQ(warm.hours[1], (WarmHours{0x7f, 1080, 1440, {2, 0}}));
  EXPECT_EQ(warm.hours[2], (WarmHours{0x7f, 0, 450, {3, 0}}));
}

// What an entry over midnight holds belongs to the day on which it begins: Sunday's runs into Monday.
TEST(Warm, AnEntryIsOnlyDeadWhenAllItsMinutesAreTaken) {
  Loaded dead = parse_text(
      "cluster: a\npools: {p: {max: 5, warm: {hours: [{days: sun, from: 22:00, to: 06:00, warm: 1}, "
      "{days: mon, from: 05:00, to: 06:00, warm: 2}]}}}\n");
  EXPECT_NE(all_problems(dead).find("hours[2]: never holds"), std::string::npos) << all_problems(dead);
  warm_of("{hours: [{days: sun, from: 22:00, to: 06:00, warm: 1}, {days: mon, from: 05:00, to: 06:01, warm: 2}]}");
}

TEST(Warm, MistakesHaveTheirPlace) {
  const Case cases[] = {
      {"cluster: a\npools: {p: {max: 2, warm: few}}\n", 2, 27,
       "pools.p.warm: 'few' is neither a count nor a share; expected a count like 2, a share like 10%, or both like"},
      {"cluster: a\npools: {p: {max: 2, warm: 1.5}}\n", 2, 27, "'1.5' is neither a count nor a share"},
      {"cluster: a\npools: {p: {max: 2, warm: \"1\"}}\n", 2, 27, "'1' is text because of its quotes"},
      {"cluster: a\npools: {p: {max: 2, warm: \"\"}}\n", 2, 27, "pools.p.warm: is empty"},
      {"cluster: a\npools: {p: {max: 2, warm: 101%}}\n", 2, 27, "'101%' is too large; expected from 0% to 100%"},
      {"cluster: a\npools: {p: {max: 2, warm: x%}}\n", 2, 27, "'x%' is not a share"},
      {"cluster: a\npools: {p: {max: 2, warm: []}}\n", 2, 27, "is empty; expected a count like 2"},
      {"cluster: a\npools: {p: {max: 2, warm: [1, 1]}}\n", 2, 31, "is a second one of its kind"},
      {"cluster: a\npools: {p: {max: 2, warm: [5%, 10%]}}\n", 2, 32, "is a second one of its kind"},
      {"cluster: a\npools: {p: {max: 2, warm: [[1]]}}\n", 2, 28, "pools.p.warm[1]: is a list"},
      {"cluster: a\npools: {p: {max: 2, warm: {}}}\n", 2, 27, "says nothing; expected 'usual', 'hours' or both"},
      {"cluster: a\npools: {p: {max: 2, warm: {usual: }}}\n", 2, 28, "pools.p.warm.usual: has no value"},
      {"cluster: a\npools: {p: {max: 2, warm: {usual: 3}}}\n", 2, 35, "3 is more than the pool's max of 2"},
      {"cluster: a\npools: {p: {max: 2, warm: {usul: 1}}}\n", 2, 28, "unknown key 'usul'; did you mean 'usual'?"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: {days: mon}}}}\n", 2, 35, "is a map; expected a list of entries"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: mon}]}}}\n", 2, 36, "hours[1]: 'warm' is missing"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: mon, warm: 3}]}}}\n", 2, 54,
       "pools.p.warm.hours[1].warm: 3 is more than the pool's max of 2"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: mon, warm: 1, till: 10:00}]}}}\n", 2, 57,
       "unknown key 'till'; did you mean 'to'?"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: Monday, warm: 1}]}}}\n", 2, 43,
       "unknown day 'Monday'; expected one of mon, tue, wed, thu, fri, sat and sun; did you mean 'mon'?"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: weekdays, warm: 1}]}}}\n", 2, 43,
       "unknown day 'weekdays'; expected one of mon, tue, wed, thu, fri, sat and sun; did you mean 'mon-fri'?"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: mon-, warm: 1}]}}}\n", 2, 43, "unknown day ''"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: mon-wed-fri, warm: 1}]}}}\n", 2, 43,
       "unknown day 'wed-fri'"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: [], warm: 1}]}}}\n", 2, 43,
       "is empty; expected days like"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{days: [mon-wed, tue], warm: 1}]}}}\n", 2, 53,
       "'tue' names a day twice"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{from: 8, warm: 1}]}}}\n", 2, 43, "'8' is not a time of day"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{to: 24:30, warm: 1}]}}}\n", 2, 41, "a day ends at 24:00"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{from: 08:00, to: 08:00, warm: 1}]}}}\n", 2, 36,
       "'from' and 'to' are both 08:00"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{from: 24:00, to: 08:00, warm: 1}]}}}\n", 2, 36,
       "a day is over at 24:00"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{warm: 1}]}}}\n", 2, 36, "hours[1]: is the whole week"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{from: 12:00, to: 11:59, warm: 1}, {from: 8, warm: 0}]}}}\n", 2,
       78, "'8' is not a time of day"},
  };
  for (const Case& c : cases) expect_only_problem(c, Severity::error);
  std::string many = "cluster: a\npools: {p: {max: 2, warm: {hours: [";
  for (int i = 0; i < 65; ++i) many += "{days: mon, warm: 1}, ";
  EXPECT_NE(all_problems(parse_text(many + "]}}}\n")).find("has 65 entries; expected at most 64"), std::string::npos);
}

}  // namespace
}  // namespace slipway::config
