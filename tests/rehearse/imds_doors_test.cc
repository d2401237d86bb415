// Doors inside real machines. Needs root.
#include "rehearse/imds_doors.h"

#include <gtest/gtest.h>

#include <future>

#include "../machines/test_cluster.h"
#include "loop_runner.h"

namespace slipway::rehearse {
namespace {

// What a machine is told at 169.254.169.254, by a shell there; it answers only while the loop runs.
class ImdsDoorsTest : public ::testing::Test {
 protected:
  ImdsDoorsTest() {
    cluster.start_host();
    server =
        std::make_unique<http::Server>(loop, http::ServerOptions(), [this](http::Asked asked, http::Answer answer) {
          const auto key = doors->key_of(asked.door);
          ++asked_count;
          answer({200, {}, key ? "machine " + std::to_string(*key) + " " + asked.target : "another door"});
        });
    doors = std::make_unique<ImdsDoors>(loop, *server, cluster.state());
  }

  void open(const machines::Machine& machine, MachineKey key) {
    bool done = false;
    doors->open(machine.id, key, machine.pid, [&] { done = true; });
    EXPECT_FALSE(done);
    ASSERT_TRUE(run_until(loop, [&] { return done; }));
  }
  std::string ask(const machines::Machine& machine) {
    const std::string shell =
        "exec 3<>/dev/tcp/169.254.169.254/80; printf 'GET /metadata HTTP/1.1\\r\\nHost: x\\r\\n"
        "Connection: close\\r\\n\\r\\n' >&3; cat <&3";
    auto command = std::async(std::launch::async, [&] {
      return machines::enter(machine, {.user = "", .folder = "/", .argv = {"/bin/bash", "-c", shell}}).out;
    });
    run_until(loop, [&] { return command.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    return command.get();
  }
  bool has_address(const machines::Machine& machine) {
    return machines::run_in(machine, "cat /proc/net/fib_trie").out.find("169.254.169.254") != std::string::npos;
  }

  machines::TestCluster cluster;
  Loop loop;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<ImdsDoors> doors;
  int asked_count = 0;
};

TEST_F(ImdsDoorsTest, EachMachineHasItsOwn) {
  const auto machines = cluster.launch(2);
  ASSERT_EQ(machines.size(), 2u);
  open(machines[0], 7);
  open(machines[1], 0);
  EXPECT_TRUE(ask(machines[0]).ends_with("machine 7 /metadata")) << ask(machines[0]);
  EXPECT_TRUE(ask(machines[1]).ends_with("machine 0 /metadata"));
  // Not on the box.
  auto fib = read_file("/proc/net/fib_trie");
  ASSERT_TRUE(fib);
  EXPECT_EQ(fib->find("169.254.169.254"), std::string::npos);

  // A restarted server opens the same door again.
  doors.reset();
  doors = std::make_unique<ImdsDoors>(loop, *server, cluster.state());
  open(machines[0], 8);
  EXPECT_TRUE(ask(machines[0]).ends_with("machine 8 /metadata"));

  doors->close(machines[0].id);
  const int before = asked_count;
  ask(machines[0]);
  EXPECT_EQ(asked_count, before);
}

TEST_F(ImdsDoorsTest, AClosedDoorLetsTheNamespaceGo) {
  const auto machine = cluster.launch_one();
  open(machine, 1);
  const auto link = [&] {
    auto network = machines::find_network(cluster.state());
    EXPECT_TRUE(network);
    return network->links.size();
  };
  EXPECT_EQ(link(), 1u);
  ASSERT_TRUE(cluster.client().kill({machine.id}));
  ASSERT_TRUE(cluster.wait_gone(machine.id));
  run_for(loop, Duration(200));
  EXPECT_EQ(link(), 1u);  // held by the open door
  doors->close(machine.id);
  EXPECT_TRUE(run_until(loop, [&] { return link() == 0; }));
}

TEST_F(ImdsDoorsTest, OnlyInMachinesOfThisCluster) {
  const auto machine = cluster.launch_one();
  for (const int pid : {1, static_cast<int>(::getpid()), static_cast<int>(cluster.host_pid()), 0, -1, 4'000'000}) {
    const auto socket = listen_inside(pid, cluster.state());
    ASSERT_FALSE(socket) << pid;
    EXPECT_EQ(socket.error().code, ErrorCode::not_found);
  }
  EXPECT_FALSE(listen_inside(machine.pid, cluster.base()));
  EXPECT_FALSE(has_address(machine));
  EXPECT_TRUE(listen_inside(machine.pid, cluster.state() / "."));
  EXPECT_TRUE(has_address(machine));
}

TEST_F(ImdsDoorsTest, OneThatClosesWhileItOpensStaysClosed) {
  const auto machine = cluster.launch_one();
  bool done = false;
  doors->open(machine.id, 3, machine.pid, [&] { done = true; });
  doors->close(machine.id);
  ASSERT_TRUE(run_until(loop, [&] { return done; }));
  ask(machine);
  EXPECT_EQ(asked_count, 0);
}

}  // namespace
}  // namespace slipway::rehearse
