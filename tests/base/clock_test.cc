#include "base/clock.h"

#include <gtest/gtest.h>

#include <limits>

namespace slipway {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Clock, WritesIso8601) {
  EXPECT_EQ(to_iso8601(TimePoint(Duration(0))), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(to_iso8601(TimePoint(Duration(1'772'366'400'250))), "2026-03-01T12:00:00.250Z");
  EXPECT_EQ(to_iso8601(TimePoint(Duration(951'827'696'789))), "2000-02-29T12:34:56.789Z");
  EXPECT_EQ(to_iso8601(TimePoint(Duration(-1))), "1969-12-31T23:59:59.999Z");
}

TEST(Clock, WritesAbsurdTimesAsTheNearestThatCanBeWritten) {
  EXPECT_EQ(to_iso8601(TimePoint(Duration(std::numeric_limits<int64_t>::max()))), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(to_iso8601(TimePoint(Duration(std::numeric_limits<int64_t>::min()))), "0000-01-01T00:00:00.000Z");
}

TEST(Clock, WritesShortDurations) {
  EXPECT_EQ(to_short(Duration(0)), "0ms");
  EXPECT_EQ(to_short(Duration(850)), "850ms");
  EXPECT_EQ(to_short(Duration(12'349)), "12.3s");
  EXPECT_EQ(to_short(Duration(59'999)), "59.9s");
  EXPECT_EQ(to_short(minutes(4) + seconds(5)), "4m05s");
  EXPECT_EQ(to_short(hours(2) + minutes(10)), "2h10m");
  EXPECT_EQ(to_short(hours(3 * 24 + 4)), "3d04h");
  EXPECT_EQ(to_short(Duration(-850)), "-850ms");
  EXPECT_EQ(to_short(Duration(std::numeric_limits<int64_t>::min())), "-106751991167d07h");
}

TEST(Clock, SystemClockFollowsTheSystemAndNeverStepsBack) {
  const SystemClock clock;
  const auto system = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  TimePoint last = clock.now();
  EXPECT_LT(std::chrono::abs(last - system), seconds(5));
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = clock.now();
    EXPECT_GE(now, last);
    last = now;
  }
}

TEST(Clock, ManualClockMovesWhenTold) {
  ManualClock clock(TimePoint(Duration(1000)));
  EXPECT_EQ(clock.now(), TimePoint(Duration(1000)));
  clock.advance(Duration(5));
  EXPECT_EQ(clock.now(), TimePoint(Duration(1005)));
}

}  // namespace
}  // namespace slipway
