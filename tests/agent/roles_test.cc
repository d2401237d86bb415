// The machines that run no slurmd.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gtest/gtest.h"
#include "test_machine.h"

namespace slipway::agent {
namespace {

using join::Phase;

TEST(Login, HasUsersConfigurationAndMunge) {
  Loop loop;
  const join::Key master = join::random_key();
  FakeDaemon daemon(loop, master);
  daemon.welcome.slurm_conf = "ClusterName=demo\n";
  TestMachine machine(master, {.role = "login"});
  ASSERT_TRUE(pump_until(loop, [&] { return daemon.heard(Phase::serving); }));
  EXPECT_EQ(machine.file("/etc/slurm/slurm.conf"), "ClusterName=demo\n");
  EXPECT_EQ(machine.file("/etc/hostname"), "login\n");
  EXPECT_NE(machine.file("/etc/passwd").find("\nada:x:54321:"), std::string::npos);
  EXPECT_NE(machine.one("munged"), 0);
  EXPECT_TRUE(machine.find("slurmd").empty());

  // It has no use for a name, and says so.
  const size_t before = daemon.reports.size();
  daemon.say(join::Bind{"cpu-0001"});
  ASSERT_TRUE(pump_until(loop, [&] { return daemon.reports.size() > before; }));
  EXPECT_TRUE(daemon.heard(Phase::serving));
  machine.terminate();
  EXPECT_TRUE(machine.wait_for_end(loop, Duration(2'000)));
}

class ControllerTest : public ::testing::Test {
 protected:
  Loop loop_;
};

TEST_F(ControllerTest, PreparesThenRunsBothAndKeepsThemRunning) {
  TestMachine machine(join::random_key(), {.role = "controller", .users = {{"ada", 54321}}});
  ASSERT_TRUE(pump_until(loop_, [&] { return machine.one("slurmctld") > 0 && machine.one("slipwayd --listen") > 0; }));
  EXPECT_EQ(machine.file("/etc/hostname"), "controller\n");
  EXPECT_EQ(machine.file("/etc/munge/munge.key"), std::string(64, 'k'));
  EXPECT_NE(machine.file("/etc/passwd").find("\nada:x:54321:"), std::string::npos);
  ASSERT_TRUE(pump_until(loop_, [&] {
    return machine.log("slurmctld").find("prepared by slipwayd") != std::string::npos;
  })) << machine.log("slurmctld");
  EXPECT_EQ(machine.log("slipwayd")
                .find("slipwayd: --prepare --cluster /etc/slipway/cluster.yaml --conf /etc/slurm --hosts /etc/hosts "
                      "--controller-host controller --controller-address 127.0.0.1\n"),
            0u)
      << machine.log("slipwayd");
  EXPECT_TRUE(pump_until(loop_, [&] {
    return machine.log("slipwayd").find("slipwayd: --listen 127.0.0.1:6830\n") != std::string::npos;
  })) << machine.log("slipwayd");
  const Identity slurm = find_identity("/etc", "slurm").value_or(Identity{64030, 64030, {}});
  struct stat info {};
  ASSERT_EQ(stat(machine.path("/var/spool/slurmctld").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, slurm.uid);
  ASSERT_EQ(stat(machine.path("/var/log/slipway/slurmctld.log").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, slurm.uid);

  for (const char* name : {"slurmctld", "slipwayd --listen"}) {
    pid_t before = 0;
    ASSERT_TRUE(pump_until(loop_, [&] { return (before = machine.one(name)) > 0; })) << name;
    kill(before, SIGKILL);
    EXPECT_TRUE(pump_until(loop_, [&] { return machine.one(name) > 0 && machine.one(name) != before; })) << name;
  }

  // From then on the second slurmctld minds SIGTERM.
  ASSERT_TRUE(pump_until(loop_, [&] {
    const std::string log = machine.log("slurmctld");
    return log.find("slurmctld: started") != log.rfind("slurmctld: started");
  })) << machine.log("slurmctld");
  machine.terminate();
  ASSERT_TRUE(machine.wait_for_end(loop_, Duration(2'300)));
  EXPECT_EQ(WEXITSTATUS(machine.status()), 0);
  EXPECT_NE(machine.log("slurmctld").find("slurmctld: saved"), std::string::npos);
}

TEST_F(ControllerTest, TriesAgainWhenTheConfigurationCannotBeMade) {
  TestMachine machine(join::random_key(), {.role = "controller", .prepare_status = "1"});
  ASSERT_TRUE(pump_until(loop_, [&] { return machine.log("agent").find("prepare_failed") != std::string::npos; }));
  EXPECT_TRUE(pump_until(loop_, [&] { return machine.one("slurmctld") > 0 && machine.one("slipwayd --listen") > 0; }));
}

}  // namespace
}  // namespace slipway::agent
