// The provider over all its accounts: what is joined, what one account's trouble does to the others, who is believed.
#include "cloud/azure/azure_provider.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <filesystem>
#include <system_error>
#include <thread>

#include "base/files.h"
#include "batch_world.h"
#include "fake_http.h"

namespace slipway::cloud::azure {
namespace {

class TwoAccounts {
 public:
  TwoAccounts() {
    cluster.name = "demo";
    cluster.pools = {batch_pool_of_file("cpu", one.url()), batch_pool_of_file("far", two.url())};
    cluster.pools[1].azure->account = "other";
    cluster.azure.emplace();
    cluster.azure->endpoints.imds = imds.url();
    cluster.azure->endpoints.arm = imds.url();
    cluster.azure->endpoints.login = imds.url();
  }
  Provider& provider() {
    if (!provider_) {
      auto made = make_azure_provider(cluster, clock, {.daemon = "10.0.0.4:6830", .daemon_key = "00"});
      EXPECT_TRUE(made) << made.error().message;
      provider_ = std::move(*made);
    }
    return *provider_;
  }
  Result<Listing> look() {
    clock.advance(Duration(1'000));
    return provider().list(batch_patience);
  }
  FakeBatch one;
  FakeBatch two;
  std::atomic<int> tokens{0};
  FakeHttp imds{[this](const http::Asked&) {
    return http::Response{200, {}, R"({"access_token":"t)" + std::to_string(++tokens) + R"(","expires_in":"3600"})"};
  }};
  ManualClock clock{TimePoint(Duration(1'800'000'000'000))};
  model::Cluster cluster;

 private:
  std::unique_ptr<Provider> provider_;
};

LaunchRequest want(const char* pool, uint32_t count) {
  return {.pool = PoolName(pool), .count = count, .token = std::string("t-") + pool};
}

TEST(AzureProvider, JoinsItsAccounts) {
  TwoAccounts world;
  ASSERT_TRUE(world.look());
  ASSERT_TRUE(world.provider().launch(want("cpu", 2), batch_patience));
  ASSERT_TRUE(world.provider().launch(want("far", 3), batch_patience));
  auto listing = world.look();
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->on_the_way.size(), 2u);
  world.one.finish("demo-cpu");
  world.two.finish("demo-far");
  listing = world.look();
  ASSERT_TRUE(listing);
  EXPECT_TRUE(listing->complete);
  EXPECT_EQ(listing->instances.size(), 5u);
  EXPECT_LE(listing->as_of, world.clock.now());
  std::vector<InstanceId> ids;
  for (const auto& instance : listing->instances) ids.push_back(instance.id);
  ids.emplace_back("nobody/x");
  ids.emplace_back("i-1");
  auto refused = world.provider().terminate(ids, batch_patience);
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->empty());
  ASSERT_TRUE(world.look());
  EXPECT_EQ(world.one.called("remove"), 1u);
  EXPECT_EQ(world.two.called("remove"), 1u);
  EXPECT_EQ(world.tokens, 1) << "one token for both";
}

TEST(AzureProvider, AnAccountThatIsDownMakesTheListingIncompleteAndIsLeftAloneForAWhile) {
  TwoAccounts world;
  ASSERT_TRUE(world.look());
  ASSERT_TRUE(world.provider().launch(want("cpu", 2), batch_patience));
  world.two.replies["list pools"].assign(100, {500, "InternalError", {}});
  for (int i = 0; i < 6; ++i) {
    auto listing = world.look();
    ASSERT_TRUE(listing);
    EXPECT_FALSE(listing->complete);
  }
  EXPECT_EQ(world.one.called("list pools"), 7u);
  EXPECT_LT(world.two.called("list pools"), 6u);
  EXPECT_EQ(world.one.pool("demo-cpu").target[0], 2u) << "the other goes on";
  auto refused = world.provider().launch(want("far", 1), batch_patience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::transient);
  {
    const std::lock_guard lock(world.two.mutex);
    world.two.replies.clear();
  }
  world.clock.advance(Duration(30'000));
  EXPECT_TRUE(world.look()->complete);
}

TEST(AzureProvider, IsListedAlsoWhenNoThreadCanBeStarted) {
  TwoAccounts world;
  ASSERT_TRUE(world.look());
  pthread_attr_t before;
  pthread_attr_t huge;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_attr_init(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, size_t{1} << 50), 0);
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  EXPECT_THROW(std::thread([] {}), std::system_error);
  const auto listing = world.look();
  ASSERT_EQ(pthread_setattr_default_np(&before), 0);
  ASSERT_TRUE(listing);
  EXPECT_TRUE(listing->complete);
}

TEST(AzureProvider, WhatIncompleteListingsNoLongerShowVouchesForNothing) {
  TwoAccounts world;
  world.cluster.pools.pop_back();
  world.cluster.pools.push_back(batch_pool_of_file("near", world.one.url()));
  ASSERT_TRUE(world.look());
  ASSERT_TRUE(world.provider().launch(want("cpu", 1), batch_patience));
  ASSERT_TRUE(world.provider().launch(want("near", 1), batch_patience));
  ASSERT_TRUE(world.look());
  world.one.finish("demo-cpu");
  world.one.finish("demo-near");
  InstanceId id;
  const auto both = world.look();
  ASSERT_TRUE(both);
  for (const auto& instance : both->instances) {
    if (instance.pool == PoolName("cpu")) id = instance.id;
  }
  const auto code = [&] {
    const auto heard = world.provider().identify({id, "azure_token", "x", "10.9.9.9"}, batch_patience);
    return heard ? ErrorCode::permanent : heard.error().code;
  };
  EXPECT_EQ(code(), ErrorCode::denied) << "it is elsewhere";
  for (int second = 0; second < 70; ++second) {
    {
      const std::lock_guard lock(world.one.mutex);
      world.one.pools["demo-cpu"].nodes.clear();
      world.one.pools["demo-cpu"].target = {};
      // Of the two pools, the second can't be read.
      world.one.unread = "demo-near";
    }
    const auto listing = world.look();
    ASSERT_TRUE(listing);
    EXPECT_FALSE(listing->complete);
    if (second != 10) continue;
    EXPECT_EQ(code(), ErrorCode::denied) << "one listing alone may have left it out";
  }
  EXPECT_EQ(code(), ErrorCode::transient) << "not listed any more";
}

TEST(AzureProvider, AllDownIsAnError) {
  TwoAccounts world;
  ASSERT_TRUE(world.look());
  world.one.replies["list pools"] = {{403, "AuthenticationFailed", {}}};
  world.two.replies["list pools"] = {{500, "InternalError", {}}};
  const auto listing = world.look();
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, ErrorCode::denied);
  EXPECT_NE(listing.error().message.find(world.one.url()), std::string::npos);
}

TEST(AzureProvider, AnExpiredTokenIsReplaced) {
  TwoAccounts world;
  world.cluster.pools.pop_back();
  world.one.bearer = "t1";
  ASSERT_TRUE(world.look());
  {
    const std::lock_guard lock(world.one.mutex);
    world.one.bearer = "t2";
  }
  const auto listing = world.look();
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(world.tokens, 2);
}

TEST(AzureProvider, ASharedKeySignsInsteadOfAToken) {
  char name[] = "/tmp/slipway-provider-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name);
  ASSERT_TRUE(write_file(folder / "key", "c2VjcmV0\n"));
  TwoAccounts world;
  for (model::Pool& pool : world.cluster.pools) pool.azure->batch_key_file = folder / "key";
  EXPECT_TRUE(world.look());
  EXPECT_EQ(world.tokens, 0);
  ASSERT_TRUE(write_file(folder / "key", "not base64!"));
  auto refused = make_azure_provider(world.cluster, world.clock, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::bad_config);
  std::filesystem::remove_all(folder);
}

TEST(AzureProvider, MissingFilesAndPoolsAreSaidAtOnce) {
  TwoAccounts world;
  world.cluster.azure->endpoints.ca_file = "/no/such/file";
  EXPECT_EQ(make_azure_provider(world.cluster, world.clock, {}).error().code, ErrorCode::bad_config);
  model::Cluster none;
  EXPECT_EQ(make_azure_provider(none, world.clock, {}).error().code, ErrorCode::bad_config);
}

TEST(AzureProvider, CapabilitiesAreOfAnonymousLaunches) {
  TwoAccounts world;
  world.cluster.pools[1].azure->resize_timeout = Duration(1'800'000);
  const Capabilities capabilities = world.provider().capabilities();
  EXPECT_FALSE(capabilities.names_instances_at_launch);
  EXPECT_EQ(capabilities.launch_delay, Duration(1'800'000 + 120'000));
  EXPECT_EQ(capabilities.launch_window.quiet, Duration(1'000));
  EXPECT_EQ(capabilities.launch_window.longest, Duration(5'000));
  EXPECT_EQ(capabilities.terminate_batch_max, 100u);
}

TEST(AzureProvider, OnlyAListedMachineAtItsAddressIsHeard) {
  TwoAccounts world;
  ASSERT_TRUE(world.look());
  ASSERT_TRUE(world.provider().launch(want("cpu", 1), batch_patience));
  ASSERT_TRUE(world.look());
  world.one.finish("demo-cpu");
  const InstanceId id = world.look()->instances.at(0).id;
  const auto code = [&](const InstanceId& instance, const char* address) {
    const auto heard = world.provider().identify({instance, "azure_token", "x", address}, batch_patience);
    return heard ? ErrorCode::permanent : heard.error().code;
  };
  EXPECT_EQ(code(InstanceId("nobody/x"), "10.0.0.2"), ErrorCode::denied);
  EXPECT_EQ(code(InstanceId("cpu/x"), "10.0.0.2"), ErrorCode::transient) << "it may be listed later";
  EXPECT_EQ(code(id, "10.9.9.9"), ErrorCode::denied);
  EXPECT_EQ(code(id, "10.0.0.2"), ErrorCode::denied) << "no token";
  world.one.pools["demo-cpu"].nodes[0].address.clear();
  ASSERT_TRUE(world.look());
  EXPECT_EQ(code(id, "10.0.0.2"), ErrorCode::transient);
}

TEST(AzureProvider, APoolWithAnIdentityIsMadeThroughArm) {
  TwoAccounts world;
  world.cluster.pools.pop_back();
  world.cluster.pools[0].azure->node_identity = "/subscriptions/s/nodes";
  const auto listing = world.look();
  ASSERT_TRUE(listing);
  EXPECT_EQ(world.one.called("make"), 0u);
  const auto asked = world.imds.asked();
  ASSERT_FALSE(asked.empty());
  EXPECT_EQ(asked.back().method, "PUT");
  EXPECT_EQ(asked.back().target,
            "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg/providers/Microsoft.Batch/"
            "batchAccounts/acc/pools/demo-cpu?api-version=2024-07-01");
  EXPECT_NE(asked.back().body.find("UserAssigned"), std::string::npos);
  EXPECT_TRUE(listing->troubles.empty());
}

}  // namespace
}  // namespace slipway::cloud::azure
