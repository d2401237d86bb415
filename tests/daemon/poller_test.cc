#include "daemon/poller.h"

#include "fakes.h"

namespace slipway::daemon {
namespace {

TEST(Poller, KeepsOneInFlightAndOneMoreBehindIt) {
  Loop loop;
  SystemClock clock;
  int started = 0;
  Poller poller(loop, clock, [&] { ++started; });
  poller.now();
  EXPECT_EQ(started, 1);
  for (int i = 0; i < 10; ++i) poller.now();
  EXPECT_EQ(started, 1);
  poller.finished();
  EXPECT_EQ(started, 2) << "asked for while in flight: the answer may be older than the reason";
  poller.finished();
  EXPECT_EQ(started, 2);
  EXPECT_FALSE(poller.in_flight());
}

TEST(Poller, TheEarliestAppointmentWins) {
  Loop loop;
  SystemClock clock;
  int started = 0;
  Poller poller(loop, clock, [&] { ++started; });
  const auto begin = std::chrono::steady_clock::now();
  poller.within(Duration(5'000));
  poller.within(Duration(30));
  poller.within(Duration(10'000));
  ASSERT_TRUE(run_until(
      loop, [&] { return started == 1; }, Duration(2'000)));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, Duration(25));
  poller.finished();
  run_for(loop, Duration(50));
  EXPECT_EQ(started, 1);
}

TEST(Poller, ALookNowMakesAnAppointmentNeedless) {
  Loop loop;
  SystemClock clock;
  int started = 0;
  Poller poller(loop, clock, [&] { ++started; });
  poller.within(Duration(30));
  poller.now();
  poller.finished();
  run_for(loop, Duration(80));
  EXPECT_EQ(started, 1);
}

TEST(Poller, UnhurriedSlowsDown) {
  const Duration quick(1'000), slow(10'000);
  EXPECT_EQ(unhurried(quick, slow, Duration(0)), quick);
  EXPECT_EQ(unhurried(quick, slow, Duration(50'000)), Duration(5'000));
  EXPECT_EQ(unhurried(quick, slow, std::chrono::hours(5)), slow);
}

}  // namespace
}  // namespace slipway::daemon
