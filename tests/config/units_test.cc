#include "config/units.h"

#include <gtest/gtest.h>

namespace slipway::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ParseDuration, UnderstandsOneAndSeveralUnits) {
  EXPECT_EQ(parse_duration("90s").value(), seconds(90));
  EXPECT_EQ(parse_duration("10m").value(), seconds(600));
  EXPECT_EQ(parse_duration("1h30m").value(), seconds(5400));
  EXPECT_EQ(parse_duration("2d").value(), seconds(172'800));
  EXPECT_EQ(parse_duration("250ms").value(), milliseconds(250));
  EXPECT_EQ(parse_duration("1d2h3m4s5ms").value(), milliseconds(93'784'005));
  EXPECT_EQ(parse_duration("0s").value(), seconds(0));
  EXPECT_EQ(parse_duration("999999999d").value().count(), 999'999'999LL * 86'400'000);
}

TEST(ParseDuration, RefusesTheRestWithTheReason) {
  struct Case {
    const char* text;
    const char* reason;
  };
  for (const Case& c :
       {Case{"", "empty"}, Case{"10", "unit is missing"}, Case{"s", "number is missing"},
        Case{"10 m", "' m' is no unit"}, Case{"10min", "'min' is no unit"}, Case{"30m1h", "from large to small"},
        Case{"1h1h", "from large to small"}, Case{"-5s", "number is missing"}, Case{"1.5h", "'.' is no unit"},
        Case{"1000000000d", "too large"}, Case{"99999999999999999999999s", "too large"},
        Case{"5m10", "unit is missing"}, Case{"5M", "'M' is no unit"}}) {
    auto result = parse_duration(c.text);
    ASSERT_FALSE(result) << c.text;
    EXPECT_EQ(result.error().code, ErrorCode::bad_config);
    EXPECT_NE(result.error().message.find(c.reason), std::string::npos) << c.text << ": " << result.error().message;
  }
}

TEST(DurationText, ReadsBack) {
  for (int64_t ms : {0LL, 1LL, 999LL, 1000LL, 61'000LL, 3'600'000LL, 90'061'001LL, 315'360'000'000LL}) {
    EXPECT_EQ(parse_duration(duration_text(Duration(ms))).value().count(), ms);
  }
  EXPECT_EQ(duration_text(seconds(5400)), "1h30m");
  EXPECT_EQ(duration_text(seconds(-5)), "0s");
}

TEST(ParseMemory, UnderstandsBinaryUnits) {
  EXPECT_EQ(parse_memory_mib("512MiB").value(), 512u);
  EXPECT_EQ(parse_memory_mib("4GiB").value(), 4096u);
  EXPECT_EQ(parse_memory_mib("2G").value(), 2048u);
  EXPECT_EQ(parse_memory_mib("700M").value(), 700u);
  EXPECT_EQ(parse_memory_mib("1TiB").value(), 1u << 20);
  EXPECT_EQ(parse_memory_mib("1.5GiB").value(), 1536u);
  EXPECT_EQ(parse_memory_mib("4 gib").value(), 4096u);
}

TEST(ParseMemory, RefusesTheRestWithTheReason) {
  struct Case {
    const char* text;
    const char* reason;
  };
  for (const Case& c :
       {Case{"4096", "unit is missing"}, Case{"4GB", "1000s or 1024s"}, Case{"GiB", "number is missing"},
        Case{"4 bananas", "no unit"}, Case{"1.0001GiB", "whole number of MiB"}, Case{"1.2.3GiB", "malformed"},
        Case{".5GiB", "malformed"}, Case{"1.GiB", "malformed"}, Case{"99999999999999999999GiB", "malformed"},
        Case{"-1GiB", "malformed"}, Case{"", "malformed"}}) {
    auto result = parse_memory_mib(c.text);
    ASSERT_FALSE(result) << c.text;
    EXPECT_NE(result.error().message.find(c.reason), std::string::npos) << c.text << ": " << result.error().message;
  }
}

TEST(ParseSlurmTime, UnderstandsSlurmsForms) {
  struct Case {
    const char* text;
    const char* kept;
    int64_t length;
  };
  for (const Case& c :
       {Case{"30", "30", 1800}, Case{"90:30", "90:30", 5430}, Case{"12:00:00", "12:00:00", 43'200},
        Case{"100:00:00", "100:00:00", 360'000}, Case{"2-12", "2-12", 216'000}, Case{"2-12:30", "2-12:30", 217'800},
        Case{"2-00:00:00", "2-00:00:00", 172'800}, Case{"2d", "2-00:00:00", 172'800}, Case{"1h30m", "01:30:00", 5400},
        Case{"90s", "00:01:30", 90}}) {
    auto result = parse_slurm_time(c.text);
    ASSERT_TRUE(result) << c.text << ": " << result.error().message;
    EXPECT_EQ(result->text, c.kept);
    EXPECT_EQ(result->length->count(), c.length) << c.text;
  }
  for (const char* text : {"UNLIMITED", "unlimited", "INFINITE"}) {
    EXPECT_EQ(parse_slurm_time(text)->text, "UNLIMITED");
    EXPECT_FALSE(parse_slurm_time(text)->length);
  }
}

TEST(ParseSlurmTime, RefusesTheRest) {
  for (const char* text : {"", "x", "1:2:3:4", "1-", "-1", "1-24", "1-00:60", "12:60:00", "10:60", "1:", ":1", "1-2-3",
                           "99999999999", "1500ms", "0x10", "1e3", "12h30"}) {
    EXPECT_FALSE(parse_slurm_time(text)) << text;
  }
}

TEST(ParseShare, ReadsPercentAndGivesItBack) {
  for (const char* text : {"0%", "5%", "2.5%", "0.01%", "33.33%", "100%", "12.07%", "250%"}) {
    auto share = parse_share(text);
    ASSERT_TRUE(share) << text;
    EXPECT_EQ(share_text(*share), text);
    EXPECT_EQ(parse_share(share_text(*share)).value(), *share) << text;
  }
  EXPECT_DOUBLE_EQ(parse_share("2.5%").value(), 0.025);
  EXPECT_EQ(share_text(parse_share("07.50%").value()), "7.5%");
  for (const char* text : {"", "%", "5", "0.05", "5.%", ".5%", "-5%", "5 %", "5.123%", "5%%", "1.2.3%", "1e2%"}) {
    auto share = parse_share(text);
    ASSERT_FALSE(share) << text;
    EXPECT_NE(share.error().message.find("expected one like 5%"), std::string::npos) << share.error().message;
  }
}

TEST(ParseRate, HasThreeDecimals) {
  for (const char* text : {"0", "2", "0.5", "0.001", "12.345", "10000"})
    EXPECT_EQ(rate_text(parse_rate(text).value()), text);
  EXPECT_DOUBLE_EQ(parse_rate("0.25").value(), 0.25);
  for (const char* text : {"", "x", "-1", "1.", ".5", "0.0001", "1/s"}) EXPECT_FALSE(parse_rate(text)) << text;
}

TEST(ParseClock, IsATimeOfDay) {
  EXPECT_EQ(parse_clock("00:00").value(), 0);
  EXPECT_EQ(parse_clock("8:05").value(), 485);
  EXPECT_EQ(parse_clock("23:59").value(), 1439);
  EXPECT_EQ(parse_clock("24:00").value(), 1440);
  for (uint16_t minutes : {0, 1, 485, 1439, 1440}) EXPECT_EQ(parse_clock(clock_text(minutes)).value(), minutes);
  EXPECT_EQ(clock_text(485), "08:05");
  for (const char* text :
       {"", "8", "08", "08:0", "8:000", "25:00", "24:01", "10:60", ":10", "10:", "-1:00", "a:00", "08:00:00", "008:00"})
    EXPECT_FALSE(parse_clock(text)) << text;
}

TEST(ParseDigits, IsExact) {
  EXPECT_EQ(parse_digits("007"), 7u);
  EXPECT_EQ(parse_digits("999999999999999999"), 999'999'999'999'999'999u);
  for (const char* text : {"", "-1", "+1", "1 ", "1.0", "0x1", "1000000000000000000"})
    EXPECT_FALSE(parse_digits(text)) << text;
}

}  // namespace
}  // namespace slipway::config
