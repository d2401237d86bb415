// The machine host with real machines. Needs root.
#include "machines/host.h"

#include <gtest/gtest.h>

#include <set>

#include "base/channel.h"
#include "machines/limits.h"
#include "machines/process.h"
#include "machines/record.h"
#include "test_cluster.h"

namespace slipway::machines {
namespace {

TEST(Host, TellsWhatItIs) {
  TestCluster cluster;
  cluster.start_host();
  auto info = cluster.client().info();
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->cluster, "test");
  EXPECT_EQ(info->subnet, cluster.subnet());
  EXPECT_EQ(info->pid, cluster.host_pid());
  EXPECT_TRUE(info->bridge.starts_with("slw")) << info->bridge;
  EXPECT_LE(info->bridge.size(), 15u);
  EXPECT_EQ(info->gateway, ipv4_text(parse_subnet(cluster.subnet())->gateway()));
  struct stat socket {};
  ASSERT_EQ(::stat(host_socket(cluster.state()).c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0600u);
}

TEST(Host, OneMachine) {
  TestCluster cluster;
  cluster.start_host();
  auto launched = cluster.client().launch(cluster.compute("gpu"), 1, "token-1");
  ASSERT_TRUE(launched) << launched.error().message;
  ASSERT_EQ(launched->ids, std::vector<std::string>{"i-00000001"});
  EXPECT_TRUE(launched->refusals.empty());
  ASSERT_TRUE(cluster.wait_for("i-00000001", [](const Machine& m) { return m.state == MachineState::running; }));
  Machine machine = cluster.find("i-00000001");
  EXPECT_EQ(machine.pool, "gpu");
  EXPECT_EQ(machine.role, "compute");
  EXPECT_EQ(machine.launch_token, "token-1");
  EXPECT_GT(machine.pid, 0);
  EXPECT_TRUE(parse_subnet(cluster.subnet())->contains(*parse_ipv4(machine.address)));

  EXPECT_EQ(run_in(machine, "hostname").out, "i-00000001\n");
  EXPECT_EQ(run_in(machine, "cat /etc/hostname").out, "i-00000001\n");
  EXPECT_NE(run_in(machine, "cat /etc/hosts").out.find(machine.address + " i-00000001"), std::string::npos);
  EXPECT_EQ(run_in(machine, "tr '\\0' '\\n' < /proc/1/environ | cut -d= -f1 | sort | tr '\\n' ' '").out,
            "HOME LANG PATH SLIPWAY_STATE ");
  EXPECT_EQ(
      run_in(machine, "grep -E 'SigBlk|SigIgn' /proc/1/status | grep -v 0000000000000000; readlink /proc/1/fd/0").out,
      "/dev/null\n")
      << "signals are reset, stdin is empty";
  EXPECT_TRUE(eventually([&] {
    auto log = read_file(machine_logs(cluster.state(), machine.id) / "agent.log");
    return log && *log == "started as 1\n";
  }));
  EXPECT_TRUE(talks(0, machine)) << "the box reaches it";

  ASSERT_TRUE(cluster.client().terminate({machine.id}));
  ASSERT_TRUE(cluster.wait_gone(machine.id));
  Machine gone = cluster.find(machine.id);
  EXPECT_EQ(gone.end, "terminated");
  EXPECT_EQ(gone.pid, 0);
  auto log = read_file(machine_logs(cluster.state(), machine.id) / "agent.log");
  ASSERT_TRUE(log);
  EXPECT_EQ(*log, "started as 1\ntold to end\n") << "its agent could end in order, and its log stays";
}

TEST(Host, TwentyMachinesReachEachOtherAndNobodyElseHears) {
  TestCluster cluster;
  cluster.start_host();
  std::vector<Machine> machines = cluster.launch(20);
  ASSERT_EQ(machines.size(), 20u);
  std::set<std::string> addresses;
  std::set<int32_t> pids;
  for (const Machine& machine : machines) {
    addresses.insert(machine.address);
    pids.insert(machine.pid);
  }
  EXPECT_EQ(addresses.size(), 20u);
  EXPECT_EQ(pids.size(), 20u);
  uint64_t before = packets_received(machines[19]);
  ASSERT_EQ(before, packets_received(machines[19]));
  for (size_t i = 0; i < 18; ++i) EXPECT_TRUE(talks(machines[i].pid, machines[i + 1])) << i;
  EXPECT_TRUE(talks(machines[18].pid, machines[0]));
  EXPECT_EQ(packets_received(machines[19]), before) << "neither ARP nor anything else is flooded";
  EXPECT_TRUE(talks(machines[3].pid, machines[19])) << "that machine listens, it just wasn't meant";
  EXPECT_GT(packets_received(machines[19]), before);
  EXPECT_EQ(run_in(machines[0], "cat /proc/net/if_inet6 | wc -l").out, "0\n") << "no IPv6";
}

TEST(Host, TwoHundredMachinesAtOnce) {
  TestCluster cluster;
  cluster.start_host();
  auto start = std::chrono::steady_clock::now();
  std::vector<Machine> machines = cluster.launch(200);
  auto took = std::chrono::steady_clock::now() - start;
  ASSERT_EQ(machines.size(), 200u);
  std::set<std::string> addresses;
  for (const Machine& machine : machines) addresses.insert(machine.address);
  EXPECT_EQ(addresses.size(), 200u);
  EXPECT_LT(took, std::chrono::seconds(30)) << "a machine is a fraction of a second, however busy the box";
  for (size_t i = 0; i < 200; i += 20) EXPECT_TRUE(talks(machines[i].pid, machines[(i + 7) % 200])) << i;
  RecordProperty("launch_ms", static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  EXPECT_TRUE(std::filesystem::exists(cluster.state() / "host/limits.json") ||
              *read_file("/proc/sys/kernel/pid_max") >= "65536");
  auto ended = cluster.client().shutdown();
  EXPECT_TRUE(ended) << ended.error().message;
  EXPECT_TRUE(cluster.host_ends());
  EXPECT_EQ(leftovers(cluster.state()), "");
  EXPECT_FALSE(std::filesystem::exists(cluster.state() / "host/limits.json"));
}

TEST(Host, ATokenLaunchesOnce) {
  TestCluster cluster;
  cluster.start_host();
  auto first = cluster.client().launch(cluster.compute(), 3, "same");
  auto second = cluster.client().launch(cluster.compute(), 3, "same");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->ids.size(), 3u);
  EXPECT_EQ(second->ids, first->ids);
  auto bigger = cluster.client().launch(cluster.compute(), 5, "same");
  ASSERT_TRUE(bigger);
  EXPECT_EQ(bigger->ids, first->ids);
  EXPECT_EQ(bigger->refusals.size(), 1u);
  auto other = cluster.client().launch(cluster.compute(), 1, "other");
  ASSERT_TRUE(other);
  EXPECT_EQ(other->ids, std::vector<std::string>{"i-00000004"});

  cluster.kill_host();
  cluster.start_host();
  auto after_restart = cluster.client().launch(cluster.compute(), 3, "same");
  ASSERT_TRUE(after_restart);
  EXPECT_EQ(after_restart->ids, first->ids) << "remembered on disk";
  ASSERT_TRUE(cluster.client().kill(first->ids));
  for (const std::string& id : first->ids) ASSERT_TRUE(cluster.wait_gone(id));
  auto again = cluster.client().launch(cluster.compute(), 3, "same");
  ASSERT_TRUE(again);
  ASSERT_EQ(again->ids.size(), 3u);
  EXPECT_NE(again->ids, first->ids) << "none of the earlier launch exists any more";
}

TEST(Host, KillIsAPowerCut) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  std::string before =
      run_in(machine, "(setsid sleep 12321 >/dev/null 2>&1 &) ; sleep 0.1; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
          .out;
  EXPECT_NE(before.find("sleep 12321"), std::string::npos);
  uint64_t inside = pid_namespace(machine.pid);
  ASSERT_TRUE(cluster.client().kill({machine.id}));
  ASSERT_TRUE(cluster.wait_gone(machine.id));
  EXPECT_EQ(cluster.find(machine.id).end, "killed");
  EXPECT_TRUE(processes_of({inside}).empty()) << "every process of it is gone";
  auto log = read_file(machine_logs(cluster.state(), machine.id) / "agent.log");
  EXPECT_TRUE(log && log->find("told to end") == std::string::npos);
}

TEST(Host, AMachineThatEndsByItselfSaysHow) {
  TestCluster cluster;
  cluster.start_host();
  write_text_file(cluster.programs() / "slipway-agent", "#!/bin/sh\nexit 7\n", 0755);
  auto launched = cluster.client().launch(cluster.compute(), 1, "");
  ASSERT_TRUE(launched);
  ASSERT_TRUE(cluster.wait_gone(launched->ids[0]));
  EXPECT_EQ(cluster.find(launched->ids[0]).end.find("failed"), std::string::npos);
  EXPECT_EQ(cluster.find(launched->ids[0]).end, "ended with status 7");

  write_text_file(cluster.programs() / "slipway-agent", "#!/no/such/shell\n", 0755);
  launched = cluster.client().launch(cluster.compute(), 1, "");
  ASSERT_TRUE(launched);
  ASSERT_TRUE(cluster.wait_gone(launched->ids[0]));
  EXPECT_NE(cluster.find(launched->ids[0]).end.find("failed to start: start /opt/slipway/bin/slipway-agent"),
            std::string::npos)
      << cluster.find(launched->ids[0]).end;
}

TEST(Host, AStubbornMachineIsKilled) {
  TestCluster cluster;
  cluster.start_host([](HostOptions& options) { options.terminate_grace = Duration(300); });
  write_text_file(cluster.programs() / "slipway-agent", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1000; done\n",
                  0755);
  Machine machine = cluster.launch_one();
  ASSERT_TRUE(cluster.client().terminate({machine.id, "i-0000ffff", "nonsense"})) << "unknown ids are ignored";
  ASSERT_TRUE(cluster.wait_gone(machine.id, Duration(5'000)));
  EXPECT_EQ(cluster.find(machine.id).end, "terminated");
}

TEST(Host, FreezeStopsEverythingButTheNetwork) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  // A program that counts, in the machine and not a child of ours.
  ASSERT_EQ(run_in(machine,
                   "(setsid sh -c 'while :; do echo x >> /tmp/count; sleep 0.01; done' >/dev/null 2>&1 &); sleep 0.2")
                .status,
            0);
  std::string count = "/proc/" + std::to_string(machine.pid) +
                      "/root"
                      "/tmp/count";
  auto size = [&] {
    std::error_code error;
    auto bytes = std::filesystem::file_size(count, error);
    return error ? 0 : bytes;
  };
  auto first = size();
  ASSERT_TRUE(eventually([&] { return size() > first; }));
  ASSERT_TRUE(cluster.client().freeze({machine.id}));
  EXPECT_EQ(cluster.find(machine.id).state, MachineState::frozen);
  auto frozen = size();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(size(), frozen);
  EXPECT_TRUE(talks(0, machine)) << "its network answers";
  ASSERT_TRUE(cluster.client().thaw({machine.id}));
  EXPECT_EQ(cluster.find(machine.id).state, MachineState::running);
  EXPECT_TRUE(eventually([&] { return size() > frozen; }));
  EXPECT_FALSE(cluster.client().freeze({"i-0000ffff"}));

  ASSERT_TRUE(cluster.client().freeze({machine.id}));
  ASSERT_TRUE(cluster.client().terminate({machine.id}));
  EXPECT_TRUE(cluster.wait_gone(machine.id)) << "a frozen machine can be ended";
}

TEST(Host, CutOffAndReconnect) {
  TestCluster cluster;
  cluster.start_host();
  std::vector<Machine> machines = cluster.launch(2);
  ASSERT_EQ(machines.size(), 2u);
  ASSERT_TRUE(cluster.client().cut_off({machines[0].id}));
  EXPECT_TRUE(cluster.find(machines[0].id).cut_off);
  EXPECT_FALSE(talks(machines[1].pid, machines[0], Duration(500)));
  EXPECT_FALSE(talks(machines[0].pid, machines[1], Duration(500)));
  EXPECT_EQ(cluster.find(machines[0].id).state, MachineState::running);
  ASSERT_TRUE(cluster.client().reconnect({machines[0].id}));
  EXPECT_FALSE(cluster.find(machines[0].id).cut_off);
  EXPECT_TRUE(talks(machines[1].pid, machines[0]));
  EXPECT_TRUE(talks(machines[0].pid, machines[1]));
}

TEST(Host, BootTroubleOfEveryKind) {
  TestCluster cluster;
  cluster.start_host();
  BootTrouble refuse;
  refuse.pool = "gpu";
  refuse.refuse = 2;
  ASSERT_TRUE(cluster.client().set_boot_trouble(refuse));
  auto other = cluster.client().launch(cluster.compute("cpu"), 2, "");
  ASSERT_TRUE(other);
  EXPECT_EQ(other->ids.size(), 2u) << "another pool is spared";
  auto refused = cluster.client().launch(cluster.compute("gpu"), 3, "");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->ids.size(), 1u);
  ASSERT_EQ(refused->refusals.size(), 1u);
  EXPECT_EQ(refused->refusals[0].error.code, ErrorCode::no_capacity);

  BootTrouble never;
  never.never = 1;
  ASSERT_TRUE(cluster.client().set_boot_trouble(never));
  std::vector<Machine> machines = cluster.launch(2);
  ASSERT_EQ(machines.size(), 2u);
  auto runs_agent = [](const Machine& machine) {
    auto words = read_file("/proc/" + std::to_string(machine.pid) + "/cmdline");
    return words && words->find("slipway-agent") != std::string::npos;
  };
  EXPECT_TRUE(eventually([&] { return runs_agent(machines[1]); }));
  EXPECT_FALSE(runs_agent(machines[0]));
  EXPECT_TRUE(talks(0, machines[0])) << "it exists, and its network is up";
  auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(cluster.client().terminate({machines[0].id}));
  ASSERT_TRUE(cluster.wait_gone(machines[0].id));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(2'500)) << "it dies of SIGTERM";

  BootTrouble slow;
  slow.delay = Duration(700);
  ASSERT_TRUE(cluster.client().set_boot_trouble(slow));
  Machine late = cluster.launch_one();
  EXPECT_FALSE(runs_agent(late));
  EXPECT_TRUE(eventually([&] { return runs_agent(late); }));
  ASSERT_TRUE(cluster.client().clear_trouble());
  Machine prompt = cluster.launch_one();
  EXPECT_TRUE(runs_agent(prompt));
  EXPECT_GE(prompt.launched_at, late.launched_at);
}

TEST(Host, LabelsOutliveTheHost) {
  TestCluster cluster;
  cluster.start_host();
  LaunchTerms terms;
  terms.market = model::Market::spot;
  terms.offers = {{"m.large", "a"}};
  terms.placement = "rack";
  auto launched = cluster.client().launch(cluster.compute(), 1, "", terms);
  ASSERT_TRUE(launched && launched->ids.size() == 1);
  ASSERT_TRUE(cluster.wait_for(launched->ids[0], [](const Machine& m) { return m.state == MachineState::running; }));
  cluster.kill_host();
  cluster.start_host();
  Machine machine = cluster.find(launched->ids[0]);
  EXPECT_EQ(machine.state, MachineState::running);
  EXPECT_EQ(machine.market, model::Market::spot);
  EXPECT_EQ(machine.offer, (model::Offer{"m.large", "a"}));
  EXPECT_EQ(machine.placement, "rack");
}

TEST(Host, CapacityIsKeptOverARestartAndFreedByEnds) {
  TestCluster cluster;
  cluster.start_host();
  CapacityLimit two;
  two.pool = "cpu";
  two.most = 2;
  two.error = ErrorCode::quota;
  ASSERT_TRUE(cluster.client().set_capacity(two));
  std::vector<Machine> first = cluster.launch(2);
  ASSERT_EQ(first.size(), 2u);
  cluster.kill_host();
  cluster.start_host();
  auto second = cluster.client().launch(cluster.compute(), 1, "");
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->ids.empty());
  ASSERT_EQ(second->refusals.size(), 1u);
  EXPECT_EQ(second->refusals[0].error.code, ErrorCode::quota);
  MachineSpec login = cluster.compute("");
  login.role = "login";
  CapacityLimit none;
  none.most = 0;
  ASSERT_TRUE(cluster.client().set_capacity(none));
  EXPECT_EQ(cluster.client().launch(login, 1, "")->ids.size(), 1u) << "only the pools' machines are bought";
  none.most.reset();
  ASSERT_TRUE(cluster.client().set_capacity(none));  // every limit ends, and is set again
  ASSERT_TRUE(cluster.client().set_capacity(two));

  ASSERT_TRUE(cluster.client().terminate({first[0].id}));
  ASSERT_TRUE(cluster.wait_gone(first[0].id));
  EXPECT_EQ(cluster.client().launch(cluster.compute(), 2, "")->ids.size(), 1u);
  ASSERT_TRUE(cluster.client().clear_trouble());
  cluster.kill_host();
  cluster.start_host();
  EXPECT_EQ(cluster.client().launch(cluster.compute(), 2, "")->ids.size(), 2u);
}

TEST(Host, FewerThanTheMinimumMakesNothing) {
  TestCluster cluster;
  cluster.start_host();
  BootTrouble refuse;
  refuse.refuse = 2;
  refuse.never = 1;
  ASSERT_TRUE(cluster.client().set_boot_trouble(refuse));
  auto refused = cluster.client().launch(cluster.compute(), 4, "whole", {.minimum = 4});
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->ids.empty());
  ASSERT_EQ(refused->refusals.size(), 1u);
  EXPECT_TRUE(cluster.client().list()->empty());
  EXPECT_TRUE(find_machines("SLIPWAY_STATE=" + cluster.state().string()).empty());
  auto whole = cluster.client().launch(cluster.compute(), 4, "whole", {.minimum = 4});
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->ids.size(), 4u) << "two were refused, and that is over";
  EXPECT_FALSE(cluster.client().launch(cluster.compute(), 4, "", {.minimum = 5}));
}

TEST(Host, AnEvictionComesWhenItWasAnnounced) {
  TestCluster cluster;
  cluster.start_host();
  std::vector<Machine> machines = cluster.launch(4);
  ASSERT_EQ(machines.size(), 4u);
  auto unknown = cluster.client().evict({machines[0].id, "i-00000099"}, Duration(0));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
  EXPECT_EQ(cluster.find(machines[0].id).evict_at, TimePoint{});

  SystemClock clock;
  const TimePoint asked = clock.now();
  ASSERT_TRUE(cluster.client().evict({machines[0].id}, Duration(600)));
  ASSERT_TRUE(cluster.client().evict({machines[1].id}, Duration(0)));
  ASSERT_TRUE(cluster.client().freeze({machines[2].id}));
  ASSERT_TRUE(cluster.client().evict({machines[2].id}, Duration(600'000)));
  ASSERT_TRUE(cluster.client().evict({machines[2].id}, Duration(300)));  // the last word counts
  Machine noticed = cluster.find(machines[0].id);
  EXPECT_EQ(noticed.state, MachineState::running);
  // The host's clock and this one may differ by their rounding.
  EXPECT_GE(noticed.evict_at + Duration(5), asked + Duration(600));
  EXPECT_LE(noticed.evict_at, clock.now() + Duration(605));
  for (int i : {0, 1, 2}) ASSERT_TRUE(cluster.wait_gone(machines[i].id));
  EXPECT_GE(clock.now() + Duration(5), noticed.evict_at);
  for (int i : {0, 1, 2}) EXPECT_EQ(cluster.find(machines[i].id).end, "evicted");
  EXPECT_EQ(cluster.find(machines[3].id).state, MachineState::running);
  EXPECT_FALSE(cluster.client().evict({machines[0].id}, Duration(0))) << "it is gone";

  ASSERT_TRUE(cluster.client().evict({machines[3].id}, Duration(600'000)));
  ASSERT_TRUE(cluster.client().terminate({machines[3].id}));
  ASSERT_TRUE(cluster.wait_gone(machines[3].id));
  EXPECT_EQ(cluster.find(machines[3].id).end, "terminated") << "before the cloud took it";
}

TEST(Host, AnEvictionIsNotForgottenByARestart) {
  TestCluster cluster;
  cluster.start_host();
  std::vector<Machine> machines = cluster.launch(3);
  ASSERT_EQ(machines.size(), 3u);
  SystemClock clock;
  const TimePoint asked = clock.now();
  ASSERT_TRUE(cluster.client().evict({machines[0].id}, Duration(50)));
  cluster.kill_host();
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  cluster.start_host();
  ASSERT_TRUE(cluster.wait_gone(machines[0].id));
  EXPECT_EQ(cluster.find(machines[0].id).end, "evicted") << "at the host's next start";

  ASSERT_TRUE(cluster.client().evict({machines[1].id}, Duration(1'500)));
  const TimePoint due = cluster.find(machines[1].id).evict_at;
  cluster.kill_host();
  cluster.start_host();
  EXPECT_EQ(cluster.find(machines[1].id).evict_at, due);
  EXPECT_GT(due, asked);
  ASSERT_TRUE(cluster.wait_gone(machines[1].id));
  EXPECT_GE(clock.now() + Duration(5), due);
  EXPECT_EQ(cluster.find(machines[1].id).end, "evicted");
  EXPECT_EQ(cluster.find(machines[2].id).state, MachineState::running);
}

TEST(Host, ANeverBootingMachineHoldsNothingOfTheHost) {
  TestCluster cluster;
  cluster.start_host();
  BootTrouble never;
  never.never = 1;
  ASSERT_TRUE(cluster.client().set_boot_trouble(never));
  Machine machine = cluster.launch_one();
  std::error_code error;
  size_t open = 0;
  for (std::filesystem::directory_iterator it("/proc/" + std::to_string(machine.pid) + "/fd", error), end; it != end;
       ++it)
    ++open;
  EXPECT_EQ(open, 3u) << "stdin, stdout, stderr";
  cluster.kill_host();
  cluster.start_host();
  EXPECT_EQ(cluster.find(machine.id).state, MachineState::running);
}

TEST(Host, TheControllerGetsTheAddressThatWasPromised) {
  TestCluster cluster;
  cluster.start_host();
  MachineSpec spec = cluster.compute();
  spec.role = "controller";
  spec.pool = "";
  std::string wanted = ipv4_text(parse_subnet(cluster.subnet())->gateway() + 1);
  auto launched = cluster.client().launch(spec, 1, "controller", {.address = wanted});
  ASSERT_TRUE(launched) << launched.error().message;
  ASSERT_EQ(launched->ids.size(), 1u);
  ASSERT_TRUE(cluster.wait_for(launched->ids[0], [](const Machine& m) { return m.state == MachineState::running; }));
  EXPECT_EQ(cluster.find(launched->ids[0]).address, wanted);
  auto taken = cluster.client().launch(spec, 1, "second", {.address = wanted});
  ASSERT_TRUE(taken);
  EXPECT_TRUE(taken->ids.empty());
  EXPECT_EQ(taken->refusals.size(), 1u);
  auto outside = cluster.client().launch(spec, 1, "third", {.address = "10.0.0.1"});
  ASSERT_TRUE(outside);
  EXPECT_EQ(outside->refusals.size(), 1u);
  EXPECT_FALSE(cluster.client().launch(spec, 2, "fourth", {.address = wanted}));

  Machine node = cluster.launch_one();
  EXPECT_NE(node.address, wanted);
  EXPECT_NE(run_in(node, "cat /proc/net/arp").out.find(wanted), std::string::npos)
      << "its Ethernet address is known beforehand";
  // A controller that died comes back on the same address while its old link may still be there.
  ASSERT_TRUE(cluster.client().kill(launched->ids));
  ASSERT_TRUE(cluster.wait_gone(launched->ids[0]));
  auto again = cluster.client().launch(spec, 1, "controller", {.address = wanted});
  ASSERT_TRUE(again && again->ids.size() == 1);
  ASSERT_TRUE(cluster.wait_for(again->ids[0], [](const Machine& m) { return m.state == MachineState::running; }));
  EXPECT_TRUE(talks(node.pid, cluster.find(again->ids[0])));
}

TEST(Host, AFullSubnetRefusesAnyOffer) {
  TestCluster cluster;
  cluster.start_host(
      [](HostOptions& options) { options.subnet = options.subnet.substr(0, options.subnet.find('/')) + "/29"; });
  auto launched = cluster.client().launch(cluster.compute(), 9, "");
  ASSERT_TRUE(launched) << launched.error().message;
  EXPECT_EQ(launched->ids.size(), 5u);
  ASSERT_EQ(launched->refusals.size(), 1u);
  EXPECT_EQ(launched->refusals[0].offer, model::Offer{});
  EXPECT_EQ(launched->refusals[0].error.code, ErrorCode::no_capacity);
  EXPECT_NE(launched->refusals[0].error.message.find("no more free addresses"), std::string::npos);
}

TEST(Host, BadLaunchesAreRefusedWhole) {
  TestCluster cluster;
  cluster.start_host();
  auto refused = [&](const std::function<void(MachineSpec&)>& change) {
    MachineSpec spec = cluster.compute();
    change(spec);
    auto launched = cluster.client().launch(spec, 2, "");
    return !launched && launched.error().code == ErrorCode::bad_config;
  };
  EXPECT_TRUE(refused([](MachineSpec& spec) { spec.role = "king"; }));
  EXPECT_TRUE(refused([](MachineSpec& spec) { spec.image = "/no/such/image"; }));
  EXPECT_TRUE(refused([](MachineSpec& spec) { spec.boot_data = "[]"; }));
  EXPECT_TRUE(refused([](MachineSpec& spec) { spec.mounts = {{"/no/such", "/x", false}}; }));
  std::filesystem::remove(cluster.state() / "keys/master.key");
  EXPECT_TRUE(refused([](MachineSpec&) {}));
  EXPECT_TRUE(cluster.client().list()->empty());
}

TEST(Host, StrangeFramesAreAnswered) {
  TestCluster cluster;
  cluster.start_host();
  for (const char* frame : {"", "{", "[]", R"({"call":"fly"})", R"({"call":"terminate","ids":[1,{}]})",
                            R"({"call":"freeze","ids":["x"]})"}) {
    auto channel = BlockingChannel::connect_unix(host_socket(cluster.state()), Duration(2'000));
    ASSERT_TRUE(channel);
    ASSERT_TRUE(channel->send(frame, Duration(2'000)));
    auto answer = channel->receive(Duration(2'000));
    ASSERT_TRUE(answer) << frame;
    EXPECT_TRUE(answer->starts_with("{\"ok\":")) << *answer;
  }
  EXPECT_TRUE(cluster.client().info());
}

TEST(Host, OnlyRootMayAsk) {
  TestCluster cluster;
  cluster.start_host();
  // Let another user reach the socket: the host must still refuse him by his credentials.
  for (const auto& path : {cluster.base(), cluster.state(), cluster.state() / "host"})
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(host_socket(cluster.state()).c_str(), 0666), 0);
  Ran asked = run_apart([&] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 3;
    return cluster.client().list() ? 0 : 1;
  });
  EXPECT_EQ(asked.status, 1) << asked.out;
  EXPECT_TRUE(cluster.client().list());
}

TEST(Host, ASecondHostIsRefused) {
  TestCluster cluster;
  cluster.start_host();
  Ran second = run_apart([&] {
    auto ran = run_host(cluster.options());
    std::string text = ran ? "ran" : std::string(to_string(ran.error().code)) + ": " + ran.error().message;
    [[maybe_unused]] ssize_t written = ::write(2, text.data(), text.size());
    return 0;
  });
  EXPECT_NE(second.out.find("bad_config: another machine host (process " + std::to_string(cluster.host_pid())),
            std::string::npos)
      << second.out;
  EXPECT_TRUE(cluster.client().info());
}

TEST(Host, ATakenSubnetIsRefusedByName) {
  TestCluster cluster;
  cluster.start_host();
  TestCluster other;
  Ran second = run_apart([&] {
    HostOptions options = other.options();
    options.subnet = cluster.subnet();
    auto ran = run_host(options);
    std::string text = ran ? "ran" : std::string(to_string(ran.error().code)) + ": " + ran.error().message;
    [[maybe_unused]] ssize_t written = ::write(2, text.data(), text.size());
    return 0;
  });
  auto info = cluster.client().info();
  ASSERT_TRUE(info);
  EXPECT_TRUE(second.out.starts_with("bad_config: ")) << second.out;
  EXPECT_NE(second.out.find(info->bridge), std::string::npos) << second.out;
  EXPECT_NE(second.out.find("subnet:"), std::string::npos) << "and the way out: " << second.out;
  auto free = choose_subnet();
  ASSERT_TRUE(free);
  EXPECT_NE(*free, cluster.subnet());
}

TEST(Host, TwoClustersSideBySide) {
  TestCluster one;
  TestCluster two;
  one.start_host();
  two.start_host();
  Machine a = one.launch_one();
  Machine b = two.launch_one();
  EXPECT_NE(one.client().info()->bridge, two.client().info()->bridge);
  EXPECT_EQ(a.id, b.id) << "ids are a cluster's own";
  EXPECT_EQ(run_in(a, "ls -A " + two.base().string()).out, "") << "clusters can't read each other's folders";
  EXPECT_EQ(run_in(b, "ls -A " + one.base().string()).out, "");
  ASSERT_TRUE(one.client().shutdown());
  EXPECT_EQ(leftovers(one.state()), "");
  EXPECT_EQ(two.find(b.id).state, MachineState::running);
  EXPECT_TRUE(talks(0, b));
}

TEST(Host, ARestartedHostFindsItsMachines) {
  TestCluster cluster;
  cluster.start_host();
  std::vector<Machine> machines = cluster.launch(3);
  ASSERT_EQ(machines.size(), 3u);
  ASSERT_TRUE(cluster.client().freeze({machines[1].id}));
  ASSERT_TRUE(cluster.client().cut_off({machines[2].id}));
  for (bool by_force : {true, false}) {
    by_force ? cluster.kill_host() : cluster.stop_host();
    cluster.start_host();
    for (const Machine& machine : machines) {
      Machine now = cluster.find(machine.id);
      EXPECT_EQ(now.pid, machine.pid);
      EXPECT_EQ(now.address, machine.address);
      EXPECT_EQ(now.launch_token, machine.launch_token);
      EXPECT_EQ(now.launched_at, machine.launched_at);
    }
  }
  EXPECT_EQ(cluster.find(machines[0].id).state, MachineState::running);
  EXPECT_EQ(cluster.find(machines[1].id).state, MachineState::frozen);
  EXPECT_TRUE(cluster.find(machines[2].id).cut_off);
  Machine another = cluster.launch_one();
  EXPECT_EQ(another.id, "i-00000004") << "ids go on";
  EXPECT_TRUE(talks(another.pid, machines[0]));
  for (const Machine& machine : machines) EXPECT_NE(another.address, machine.address);

  cluster.kill_host();
  ASSERT_EQ(::kill(machines[0].pid, SIGKILL), 0);  // dies while nobody watches
  cluster.start_host();
  EXPECT_TRUE(cluster.wait_gone(machines[0].id));
  EXPECT_NE(cluster.find(machines[0].id).end, "");
  ASSERT_TRUE(cluster.client().kill({machines[1].id}));
  EXPECT_TRUE(cluster.wait_gone(machines[1].id)) << "machines of an earlier host are watched too";
  EXPECT_EQ(cluster.find(machines[1].id).end, "killed");
}

TEST(Host, KilledInTheMiddleOfALaunchItLosesNoMachine) {
  TestCluster cluster;
  cluster.start_host();
  auto launched = cluster.client().launch(cluster.compute(), 60, "burst");
  ASSERT_TRUE(launched);
  // Some have started, some not.
  ASSERT_TRUE(cluster.wait_for(launched->ids[10], [](const Machine& m) { return m.state == MachineState::running; }));
  cluster.kill_host();
  cluster.start_host();
  auto listed = cluster.client().list();
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 60u) << "every machine that was promised is accounted for";
  std::set<pid_t> known;
  size_t running = 0;
  for (const Machine& machine : *listed) {
    if (machine.state == MachineState::gone) {
      EXPECT_TRUE(machine.end.starts_with("failed to start") || machine.end.starts_with("ended")) << machine.end;
      continue;
    }
    ++running;
    known.insert(machine.pid);
  }
  EXPECT_GE(running, 10u);
  // A boot that was under way when the host died has either been let go, and is known, or ends.
  EXPECT_TRUE(eventually([&] {
    for (pid_t pid : find_machines("SLIPWAY_STATE=" + cluster.state().string())) {
      if (!known.contains(pid)) return false;
    }
    return true;
  })) << "no machine runs that isn't listed";
}

TEST(Host, ShutdownLeavesNothing) {
  TestCluster cluster;
  cluster.start_host();
  cluster.launch(5);
  auto ended = cluster.client().shutdown();
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(leftovers(cluster.state()), "");
  EXPECT_TRUE(cluster.host_ends());
  auto afterwards = cluster.client().info();
  ASSERT_FALSE(afterwards);
  EXPECT_EQ(afterwards.error().code, ErrorCode::not_found);
}

TEST(Host, OldFoldersArePruned) {
  TestCluster cluster;
  for (uint32_t number = 1; number <= 230; ++number) {
    Record record;
    record.machine.id = machine_id(number);
    record.machine.state = MachineState::gone;
    record.ended_at = TimePoint(Duration(number));
    std::filesystem::create_directories(machine_folder(cluster.state(), record.machine.id));
    ASSERT_TRUE(save_record(cluster.state(), record));
  }
  cluster.start_host();
  EXPECT_TRUE(cluster.client().list()->empty()) << "they ended long ago";
  for (int i = 0; i < 12; ++i) {
    auto launched = cluster.client().launch(cluster.compute(), 1, "");
    ASSERT_TRUE(launched && launched->ids.size() == 1);
    ASSERT_TRUE(cluster.client().kill(launched->ids));
    ASSERT_TRUE(cluster.wait_gone(launched->ids[0]));
  }
  size_t folders = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(cluster.state() / "machines"))
    ++folders;
  EXPECT_EQ(folders, 200u);
  EXPECT_FALSE(std::filesystem::exists(machine_folder(cluster.state(), machine_id(1))));
  EXPECT_TRUE(std::filesystem::exists(machine_folder(cluster.state(), machine_id(242))));
}

}  // namespace
}  // namespace slipway::machines
