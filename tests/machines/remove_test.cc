// The end of a cluster whose host can't be asked. Needs root.
#include <gtest/gtest.h>

#include "machines/host.h"
#include "machines/record.h"
#include "test_cluster.h"

namespace slipway::machines {
namespace {

TEST(RemoveEverything, AfterSigkillOfTheHost) {
  TestCluster cluster;
  cluster.start_host();
  BootTrouble never;
  never.never = 1;
  ASSERT_TRUE(cluster.client().set_boot_trouble(never));
  std::vector<Machine> machines = cluster.launch(10);
  ASSERT_TRUE(cluster.client().freeze({machines[3].id}));
  cluster.kill_host();
  EXPECT_NE(leftovers(cluster.state()), "");
  auto removed = remove_everything(cluster.state());
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(leftovers(cluster.state()), "");
  for (const Machine& machine : machines) EXPECT_EQ(net_namespace(machine.pid), 0u) << machine.id;
  EXPECT_TRUE(remove_everything(cluster.state())) << "again is fine";
}

TEST(RemoveEverything, WithTheHostStillThere) {
  TestCluster cluster;
  cluster.start_host();
  cluster.launch(3);
  auto removed = remove_everything(cluster.state());
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(leftovers(cluster.state()), "");
  EXPECT_TRUE(cluster.host_ends());
}

TEST(RemoveEverything, InTheMiddleOfALaunch) {
  TestCluster cluster;
  cluster.start_host();
  auto launched = cluster.client().launch(cluster.compute(), 80, "");
  ASSERT_TRUE(launched);
  ASSERT_TRUE(cluster.wait_for(launched->ids[5], [](const Machine& m) { return m.state == MachineState::running; }));
  auto removed = remove_everything(cluster.state());
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(leftovers(cluster.state()), "");
  // Boots that hadn't been let go end by themselves.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(leftovers(cluster.state()), "");
}

TEST(RemoveEverything, FindsMachinesWithoutARecord) {
  TestCluster cluster;
  cluster.start_host();
  Machine lost = cluster.launch_one();
  cluster.kill_host();
  std::filesystem::remove_all(cluster.state() / "machines");
  ASSERT_TRUE(remove_everything(cluster.state()));
  EXPECT_EQ(net_namespace(lost.pid), 0u);
}

TEST(RemoveEverything, SparesAProcessThatOnlyLooksLikeOne) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  cluster.kill_host();
  // A program with the same variable in its environment, which isn't PID 1 of anything; and a record that names a PID
  // that was used again.
  pid_t bystander = ::fork();
  if (bystander == 0) {
    ::setenv("SLIPWAY_STATE", cluster.state().c_str(), 1);
    ::execl("/bin/sleep", "sleep", "60", nullptr);
    ::_exit(1);
  }
  Record stale;
  stale.machine.id = "i-00000099";
  stale.machine.state = MachineState::running;
  stale.machine.pid = bystander;
  stale.process = identify(bystander);
  stale.process.pid = bystander;
  stale.process.start_time += 5;
  std::filesystem::create_directories(machine_folder(cluster.state(), stale.machine.id));
  ASSERT_TRUE(save_record(cluster.state(), stale));
  ASSERT_TRUE(remove_everything(cluster.state()));
  EXPECT_EQ(::waitpid(bystander, nullptr, WNOHANG), 0) << "it lives";
  ::kill(bystander, SIGKILL);
  ::waitpid(bystander, nullptr, 0);
}

TEST(RemoveEverything, OfNothing) {
  EXPECT_TRUE(remove_everything("/var/lib/slipway-no-such-cluster"));
}

TEST(RemoveEverything, LeavesOtherClustersAlone) {
  TestCluster one;
  TestCluster two;
  one.start_host();
  two.start_host();
  one.launch(2);
  Machine other = two.launch_one();
  ASSERT_TRUE(remove_everything(one.state()));
  EXPECT_EQ(two.find(other.id).state, MachineState::running);
  EXPECT_TRUE(talks(0, other));
}

}  // namespace
}  // namespace slipway::machines
