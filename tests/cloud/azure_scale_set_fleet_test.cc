#include "cloud/azure/scale_set_fleet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "azure_scale_set_fake.h"

namespace slipway::cloud::azure {
namespace {

using model::InstanceState;
using model::Market;
constexpr Duration timeout{10'000};
const std::string set_put = "PUT virtualMachineScaleSets";
const std::string set_patch = "PATCH virtualMachineScaleSets";

class ScaleSets : public ::testing::Test {
 protected:
  ScaleSets() : clock(TimePoint(Duration(1'795'000'000'000))) {
    cluster.name = "hpc";
    cluster.provider = model::ProviderKind::azure;
    cluster.azure.emplace();
    model::Pool pool;
    pool.name = PoolName("cpu");
    pool.provider = model::ProviderKind::azure;
    pool.markets = {Market::on_demand, Market::spot};
    pool.machines = {"Standard_D2s_v5"};
    pool.azure.emplace();
    pool.azure->kind = model::AzurePoolKind::scale_set;
    pool.azure->subscription = "sub-1";
    pool.azure->resource_group = "rg-1";
    pool.azure->region = "westeurope";
    pool.azure->subnet =
        "/subscriptions/sub-1/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s";
    pool.azure->image = "almalinux:almalinux-hpc:8_10-hpc-gen2:latest";
    pool.azure->admin_user = "ada";  // so that no key must be made, which takes time
    pool.azure->admin_key = "ssh-ed25519 AAAA ada";
    cluster.pools.push_back(pool);
  }

  model::Pool& pool() { return cluster.pools[0]; }

  // As a daemon that was just started.
  void restart() {
    Endpoints endpoints;
    endpoints.arm = fake.url();
    FleetContext context{.cluster = std::make_shared<model::Cluster>(cluster),
                         .clock = clock,
                         .client = client,
                         .arm = std::make_shared<Rest>(client, std::make_shared<FakeBearer>()),
                         .endpoints = endpoints,
                         .options = {.daemon = "10.0.0.4:6830", .daemon_key = "00ff"}};
    std::vector<PoolName> pools;
    for (const model::Pool& one : cluster.pools) pools.push_back(one.name);
    fleet = make_scale_set_fleet(context, pools);
  }

  // Looked at once: its sets are there.
  void start() {
    restart();
    look();
    look();
    fake.reset_calls();
  }

  Listing look() {
    auto listing = fleet->list(timeout);
    if (!listing) {
      ADD_FAILURE() << listing.error().message;
      return {};
    }
    EXPECT_TRUE(listing->complete);
    return *listing;
  }
  Result<LaunchReceipt> try_launch(uint32_t count, const std::string& token, Market market = Market::on_demand) {
    return fleet->launch({.pool = PoolName("cpu"), .count = count, .token = token, .market = market}, timeout);
  }
  uint32_t launch(uint32_t count, const std::string& token, Market market = Market::on_demand) {
    auto receipt = try_launch(count, token, market);
    if (receipt) return receipt->accepted;
    ADD_FAILURE() << receipt.error().message;
    return 0;
  }
  std::vector<InstanceId> ids(const Listing& listing) {
    std::vector<InstanceId> all;
    for (const auto& instance : listing.instances) all.push_back(instance.id);
    return all;
  }
  uint32_t capacity(const std::string& set) {
    return fake.with([&](FakeCompute& f) { return f.sets.at(set).capacity; });
  }
  void later() { clock.advance(Duration(120'000)); }
  void shortly() { clock.advance(Duration(3'000)); }  // listings show what was done

  FakeCompute fake;
  http::Client client;
  ManualClock clock;
  model::Cluster cluster;
  std::unique_ptr<Fleet> fleet;
};

uint32_t on_the_way(const Listing& listing) {
  uint32_t count = 0;
  for (const auto& one : listing.on_the_way) count += one.count;
  return count;
}

TEST_F(ScaleSets, AreMadeEmptyWhenFirstLookedAt) {
  restart();
  const Listing first = look();
  EXPECT_TRUE(first.instances.empty());
  EXPECT_TRUE(first.troubles.empty());
  fake.with([](FakeCompute& f) {
    ASSERT_EQ(f.sets.size(), 2u);
    EXPECT_EQ(f.sets.at("hpc-cpu-od").capacity, 0u);
    EXPECT_EQ(f.sets.at("hpc-cpu-spot").tags.at("slipway-cluster"), "hpc");
    EXPECT_EQ(f.sets.at("hpc-cpu-spot").tags.at("slipway-pool"), "cpu");
  });
  look();
  look();
  EXPECT_EQ(fake.calls(set_put), 2u) << "made once";
}

TEST_F(ScaleSets, AnEmptyFleetCostsOneCallALook) {
  start();
  look();
  EXPECT_EQ(fake.calls("virtualMachineScaleSets"), 1u);
  EXPECT_EQ(fake.calls("virtualMachines"), 0u);
  EXPECT_EQ(fake.calls("networkInterfaces"), 0u);
}

TEST_F(ScaleSets, ABurstIsOneUpdate) {
  start();
  EXPECT_EQ(launch(300, "t-1"), 300u);
  EXPECT_EQ(fake.calls(set_patch), 1u);
  EXPECT_EQ(fake.calls(set_put), 0u);
  const Listing listing = look();
  ASSERT_EQ(listing.instances.size(), 300u);
  EXPECT_EQ(on_the_way(listing), 0u);
  std::set<std::string> addresses;
  for (const auto& instance : listing.instances) {
    EXPECT_EQ(instance.state, InstanceState::running);
    EXPECT_EQ(instance.launch_token, "t-1");
    EXPECT_EQ(instance.market, Market::on_demand);
    EXPECT_EQ(instance.offer.machine, "Standard_D2s_v5");
    EXPECT_EQ(instance.launched_at, TimePoint(Duration(1'795'341'600'500)));
    addresses.insert(instance.address);
  }
  EXPECT_EQ(addresses.size(), 300u);
  EXPECT_EQ(fake.calls("networkInterfaces"), 1u);
  look();
  EXPECT_EQ(fake.calls("networkInterfaces"), 1u) << "addresses are known now";
  const MachineFacts facts = fleet->machine(listing.instances[0].id);
  EXPECT_EQ(facts.vm_id.substr(0, 8), "abcd0000");
  EXPECT_NE(facts.resource_id.find("/virtualMachines/hpc-cpu-od_"), std::string::npos);
}

TEST_F(ScaleSets, ALaunchBeforeTheFirstLookMakesTheSetWithItsMachines) {
  restart();
  EXPECT_EQ(launch(4, "t-1"), 4u);
  EXPECT_EQ(fake.calls(set_put), 1u);
  EXPECT_EQ(fake.calls(set_patch), 0u);
  EXPECT_EQ(look().instances.size(), 4u);
}

TEST_F(ScaleSets, LaunchesAddUpAndKnowTheirMachines) {
  start();
  launch(3, "t-1");
  launch(2, "t-2");
  EXPECT_EQ(capacity("hpc-cpu-od"), 5u);
  launch(1, "t-3", Market::spot);
  std::map<std::string, int> tokens;
  for (const auto& instance : look().instances) ++tokens[instance.launch_token];
  EXPECT_EQ(tokens, (std::map<std::string, int>{{"t-1", 3}, {"t-2", 2}, {"t-3", 1}}));
}

TEST_F(ScaleSets, ATokenLaunchesOnce) {
  start();
  launch(3, "t-1");
  EXPECT_EQ(launch(3, "t-1"), 3u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
  Listing listing = look();
  launch(3, "t-1");
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
  ASSERT_TRUE(fleet->terminate(ids(listing), timeout));
  fake.finish();
  look();
  launch(3, "t-1");
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
  EXPECT_EQ(look().instances.size(), 3u);
}

TEST_F(ScaleSets, RemovalIsOneCallForAThousand) {
  start();
  launch(250, "t-1");
  auto all = ids(look());
  fake.reset_calls();
  auto refused = fleet->terminate(all, timeout);
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_TRUE(refused->empty());
  EXPECT_EQ(fake.calls("delete"), 1u);
  Listing listing = look();
  EXPECT_EQ(listing.instances.size(), 250u);
  for (const auto& instance : listing.instances) {
    EXPECT_EQ(instance.state, InstanceState::stopping);
    EXPECT_FALSE(instance.trouble);
  }
  ASSERT_TRUE(fleet->terminate(all, timeout)) << "repeated while it goes on";
  EXPECT_EQ(fake.calls("delete"), 1u);
  fake.finish();
  EXPECT_TRUE(look().instances.empty());
  ASSERT_TRUE(fleet->terminate(all, timeout)) << "and afterwards";
  EXPECT_EQ(fake.calls("delete"), 1u);
  later();
  look();
  EXPECT_EQ(fake.calls(set_patch), 0u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 0u);
}

TEST_F(ScaleSets, ANameThatIsGoneDoesNotFailTheOthers) {
  start();
  launch(3, "t-1");
  auto all = ids(look());
  const std::string victim = fake.any_vm("hpc-cpu-od");
  fake.with([&](FakeCompute& f) { f.vms.erase(victim); });  // behind our back
  auto refused = fleet->terminate(all, timeout);
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_TRUE(refused->empty());
  fake.finish();
  EXPECT_TRUE(look().instances.empty());
}

TEST_F(ScaleSets, ADaemonThatWasJustStartedCanTerminate) {
  start();
  launch(3, "t-1");
  auto all = ids(look());
  restart();
  all.push_back(instance_id(PoolName("cpu"), "hpc-cpu-od_ffffffff"));
  auto refused = fleet->terminate(all, timeout);
  ASSERT_TRUE(refused) << refused.error().message;
  fake.finish();
  EXPECT_TRUE(look().instances.empty());
}

TEST_F(ScaleSets, WhatWasAskedForIsOnTheWayAlsoAfterARestart) {
  start();
  launch(2, "t-0");
  look();
  fake.with([](FakeCompute& f) { f.hold = true; });
  launch(7, "t-1");
  EXPECT_EQ(on_the_way(look()), 7u);
  restart();
  Listing listing = look();
  EXPECT_EQ(listing.instances.size(), 2u);
  ASSERT_EQ(listing.on_the_way.size(), 1u);
  EXPECT_EQ(listing.on_the_way[0].count, 7u);
  EXPECT_EQ(listing.on_the_way[0].pool, PoolName("cpu"));
  // Another launch adds to what is on its way.
  launch(1, "t-2");
  EXPECT_EQ(capacity("hpc-cpu-od"), 10u);
  fake.finish();
  listing = look();
  EXPECT_EQ(listing.instances.size(), 10u);
  EXPECT_EQ(on_the_way(listing), 0u);
  EXPECT_TRUE(listing.troubles.empty()) << "the earlier operation was only preempted: "
                                        << listing.troubles[0].error.message;
}

struct Failing {
  std::string code;
  ErrorCode means;
};
class ScaleSetFailures : public ScaleSets, public ::testing::WithParamInterface<Failing> {};

TEST_P(ScaleSetFailures, AreTypedCountedAndPutDown) {
  start();
  fake.with([&](FakeCompute& f) {
    f.room = 3;
    f.failure_code = GetParam().code;
  });
  EXPECT_EQ(launch(10, "t-1"), 10u);
  Listing listing = look();
  EXPECT_EQ(listing.instances.size(), 3u);
  EXPECT_TRUE(listing.troubles.empty()) << "the others may only not be listed yet";
  EXPECT_EQ(capacity("hpc-cpu-od"), 10u);
  shortly();
  listing = look();
  EXPECT_EQ(listing.instances.size(), 3u);
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].error.code, GetParam().means) << listing.troubles[0].error.message;
  EXPECT_NE(listing.troubles[0].error.message.find(GetParam().code), std::string::npos);
  EXPECT_EQ(listing.troubles[0].count, 7u);
  EXPECT_EQ(listing.troubles[0].launch_token, "t-1");
  EXPECT_EQ(listing.troubles[0].market, Market::on_demand);
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u) << "nothing comes later that nobody waits for";
  EXPECT_EQ(on_the_way(listing), 0u);
  EXPECT_TRUE(look().troubles.empty()) << "told once";
}

INSTANTIATE_TEST_SUITE_P(Codes, ScaleSetFailures,
                         ::testing::Values(Failing{"AllocationFailed", ErrorCode::no_capacity},
                                           Failing{"ZonalAllocationFailed", ErrorCode::no_capacity},
                                           Failing{"OverconstrainedAllocationRequest", ErrorCode::no_capacity},
                                           Failing{"SkuNotAvailable", ErrorCode::no_capacity},
                                           Failing{"QuotaExceeded", ErrorCode::quota}));

TEST_F(ScaleSets, ALaunchAfterAFailureThatNobodySawCountsMachinesNotTheCapacity) {
  start();
  fake.with([](FakeCompute& f) { f.room = 3; });
  launch(10, "t-1");
  restart();  // what is left: capacity 10, three machines, state Failed
  fake.with([](FakeCompute& f) { f.room = 1'000; });
  look();
  shortly();
  launch(2, "t-2");
  EXPECT_EQ(capacity("hpc-cpu-od"), 5u);
  EXPECT_EQ(look().instances.size(), 5u);
}

TEST_F(ScaleSets, MachinesThatAreNotListedYetAreNotEnded) {
  start();
  look();
  shortly();
  fake.with([](FakeCompute& f) { f.vms_lag = 2; });
  launch(3, "t-1");
  EXPECT_EQ(look().instances.size(), 1u) << "and its operation is over";
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 3u);
  launch(1, "t-2");
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 4u);
  fake.with([](FakeCompute& f) { f.vms_lag = 0; });
  shortly();
  EXPECT_TRUE(look().troubles.empty());
  // Nor those that one listing leaves out again.
  fake.with([](FakeCompute& f) { f.vms_lag = 1; });
  later();
  EXPECT_EQ(look().instances.size(), 3u);
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 4u);
}

TEST_F(ScaleSets, AProcessThatHasJustStartedEndsNoMachineThatIsNotListedYet) {
  start();
  launch(3, "t-1");
  fake.with([](FakeCompute& f) { f.vms_lag = 1; });
  restart();
  EXPECT_EQ(look().instances.size(), 2u);
  launch(1, "t-2");
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 4u);
}

TEST_F(ScaleSets, ACapacityThatCannotBeReadIsNotZero) {
  start();
  launch(3, "t-1");
  look();
  later();
  fake.with([](FakeCompute& f) { f.uncounted = true; });
  auto listing = fleet->list(timeout);
  ASSERT_TRUE(listing);
  EXPECT_FALSE(listing->complete);
  auto receipt = try_launch(1, "t-2");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::transient);
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 3u);
  fake.with([](FakeCompute& f) { f.uncounted = false; });
  EXPECT_EQ(look().instances.size(), 3u);
}

TEST_F(ScaleSets, MachinesOfASetThatChangedItsOwnerAreNotTakenForGone) {
  start();
  launch(3, "t-1");
  look();
  fake.with([](FakeCompute& f) { f.sets.at("hpc-cpu-od").tags["slipway-cluster"] = "other"; });
  auto listing = fleet->list(timeout);
  ASSERT_TRUE(listing);
  EXPECT_FALSE(listing->complete);
  ASSERT_EQ(listing->troubles.size(), 1u);
  EXPECT_EQ(listing->troubles[0].error.code, ErrorCode::bad_config);
  EXPECT_FALSE(fleet->list(timeout)->complete);
  fake.with([](FakeCompute& f) { f.sets.at("hpc-cpu-od").tags["slipway-cluster"] = "hpc"; });
  EXPECT_EQ(look().instances.size(), 3u);
}

TEST_F(ScaleSets, AFailureThatNobodySawIsToldAfterARestart) {
  start();
  fake.with([](FakeCompute& f) { f.room = 3; });
  launch(10, "t-1");
  restart();
  look();
  shortly();
  Listing listing = look();
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].count, 7u);
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::no_capacity);
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
}

TEST_F(ScaleSets, MachinesThatCouldNotBeMadeAreToldAndDeleted) {
  start();
  fake.with([](FakeCompute& f) {
    f.room = 1;
    f.failed_vms_stay = true;
    f.failure_code = "ZonalAllocationFailed";
  });
  launch(4, "t-1");
  Listing listing = look();
  EXPECT_EQ(std::count_if(listing.instances.begin(), listing.instances.end(),
                          [](const auto& i) { return i.state == InstanceState::gone && i.trouble; }),
            3);
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].count, 3u);
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::no_capacity);
  EXPECT_EQ(fake.calls("delete"), 1u);
  listing = look();
  EXPECT_TRUE(listing.troubles.empty()) << "told once";
  EXPECT_EQ(std::count_if(listing.instances.begin(), listing.instances.end(),
                          [](const auto& i) { return i.state == InstanceState::gone; }),
            3)
      << "still gone while they are deleted";
  fake.finish();
  EXPECT_EQ(look().instances.size(), 1u);
  later();
  look();
  EXPECT_EQ(capacity("hpc-cpu-od"), 1u);
}

TEST_F(ScaleSets, ACapacityLeftBehindByADeletionIsPutDownWithoutAWord) {
  start();
  launch(4, "t-1");
  look();
  fake.with([](FakeCompute& f) { f.vms.erase(f.vms.begin()); });
  later();
  look();
  EXPECT_EQ(capacity("hpc-cpu-od"), 4u) << "the list may lag";
  shortly();
  const Listing listing = look();
  EXPECT_TRUE(listing.troubles.empty());
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
  EXPECT_EQ(listing.instances.size(), 3u);
}

TEST_F(ScaleSets, TheCapacityIsNotLoweredWhileMachinesAreBeingDeleted) {
  start();
  launch(4, "t-1");
  const auto all = ids(look());
  ASSERT_TRUE(fleet->terminate({all[0], all[1]}, timeout));
  // As if the service lowered the capacity only at the end.
  fake.with([](FakeCompute& f) { f.sets.at("hpc-cpu-od").capacity = 4; });
  later();
  look();
  EXPECT_EQ(capacity("hpc-cpu-od"), 4u);
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 2u);
  fake.finish();
  look();
  later();
  look();
  EXPECT_EQ(capacity("hpc-cpu-od"), 2u);
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 2u) << "nobody else went";
}

TEST_F(ScaleSets, ACapacityThatCannotBePutDownIsNotTriedAtEveryLook) {
  start();
  launch(4, "t-1");
  look();
  fake.with([](FakeCompute& f) {
    f.vms.erase(f.vms.begin());
    f.refuse = set_patch;
    f.refuse_status = 403;
    f.refuse_code = "AuthorizationFailed";
  });
  fake.reset_calls();
  later();
  look();
  shortly();
  for (int i = 0; i < 5; ++i) look();
  EXPECT_EQ(fake.calls(set_patch), 1u);
  later();
  look();
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
}

TEST_F(ScaleSets, SomebodyElsesChangeIsLookedAtAgain) {
  start();
  fake.with([](FakeCompute& f) { f.meddle = set_patch; });
  EXPECT_EQ(launch(2, "t-1"), 2u);
  EXPECT_EQ(fake.calls(set_patch), 2u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 2u);
}

TEST_F(ScaleSets, ALostReplyIsUnknownAndItsRepetitionLaunchesNothingMore) {
  start();
  fake.with([](FakeCompute& f) { f.lose = set_patch; });
  auto receipt = try_launch(3, "t-1");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::outcome_unknown);
  EXPECT_EQ(launch(3, "t-1"), 3u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
  EXPECT_EQ(look().instances.size(), 3u);
}

TEST_F(ScaleSets, AServiceThatBrokeOffAfterTheEffectLaunchesNothingTwice) {
  start();
  fake.with([](FakeCompute& f) {
    f.lose = set_patch;
    f.refuse_status = 500;
  });
  auto receipt = try_launch(3, "t-1");
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
  EXPECT_FALSE(receipt);
  EXPECT_EQ(launch(3, "t-1"), 3u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
}

TEST_F(ScaleSets, ALostRequestIsRepeated) {
  start();
  fake.with([](FakeCompute& f) {
    f.refuse = set_patch;
    f.refuse_status = 504;
    f.refuse_code = "GatewayTimeout";
  });
  auto receipt = try_launch(3, "t-1");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::outcome_unknown);
  EXPECT_EQ(launch(3, "t-1"), 3u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 3u);
}

TEST_F(ScaleSets, ALostRequestThatIsNotRepeatedIsToldAndForgotten) {
  start();
  fake.with([](FakeCompute& f) {
    f.refuse = set_patch;
    f.refuse_status = 504;
  });
  ASSERT_FALSE(try_launch(3, "t-1"));
  EXPECT_EQ(on_the_way(look()), 3u) << "it may have happened";
  later();
  Listing listing = look();
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].launch_token, "t-1");
  EXPECT_EQ(listing.troubles[0].count, 3u);
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::transient);
  EXPECT_EQ(on_the_way(listing), 0u);
  EXPECT_TRUE(look().troubles.empty()) << "once";
}

TEST_F(ScaleSets, ThrottlingIsToldWithItsPause) {
  start();
  fake.with([](FakeCompute& f) { f.refuse = set_patch; });
  auto receipt = try_launch(3, "t-1");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::throttled);
  EXPECT_EQ(receipt.error().retry_after, Duration(17'000));
  fake.with([](FakeCompute& f) { f.refuse = "virtualMachineScaleSets"; });
  auto listing = fleet->list(timeout);
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, ErrorCode::throttled);
}

TEST_F(ScaleSets, AListThatCannotBeReadIsNotAnEmptyOne) {
  start();
  launch(3, "t-1");
  ASSERT_EQ(look().instances.size(), 3u);
  fake.with([](FakeCompute& f) { f.refuse = "virtualMachines"; });
  auto listing = fleet->list(timeout);
  ASSERT_TRUE(listing);
  EXPECT_FALSE(listing->complete);
  EXPECT_EQ(look().instances.size(), 3u);
}

TEST_F(ScaleSets, PagesAreReadToTheEnd) {
  pool().machines = {"Standard_D2s_v5", "Standard_D4s_v5", "Standard_D8s_v5"};
  fake.with([](FakeCompute& f) { f.page = 100; });
  start();
  for (const std::string& machine : pool().machines) {
    LaunchRequest request{.pool = PoolName("cpu"), .count = 833, .token = machine};
    request.offers = {{machine, ""}};
    ASSERT_TRUE(fleet->launch(request, timeout));
  }
  const Listing listing = look();
  EXPECT_EQ(listing.instances.size(), 2'499u);
  EXPECT_EQ(std::count_if(listing.instances.begin(), listing.instances.end(),
                          [](const auto& i) { return i.offer.machine == i.launch_token && !i.address.empty(); }),
            2'499);
  EXPECT_EQ(fake.calls("virtualMachines"), 27u);
}

TEST_F(ScaleSets, ASetHoldsAThousand) {
  start();
  launch(990, "t-1");
  look();
  auto receipt = try_launch(20, "t-2");
  ASSERT_TRUE(receipt) << receipt.error().message;
  EXPECT_EQ(receipt->accepted, 10u);
  ASSERT_EQ(receipt->refusals.size(), 1u);
  EXPECT_EQ(receipt->refusals[0].error.code, ErrorCode::quota);
  receipt = try_launch(1, "t-3");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::quota);
}

TEST_F(ScaleSets, EvictedSpotMachinesAreGoneAndDeleted) {
  pool().azure->evicted_are_deleted = false;
  start();
  launch(3, "t-1", Market::spot);
  look();
  const std::string victim = fake.any_vm("hpc-cpu-spot");
  fake.with([&](FakeCompute& f) { f.vms.at(victim).power = "deallocated"; });
  Listing listing = look();
  for (const auto& instance : listing.instances) {
    EXPECT_EQ(instance.market, Market::spot);
    if (parts_of(instance.id).machine == victim) {
      EXPECT_EQ(instance.state, InstanceState::gone);
      ASSERT_TRUE(instance.trouble);
      EXPECT_NE(instance.trouble->message.find("evicted"), std::string::npos);
    } else {
      EXPECT_EQ(instance.state, InstanceState::running);
    }
  }
  EXPECT_EQ(fake.calls("delete"), 1u);
  EXPECT_TRUE(listing.troubles.empty());
  fake.finish();
  listing = look();
  EXPECT_EQ(listing.instances.size(), 2u);
  later();
  look();
  EXPECT_EQ(capacity("hpc-cpu-spot"), 2u);
  EXPECT_EQ(fake.calls("delete"), 1u);
}

TEST_F(ScaleSets, AMachineThatRanIsNotDeletedForAViewWithoutPower) {
  start();
  launch(1, "t-1");
  look();
  const std::string vm = fake.any_vm("hpc-cpu-od");
  fake.with([&](FakeCompute& f) {
    f.vms[vm].state = "Failed";
    f.vms[vm].power.clear();
  });
  later();
  const Listing listing = look();
  ASSERT_EQ(listing.instances.size(), 1u);
  EXPECT_EQ(listing.instances[0].state, model::InstanceState::running);
  EXPECT_TRUE(listing.instances[0].trouble);
  look();
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 1u) << "the engine's to judge";
}

TEST_F(ScaleSets, ACapacityThatIsReadAsNoneEndsNoMachine) {
  start();
  launch(3, "t-1");
  look();
  fake.with([](FakeCompute& f) {
    f.sets.at("hpc-cpu-od").capacity = 0;
    ++f.sets.at("hpc-cpu-od").version;
  });
  launch(1, "t-2");
  EXPECT_EQ(capacity("hpc-cpu-od"), 4u);
}

TEST_F(ScaleSets, AMachineThatWasShutDownFromInsideIsInTrouble) {
  start();
  launch(1, "t-1");
  fake.with([](FakeCompute& f) { f.vms.begin()->second.power = "stopped"; });
  const Listing listing = look();
  ASSERT_EQ(listing.instances.size(), 1u);
  EXPECT_EQ(listing.instances[0].state, InstanceState::running);
  EXPECT_TRUE(listing.instances[0].trouble);
}

TEST_F(ScaleSets, SomebodyElsesSetIsLeftAlone) {
  fake.with([](FakeCompute& f) {
    f.sets["hpc-cpu-od"] = {.tags = {{"slipway-cluster", "other"}, {"slipway-pool", "cpu"}}, .capacity = 2};
    f.vms["hpc-cpu-od_00000001"] = {.set = "hpc-cpu-od"};
  });
  restart();
  Listing listing = look();
  EXPECT_TRUE(listing.instances.empty());
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::bad_config);
  EXPECT_NE(listing.troubles[0].error.message.find("other"), std::string::npos);
  EXPECT_TRUE(look().troubles.empty()) << "told once";
  auto receipt = try_launch(1, "t-1");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::bad_config);
  ASSERT_TRUE(fleet->terminate({instance_id(PoolName("cpu"), "hpc-cpu-od_00000001")}, timeout));
  EXPECT_EQ(fake.with([](FakeCompute& f) { return f.vms.size(); }), 1u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 2u);
}

TEST_F(ScaleSets, AUniformSetIsRefused) {
  start();
  fake.with([](FakeCompute& f) { f.sets.at("hpc-cpu-od").orchestration = "Uniform"; });
  auto receipt = try_launch(1, "t-1");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::bad_config);
}

TEST_F(ScaleSets, APriorityMixIsOneSetOfBothMarkets) {
  pool().azure->priority_mix = model::AzurePriorityMix{.base = 2, .on_demand_percent = 0};
  start();
  EXPECT_EQ(fake.with([](FakeCompute& f) { return f.sets.size(); }), 1u);
  launch(3, "t-1", Market::on_demand);
  launch(2, "t-2", Market::spot);
  EXPECT_EQ(capacity("hpc-cpu"), 5u);
  const Listing listing = look();
  EXPECT_EQ(std::count_if(listing.instances.begin(), listing.instances.end(),
                          [](const auto& i) { return i.market == Market::on_demand; }),
            2);
}

TEST_F(ScaleSets, AChangedFileIsAppliedOnceAndKeepsTheMachines) {
  start();
  launch(2, "t-1");
  look();
  pool().azure->image = "canonical:ubuntu-24_04-lts:server:latest";
  restart();
  fake.reset_calls();
  look();
  look();
  EXPECT_EQ(fake.calls(set_patch), 2u) << "one for each market's set";
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 2u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 2u);
  EXPECT_NE(fake.with([](FakeCompute& f) { return f.bodies[set_patch]; }).find("ubuntu-24_04"), std::string::npos);
  later();
  look();
  EXPECT_EQ(fake.calls(set_patch), 2u);
}

TEST_F(ScaleSets, WhatOnlyANewSetCanTakeWaitsForAnEmptyOne) {
  start();
  launch(2, "t-1");
  const auto all = ids(look());
  pool().zones = {"1", "2"};
  restart();
  fake.reset_calls();
  look();
  EXPECT_EQ(fake.calls("DELETE virtualMachineScaleSets"), 1u) << "the empty one of the spot market";
  EXPECT_EQ(fake.vms_of("hpc-cpu-od"), 2u);
  ASSERT_TRUE(fleet->terminate(all, timeout));
  fake.finish();
  for (int i = 0; i < 5; ++i) {
    later();
    look();
  }
  EXPECT_EQ(fake.calls("DELETE virtualMachineScaleSets"), 2u);
  fake.with([](FakeCompute& f) {
    ASSERT_TRUE(f.sets.contains("hpc-cpu-od"));
    EXPECT_NE(f.sets.at("hpc-cpu-od").body.find("\"zones\":[\"1\",\"2\"]"), std::string::npos);
  });
}

TEST_F(ScaleSets, OffersChooseTheSetAndTroublesNameTheirWay) {
  pool().machines = {"Standard_D2s_v5", "Standard_D4s_v5"};
  pool().zones = {"1", "2"};
  start();
  LaunchRequest request{.pool = PoolName("cpu"), .count = 4, .token = "t-1"};
  request.offers = {{"Standard_D4s_v5", "1"}, {"Standard_D4s_v5", "2"}};
  fake.with([](FakeCompute& f) { f.room = 1; });
  ASSERT_TRUE(fleet->launch(request, timeout));
  EXPECT_EQ(capacity("hpc-cpu-od-standard_d4s_v5"), 4u);
  look();
  shortly();
  const Listing listing = look();
  ASSERT_EQ(listing.instances.size(), 1u);
  EXPECT_FALSE(listing.instances[0].offer.zone.empty());
  ASSERT_EQ(listing.troubles.size(), 1u) << "a loss that were told for each zone would be counted as often";
  EXPECT_EQ(listing.troubles[0].offer, (model::Offer{"Standard_D4s_v5", ""}));
  EXPECT_EQ(listing.troubles[0].count, 3u);
}

TEST_F(ScaleSets, AWrongSettingIsToldOnce) {
  fake.with([](FakeCompute& f) {
    f.refuse = set_put;
    f.refuse_status = 400;
    f.refuse_code = "SubnetNotFound";
  });
  restart();
  Listing listing = look();
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::bad_config);
  EXPECT_TRUE(look().troubles.empty());
  later();
  look();
  EXPECT_EQ(fake.with([](FakeCompute& f) { return f.sets.size(); }), 2u) << "and tried again later";
}

TEST_F(ScaleSets, AnAddressThatIsNotThereYetIsAskedForAgainButNotAllTheTime) {
  start();
  fake.with([](FakeCompute& f) { f.nics_lag = true; });
  launch(1, "t-1");
  EXPECT_EQ(look().instances[0].address, "");
  look();
  EXPECT_EQ(fake.calls("networkInterfaces"), 1u);
  fake.with([](FakeCompute& f) { f.nics_lag = false; });
  later();
  EXPECT_NE(look().instances[0].address, "");
}

TEST_F(ScaleSets, ASetThatIsMissingInOneListIsAskedForByName) {
  start();
  launch(2, "t-1");
  look();
  auto hidden = fake.with([](FakeCompute& f) { return f.sets.extract("hpc-cpu-od").mapped(); });
  Listing listing = look();
  EXPECT_TRUE(listing.instances.empty()) << "really gone";
  EXPECT_EQ(fake.calls("GET virtualMachineScaleSets"), 2u);  // the launch's and this one
}

TEST_F(ScaleSets, NothingIsWithdrawnByLettingAzureChoose) {
  start();
  fake.with([](FakeCompute& f) { f.hold = true; });
  launch(5, "t-1");
  fake.reset_calls();
  auto taken = fleet->withdraw(PoolName("cpu"), Market::on_demand, 5, timeout);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, 0u);
  EXPECT_EQ(fake.calls(set_patch), 0u);
}

TEST_F(ScaleSets, UnreachableIsAFailure) {
  start();
  launch(1, "t-1");
  const auto all = ids(look());
  fake.with([](FakeCompute& f) { f.down = true; });
  auto listing = fleet->list(timeout);
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, ErrorCode::transient);
  EXPECT_FALSE(try_launch(1, "t-2"));
  EXPECT_FALSE(fleet->terminate(all, timeout));
  fake.with([](FakeCompute& f) { f.down = false; });
  EXPECT_EQ(look().instances.size(), 1u);
  EXPECT_EQ(capacity("hpc-cpu-od"), 1u);
}

}  // namespace
}  // namespace slipway::cloud::azure
