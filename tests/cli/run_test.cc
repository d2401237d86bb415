// The whole program, as a script sees it: exit status, stdout, stderr.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/commands.h"

namespace slipway::cli {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int status = 0;
  std::string out;
  std::string err;
};

Outcome run_with(std::vector<std::string> words) {
  words.insert(words.begin(), "slipway");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.status = run(static_cast<int>(argv.size()), argv.data());
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

class Run : public testing::Test {
 protected:
  Run() {
    std::string name = (fs::temp_directory_path() / "slipway-test-XXXXXX").string();
    base_ = ::mkdtemp(name.data());
  }
  ~Run() override { fs::remove_all(base_); }
  Outcome on_base(std::vector<std::string> words) {
    words.insert(words.begin(), {"--state-base", base_.string()});
    return run_with(words);
  }
  void fake_cluster(const std::string& name) {
    fs::create_directories(base_ / name / "keys");
    std::ofstream(base_ / name / "version") << "1\n";
  }
  fs::path base_;
};

// The words that others than root read instead: they see nothing of a cluster.
std::string as_root(const std::string& text) {
  return ::geteuid() == 0 ? text : "only root";
}

TEST_F(Run, WrongUsageIsTwo) {
  EXPECT_EQ(2, run_with({"--frobnicate"}).status);
  EXPECT_EQ(2, run_with({}).status);
  EXPECT_EQ(2, run_with({"nodes", "extra", "words"}).status);
}

TEST_F(Run, AMissingFileIsOneAndNamed) {
  for (const char* verb : {"validate", "up"}) {
    const Outcome outcome = on_base({verb, "/nonexistent/a.yaml"});
    EXPECT_EQ(1, outcome.status);
    EXPECT_EQ("", outcome.out);
    EXPECT_NE(std::string::npos, outcome.err.find("/nonexistent/a.yaml")) << outcome.err;
  }
}

TEST_F(Run, ValidateSaysEverything) {
  std::ofstream(base_ / "good.yaml") << "cluster: demo\nprovider: local\npools:\n  cpu: {max: 4}\n";
  const Outcome good = run_with({"validate", (base_ / "good.yaml").string()});
  EXPECT_EQ(0, good.status) << good.err;
  EXPECT_NE(std::string::npos, good.out.find("cluster demo, 1 pool with up to 4 nodes")) << good.out;

  std::ofstream(base_ / "bad.yaml") << "cluster: demo\nprovider: local\npools:\n  cpu: {max: -4, mxa: 2}\n";
  const Outcome bad = run_with({"validate", (base_ / "bad.yaml").string()});
  EXPECT_EQ(1, bad.status);
  EXPECT_EQ("", bad.out);
  EXPECT_NE(std::string::npos, bad.err.find("bad.yaml:4:")) << bad.err;
  const Outcome json = run_with({"--json", "validate", (base_ / "bad.yaml").string()});
  EXPECT_EQ(1, json.status);
  EXPECT_EQ(0U, json.out.find("{\"ok\":false,")) << json.out;
  EXPECT_EQ("", json.err);
}

TEST_F(Run, WithoutAClusterItSaysHowToGetOne) {
  for (const char* verb : {"status", "nodes", "jobs", "events", "shell"}) {
    const Outcome outcome = on_base({verb});
    EXPECT_EQ(1, outcome.status) << verb;
    EXPECT_NE(std::string::npos, outcome.err.find(as_root("slipway up FILE"))) << outcome.err;
  }
  const int done = ::geteuid() == 0 ? 0 : 1;
  EXPECT_EQ(done, on_base({"down"}).status) << "down is down";
  EXPECT_EQ(done, on_base({"--cluster", "gone", "down"}).status);
  EXPECT_EQ(1, on_base({"--cluster", "../etc", "down"}).status);
}

TEST_F(Run, SeveralClustersAreListed) {
  fake_cluster("one");
  fake_cluster("two");
  const Outcome outcome = on_base({"status"});
  EXPECT_EQ(1, outcome.status);
  EXPECT_NE(std::string::npos, outcome.err.find(as_root("one, two"))) << outcome.err;
  const Outcome near = on_base({"--cluster", "tow", "status"});
  EXPECT_EQ(1, near.status);
  EXPECT_NE(std::string::npos, near.err.find(as_root("did you mean \"two\""))) << near.err;
}

TEST_F(Run, ADeadClusterIsSaidToBeDead) {
  fake_cluster("demo");
  const Outcome status = on_base({"status"});
  EXPECT_EQ(1, status.status);
  EXPECT_NE(std::string::npos, status.err.find(as_root("slipway down --cluster demo"))) << status.err;
  EXPECT_EQ(1, on_base({"nodes"}).status);
  EXPECT_EQ(1, on_base({"exec", "controller", "--", "true"}).status);
  EXPECT_EQ(1, on_base({"chaos", "boot", "--delay", "soon"}).status);
  EXPECT_EQ(1, on_base({"chaos", "evict", "cpu-0001", "--notice", "0"}).status);
}

TEST_F(Run, ChaosRefusesNonsenseByName) {
  for (const char* limit : {"many", "3x", "99999999999"}) {
    const Outcome outcome = on_base({"chaos", "capacity", limit});
    EXPECT_EQ(1, outcome.status) << limit;
    EXPECT_NE(std::string::npos, outcome.err.find(limit)) << outcome.err;
  }
  const Outcome notice = on_base({"chaos", "evict", "cpu-0001", "--notice", "soon"});
  EXPECT_EQ(1, notice.status);
  EXPECT_NE(std::string::npos, notice.err.find("soon")) << notice.err;
}

TEST_F(Run, CompletionAndVersionNeedNothing) {
  EXPECT_EQ(0, run_with({"completion", "bash"}).status);
  EXPECT_EQ("slipway " SLIPWAY_VERSION "\n", run_with({"version"}).out);
}

}  // namespace
}  // namespace slipway::cli
