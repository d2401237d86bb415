// What every provider must do, whatever is behind it: one suite, instantiated for each provider in tests/cloud/.
//
//   class MyWorld : public ProviderWorld { … };
//   INSTANTIATE_TEST_SUITE_P(Mine, ProviderContract, ::testing::Values([] { return std::make_unique<MyWorld>(); }));
//   world_name);
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cloud/provider.h"

namespace slipway::cloud {

// A provider with something real, or something that behaves like it, behind. All of it is gone when the world ends.
class ProviderWorld {
 public:
  virtual ~ProviderWorld() = default;
  virtual std::string name() const = 0;
  virtual Provider& provider() = 0;
  virtual PoolName pool() const = 0;        // one that can be launched in
  virtual PoolName other_pool() const = 0;  // another
  virtual Duration patience() const = 0;    // for a launch or an end to show in listings

  // An instance dies without anybody having asked for it.
  virtual void kill(const InstanceId& instance) = 0;
  // The next so many instances of `pool` are refused for lack of capacity.
  virtual void refuse_next(const PoolName& pool, uint32_t count) = 0;
  // The provider can't be reached, and can again.
  virtual void disconnect() = 0;
  virtual void reconnect() = 0;
};

using MakeWorld = std::function<std::unique_ptr<ProviderWorld>()>;

class ProviderContract : public ::testing::TestWithParam<MakeWorld> {
 protected:
  static constexpr Duration timeout{30'000};

  void SetUp() override {
    world_ = GetParam()();
    ASSERT_NE(world_, nullptr);
  }

  Provider& provider() { return world_->provider(); }

  LaunchReceipt launch(uint32_t count, const std::string& token, const PoolName& pool) {
    auto receipt = provider().launch({pool, count, token, model::Market::on_demand}, timeout);
    if (receipt) return *receipt;
    ADD_FAILURE() << receipt.error().message;
    return {};
  }
  LaunchReceipt launch(uint32_t count, const std::string& token) { return launch(count, token, world_->pool()); }

  // Every instance of a launch, in complete listings only.
  std::vector<model::Instance> of_token(const std::string& token) {
    auto listing = provider().list(timeout);
    std::vector<model::Instance> found;
    if (!listing || !listing->complete) return found;
    for (const model::Instance& instance : listing->instances) {
      if (instance.launch_token == token) found.push_back(instance);
    }
    return found;
  }
  static size_t alive(const std::vector<model::Instance>& instances) {
    return static_cast<size_t>(std::count_if(instances.begin(), instances.end(),
                                             [](const auto& i) { return i.state != model::InstanceState::gone; }));
  }
  std::vector<InstanceId> ids_of(const std::vector<model::Instance>& instances) {
    std::vector<InstanceId> ids;
    for (const model::Instance& instance : instances) ids.push_back(instance.id);
    return ids;
  }
  bool eventually(const std::function<bool()>& holds) {
    auto deadline = std::chrono::steady_clock::now() + world_->patience();
    while (!holds()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return true;
  }
  bool runs(const std::string& token, size_t count) {
    return eventually([&] {
      auto instances = of_token(token);
      auto running = std::count_if(instances.begin(), instances.end(),
                                   [](const auto& i) { return i.state == model::InstanceState::running; });
      return static_cast<size_t>(running) == count;
    });
  }

  std::unique_ptr<ProviderWorld> world_;
};

TEST_P(ProviderContract, StartsEmpty) {
  auto listing = provider().list(timeout);
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_TRUE(listing->complete);
  EXPECT_TRUE(listing->instances.empty());
}

TEST_P(ProviderContract, ALaunchAppearsAndRuns) {
  LaunchReceipt receipt = launch(3, "t-1");
  EXPECT_EQ(receipt.accepted, 3u);
  EXPECT_FALSE(receipt.shortfall);
  if (provider().capabilities().names_instances_at_launch) {
    EXPECT_EQ(receipt.instances.size(), 3u);
  }
  ASSERT_TRUE(runs("t-1", 3));
  auto instances = of_token("t-1");
  ASSERT_EQ(instances.size(), 3u);
  std::set<InstanceId> ids;
  std::set<std::string> addresses;
  for (const model::Instance& instance : instances) {
    ids.insert(instance.id);
    addresses.insert(instance.address);
    EXPECT_EQ(instance.pool, world_->pool());
    EXPECT_FALSE(instance.address.empty());
    EXPECT_GT(instance.launched_at, TimePoint{});
    EXPECT_FALSE(instance.trouble);
  }
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_EQ(addresses.size(), 3u);
  if (!receipt.instances.empty()) {
    EXPECT_EQ(ids, std::set<InstanceId>(receipt.instances.begin(), receipt.instances.end()));
  }
}

TEST_P(ProviderContract, AListingIsTrueOfItsAsOf) {
  SystemClock clock;
  TimePoint before = clock.now();
  launch(1, "t-1");
  ASSERT_TRUE(runs("t-1", 1));
  TimePoint asked = clock.now();
  auto listing = provider().list(timeout);
  ASSERT_TRUE(listing);
  // Two clocks of one box, read a moment apart, may differ by their rounding.
  EXPECT_GE(listing->as_of, before);
  EXPECT_LE(listing->as_of, clock.now() + Duration(1'000));
  EXPECT_LE(asked - listing->as_of, Duration(1'000) + provider().capabilities().consistency_delay);
}

TEST_P(ProviderContract, ATokenLaunchesOnce) {
  launch(2, "t-1");
  LaunchReceipt again = launch(2, "t-1");
  EXPECT_EQ(again.accepted, 2u);
  ASSERT_TRUE(runs("t-1", 2));
  launch(2, "t-1");
  std::this_thread::sleep_for(provider().capabilities().consistency_delay);
  EXPECT_EQ(of_token("t-1").size(), 2u);
  launch(1, "t-2");
  ASSERT_TRUE(runs("t-2", 1));
  EXPECT_EQ(of_token("t-1").size(), 2u);
}

TEST_P(ProviderContract, ATokenFromManyThreadsLaunchesOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      (void)provider().launch({world_->pool(), 2, "t-1", model::Market::on_demand}, timeout);
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(runs("t-1", 2));
  std::this_thread::sleep_for(provider().capabilities().consistency_delay);
  EXPECT_EQ(of_token("t-1").size(), 2u);
}

TEST_P(ProviderContract, ATokenIsFreeAgainWhenItsInstancesAreGone) {
  launch(1, "t-1");
  ASSERT_TRUE(runs("t-1", 1));
  InstanceId first = of_token("t-1").front().id;
  ASSERT_TRUE(provider().terminate({first}, timeout));
  ASSERT_TRUE(eventually([&] { return alive(of_token("t-1")) == 0; }));
  launch(1, "t-1");
  ASSERT_TRUE(runs("t-1", 1));
  for (const model::Instance& instance : of_token("t-1")) {
    if (instance.state == model::InstanceState::running) {
      EXPECT_NE(instance.id, first);
    }
  }
}

TEST_P(ProviderContract, PoolsAreKeptApart) {
  launch(1, "t-1", world_->pool());
  launch(2, "t-2", world_->other_pool());
  ASSERT_TRUE(runs("t-1", 1));
  ASSERT_TRUE(runs("t-2", 2));
  for (const model::Instance& instance : of_token("t-1")) EXPECT_EQ(instance.pool, world_->pool());
  for (const model::Instance& instance : of_token("t-2")) EXPECT_EQ(instance.pool, world_->other_pool());
}

TEST_P(ProviderContract, TerminatedInstancesGoAndTheOthersStay) {
  launch(3, "t-1");
  ASSERT_TRUE(runs("t-1", 3));
  auto before = of_token("t-1");
  auto refused = provider().terminate({before[0].id, before[2].id}, timeout);
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_TRUE(refused->empty());
  ASSERT_TRUE(eventually([&] { return alive(of_token("t-1")) == 1; }));
  for (const model::Instance& instance : of_token("t-1")) {
    EXPECT_EQ(instance.state != model::InstanceState::gone, instance.id == before[1].id);
    EXPECT_FALSE(instance.trouble) << "an end that was asked for is no trouble";
  }
}

TEST_P(ProviderContract, TerminateMayBeRepeatedAndKnowsNobody) {
  launch(1, "t-1");
  ASSERT_TRUE(runs("t-1", 1));
  auto ids = ids_of(of_token("t-1"));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(provider().terminate(ids, timeout));
  ASSERT_TRUE(eventually([&] { return alive(of_token("t-1")) == 0; }));
  EXPECT_TRUE(provider().terminate(ids, timeout));
  EXPECT_TRUE(provider().terminate({InstanceId("i-99999999")}, timeout));
  EXPECT_TRUE(provider().terminate({}, timeout));
}

TEST_P(ProviderContract, AnInstanceCanBeTerminatedBeforeItRuns) {
  launch(5, "t-1");
  ASSERT_TRUE(eventually([&] { return of_token("t-1").size() == 5; }));
  ASSERT_TRUE(provider().terminate(ids_of(of_token("t-1")), timeout));
  EXPECT_TRUE(eventually([&] { return alive(of_token("t-1")) == 0; }));
}

TEST_P(ProviderContract, AnInstanceThatDiesIsGoneWithAReason) {
  launch(2, "t-1");
  ASSERT_TRUE(runs("t-1", 2));
  InstanceId victim = of_token("t-1").front().id;
  world_->kill(victim);
  ASSERT_TRUE(eventually([&] { return alive(of_token("t-1")) == 1; }));
  for (const model::Instance& instance : of_token("t-1")) {
    if (instance.id == victim) {
      EXPECT_TRUE(instance.trouble);
    } else {
      EXPECT_EQ(instance.state, model::InstanceState::running);
    }
  }
}

TEST_P(ProviderContract, LackOfCapacityIsSaidAndTyped) {
  world_->refuse_next(world_->pool(), 2);
  auto receipt = provider().launch({world_->pool(), 3, "t-1", model::Market::on_demand}, timeout);
  // Some clouds refuse at once, some accept and say so in a listing.
  size_t told = 0;
  if (!receipt) {
    EXPECT_EQ(receipt.error().code, ErrorCode::no_capacity);
    return;
  }
  if (receipt->shortfall) {
    EXPECT_EQ(receipt->shortfall->code, ErrorCode::no_capacity);
    EXPECT_EQ(receipt->accepted, 1u);
    told = 2;
  }
  EXPECT_TRUE(eventually([&] {
    if (told > 0) return true;
    auto listing = provider().list(timeout);
    return listing && std::any_of(listing->troubles.begin(), listing->troubles.end(), [](const PoolTrouble& trouble) {
             return trouble.error.code == ErrorCode::no_capacity;
           });
  }));
  EXPECT_TRUE(runs("t-1", 1));
}

TEST_P(ProviderContract, AnUnknownPoolIsBadConfig) {
  auto receipt = provider().launch({PoolName("no-such-pool"), 1, "t-1", model::Market::on_demand}, timeout);
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::bad_config);
}

TEST_P(ProviderContract, UnreachableIsAFailureNeverAnEmptyListing) {
  launch(1, "t-1");
  ASSERT_TRUE(runs("t-1", 1));
  world_->disconnect();
  auto listing = provider().list(Duration(2'000));
  if (listing) {
    EXPECT_FALSE(listing->complete);
  } else {
    EXPECT_EQ(listing.error().code, ErrorCode::transient);
  }
  auto receipt = provider().launch({world_->pool(), 1, "t-2", model::Market::on_demand}, Duration(2'000));
  ASSERT_FALSE(receipt);
  EXPECT_TRUE(receipt.error().code == ErrorCode::transient || receipt.error().code == ErrorCode::outcome_unknown)
      << to_string(receipt.error().code);
  EXPECT_FALSE(provider().terminate({InstanceId("i-1")}, Duration(2'000)));
  world_->reconnect();
  EXPECT_TRUE(runs("t-1", 1)) << "and nothing was lost";
  auto again = launch(1, "t-2");
  EXPECT_EQ(again.accepted, 1u);
  EXPECT_TRUE(runs("t-2", 1));
}

}  // namespace slipway::cloud
