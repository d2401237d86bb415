// A compute machine's life, with the real agent and munged: joined, named, renamed, hurt, cut off, ended.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gtest/gtest.h"
#include "test_machine.h"

namespace slipway::agent {
namespace {

using join::Bind;
using join::Leave;
using join::Phase;

class ComputeTest : public ::testing::Test {
 protected:
  void boot(const MachineOptions& options = {}) { machine_ = std::make_unique<TestMachine>(master_, options); }
  // The machine's only slurmd, once its first children are gone.
  pid_t slurmd() {
    pid_t found = 0;
    EXPECT_TRUE(pump_until(loop_, [&] { return (found = machine_->one("sbin/slurmd")) > 0; }));
    return found;
  }
  bool wait(Phase phase, const std::string& node = "", Duration patience = Duration(10'000)) {
    return pump_until(
        loop_, [&] { return daemon_->heard(phase, node); }, patience);
  }
  void serve(const std::string& node) {
    ASSERT_TRUE(wait(Phase::waiting));
    daemon_->say(Bind{node});
    ASSERT_TRUE(wait(Phase::serving, node));
  }
  unsigned starts() const {
    unsigned count = 0;
    const std::string log = machine_->log("slurmd");
    for (size_t at = log.find("started as"); at != std::string::npos; at = log.find("started as", at + 1)) ++count;
    return count;
  }

  const join::Key master_ = join::random_key();
  Loop loop_;
  std::unique_ptr<FakeDaemon> daemon_ = std::make_unique<FakeDaemon>(loop_, master_);
  std::unique_ptr<TestMachine> machine_;
};

TEST_F(ComputeTest, JoinsIsNamedAndServes) {
  daemon_->welcome.prep = "#!/bin/sh -e\necho \"prep of $SLIPWAY_POOL on $SLIPWAY_INSTANCE\"; touch /run/prepared\n";
  boot();
  ASSERT_TRUE(wait(Phase::waiting));
  ASSERT_EQ(daemon_->reports.size(), 2u);
  EXPECT_EQ(daemon_->reports[0].phase, Phase::preparing);
  EXPECT_EQ(machine_->log("prep"), "prep of cpu on i-00000001\n");
  struct stat info {};
  ASSERT_EQ(stat(machine_->path("/etc/munge/munge.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400u);
  EXPECT_EQ(info.st_uid, find_identity("/etc", "munge").value().uid);
  EXPECT_EQ(machine_->file("/etc/munge/munge.key"), daemon_->welcome.munge_key);
  EXPECT_NE(machine_->file("/etc/passwd").find("\nada:x:54321:54321::/home/ada:/bin/bash\n"), std::string::npos);
  EXPECT_NE(machine_->file("/etc/shadow").find("\nada:!:"), std::string::npos);
  ASSERT_EQ(stat(machine_->path("/home/ada").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 54321u);
  EXPECT_NE(machine_->file("/etc/hosts").find("127.0.0.1 controller\n"), std::string::npos);
  ASSERT_EQ(stat(machine_->path("/run/prepared").c_str(), &info), 0);

  // The real munged answers with the cluster's key.
  const std::string enter = "nsenter -t " + std::to_string(machine_->pid()) + " -m -p ";
  EXPECT_EQ(system((enter + "munge -n | " + enter + "unmunge > /dev/null").c_str()), 0);

  daemon_->say(Bind{"cpu-0007"});
  ASSERT_TRUE(wait(Phase::serving, "cpu-0007"));
  EXPECT_EQ(daemon_->reports[daemon_->reports.size() - 2].phase, Phase::starting);
  EXPECT_NEAR(static_cast<double>(daemon_->last().slurmd_started_ms), static_cast<double>(time(nullptr)) * 1000,
              10'000);
  const std::string log = machine_->log("slurmd");
  EXPECT_NE(log.find("started as -D -b -N cpu-0007 --conf-server 127.0.0.1:6817 on cpu-0007 uid 0"), std::string::npos)
      << log;
  EXPECT_NE(log.find("path /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"), std::string::npos) << log;
  EXPECT_NE(machine_->file("/etc/hosts").find("127.0.0.1 cpu-0007\n"), std::string::npos);
  EXPECT_EQ(machine_->file("/etc/hostname"), "cpu-0007\n");
}

TEST_F(ComputeTest, ANameThatComesEarlyIsUsedWhenReady) {
  daemon_->welcome.prep = "sleep 0.3";
  boot();
  ASSERT_TRUE(wait(Phase::preparing));
  daemon_->say(Bind{"cpu-0001"});
  ASSERT_TRUE(wait(Phase::preparing, "cpu-0001"));
  ASSERT_TRUE(wait(Phase::serving, "cpu-0001"));
}

TEST_F(ComputeTest, FailedPrepSaysWhy) {
  daemon_->welcome.prep = "echo first; echo 'E: Unable to locate package openfoam'; exit 3";
  boot();
  ASSERT_TRUE(wait(Phase::failed));
  EXPECT_EQ(daemon_->last().message, "the prep script ended with status 3");
  EXPECT_EQ(daemon_->last().log_tail, "first\nE: Unable to locate package openfoam\n");
  const size_t before = daemon_->reports.size();
  daemon_->say(Bind{"cpu-0001"});
  ASSERT_TRUE(pump_until(loop_, [&] { return daemon_->reports.size() > before; }));
  EXPECT_TRUE(daemon_->heard(Phase::failed)) << "a machine whose set-up failed can't be bound";
}

TEST_F(ComputeTest, MissingSlurmdNamesThePackage) {
  boot({.without_slurmd = true});
  ASSERT_TRUE(wait(Phase::failed));
  EXPECT_NE(daemon_->last().message.find("package slurmd"), std::string::npos) << daemon_->last().message;
}

TEST_F(ComputeTest, KilledDaemonsComeBack) {
  boot();
  serve("cpu-0001");
  const pid_t slurmd = this->slurmd(), munged = machine_->one("munged");
  ASSERT_GT(slurmd, 0);
  ASSERT_GT(munged, 0);
  const uint64_t started = daemon_->last().slurmd_started_ms;

  kill(munged, SIGKILL);
  ASSERT_TRUE(pump_until(loop_, [&] { return machine_->one("munged") > 0 && machine_->one("munged") != munged; }));
  EXPECT_EQ(this->slurmd(), slurmd) << "slurmd has nothing to do with it";

  kill(slurmd, SIGKILL);
  ASSERT_TRUE(wait(Phase::starting, "cpu-0001"));
  EXPECT_NE(daemon_->last().message.find("killed by signal 9"), std::string::npos);
  ASSERT_TRUE(wait(Phase::serving, "cpu-0001"));
  EXPECT_GT(daemon_->last().slurmd_started_ms, started);
  EXPECT_NE(this->slurmd(), slurmd);
}

TEST_F(ComputeTest, GivesUpOnASlurmdThatDiesAgainAndAgain) {
  boot();
  machine_->set_slurmd_mode("die");
  ASSERT_TRUE(wait(Phase::waiting));
  daemon_->say(Bind{"cpu-0001"});
  ASSERT_TRUE(wait(Phase::failed, "cpu-0001", Duration(15'000)));
  EXPECT_EQ(daemon_->last().message, "slurmd ended with status 1, 5 times");
  EXPECT_TRUE(daemon_->last().log_tail.ends_with("slurmd: fatal: no such configuration\n")) << daemon_->last().log_tail;
  EXPECT_EQ(daemon_->last().slurmd_started_ms, 0u);
  EXPECT_EQ(starts(), 5u);
  // The daemon may give it another chance.
  machine_->set_slurmd_mode("serve");
  daemon_->say(Bind{"cpu-0001"});
  EXPECT_TRUE(wait(Phase::serving, "cpu-0001"));
}

TEST_F(ComputeTest, TheSameNameAgainRestartsSlurmd) {
  boot();
  serve("cpu-0001");
  const pid_t before = slurmd();
  daemon_->say(Bind{"cpu-0001"});
  ASSERT_TRUE(wait(Phase::starting, "cpu-0001"));
  ASSERT_TRUE(wait(Phase::serving, "cpu-0001"));
  EXPECT_NE(slurmd(), before);
  EXPECT_EQ(starts(), 2u);
  EXPECT_NE(machine_->log("slurmd").find("told to stop"), std::string::npos);
}

TEST_F(ComputeTest, AnotherNameReplacesTheFirst) {
  boot();
  serve("cpu-0001");
  daemon_->say(Bind{"cpu-0002"});
  ASSERT_TRUE(wait(Phase::serving, "cpu-0002"));
  EXPECT_EQ(machine_->file("/etc/hosts").find("cpu-0001"), std::string::npos);
  EXPECT_NE(machine_->log("slurmd").find("-N cpu-0002 --conf-server 127.0.0.1:6817 on cpu-0002"), std::string::npos);
}

TEST_F(ComputeTest, ManyBindsAtOnceEndInTheLastName) {
  boot();
  ASSERT_TRUE(wait(Phase::waiting));
  for (const char* node : {"cpu-0001", "cpu-0002", "cpu-0002", "cpu-0003"}) daemon_->say(Bind{node});
  ASSERT_TRUE(wait(Phase::serving, "cpu-0003"));
  pump_for(loop_, Duration(300));
  EXPECT_TRUE(daemon_->heard(Phase::serving, "cpu-0003"));
  EXPECT_EQ(machine_->find("sbin/slurmd").size(), 1u);
}

TEST_F(ComputeTest, LeavesGracefully) {
  boot();
  serve("cpu-0001");
  daemon_->say(Leave{"idle for 10m"});
  ASSERT_TRUE(wait(Phase::waiting));
  EXPECT_EQ(machine_->find("sbin/slurmd").size(), 0u);
  EXPECT_NE(machine_->log("slurmd").find("told to stop"), std::string::npos);
  daemon_->say(Bind{"cpu-0009"});
  EXPECT_TRUE(wait(Phase::serving, "cpu-0009"));
}

TEST_F(ComputeTest, ADeadDaemonStopsNothing) {
  boot();
  serve("cpu-0001");
  const pid_t slurmd = this->slurmd(), munged = machine_->one("munged");
  const uint64_t started = daemon_->last().slurmd_started_ms;
  const join::Welcome welcome = daemon_->welcome;
  daemon_.reset();
  pump_for(loop_, Duration(400));
  daemon_ = std::make_unique<FakeDaemon>(loop_, master_);
  daemon_->welcome = welcome;
  ASSERT_TRUE(wait(Phase::serving, "cpu-0001"));
  EXPECT_EQ(daemon_->reports.size(), 1u) << "its first words are the whole state";
  EXPECT_EQ(daemon_->last().slurmd_started_ms, started);
  pump_for(loop_, Duration(300));
  EXPECT_EQ(this->slurmd(), slurmd);
  EXPECT_EQ(machine_->one("munged"), munged);
  EXPECT_EQ(starts(), 1u);
}

TEST_F(ComputeTest, WhatChangesInALaterWelcomeIsTaken) {
  boot();
  serve("cpu-0001");
  const pid_t slurmd = this->slurmd(), munged = machine_->one("munged");
  daemon_.reset();
  daemon_ = std::make_unique<FakeDaemon>(loop_, master_);
  daemon_->welcome.users.push_back({"bob", 54322});
  daemon_->welcome.hosts = "127.0.0.1 controller login\n";
  daemon_->welcome.munge_key = std::string(64, 'n');
  ASSERT_TRUE(wait(Phase::serving, "cpu-0001"));
  ASSERT_TRUE(pump_until(loop_, [&] { return machine_->one("munged") > 0 && machine_->one("munged") != munged; }));
  EXPECT_EQ(machine_->file("/etc/munge/munge.key"), std::string(64, 'n'));
  EXPECT_NE(machine_->file("/etc/passwd").find("\nbob:x:54322:"), std::string::npos);
  EXPECT_NE(machine_->file("/etc/hosts").find("127.0.0.1 controller login\n"), std::string::npos);
  EXPECT_EQ(this->slurmd(), slurmd);
}

TEST_F(ComputeTest, AWrongSecretLearnsNothing) {
  daemon_.reset();
  daemon_ = std::make_unique<FakeDaemon>(loop_, join::random_key());
  boot();
  ASSERT_TRUE(pump_until(loop_, [&] { return daemon_->refused >= 2; }));
  EXPECT_TRUE(daemon_->reports.empty());
  EXPECT_NE(machine_->file("/etc/munge/munge.key"), daemon_->welcome.munge_key);
  EXPECT_LT(daemon_->connections, 10u) << "it waits longer each time";
}

TEST_F(ComputeTest, HeartbeatsComeAsAskedFor) {
  daemon_->welcome.heartbeat_every = Duration(100);
  boot();
  ASSERT_TRUE(wait(Phase::waiting));
  EXPECT_TRUE(pump_until(
      loop_, [&] { return daemon_->heartbeats >= 3; }, Duration(2'000)));
}

TEST_F(ComputeTest, ReapsEveryOrphan) {
  daemon_->welcome.prep = "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.1; exit 1) & done";
  boot();
  serve("cpu-0001");
  ASSERT_TRUE(
      pump_until(loop_, [&] { return machine_->find("sleep").empty() && machine_->find("sbin/slurmd").size() == 1; }));
  EXPECT_TRUE(pump_until(
      loop_, [&] { return machine_->zombies() == 0; }, Duration(2'000)));
}

TEST_F(ComputeTest, SigtermEndsSlurmdThenMungedThenItself) {
  boot();
  serve("cpu-0001");
  machine_->terminate();
  ASSERT_TRUE(machine_->wait_for_end(loop_, Duration(2'000)));
  EXPECT_TRUE(WIFEXITED(machine_->status()));
  EXPECT_EQ(WEXITSTATUS(machine_->status()), 0);
  const std::string log = machine_->log("agent");
  const size_t slurmd = log.find("service_stopped service=slurmd"), munged = log.find("service_stopped service=munged");
  ASSERT_NE(slurmd, std::string::npos) << log;
  ASSERT_NE(munged, std::string::npos) << log;
  EXPECT_LT(slurmd, munged);
  EXPECT_NE(machine_->log("slurmd").find("told to stop"), std::string::npos);
}

TEST_F(ComputeTest, SigtermIsSoonOverEvenIfSlurmdRefuses) {
  boot();
  machine_->set_slurmd_mode("stubborn");
  serve("cpu-0001");
  const auto before = std::chrono::steady_clock::now();
  machine_->terminate();
  ASSERT_TRUE(machine_->wait_for_end(loop_, Duration(5'000)));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(2'300));
}

TEST_F(ComputeTest, WorksWithoutBeingPidOne) {
  boot({.own_pids = false});
  serve("cpu-0001");
  const pid_t slurmd = this->slurmd();
  EXPECT_TRUE(pump_until(
      loop_, [&] { return machine_->zombies() == 0; }, Duration(2'000)));
  machine_->terminate();
  ASSERT_TRUE(machine_->wait_for_end(loop_, Duration(2'500)));
  EXPECT_NE(kill(slurmd, 0), 0) << "slurmd must be gone";
}

}  // namespace
}  // namespace slipway::agent
