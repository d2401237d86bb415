// The adapter against a stand-in for scontrol and squeue that behaves as slurmctld does where it matters: it refuses a
// whole list for one bad node.
#include "slurm/adapter.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/files.h"

namespace slipway::slurm {
namespace {

class AdapterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/slipway-adapter-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    old_path_ = getenv("PATH");
    setenv("PATH", (folder_.string() + ":" + old_path_).c_str(), 1);
  }
  void TearDown() override {
    setenv("PATH", old_path_.c_str(), 1);
    std::filesystem::remove_all(folder_);
  }
  void program(const char* name, const std::string& body) {
    const std::string log = (folder_ / "calls").string();
    ASSERT_TRUE(write_file(folder_ / name,
                           "#!/bin/sh\necho \"" + std::string(name) + " $*\" >> " + log + "\n" + body + "\n", 0755));
  }
  std::string calls_text() { return read_file(folder_ / "calls").value_or(""); }
  size_t calls() {
    const std::string text = calls_text();
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  std::filesystem::path folder_;
  std::string old_path_;
  Adapter adapter_{{.conf = "/nowhere/slurm.conf"}};
};

NodeUpdate resume_of(int count) {
  NodeUpdate update;
  for (int i = 0; i < count; ++i) update.nodes.emplace_back("n" + std::to_string(1000 + i));
  return update;
}

TEST_F(AdapterTest, OneCommandForOneUpdate) {
  program("scontrol", "exit 0");
  EXPECT_TRUE(adapter_.update(resume_of(500)));
  EXPECT_EQ(calls(), 1u);
}

TEST_F(AdapterTest, OneBadNodeHoldsNobodyUp) {
  // Lists are expanded by hand: the stand-in refuses what contains n1005.
  program(
      "scontrol",
      R"(case "$*" in *'NodeName=n1005 '*|*'NodeName=n[1004-1005]'*|*'NodeName=n[1000-1007]'*|*'NodeName=n[1004-1007]'*)
  echo 'slurm_update error: Invalid node state specified' >&2; exit 1;; esac)");
  const auto done = adapter_.update(resume_of(8));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::permanent);
  EXPECT_NE(done.error().message.find("n1005"), std::string::npos);
  EXPECT_EQ(done.error().message.find("n1004"), std::string::npos);
  EXPECT_NE(done.error().message.find("Invalid node state"), std::string::npos);
  EXPECT_EQ(calls(), 7u);
}

TEST_F(AdapterTest, ASilentSlurmctldIsNotAskedAgain) {
  program("scontrol", "echo 'slurm_update error: Unable to contact slurm controller (connect failure)' >&2; exit 1");
  const auto done = adapter_.update(resume_of(64));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::transient);
  EXPECT_EQ(calls(), 1u);
}

TEST_F(AdapterTest, TheCommandsGetTheirConfigurationAndZone) {
  program("scontrol", R"(echo "NodeName=$TZ NodeAddr=$SLURM_CONF State=IDLE")");
  const auto nodes = adapter_.nodes();
  ASSERT_TRUE(nodes);
  ASSERT_EQ(nodes->size(), 1u);
  EXPECT_EQ((*nodes)[0].name.str(), "UTC0");
  EXPECT_EQ((*nodes)[0].address, "/nowhere/slurm.conf");
}

TEST_F(AdapterTest, UnknownNodesAreLeftOut) {
  program("scontrol", "echo 'NodeName=a State=IDLE'; echo 'Node b not found'; exit 1");
  const auto nodes = adapter_.nodes({NodeName("a"), NodeName("b")});
  ASSERT_TRUE(nodes);
  EXPECT_EQ(nodes->size(), 1u);
  program("scontrol", "echo 'slurm_load_node error: Unable to contact slurm controller (connect failure)' >&2; exit 1");
  EXPECT_EQ(adapter_.nodes({NodeName("a")}).error().code, ErrorCode::transient);
}

TEST_F(AdapterTest, JobsAreReadWithAMarkThatNobodyKnows) {
  program("squeue",
          R"(for last; do :; done; m="${last#JobID:}"; m="${m%%,*}"
for f in 7 7 RUNNING 1 5 u p n1 None 1 1 '(null)' "na
me"; do printf '%s%s' "$f" "$m"; done; echo; echo "8|8|RUNNING|1|5|u|p|n1|None|fake")");
  const auto jobs = adapter_.jobs();
  ASSERT_TRUE(jobs) << jobs.error().message;
  ASSERT_EQ(jobs->size(), 1u);
  EXPECT_EQ((*jobs)[0].id, 7u);
  EXPECT_EQ((*jobs)[0].name, "na\nme");
}

TEST_F(AdapterTest, OnlyRunningJobsAreSignalledAndTasksByTheirOwnName) {
  program("squeue", "echo '9 9_2 RUNNING'; echo '10 9_1 RUNNING'; echo '11 11 PENDING'; echo '12 12 COMPLETED'");
  program("scancel", "exit 0");
  EXPECT_TRUE(adapter_.update(JobUpdate{JobChange::signal, {9, 11, 12, 13}, "USR1"}));
  EXPECT_NE(calls_text().find("scancel --full --signal=USR1 9_2\n"), std::string::npos) << calls_text();
  program("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
  EXPECT_TRUE(adapter_.update(JobUpdate{JobChange::signal, {13}, "USR1"})) << "it has ended";
}

TEST_F(AdapterTest, ARequeuedJobStartsWithoutDelayOnceItHasEnded) {
  program("squeue", R"(n=$(cat "$0.n" 2>/dev/null || echo 0); echo $((n+1)) > "$0.n"
case $n in 0) s=RUNNING;; 1|2) s=COMPLETING;; *) s=PENDING;; esac; echo "7 7 $s")");
  program("scontrol", "exit 0");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(adapter_.update(JobUpdate{JobChange::requeue, {7}, ""}));
  const std::string text = calls_text();
  EXPECT_NE(text.find("scontrol requeue 7\n"), std::string::npos) << text;
  // Not in the second in which it was ended: slurmd would refuse it as "already killed".
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(1'000));
  const size_t start = text.find("scontrol update JobId=7 StartTime=now\n");
  ASSERT_NE(start, std::string::npos) << text;
  EXPECT_EQ(text.find("squeue", start), std::string::npos) << "no further look";
  EXPECT_EQ(calls(), 6u) << text;
}

TEST_F(AdapterTest, JobsOfLostNodesStartAtOnceAlsoWhenTheyWereConfiguring) {
  program("squeue", R"(case "$*" in *-w*CONFIGURING*) echo 7; echo 8;; *-w*) echo 9;;
*-j*7*) echo "7 7 PENDING"; echo "8 8 NODE_FAIL";; *) echo "9 9 PENDING";; esac)");
  program("scontrol", "exit 0");
  NodeUpdate down{NodeChange::down, {NodeName("a")}, {}, {}, "slipway: gone"};
  down.jobs_may_restart = true;
  EXPECT_TRUE(adapter_.update(down));
  EXPECT_NE(calls_text().find("-t RUNNING,SUSPENDED"), std::string::npos);
  EXPECT_NE(calls_text().find("scontrol update JobId=7 StartTime=now\n"), std::string::npos) << calls_text();
  EXPECT_NE(calls_text().find("scontrol update JobId=9 StartTime=now\n"), std::string::npos) << calls_text();
}

TEST_F(AdapterTest, ARefusedRequeueSaysWhy) {
  program("squeue", "echo '6 6 RUNNING'");
  program("scontrol", "echo 'Requested operation is presently disabled for job 6' >&2; exit 1");
  const auto done = adapter_.update(JobUpdate{JobChange::requeue, {6}, ""});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::permanent);
  EXPECT_NE(done.error().message.find("presently disabled"), std::string::npos);
}

TEST_F(AdapterTest, CommentsGoToManyJobsInOneCommand) {
  program("scontrol", "echo 'Invalid job id specified for job 3' >&2; exit 1");
  EXPECT_TRUE(adapter_.update(JobUpdate{JobChange::comment, {1, 2, 3}, "slipway: waits"}));
  EXPECT_NE(calls_text().find("scontrol update JobId=1,2,3 AdminComment=slipway: waits\n"), std::string::npos);
  EXPECT_EQ(calls(), 1u);
}

TEST_F(AdapterTest, PingNeedsAControllerThatIsUp) {
  program("scontrol", "echo 'Slurmctld(primary) at controller is UP'");
  EXPECT_TRUE(adapter_.ping());
  program("scontrol", "echo 'Slurmctld(primary) at controller is DOWN'; exit 1");
  ASSERT_FALSE(adapter_.ping());
  EXPECT_EQ(adapter_.ping().error().code, ErrorCode::transient);
}

TEST_F(AdapterTest, AHangingCommandEnds) {
  program("scontrol", "sleep 60");
  Adapter impatient({.conf = "", .timeout = Duration(300)});
  const auto nodes = impatient.nodes();
  ASSERT_FALSE(nodes);
  EXPECT_EQ(nodes.error().code, ErrorCode::transient);
}

}  // namespace
}  // namespace slipway::slurm
