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
#include <map>
#include <memory>
#include <mutex>
#include <optional>
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
  // Two or more in which pool() can be launched in both markets; none when its pools have one shape in one place.
  virtual std::vector<model::Offer> offers() const { return {}; }
  // From now on at most so many instances of `pool` exist in that market and offer (an empty part of it: any); beyond,
  // a launch fails with `error`. False: there is no such lever.
  virtual bool set_capacity(const PoolName& pool, model::Market market, const model::Offer& offer, uint32_t most,
                            ErrorCode error) = 0;
  // The provider takes the instance back, after the notice that is returned. Nothing: there is no such lever.
  virtual std::optional<Duration> evict(const InstanceId& /*instance*/) { return std::nullopt; }
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

  // Machines of an anonymous launch carry no token: what hasn't been seen yet is of the oldest launch of its pool and
  // market that still misses some, as the engine takes it to be.
  bool anonymous() { return !provider().capabilities().names_instances_at_launch; }
  struct Asked {
    std::string token;
    PoolName pool;
    model::Market market;
    uint32_t count = 0;
  };

  Result<LaunchReceipt> launch(const LaunchRequest& request) {
    auto receipt = provider().launch(request, timeout);
    const std::lock_guard lock(mutex_);
    const bool known = std::any_of(asked_.begin(), asked_.end(), [&](const Asked& one) {
      return one.token == request.token && (one.count > 0 || !ended_.contains(request.token));
    });
    if (receipt && receipt->accepted > 0 && !known) {
      asked_.push_back({request.token, request.pool, request.market, receipt->accepted});
      ended_.erase(request.token);
    }
    return receipt;
  }
  LaunchReceipt launch(uint32_t count, const std::string& token, const PoolName& pool) {
    auto receipt = launch({.pool = pool, .count = count, .token = token});
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
    for (model::Instance& instance : listing->instances) {
      if (anonymous() && instance.launch_token.empty()) credit(instance);
      if (instance.launch_token == token) found.push_back(instance);
    }
    if (alive(found) == 0 && !found_[token].empty()) ended_.insert(token);
    for (const model::Instance& instance : found) found_[token].insert(instance.id);
    return found;
  }
  void credit(model::Instance& instance) {
    const std::lock_guard lock(mutex_);
    if (const auto known = credited_.find(instance.id); known != credited_.end()) {
      instance.launch_token = known->second;
      return;
    }
    for (Asked& one : asked_) {
      if (one.pool != instance.pool || one.market != instance.market || one.count == 0) continue;
      --one.count;
      instance.launch_token = credited_[instance.id] = one.token;
      return;
    }
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

 private:
  std::mutex mutex_;
  std::vector<Asked> asked_;                           // machines of them that haven't been seen
  std::map<InstanceId, std::string> credited_;         // to a token
  std::map<std::string, std::set<InstanceId>> found_;  // by token
  std::set<std::string> ended_;                        // tokens whose machines are all gone
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
  EXPECT_TRUE(receipt.refusals.empty());
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
  // Nobody can tell any more which machines an anonymous launch made: once they are there, its token is forgotten.
  if (!anonymous()) launch(2, "t-1");
  std::this_thread::sleep_for(provider().capabilities().consistency_delay);
  EXPECT_EQ(of_token("t-1").size(), 2u);
  launch(1, "t-2");
  ASSERT_TRUE(runs("t-2", 1));
  EXPECT_EQ(of_token("t-1").size(), 2u);
}

TEST_P(ProviderContract, ATokenFromManyThreadsLaunchesOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { (void)launch({.pool = world_->pool(), .count = 2, .token = "t-1"}); });
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
  if (!world_->set_capacity(world_->pool(), model::Market::on_demand, {}, 1, ErrorCode::no_capacity))
    GTEST_SKIP() << "no lever for capacity";
  auto receipt = launch({.pool = world_->pool(), .count = 3, .token = "t-1"});
  // Some clouds refuse at once, some accept and say so in a listing.
  size_t told = 0;
  if (!receipt) {
    EXPECT_EQ(receipt.error().code, ErrorCode::no_capacity);
    return;
  }
  if (!receipt->refusals.empty()) {
    EXPECT_EQ(receipt->refusals.front().error.code, ErrorCode::no_capacity);
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

TEST_P(ProviderContract, LabelsAreListedBack) {
  LaunchRequest request{.pool = world_->pool(), .count = 2, .token = "t-1", .market = model::Market::spot};
  request.offers = world_->offers();
  auto receipt = launch(request);
  ASSERT_TRUE(receipt) << receipt.error().message;
  launch(1, "t-2");
  ASSERT_TRUE(runs("t-1", 2));
  ASSERT_TRUE(runs("t-2", 1));
  for (const model::Instance& instance : of_token("t-1")) {
    EXPECT_EQ(instance.market, model::Market::spot);
    if (!request.offers.empty()) {
      EXPECT_EQ(instance.offer, request.offers.front());
    }
    EXPECT_EQ(instance.evict_at, TimePoint{});
  }
  for (const model::Instance& instance : of_token("t-2")) {
    EXPECT_EQ(instance.market, model::Market::on_demand);
    EXPECT_EQ(instance.placement, "");
  }
}

TEST_P(ProviderContract, APlacementIsListedBack) {
  if (anonymous()) GTEST_SKIP() << "the machines of anonymous launches of one pool can't be told apart";
  auto receipt =
      provider().launch({.pool = world_->pool(), .count = 1, .token = "t-1", .placement = "group-1"}, timeout);
  ASSERT_TRUE(receipt) << receipt.error().message;
  ASSERT_TRUE(runs("t-1", 1));
  EXPECT_EQ(of_token("t-1").front().placement, "group-1");
}

TEST_P(ProviderContract, OffersAreFilledInOrder) {
  auto offers = world_->offers();
  if (offers.size() < 2) GTEST_SKIP() << "pools of one offer";
  std::reverse(offers.begin(), offers.end());  // the request's order, whatever the world's is
  auto receipt = launch({.pool = world_->pool(), .count = 3, .token = "t-1", .offers = offers});
  ASSERT_TRUE(receipt) << receipt.error().message;
  EXPECT_EQ(receipt->accepted, 3u);
  EXPECT_TRUE(receipt->refusals.empty());
  ASSERT_TRUE(runs("t-1", 3));
  for (const model::Instance& instance : of_token("t-1")) EXPECT_EQ(instance.offer, offers.front());
}

TEST_P(ProviderContract, AShortOfferIsNamedAndTheNextMakesUpForIt) {
  if (anonymous()) GTEST_SKIP() << "what can't be had is said later, in a listing";
  auto offers = world_->offers();
  if (offers.size() < 2) GTEST_SKIP() << "pools of one offer";
  if (!world_->set_capacity(world_->pool(), model::Market::on_demand, offers[0], 1, ErrorCode::no_capacity))
    GTEST_SKIP() << "no lever for capacity";
  LaunchRequest request{.pool = world_->pool(), .count = 3, .minimum = 3, .token = "t-1"};
  request.offers = {offers[0], offers[1]};
  auto receipt = launch(request);
  ASSERT_TRUE(receipt) << receipt.error().message;
  EXPECT_EQ(receipt->accepted, 3u);
  ASSERT_EQ(receipt->refusals.size(), 1u);
  EXPECT_EQ(receipt->refusals[0].offer, offers[0]);
  EXPECT_EQ(receipt->refusals[0].error.code, ErrorCode::no_capacity);
  EXPECT_FALSE(receipt->refusals[0].error.message.empty());
  ASSERT_TRUE(runs("t-1", 3));
  auto instances = of_token("t-1");
  EXPECT_EQ(std::count_if(instances.begin(), instances.end(), [&](const auto& i) { return i.offer == offers[0]; }), 1);
  EXPECT_EQ(std::count_if(instances.begin(), instances.end(), [&](const auto& i) { return i.offer == offers[1]; }), 2);
}

TEST_P(ProviderContract, EveryShortOfferIsNamedWithItsReason) {
  if (anonymous()) GTEST_SKIP() << "what can't be had is said later, in a listing";
  auto offers = world_->offers();
  if (offers.size() < 2) GTEST_SKIP() << "pools of one offer";
  if (!world_->set_capacity(world_->pool(), model::Market::spot, offers[0], 1, ErrorCode::no_capacity) ||
      !world_->set_capacity(world_->pool(), model::Market::spot, offers[1], 1, ErrorCode::quota))
    GTEST_SKIP() << "no lever for capacity";
  LaunchRequest request{.pool = world_->pool(), .count = 4, .token = "t-1", .market = model::Market::spot};
  request.offers = {offers[0], offers[1]};
  auto receipt = launch(request);
  ASSERT_TRUE(receipt) << receipt.error().message;
  EXPECT_EQ(receipt->accepted, 2u);
  ASSERT_EQ(receipt->refusals.size(), 2u);
  EXPECT_EQ(receipt->refusals[0].offer, offers[0]);
  EXPECT_EQ(receipt->refusals[0].error.code, ErrorCode::no_capacity);
  EXPECT_EQ(receipt->refusals[1].offer, offers[1]);
  EXPECT_EQ(receipt->refusals[1].error.code, ErrorCode::quota);
  EXPECT_TRUE(runs("t-1", 2));
  // The other market has its own capacity.
  request.market = model::Market::on_demand;
  request.token = "t-2";
  auto other = launch(request);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->accepted, 4u);
  EXPECT_TRUE(runs("t-2", 4));
}

TEST_P(ProviderContract, FewerThanTheMinimumIsNone) {
  if (anonymous()) GTEST_SKIP() << "what can't be had is said later, in a listing";
  if (!world_->set_capacity(world_->pool(), model::Market::on_demand, {}, 2, ErrorCode::no_capacity))
    GTEST_SKIP() << "no lever for capacity";
  LaunchRequest request{.pool = world_->pool(), .count = 4, .minimum = 3, .token = "t-1"};
  request.offers = world_->offers();
  auto receipt = launch(request);
  if (receipt) {
    EXPECT_EQ(receipt->accepted, 0u);
    EXPECT_TRUE(receipt->instances.empty());
    ASSERT_FALSE(receipt->refusals.empty());
    EXPECT_EQ(receipt->refusals[0].error.code, ErrorCode::no_capacity);
  } else {
    EXPECT_EQ(receipt.error().code, ErrorCode::no_capacity);
  }
  std::this_thread::sleep_for(provider().capabilities().consistency_delay);
  EXPECT_EQ(alive(of_token("t-1")), 0u);
  // Nothing was made, so the token is as good as new.
  request.minimum = 2;
  auto again = launch(request);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->accepted, 2u);
  EXPECT_TRUE(runs("t-1", 2));
}

TEST_P(ProviderContract, AnEvictionIsNoticedAndThenHappens) {
  SystemClock clock;
  launch(2, "t-1");
  ASSERT_TRUE(runs("t-1", 2));
  const InstanceId victim = of_token("t-1").front().id;
  const auto find = [&](const InstanceId& id) {
    for (const model::Instance& instance : of_token("t-1")) {
      if (instance.id == id) return instance;
    }
    return model::Instance{};
  };
  const TimePoint before = clock.now();
  const std::optional<Duration> notice = world_->evict(victim);
  if (!notice) GTEST_SKIP() << "no lever for evictions";
  const TimePoint after = clock.now();
  model::Instance noticed;
  ASSERT_TRUE(eventually([&] {
    noticed = find(victim);
    return noticed.evict_at != TimePoint{};
  }));
  EXPECT_EQ(noticed.state, model::InstanceState::running) << "until then";
  EXPECT_GE(noticed.evict_at + Duration(1'000), before + *notice);
  EXPECT_LE(noticed.evict_at, after + *notice + Duration(1'000) + provider().capabilities().consistency_delay);
  ASSERT_TRUE(eventually([&] { return alive(of_token("t-1")) == 1; }));
  EXPECT_GE(clock.now() + Duration(1'000), noticed.evict_at);
  for (const model::Instance& instance : of_token("t-1")) {
    if (instance.id == victim) {
      ASSERT_TRUE(instance.trouble);
      EXPECT_NE(instance.trouble->message.find("evicted"), std::string::npos) << instance.trouble->message;
    } else {
      EXPECT_EQ(instance.state, model::InstanceState::running);
      EXPECT_EQ(instance.evict_at, TimePoint{});
    }
  }
}

TEST_P(ProviderContract, AnUnknownPoolIsBadConfig) {
  auto receipt = provider().launch({.pool = PoolName("no-such-pool"), .count = 1, .token = "t-1"}, timeout);
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::bad_config);
}

TEST_P(ProviderContract, UnreachableIsAFailureNeverAnEmptyListing) {
  launch(1, "t-1");
  ASSERT_TRUE(runs("t-1", 1));
  const InstanceId running = of_token("t-1").front().id;
  world_->disconnect();
  auto listing = provider().list(Duration(2'000));
  if (listing) {
    EXPECT_FALSE(listing->complete);
  } else {
    EXPECT_EQ(listing.error().code, ErrorCode::transient);
  }
  auto receipt = provider().launch({.pool = world_->pool(), .count = 1, .token = "t-2"}, Duration(2'000));
  ASSERT_FALSE(receipt);
  EXPECT_TRUE(receipt.error().code == ErrorCode::transient || receipt.error().code == ErrorCode::outcome_unknown)
      << to_string(receipt.error().code);
  EXPECT_FALSE(provider().terminate({running}, Duration(2'000)));
  world_->reconnect();
  EXPECT_TRUE(runs("t-1", 1)) << "and nothing was lost";
  auto again = launch(1, "t-2");
  EXPECT_EQ(again.accepted, 1u);
  EXPECT_TRUE(runs("t-2", 1));
}

}  // namespace slipway::cloud
