#include "agent/maintenance.h"

#include <filesystem>
#include <fstream>

#include "fake_imds.h"

namespace slipway::agent {
namespace {

namespace fs = std::filesystem;

std::string event(const std::string& id, const std::string& type, const std::string& not_before,
                  const std::string& resources = "\"vm_1\"", const std::string& status = "Scheduled") {
  return R"({"EventId":")" + id + R"(","EventType":")" + type + R"(","Resources":[)" + resources +
         R"(],"EventStatus":")" + status + R"(","NotBefore":")" + not_before + "\"}";
}
std::string document(const std::string& events) {
  return R"({"DocumentIncarnation":1,"Events":[)" + events + "]}";
}

constexpr const char* in_thirty_seconds = "Wed, 25 Feb 2026 06:13:50 GMT";  // of `start`
constexpr const char* in_ten_minutes = "Wed, 25 Feb 2026 06:23:20 GMT";
const TimePoint start(std::chrono::seconds(1'772'000'000));

class MaintenanceTest : public ::testing::Test {
 protected:
  MaintenanceTest() {
    char name[] = "/tmp/slipway-maintenance-test.XXXXXX";
    proc_ = mkdtemp(name);
    maintenance_.emplace(
        loop_, clock_, imds_,
        MaintenanceOptions{
            .every = Duration(5), .pause_max = Duration(20), .timeout = Duration(1'000), .proc = proc_.string()});
    maintenance_->on_notice([this](const join::Notice& notice) { notices_.push_back(notice); });
    maintenance_->start();
  }
  ~MaintenanceTest() override {
    maintenance_.reset();
    fs::remove_all(proc_);
  }

  void run_process(const std::string& pid, const std::string& name, const std::string& line) {
    fs::create_directories(proc_ / pid);
    std::ofstream(proc_ / pid / "comm") << name << "\n";
    std::ofstream(proc_ / pid / "cmdline") << line;
  }
  // Some more looks.
  void looks(unsigned count = 3) {
    const unsigned before = server_.asked_for("GET /metadata/scheduledevents");
    ASSERT_TRUE(
        pump_until(loop_, [&] { return server_.asked_for("GET /metadata/scheduledevents") >= before + count; }));
  }
  bool has_notices(size_t count) {
    return pump_until(
        loop_, [&] { return notices_.size() >= count; }, Duration(3'000));
  }

  Loop loop_;
  ManualClock clock_{start};
  FakeImds server_{loop_};
  Imds imds_{server_.origin()};
  fs::path proc_;
  std::optional<Maintenance> maintenance_;
  std::vector<join::Notice> notices_;
};

TEST_F(MaintenanceTest, SaysOnceThatNothingIsComing) {
  ASSERT_TRUE(has_notices(1));
  EXPECT_EQ(notices_[0].kind, join::NoticeKind::none);
  looks();
  EXPECT_EQ(notices_.size(), 1u);
  EXPECT_EQ(server_.asked_for("/metadata/instance"), 1u) << "its name doesn't change";
}

TEST_F(MaintenanceTest, AnEvictionIsToldAndWithdrawn) {
  ASSERT_TRUE(has_notices(1));
  server_.events = document(event("e-1", "Preempt", in_thirty_seconds));
  ASSERT_TRUE(has_notices(2));
  EXPECT_EQ(notices_[1].kind, join::NoticeKind::preempt);
  EXPECT_EQ(notices_[1].at_ms, 1'772'000'030'000u);
  EXPECT_EQ(notices_[1].event, "e-1");
  server_.events = "out of order";
  looks();
  EXPECT_EQ(notices_.size(), 2u) << "a document that can't be read withdraws nothing";
  server_.events = document("");
  ASSERT_TRUE(has_notices(3));
  EXPECT_EQ(notices_[2].kind, join::NoticeKind::none);
}

TEST_F(MaintenanceTest, OthersEventsAndUnknownOnesAreNotOurs) {
  server_.events = document(event("e-1", "Preempt", in_thirty_seconds, "\"vm_2\",\"vm_11\"") + "," +
                            event("e-2", "Party", in_thirty_seconds));
  ASSERT_TRUE(has_notices(1));
  clock_.advance(Duration(60'000));
  looks();
  EXPECT_EQ(notices_.size(), 1u);
  EXPECT_EQ(notices_[0].kind, join::NoticeKind::none);
  EXPECT_TRUE(server_.started.empty());
}

TEST_F(MaintenanceTest, TheNextEndIsToldBeforeAnEarlierFreeze) {
  server_.events = document(event("f", "Freeze", in_thirty_seconds) + "," + event("r", "Reboot", in_ten_minutes) + "," +
                            event("t", "Terminate", "Wed, 25 Feb 2026 06:23:21 GMT"));
  ASSERT_TRUE(has_notices(1));
  EXPECT_EQ(notices_[0].kind, join::NoticeKind::reboot);
  server_.events = document(event("f", "Freeze", in_thirty_seconds));
  ASSERT_TRUE(has_notices(2));
  EXPECT_EQ(notices_[1].kind, join::NoticeKind::freeze);
}

TEST_F(MaintenanceTest, WhatHasBegunOrHasNoTimeIsNowAndStaysSo) {
  run_process("7", "slurmstepd", "slurmstepd: [1.batch]");
  server_.events = document(event("e-1", "Redeploy", "", "\"VM_1\"", "Started"));
  ASSERT_TRUE(has_notices(1));
  EXPECT_EQ(notices_[0].kind, join::NoticeKind::redeploy);
  EXPECT_EQ(notices_[0].at_ms, 1'772'000'000'000u);
  clock_.advance(Duration(10'000));
  looks();
  EXPECT_EQ(notices_.size(), 1u);
}

TEST_F(MaintenanceTest, IsAcknowledgedWhenIdleAndHalfOfItsTimeHasPassed) {
  run_process("1", "slurmd", "slurmd -D");
  run_process("2", "slurmstepd", std::string("/usr/sbin/slurmstepd\0infinity\0", 30));
  server_.events = document(event("e-1", "Preempt", in_thirty_seconds));
  ASSERT_TRUE(has_notices(1));
  clock_.advance(Duration(14'000));
  looks();
  EXPECT_TRUE(server_.started.empty());
  clock_.advance(Duration(2'000));
  ASSERT_TRUE(pump_until(loop_, [&] { return !server_.started.empty(); }));
  EXPECT_EQ(server_.started[0], R"({"StartRequests":[{"EventId":"e-1"}]})");
  looks();
  EXPECT_EQ(server_.started.size(), 1u) << "once";
}

TEST_F(MaintenanceTest, ADaemonThatLetsGoSparesTheWait) {
  maintenance_->let_go();
  server_.events = document(event("e-1", "Terminate", in_ten_minutes));
  ASSERT_TRUE(has_notices(1));
  looks();
  EXPECT_TRUE(server_.started.empty()) << "that was before the notice";
  maintenance_->let_go();
  ASSERT_TRUE(pump_until(loop_, [&] { return server_.started.size() == 1; }));
}

TEST_F(MaintenanceTest, ABusyMachineAcknowledgesNothing) {
  run_process("7", "slurmstepd", "slurmstepd: [1.batch]");
  server_.events = document(event("e-1", "Freeze", in_thirty_seconds));
  ASSERT_TRUE(has_notices(1));
  maintenance_->let_go();
  clock_.advance(Duration(29'000));
  looks();
  EXPECT_TRUE(server_.started.empty());
  fs::remove_all(proc_ / "7");
  ASSERT_TRUE(pump_until(loop_, [&] { return server_.started.size() == 1; }));
}

TEST_F(MaintenanceTest, AnEventOfSeveralMachinesIsNotOursToAcknowledge) {
  server_.events = document(event("e-1", "Reboot", in_thirty_seconds, "\"vm_1\",\"vm_2\""));
  ASSERT_TRUE(has_notices(1));
  EXPECT_EQ(notices_[0].kind, join::NoticeKind::reboot);
  maintenance_->let_go();
  clock_.advance(Duration(29'000));
  looks();
  EXPECT_TRUE(server_.started.empty());
}

TEST_F(MaintenanceTest, AServiceThatIsDownIsAskedLessOftenAndAgain) {
  server_.status = 500;
  looks(0);
  pump_for(loop_, Duration(200));
  const size_t asked = server_.asked.size();
  EXPECT_GE(asked, 3u);
  EXPECT_LE(asked, 15u) << "every 5 ms at first, every 20 ms at last";
  EXPECT_TRUE(notices_.empty()) << "not seeing isn't seeing nothing";
  server_.status = 200;
  ASSERT_TRUE(has_notices(1));
}

TEST(RunsJob, LooksForSteps) {
  char name[] = "/tmp/slipway-maintenance-test.XXXXXX";
  const fs::path proc = mkdtemp(name);
  EXPECT_FALSE(runs_job(proc));
  fs::create_directories(proc / "self");
  fs::create_directories(proc / "12");  // ended while we look
  EXPECT_FALSE(runs_job(proc));
  fs::create_directories(proc / "13");
  std::ofstream(proc / "13" / "comm") << "slurmstepd\n";
  std::ofstream(proc / "13" / "cmdline") << "slurmstepd: [12.extern]";
  EXPECT_TRUE(runs_job(proc));
  fs::remove_all(proc);
  EXPECT_TRUE(runs_job(proc)) << "who can't see doesn't say that nothing runs";
}

}  // namespace
}  // namespace slipway::agent
