// Simulated machines on a real machine host, with slipway-vm as it is built. Needs root.
#include "rehearse/host_floor.h"

#include <gtest/gtest.h>

#include "../machines/test_cluster.h"
#include "loop_runner.h"
#include "rehearse/host_calls.h"
#include "rehearse/site.h"
#include "rehearse/vm_files.h"

namespace slipway::rehearse {
namespace {

using machines::MachineState;

class Doors final : public Insides {
 public:
  explicit Doors(Loop& loop) : loop_(loop) {}
  void open(const std::string& id, MachineKey key, int pid, std::function<void()> done) override {
    opened.push_back({id, key});
    EXPECT_GT(pid, 0);
    if (!stuck) loop_.after(Duration(0), std::move(done));
  }
  void close(const std::string& id) override { closed.push_back(id); }

  std::vector<std::pair<std::string, MachineKey>> opened;
  std::vector<std::string> closed;
  bool stuck = false;

 private:
  Loop& loop_;
};

class HostFloorTest : public ::testing::Test {
 protected:
  HostFloorTest() : doors(loop) {
    const auto built = std::filesystem::read_symlink("/proc/self/exe").parent_path() / vm_program;
    std::filesystem::copy_file(built, cluster.programs() / vm_program);
    cluster.start_host();
    open();
  }

  void open() {
    site.reset();
    floor = make_host_floor(loop, machines::host_socket(cluster.state()), cluster.state(), &doors);
    site = std::make_unique<Site>(loop, clock, *floor, 7);
  }

  bool until(const std::function<bool()>& holds, Duration timeout = Duration(20'000)) {
    return run_until(loop, holds, timeout);
  }

  std::shared_ptr<const Order> order(std::string group = "batch/acc/demo-cpu") {
    auto made = std::make_shared<Order>();
    made->group = std::move(group);
    made->name = [](MachineKey key) { return "vm" + std::to_string(key); };
    made->recipe = [this](const Machine& machine) {
      Recipe recipe;
      recipe.command = command;
      recipe.environment = {{"NODE", machine.name}, {"PATH", "/opt/own:/usr/bin:/bin"}};
      return recipe;
    };
    return made;
  }

  std::vector<machines::Machine> vms(bool alive = true) {
    std::vector<machines::Machine> found;
    auto all = cluster.client().list();
    EXPECT_TRUE(all);
    for (const auto& machine : *all) {
      if (machine.role == vm_role && (!alive || machine.state != MachineState::gone)) found.push_back(machine);
    }
    return found;
  }
  std::string log_of(const std::string& id, const char* file) {
    auto text = read_file(machines::machine_logs(cluster.state(), id) / file);
    return text ? *text : "";
  }
  Phase phase(MachineKey key) { return site->find(key) ? site->find(key)->phase : Phase::leaving; }

  machines::TestCluster cluster;
  SystemClock clock;
  Loop loop;
  Doors doors;
  std::unique_ptr<Floor> floor;
  std::unique_ptr<Site> site;
  std::string command = "echo \"$NODE $PATH $HOME $$\"; id -u; pwd; echo oops >&2; sleep 1000 & exit 0";
};

TEST_F(HostFloorTest, MachinesRunTheirStartTasks) {
  const auto machines = site->take(order(), 3).machines;
  ASSERT_TRUE(until([&] {
    return phase(machines[0]) == Phase::running && phase(machines[1]) == Phase::running &&
           phase(machines[2]) == Phase::running;
  }));
  const auto listed = vms();
  ASSERT_EQ(listed.size(), 3u);
  std::set<std::string> said;
  for (const auto& machine : listed) {
    EXPECT_EQ(machine.pool, "demo-cpu");
    EXPECT_EQ(machine.launch_token, listed[0].launch_token);  // of one launch
    const Machine* own = site->find_by_address(machine.address);
    ASSERT_TRUE(own);
    EXPECT_EQ(site->pid_of(own->key), machine.pid);
    const std::string out = log_of(machine.id, output_file);
    EXPECT_EQ(out.rfind(own->name + " /opt/own:/usr/bin:/bin /root ", 0), 0u) << out;
    EXPECT_NE(out.find("\n0\n/\n"), std::string::npos) << out;
    EXPECT_EQ(log_of(machine.id, errors_file), "oops\n");
    EXPECT_EQ(log_of(machine.id, status_file), "ended 0\n");
    EXPECT_EQ(log_of(machine.id, recipe_file), "");
    said.insert(out);
    // What the start task left behind lives, and the host's own boot data is gone.
    EXPECT_NE(run_in(machine, "ps ax | grep -c '[s]leep 1000'").out, "0\n");
    EXPECT_EQ(run_in(machine, "test -e /run/slipway/boot.json").status, 1);
  }
  EXPECT_EQ(said.size(), 3u);

  site->release({machines[0]});
  ASSERT_TRUE(until([&] { return site->find(machines[0]) == nullptr; }));
  EXPECT_EQ(vms().size(), 2u);
  ASSERT_TRUE(until([&] { return doors.closed.size() == 1; }));
  for (const auto& machine : vms(false)) {
    if (machine.state == MachineState::gone) {
      EXPECT_EQ(machine.end, "terminated");
    }
  }
}

TEST_F(HostFloorTest, AFailedStartTaskHasItsStatus) {
  command = "exit 7";
  const MachineKey failed = site->take(order(), 1).machines[0];
  ASSERT_TRUE(until([&] { return phase(failed) == Phase::start_failed; }));
  EXPECT_EQ(site->find(failed)->exit_status, 7);
  command = "kill -9 $$";
  const MachineKey killed = site->take(order(), 1).machines[0];
  ASSERT_TRUE(until([&] { return phase(killed) == Phase::start_failed; }));
  EXPECT_EQ(site->find(killed)->exit_status, 128 + 9);
  command = "sleep 1000";
  const MachineKey slow = site->take(order(), 1).machines[0];
  ASSERT_TRUE(until([&] { return phase(slow) == Phase::start_task; }));
}

TEST_F(HostFloorTest, BootsGoWrongAsTheLeversSay) {
  site->set_levers(
      *parse_levers(R"({"boots": [{"group": "mute", "silent_every": 1}, {"group": "dead", "never_every": 1},
                                               {"group": "bad", "start_task_fails_every": 1}]})"));
  const MachineKey mute = site->take(order("x/mute"), 1).machines[0];
  const MachineKey dead = site->take(order("x/dead"), 1).machines[0];
  const MachineKey bad = site->take(order("x/bad"), 1).machines[0];
  ASSERT_TRUE(until([&] { return phase(mute) == Phase::running && phase(bad) == Phase::start_failed; }));
  ASSERT_TRUE(until([&] { return site->pid_of(dead) > 0; }));
  run_for(loop, Duration(200));
  EXPECT_EQ(phase(dead), Phase::starting);
  for (const auto& machine : vms()) {
    if (machine.pool != "bad") {
      EXPECT_EQ(log_of(machine.id, status_file), "");
    }
    EXPECT_EQ(log_of(machine.id, output_file), "");
  }
}

TEST_F(HostFloorTest, NothingRunsBeforeTheDoorsAreOpen) {
  doors.stuck = true;
  const MachineKey key = site->take(order(), 1).machines[0];
  ASSERT_TRUE(until([&] { return !doors.opened.empty(); }));
  run_for(loop, Duration(200));
  EXPECT_EQ(phase(key), Phase::starting);
  EXPECT_EQ(doors.opened.size(), 1u);
  EXPECT_EQ(doors.opened[0].second, key);
}

TEST_F(HostFloorTest, TheControllerHasDoorsToo) {
  machines::MachineSpec spec;
  spec.role = "controller";
  const auto controller = cluster.launch_one(spec);
  ASSERT_TRUE(until([&] { return !doors.opened.empty(); }));
  EXPECT_EQ(doors.opened[0], std::make_pair(controller.id, MachineKey{0}));
  ASSERT_TRUE(cluster.client().kill({controller.id}));
  ASSERT_TRUE(until([&] { return !doors.closed.empty(); }));
  EXPECT_EQ(doors.closed[0], controller.id);
  EXPECT_EQ(doors.opened.size(), 1u);
}

TEST_F(HostFloorTest, EvictionIsAPowerCutAndWhatDiesIsUnusable) {
  command = "trap '' TERM; exit 0";
  const auto machines = site->take(order(), 3).machines;
  ASSERT_TRUE(until([&] { return phase(machines[2]) == Phase::running && phase(machines[1]) == Phase::running; }));
  site->evict({machines[0]}, Duration(0));
  ASSERT_TRUE(until([&] { return vms().size() == 2; }));
  EXPECT_EQ(phase(machines[0]), Phase::evicted);
  std::string victim;
  for (const auto& machine : vms()) {
    if (machine.address == site->find(machines[1])->address) victim = machine.id;
  }
  ASSERT_TRUE(cluster.client().kill({victim}));
  ASSERT_TRUE(until([&] { return phase(machines[1]) == Phase::unusable; }));
  for (const auto& machine : vms(false)) {
    if (machine.state == MachineState::gone) {
      EXPECT_EQ(machine.end, "killed");
    }
  }
  site->return_evicted("batch/acc/demo-cpu");
  ASSERT_TRUE(until([&] { return phase(machines[0]) == Phase::running; }));
}

TEST_F(HostFloorTest, RebootedMachinesKeepTheirAddress) {
  const MachineKey key = site->take(order(), 1).machines[0];
  ASSERT_TRUE(until([&] { return phase(key) == Phase::running; }));
  const std::string address = site->find(key)->address;
  const int pid = site->pid_of(key);
  site->reboot(key, true);
  ASSERT_TRUE(until([&] { return phase(key) == Phase::running; }));
  EXPECT_NE(site->pid_of(key), pid);
  EXPECT_EQ(site->find(key)->address, address);
  EXPECT_EQ(vms().size(), 1u);
}

TEST_F(HostFloorTest, ANewFloorFindsItsMachines) {
  command = "sleep 0.7";
  const auto machines = site->take(order(), 2).machines;
  ASSERT_TRUE(until([&] { return phase(machines[0]) == Phase::running && phase(machines[1]) == Phase::running; }));
  const MachineKey slow = site->take(order(), 1).machines[0];
  ASSERT_TRUE(until([&] { return phase(slow) == Phase::start_task; }));
  const std::string saved = site->save();
  const MachineKey forgotten = site->take(order(), 1).machines[0];  // not in `saved`
  ASSERT_TRUE(until([&] { return site->pid_of(forgotten) > 0; }));
  const int pid = site->pid_of(machines[0]);
  const auto before = vms();
  ASSERT_EQ(before.size(), 4u);
  std::string dies;
  for (const auto& machine : before) {
    if (machine.address == site->find(machines[1])->address) dies = machine.id;
  }
  site.reset();
  floor.reset();
  ASSERT_TRUE(cluster.client().kill({dies}));
  doors.opened.clear();

  open();
  const auto order_of = [this](const Order& from) { return order(from.group); };
  ASSERT_TRUE(site->load(saved, order_of));
  ASSERT_TRUE(until([&] { return phase(slow) == Phase::running; }));
  ASSERT_TRUE(until([&] { return phase(machines[1]) == Phase::unusable; }));
  EXPECT_EQ(phase(machines[0]), Phase::running);
  EXPECT_EQ(site->pid_of(machines[0]), pid);
  ASSERT_TRUE(until([&] { return vms().size() == 2; }));  // the forgotten one is ended
  for (const auto& machine : vms()) EXPECT_EQ(log_of(machine.id, status_file), "ended 0\n");
  EXPECT_GE(doors.opened.size(), 2u);

  // Killed between the site's wish and the host's launch.
  command = "true";
  const MachineKey wanted = site->take(order(), 1).machines[0];
  site->set_levers({});
  loop.after(Duration(0), [this] { loop.stop(); });
  loop.run();
  ASSERT_EQ(phase(wanted), Phase::starting);
  const std::string early = site->save();
  site.reset();
  floor.reset();
  open();
  ASSERT_TRUE(site->load(early, order_of));
  ASSERT_TRUE(until([&] { return phase(wanted) == Phase::running; }));
  ASSERT_TRUE(until([&] { return vms().size() == 3; }));
}

TEST_F(HostFloorTest, ANewFloorEndsWhatWasLeaving) {
  const auto machines = site->take(order(), 2).machines;
  ASSERT_TRUE(until([&] { return phase(machines[0]) == Phase::running && phase(machines[1]) == Phase::running; }));
  site->release({machines[0]});
  const std::string saved = site->save();
  site.reset();
  floor.reset();
  ASSERT_EQ(vms().size(), 2u);  // nobody was told
  open();
  ASSERT_TRUE(site->load(saved, [this](const Order& from) { return order(from.group); }));
  ASSERT_TRUE(until([&] { return site->find(machines[0]) == nullptr && vms().size() == 1; }));
  run_for(loop, Duration(100));
  EXPECT_EQ(phase(machines[1]), Phase::running);
}

TEST_F(HostFloorTest, TheHostsOwnRestartLosesNothing) {
  cluster.kill_host();
  const auto machines = site->take(order(), 2).machines;
  run_for(loop, Duration(100));
  EXPECT_EQ(phase(machines[0]), Phase::starting);
  cluster.start_host();
  ASSERT_TRUE(until([&] { return phase(machines[0]) == Phase::running && phase(machines[1]) == Phase::running; }));
  EXPECT_EQ(vms().size(), 2u);
}

TEST_F(HostFloorTest, FullBoxesAreTold) {
  command.clear();
  const auto machines = site->take(order("x/nowhere"), 1).machines;
  ASSERT_TRUE(until([&] { return phase(machines[0]) == Phase::running; }));  // an empty command is done at once
  auto bad = std::make_shared<Order>(*order());
  bad->recipe = [](const Machine&) { return Recipe{"/no/such/image", "true", {}}; };
  const MachineKey key = site->take(bad, 1).machines[0];
  ASSERT_TRUE(until([&] { return phase(key) == Phase::unusable; }));
}

TEST(HostCalls, StatusesAreReadWhateverTheySay) {
  EXPECT_FALSE(parse_status("").begun);
  EXPECT_FALSE(parse_status("nonsense\n").begun);
  EXPECT_TRUE(parse_status("begun\n").begun);
  EXPECT_FALSE(parse_status("begun\n").status);
  EXPECT_EQ(parse_status("ended 0\n").status, 0);
  EXPECT_EQ(parse_status("ended 137\n").status, 137);
  EXPECT_EQ(parse_status("ended \n").status, 1);
  EXPECT_EQ(parse_status("ended 99999999999\n").status, 1);
  EXPECT_EQ(parse_status("ended -1\n").status, 1);
}

}  // namespace
}  // namespace slipway::rehearse
