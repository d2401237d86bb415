#include "deploy/probe.h"

#include <gtest/gtest.h>

#include "deploy/host_process.h"
#include "deploy/wait.h"
#include "temporary_folder.h"

namespace slipway::deploy {
namespace {

TEST(StatusKnowsSlurm, ReadsTheAnswerTolerantly) {
  EXPECT_TRUE(status_knows_slurm(R"({"ok":true,"result":{"slurm":{"known":true,"version":"22.05.8"}}})"));
  for (const char* text :
       {"", "{", "[]", "{}", "null", R"({"ok":false,"error":{"message":"x"}})", R"({"ok":true})",
        R"({"ok":true,"result":[]})", R"({"ok":true,"result":{"slurm":{"known":false}}})",
        R"({"ok":1,"result":{"slurm":{"known":true}}})", R"({"ok":true,"result":{"slurm":{"known":"true"}}})"}) {
    EXPECT_FALSE(status_knows_slurm(text)) << text;
  }
}

TEST(AskStatus, SaysThatNobodyListens) {
  const auto answer = ask_status("/nonexistent/api.sock", Duration(1'000));
  ASSERT_FALSE(answer);
  EXPECT_EQ(ErrorCode::not_found, answer.error().code);
}

TEST(LogExcerpts, ShowTheEndOfWhatIsThere) {
  TemporaryFolder folder;
  folder.write("agent.log", "first\nlast words\n");
  folder.write("empty.log", "");
  const std::string text = log_excerpts(folder.path(), {"agent.log", "empty.log", "missing.log"});
  EXPECT_EQ("\n--- the end of agent.log:\nfirst\nlast words", text);
}

TEST(WaitUntil, EndsInEveryWay) {
  int asked = 0;
  EXPECT_TRUE(wait_until(
      "it", Duration(5'000), {}, [&]() -> Result<bool> { return ++asked == 3; }, Duration(1)));
  EXPECT_EQ(3, asked);

  const auto late = wait_until(
      "it", Duration(20), {}, []() -> Result<bool> { return false; }, Duration(1));
  ASSERT_FALSE(late);
  EXPECT_EQ("it took longer than 20ms", late.error().message);

  const auto failed =
      wait_until("it", Duration(5'000), {}, []() -> Result<bool> { return fail(ErrorCode::permanent, "broken"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ("broken", failed.error().message);

  const auto stopped = wait_until(
      "it", Duration(5'000), [] { return true; }, []() -> Result<bool> { return false; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ("interrupted", stopped.error().message);
}

TEST(StartHost, TellsWhyTheHostEnded) {
  TemporaryFolder folder;
  folder.write("bin/slipway-machines", "#!/bin/sh\necho \"args: $*\"\nexit 3\n", 0755);
  machines::HostOptions options;
  options.cluster = "demo";
  options.state = folder.path() / "state";
  options.subnet = "198.18.0.0/20";
  options.programs = folder.path() / "bin";
  options.shared = {{"/a", "/home", false}};
  const auto started = start_host(options, folder.path() / "host.log", {});
  ASSERT_FALSE(started);
  EXPECT_NE(std::string::npos, started.error().message.find("ended with status 3")) << started.error().message;
  EXPECT_NE(std::string::npos, started.error().message.find("--cluster demo")) << started.error().message;
}

}  // namespace
}  // namespace slipway::deploy
