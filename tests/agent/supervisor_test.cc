#include "agent/supervisor.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "gtest/gtest.h"
#include "test_machine.h"

namespace slipway::agent {
namespace {

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() {
    char name[] = "/tmp/slipway-service-test.XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~ServiceTest() override { std::filesystem::remove_all(folder_); }

  Program shell(const std::string& script) {
    Program program;
    program.argv = {"/bin/sh", "-c", script};
    program.log = folder_ / "log";
    return program;
  }
  Service& service(const ServiceOptions& options) {
    service_ = std::make_unique<Service>(loop_, clock_, processes_, "test", options);
    service_->on_started([this](pid_t, TimePoint at) { starts_.push_back(at); });
    service_->on_died([this](const std::string& why, bool gave_up) {
      why_ = why;
      gave_up_ = gave_up;
    });
    return *service_;
  }

  std::filesystem::path folder_;
  Loop loop_;
  SystemClock clock_;
  Processes processes_{loop_};
  std::unique_ptr<Service> service_;
  std::vector<TimePoint> starts_;
  std::string why_;
  bool gave_up_ = false;
};

TEST_F(ServiceTest, RestartsWithGrowingPausesAndGivesUp) {
  service({.pause_min = Duration(20), .pause_max = Duration(80), .quick_death = Duration(5'000), .give_up_after = 5})
      .start(shell("echo dying; exit 3"));
  ASSERT_TRUE(pump_until(loop_, [&] { return gave_up_; }));
  EXPECT_EQ(starts_.size(), 5u);
  EXPECT_EQ(why_, "ended with status 3");
  const Duration least[] = {Duration(20), Duration(40), Duration(80), Duration(80)};
  for (size_t i = 0; i < 4; ++i) EXPECT_GE(starts_[i + 1] - starts_[i], least[i]) << i;
  EXPECT_EQ(read_file(folder_ / "log").value(), "dying\ndying\ndying\ndying\ndying\n");
  pump_for(loop_, Duration(150));
  EXPECT_EQ(starts_.size(), 5u);
}

TEST_F(ServiceTest, AHealthyLifeStartsThePausesAfresh) {
  service({.pause_min = Duration(10),
           .pause_max = Duration(100'000),
           .healthy_after = Duration(30),
           .quick_death = Duration(20),
           .give_up_after = 2})
      .start(shell("sleep 0.06"));
  // With doubling pauses the 20th start would be hours away.
  EXPECT_TRUE(pump_until(
      loop_, [&] { return starts_.size() >= 20; }, Duration(10'000)));
  EXPECT_FALSE(gave_up_);
}

TEST_F(ServiceTest, StopIsFinal) {
  Service& service = this->service({.pause_min = Duration(1)});
  service.start(shell("exec sleep 100"));
  ASSERT_TRUE(pump_until(loop_, [&] { return service.pid() > 0; }));
  int stopped = 0;
  service.stop(Duration(1'000), [&] { ++stopped; });
  service.stop(Duration(1'000), [&] { ++stopped; });
  ASSERT_TRUE(pump_until(loop_, [&] { return stopped == 2; }));
  pump_for(loop_, Duration(50));
  EXPECT_EQ(starts_.size(), 1u);
  EXPECT_EQ(service.pid(), 0);
  EXPECT_EQ(why_, "") << "it did as it was told; nothing died";
  service.stop(Duration(1'000), [&] { ++stopped; });
  EXPECT_EQ(stopped, 2) << "never inside the call";
  EXPECT_TRUE(pump_until(loop_, [&] { return stopped == 3; }));
}

TEST_F(ServiceTest, StopKillsWhatDoesNotListen) {
  Service& service = this->service({});
  service.start(shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
  ASSERT_TRUE(pump_until(loop_, [&] { return read_file(folder_ / "log").value_or("") == "ready\n"; }));
  bool stopped = false;
  service.stop(Duration(50), [&] { stopped = true; });
  EXPECT_TRUE(pump_until(
      loop_, [&] { return stopped; }, Duration(2'000)));
}

TEST_F(ServiceTest, StopDuringAPauseIsFinalToo) {
  Service& service = this->service({.pause_min = Duration(50)});
  service.start(shell("exit 1"));
  ASSERT_TRUE(pump_until(loop_, [&] { return !why_.empty(); }));
  service.stop(Duration(10), nullptr);
  pump_for(loop_, Duration(150));
  EXPECT_EQ(starts_.size(), 1u);
}

TEST_F(ServiceTest, StartWhileStoppingStartsAgainAfterwards) {
  Service& service = this->service({});
  service.start(shell("exec sleep 100"));
  const pid_t first = service.pid();
  service.stop(Duration(1'000), nullptr);
  service.start(shell("exec sleep 200"));
  ASSERT_TRUE(pump_until(loop_, [&] { return service.pid() > 0 && service.pid() != first; }));
  EXPECT_NE(kill(first, 0), 0);
  bool stopped = false;
  service.stop(Duration(1'000), [&] { stopped = true; });
  EXPECT_TRUE(pump_until(loop_, [&] { return stopped; }));
}

TEST_F(ServiceTest, AProgramThatCannotRunDiesLikeAnyOther) {
  Program program = shell("");
  program.argv = {"/nowhere/at/all"};
  service({.pause_min = Duration(1), .give_up_after = 2}).start(program);
  ASSERT_TRUE(pump_until(loop_, [&] { return gave_up_; }));
  EXPECT_EQ(why_, "ended with status 127");
  EXPECT_NE(read_file(folder_ / "log").value().find("cannot execute /nowhere/at/all: no such program"),
            std::string::npos);
  program.log = folder_ / "no/such/folder/log";
  gave_up_ = false;
  service({.pause_min = Duration(1), .give_up_after = 2}).start(program);
  EXPECT_TRUE(pump_until(loop_, [&] { return gave_up_; }));
}

TEST_F(ServiceTest, ADaemonInheritsNothing) {
  setenv("SLIPWAY_TEST_LEAK", "1", 1);
  Program program = shell("env; ls /proc/self/fd | wc -l; id -u; id -g; id -G; umask; echo locked $(ulimit -l)");
  program.environment = {"MINE=2"};
  program.run_as = {1234, 1235, {1235, 1236}};
  program.lock_memory = true;
  bool ended = false;
  ASSERT_TRUE(processes_.spawn(program, [&](int) { ended = true; }));
  ASSERT_TRUE(pump_until(loop_, [&] { return ended; }));
  const std::string out = read_file(folder_ / "log").value();
  EXPECT_EQ(out.find("SLIPWAY_TEST_LEAK"), std::string::npos);
  EXPECT_NE(out.find("MINE=2\n"), std::string::npos);
  EXPECT_NE(out.find("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"), std::string::npos);
  // A container's root may not be allowed to lift it; then the highest there is, as a shell gets it.
  const bool may = system("ulimit -l unlimited 2> /dev/null") == 0;
  EXPECT_EQ(out.find("locked unlimited\n") != std::string::npos, may) << out;
  // 0, 1, 2 and ls's own folder.
  EXPECT_NE(out.find("\n4\n1234\n1235\n1235 1236\n0022\n"), std::string::npos) << out;
}

}  // namespace
}  // namespace slipway::agent
