#include "rehearse/site.h"

#include <gtest/gtest.h>

#include <set>

#include "loop_runner.h"

namespace slipway::rehearse {
namespace {

using std::chrono::steady_clock;

// A site on virtual machines, and a loop that runs while a test waits.
class SiteTest : public ::testing::Test {
 protected:
  SiteTest() { open(); }

  void open() {
    site.reset();
    floor = make_virtual_floor(loop);
    site = std::make_unique<Site>(loop, clock, *floor, 7);
    site->watch([this](const Machine& machine, bool exists) {
      ++told;
      if (!exists) gone.push_back(machine.key);
    });
  }

  bool until(const std::function<bool()>& holds, Duration timeout = Duration(20'000)) {
    return run_until(loop, holds, timeout);
  }

  std::shared_ptr<Order> order(const std::string& group = "batch/acc/demo-cpu",
                               model::Market market = model::Market::on_demand) {
    auto made = std::make_shared<Order>();
    made->group = group;
    made->size = "Standard_D4s_v5";
    made->market = market;
    made->quota_scope = "acc";
    made->family = "standardDSv5Family";
    made->cores = 4;
    made->name = [](MachineKey key) { return "vm" + std::to_string(key); };
    made->recipe = [this](const Machine& machine) {
      recipes.push_back(machine.key);
      return Recipe();
    };
    return made;
  }

  size_t in(Phase phase, const std::string& group = "batch/acc/demo-cpu") {
    size_t count = 0;
    for (const MachineKey key : site->of_group(group)) count += site->find(key)->phase == phase;
    return count;
  }
  void set(const std::string& levers) {
    auto parsed = parse_levers(levers);
    ASSERT_TRUE(parsed) << parsed.error().message;
    site->set_levers(*parsed);
  }
  // `count` running machines.
  std::vector<MachineKey> running(uint32_t count) {
    auto grant = site->take(order(), count);
    EXPECT_TRUE(until([&] { return in(Phase::running) == count; }));
    return grant.machines;
  }

  SystemClock clock;
  Loop loop;
  std::unique_ptr<Floor> floor;
  std::unique_ptr<Site> site;
  std::vector<MachineKey> recipes;
  std::vector<MachineKey> gone;
  size_t told = 0;
};

TEST_F(SiteTest, MachinesComeUpWithAddressesOfTheirOwn) {
  const auto grant = site->take(order(), 300);
  EXPECT_EQ(grant.machines.size(), 300u);
  EXPECT_TRUE(grant.shortfalls.empty());
  EXPECT_EQ(in(Phase::allocating), 300u);
  ASSERT_TRUE(until([&] { return in(Phase::running) == 300; }));
  EXPECT_EQ(recipes.size(), 300u);
  EXPECT_EQ(site->of_group("batch/acc/demo-cpu"), grant.machines);
  std::set<std::string> addresses;
  for (const MachineKey key : grant.machines) {
    const Machine& machine = *site->find(key);
    EXPECT_EQ(machine.name, "vm" + std::to_string(key));
    EXPECT_EQ(machine.boots, 1u);
    EXPECT_EQ(site->find_by_address(machine.address), &machine);
    EXPECT_EQ(machine.address.rfind("198.19.", 0), 0u) << machine.address;
    addresses.insert(machine.address);
  }
  EXPECT_EQ(addresses.size(), 300u);
  EXPECT_GE(told, 300u);
}

TEST_F(SiteTest, PhasesTakeTheirTime) {
  set(R"({"allocate_ms": 60, "boot_ms": 60, "release_ms": 60})");
  const auto start = clock.now();
  const auto grant = site->take(order(), 1);
  EXPECT_EQ(site->find(grant.machines[0])->phase, Phase::allocating);
  ASSERT_TRUE(until([&] { return in(Phase::starting) == 1; }));
  EXPECT_GE(clock.now() - start, Duration(60));
  EXPECT_EQ(site->find(grant.machines[0])->address, "");
  ASSERT_TRUE(until([&] { return in(Phase::running) == 1; }));
  EXPECT_GE(clock.now() - start, Duration(120));
  site->release(grant.machines);
  EXPECT_EQ(in(Phase::leaving), 1u);
  run_for(loop, Duration(20));
  EXPECT_EQ(in(Phase::leaving), 1u);
  ASSERT_TRUE(until([&] { return site->find(grant.machines[0]) == nullptr && !gone.empty(); }));
  EXPECT_EQ(gone, grant.machines);
  EXPECT_TRUE(site->of_group("batch/acc/demo-cpu").empty());
  EXPECT_TRUE(site->groups().empty());
}

TEST_F(SiteTest, CapacityCountsWhatIsAllocatingAndIsFreedWhenGone) {
  set(R"({"capacity": [{"group": "cpu", "size": "STANDARD_D4S_V5", "most": 5}], "allocate_ms": 30})");
  const auto first = site->take(order(), 4);
  EXPECT_EQ(first.machines.size(), 4u);
  const auto second = site->take(order(), 4);
  EXPECT_EQ(second.machines.size(), 1u);
  ASSERT_EQ(second.shortfalls.size(), 1u);
  EXPECT_EQ(second.shortfalls[0].code, ErrorCode::no_capacity);
  EXPECT_EQ(second.shortfalls[0].count, 3u);
  EXPECT_NE(second.shortfalls[0].limit.find("4 of 5 machines"), std::string::npos) << second.shortfalls[0].limit;
  EXPECT_EQ(site->take(order("batch/acc/demo-gpu"), 2).machines.size(), 2u);  // another group
  site->release(first.machines);                                              // still allocating: gone at once
  EXPECT_EQ(site->take(order(), 9).machines.size(), 4u);
}

TEST_F(SiteTest, EachLimitIsToldWithWhatItCost) {
  set(R"({"quotas": [{"scope": "acc", "cores": 40}, {"family": "standardDSv5Family", "market": "spot", "cores": 4}],
          "capacity": [{"market": "on_demand", "most": 3}]})");
  const auto grant = site->take(order(), 12);
  EXPECT_EQ(grant.machines.size(), 3u);
  ASSERT_EQ(grant.shortfalls.size(), 2u);
  EXPECT_EQ(grant.shortfalls[0].code, ErrorCode::quota);
  EXPECT_EQ(grant.shortfalls[0].count, 2u);
  EXPECT_EQ(grant.shortfalls[1].code, ErrorCode::no_capacity);
  EXPECT_EQ(grant.shortfalls[1].count, 7u);
  EXPECT_EQ(site->cores_used("acc", "", std::nullopt), 12u);
  EXPECT_EQ(site->take(order("batch/acc/demo-cpu", model::Market::spot), 2).machines.size(), 1u);
  EXPECT_EQ(site->cores_used("acc", "standardDSv5Family", model::Market::spot), 4u);
  EXPECT_EQ(site->cores_used("other", "", std::nullopt), 0u);
}

TEST_F(SiteTest, BootsGoWrongAsTheLeversSay) {
  set(R"({"boots": [{"group": "cpu", "never_every": 5}, {"group": "cpu", "unusable_every": 4},
                    {"group": "cpu", "start_task_fails_every": 3}, {"group": "gpu", "silent_every": 1}]})");
  site->take(order(), 60);
  site->take(order("batch/acc/demo-gpu"), 2);
  ASSERT_TRUE(until([&] { return in(Phase::running, "batch/acc/demo-gpu") == 2; }));
  run_for(loop, Duration(20));
  EXPECT_EQ(in(Phase::unusable), 15u);      // 4, 8, … 60
  EXPECT_EQ(in(Phase::starting), 9u);       // 5, 10, … 60, but for 20, 40, 60
  EXPECT_EQ(in(Phase::start_failed), 12u);  // 3, 6, … 60, but for 12 24 36 48 60, 15 30 45
  EXPECT_EQ(in(Phase::running), 60u - 15 - 9 - 12);
  for (const MachineKey key : site->of_group("batch/acc/demo-cpu")) {
    if (site->find(key)->phase == Phase::start_failed) {
      EXPECT_EQ(site->find(key)->exit_status, 1);
    }
  }
}

TEST_F(SiteTest, EvictedWithNotice) {
  const auto machines = running(3);
  site->evict({machines[0], machines[1]}, Duration(80));
  const Machine& noticed = *site->find(machines[0]);
  EXPECT_EQ(noticed.phase, Phase::running);
  EXPECT_GT(noticed.evict_at, clock.now());
  EXPECT_FALSE(noticed.event_id.empty());
  EXPECT_NE(noticed.event_id, site->find(machines[1])->event_id);
  site->acknowledge(noticed.event_id);
  EXPECT_EQ(noticed.phase, Phase::evicted);
  EXPECT_EQ(site->find(machines[1])->phase, Phase::running);
  site->acknowledge("nobody's");
  ASSERT_TRUE(until([&] { return site->find(machines[1])->phase == Phase::evicted; }));
  EXPECT_EQ(site->find(machines[1])->event_id, "");
  EXPECT_EQ(site->find(machines[2])->phase, Phase::running);
  EXPECT_EQ(site->cores_used("acc", "", std::nullopt), 4u);
}

TEST_F(SiteTest, NoticeEndsWithItsMachine) {
  const auto machines = running(1);
  site->evict(machines, Duration(40));
  site->release(machines);
  ASSERT_TRUE(until([&] { return !gone.empty(); }));
  run_for(loop, Duration(60));
  EXPECT_EQ(gone.size(), 1u);
}

TEST_F(SiteTest, EvictedMachinesReturnAsFarAsThereIsRoom) {
  const auto machines = running(4);
  site->evict(machines, Duration(0));
  EXPECT_EQ(in(Phase::evicted), 4u);
  set(R"({"capacity": [{"most": 3}]})");
  site->return_evicted("batch/acc/demo-cpu");
  ASSERT_TRUE(until([&] { return in(Phase::running) == 3; }));
  EXPECT_EQ(in(Phase::evicted), 1u);
  EXPECT_EQ(site->find(machines[0])->boots, 2u);
  EXPECT_EQ(site->cores_used("", "", std::nullopt), 12u);
  site->release(machines);
  ASSERT_TRUE(until([&] { return gone.size() == 4; }));
  EXPECT_EQ(site->cores_used("", "", std::nullopt), 0u);
}

TEST_F(SiteTest, RebootRunsTheRecipeAgain) {
  const auto machines = running(1);
  const std::string address = site->find(machines[0])->address;
  site->reboot(machines[0], false);
  EXPECT_EQ(site->find(machines[0])->phase, Phase::starting);
  ASSERT_TRUE(until([&] { return in(Phase::running) == 1; }));
  EXPECT_EQ(site->find(machines[0])->boots, 2u);
  EXPECT_EQ(site->find(machines[0])->address, address);
  EXPECT_EQ(recipes.size(), 2u);
}

TEST_F(SiteTest, VanishedMachinesAreToldOnce) {
  const auto machines = running(2);
  site->vanish({machines[0], 999});
  EXPECT_EQ(site->find(machines[0]), nullptr);
  EXPECT_TRUE(gone.empty());  // not from inside the call
  ASSERT_TRUE(until([&] { return !gone.empty(); }));
  run_for(loop, Duration(20));
  EXPECT_EQ(gone, std::vector<MachineKey>{machines[0]});
  EXPECT_EQ(site->of_group("batch/acc/demo-cpu"), std::vector<MachineKey>{machines[1]});
}

TEST_F(SiteTest, SavedAndLoaded) {
  set(R"({"boots": [{"never_every": 7}]})");
  site->take(order(), 8);
  ASSERT_TRUE(until([&] { return in(Phase::running) == 7; }));
  const auto machines = site->of_group("batch/acc/demo-cpu");
  site->evict({machines[0]}, Duration(0));
  site->evict({machines[1]}, Duration(150));
  site->take(order("batch/acc/dropped"), 1);
  set(R"({"allocate_ms": 100, "release_ms": 100})");
  site->release({machines[2]});
  const MachineKey late = site->take(order(), 1).machines.at(0);
  const std::string event = site->find(machines[1])->event_id;
  const std::string address = site->find(machines[3])->address;
  const std::string saved = site->save();

  open();
  const auto loaded = site->load(saved, [this](Order from) -> std::shared_ptr<const Order> {
    if (from.group.ends_with("dropped")) return nullptr;
    EXPECT_EQ(from.cores, 4u);
    EXPECT_EQ(from.quota_scope, "acc");
    from.name = [](MachineKey key) { return std::to_string(key); };
    from.recipe = [this](const Machine& machine) {
      recipes.push_back(machine.key);
      return Recipe();
    };
    return std::make_shared<const Order>(std::move(from));
  });
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(site->groups().size(), 1u);
  EXPECT_EQ(site->find(machines[0])->phase, Phase::evicted);
  EXPECT_EQ(site->find(machines[1])->event_id, event);
  EXPECT_EQ(site->find(machines[2])->phase, Phase::leaving);
  EXPECT_EQ(site->find(machines[3])->address, address);
  EXPECT_EQ(site->find_by_address(address)->key, machines[3]);
  EXPECT_EQ(site->find(late)->phase, Phase::allocating);
  EXPECT_EQ(site->cores_used("", "", std::nullopt), 4u * 8);
  EXPECT_GT(site->take(order(), 1).machines.at(0), late);  // keys are never used again
  ASSERT_TRUE(until([&] { return site->find(late)->phase == Phase::running; }));
  ASSERT_TRUE(until([&] { return site->find(machines[1])->phase == Phase::evicted; }));
  ASSERT_TRUE(until([&] { return site->find(machines[2]) == nullptr; }));
  run_for(loop, Duration(20));
  EXPECT_EQ(site->find(machines[6])->phase, Phase::starting);  // the one that never boots
}

TEST_F(SiteTest, DamagedStateIsRefused) {
  running(1);
  const std::string saved = site->save();
  size_t refused = 0;
  for (size_t length = 0; length < saved.size(); ++length) {
    open();
    refused += !site->load(saved.substr(0, length), [](Order) { return nullptr; });
  }
  EXPECT_EQ(refused, saved.size());
  open();
  EXPECT_FALSE(site->load(R"({"next_key":1,"orders":[],"machines":[[1,"a",0,1,0,0,"",0,0,"",1,0,0]]})",
                          [](Order) { return nullptr; }));
}

TEST_F(SiteTest, AHundredThousandAreLight) {
  auto started = steady_clock::now();
  auto took = [&] {
    const auto time = std::chrono::duration_cast<Duration>(steady_clock::now() - started);
    started = steady_clock::now();
    return time;
  };
  set(R"({"allocate_ms": [0, 200], "boot_ms": [0, 200], "release_ms": [0, 200]})");
  site->take(order(), 10'000);
  EXPECT_LT(took(), Duration(200));  // some 10 ms; a busy box has its moods
  site->take(order(), 90'000);
  ASSERT_TRUE(until([&] { return in(Phase::running) == 100'000; }, Duration(30'000)));
  EXPECT_LT(took(), Duration(10'000));
  const std::string saved = site->save();
  site->release(site->of_group("batch/acc/demo-cpu"));
  ASSERT_TRUE(until([&] { return gone.size() == 100'000; }, Duration(30'000)));
  EXPECT_LT(took(), Duration(10'000));
}

}  // namespace
}  // namespace slipway::rehearse
