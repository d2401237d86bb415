#include "sim/simulate.h"

#include <gtest/gtest.h>

#include "sim/run_script.h"

namespace slipway::sim {
namespace {

std::string printed(const SimulateOptions& options, int expected = 0) {
  std::string text;
  const auto done = simulate(options, [&text](const std::string& part) { text += part; });
  EXPECT_TRUE(done) << done.error().message;
  if (done) EXPECT_EQ(*done, expected);
  return text;
}

TEST(Simulate, OneSeedSaysWhatHappened) {
  const std::string text = printed({.seed = 3});
  EXPECT_TRUE(text.starts_with("seed 3: ")) << text;
  EXPECT_NE(text.find("every invariant held"), std::string::npos);
}

TEST(Simulate, ManySeedsEndWithTheirSum) {
  const std::string text = printed({.seed = 1, .seeds = 5, .workers = 2, .json = true});
  EXPECT_NE(text.find("\"seeds\":5"), std::string::npos) << text;
  EXPECT_NE(text.find("\"failed\":0"), std::string::npos) << text;
}

TEST(Simulate, TraceTellsTransitions) {
  const std::string text = printed({.seed = 3, .trace = true});
  EXPECT_NE(text.find("slipwayd 1 holds the lease"), std::string::npos);
  EXPECT_NE(text.find("POWERING_UP"), std::string::npos);
}

TEST(Simulate, AMissingFileIsAnError) {
  const auto print = [](const std::string&) {};
  EXPECT_FALSE(simulate({.script = "/nonexistent/script"}, print));
  EXPECT_FALSE(simulate({.cluster = "/nonexistent/cluster.yaml"}, print));
}

TEST(RunScript, TellsTheStatesOfAJobAndItsNode) {
  const auto script = parse_script(
      "pool cpu 2\npartition all cpu\nidle_reclaim 10s\n"
      "submit one all 1 5s\nwait job one done 2m\nwait node cpu-0001 idle/asleep 2m\n");
  ASSERT_TRUE(script) << script.error().message;
  const ScriptOutcome outcome = run_script(*script, 1);
  EXPECT_TRUE(outcome.failures.empty()) << outcome.failures.front();
  const size_t configuring = outcome.text.find("configuring");
  const size_t running = outcome.text.find("running");
  EXPECT_LT(configuring, running);
  EXPECT_LT(running, outcome.text.find("done"));
  EXPECT_NE(outcome.text.find("busy/booting"), std::string::npos) << outcome.text;
  EXPECT_EQ(outcome.json, run_script(*script, 1).json);
}

TEST(RunScript, SaysWhatWasWaitedForInVain) {
  const auto script = parse_script("pool cpu 1\npartition all cpu\nwait node cpu-0001 busy/up 3s\n");
  ASSERT_TRUE(script) << script.error().message;
  const ScriptOutcome outcome = run_script(*script, 1);
  ASSERT_EQ(outcome.failures.size(), 1u);
  EXPECT_NE(outcome.failures.front().find("line 3"), std::string::npos) << outcome.failures.front();
}

}  // namespace
}  // namespace slipway::sim
