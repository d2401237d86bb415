// A fleet of Batch pools over FakeBatch, for tests.
#pragma once

#include "cloud/azure/batch_fleet.h"
#include "fake_batch.h"

namespace slipway::cloud::azure {

using model::Market;

inline constexpr Duration batch_patience{10'000};

class NoAuthorizer final : public Authorizer {
 public:
  Result<void> authorize(http::Request&, Duration) override { return {}; }
};

inline model::Pool batch_pool_of_file(const std::string& name, const std::string& url) {
  model::Pool pool;
  pool.name = PoolName(name);
  pool.provider = model::ProviderKind::azure;
  pool.machines = {"Standard_D4s_v5"};
  pool.markets = {Market::on_demand, Market::spot};
  pool.azure.emplace();
  pool.azure->subscription = "11111111-2222-3333-4444-555555555555";
  pool.azure->resource_group = "rg";
  pool.azure->region = "westeurope";
  pool.azure->account = "acc";
  pool.azure->account_url = url;
  pool.azure->image = "canonical:0001-com-ubuntu-server-jammy:22_04-lts:latest";
  pool.azure->node_agent = "batch.node.ubuntu 22.04";
  return pool;
}

class BatchWorld {
 public:
  BatchWorld() {
    cluster.name = "demo";
    cluster.pools = {batch_pool_of_file("cpu", batch.url())};
  }

  Fleet& fleet() {
    if (!fleet_) start();
    return *fleet_;
  }
  // A new process: nothing is remembered.
  void start() {
    fleet_.reset();
    const auto rest = std::make_shared<Rest>(client, std::make_shared<NoAuthorizer>());
    std::vector<PoolName> names;
    for (const model::Pool& pool : cluster.pools) names.push_back(pool.name);
    auto made = make_batch_fleet({std::make_shared<model::Cluster>(cluster),
                                  clock,
                                  client,
                                  rest,
                                  endpoints_of(cloud),
                                  {.daemon = "10.0.0.4:6830", .daemon_key = "00ff"}},
                                 rest, names);
    ASSERT_TRUE(made) << made.error().message;
    fleet_ = std::move(*made);
  }

  // A moment passes, and the daemon looks.
  Listing look() {
    clock.advance(Duration(1'000));
    auto listing = fleet().list(batch_patience);
    if (!listing) {
      ADD_FAILURE() << listing.error().message;
      return {};
    }
    return std::move(*listing);
  }
  uint32_t launch(uint32_t count, const std::string& token, Market market = Market::on_demand,
                  const std::string& pool = "cpu") {
    auto receipt =
        fleet().launch({.pool = PoolName(pool), .count = count, .token = token, .market = market}, batch_patience);
    if (!receipt) {
      ADD_FAILURE() << receipt.error().message;
      return 0;
    }
    return receipt->accepted;
  }
  // `count` nodes exist and run; nothing goes on.
  void have(uint32_t count, Market market = Market::on_demand) {
    look();
    launch(count, "have", market);
    look();
    batch.finish("demo-cpu");
    look();
    batch.forget_calls();
  }
  static uint32_t coming(const Listing& listing, Market market = Market::on_demand) {
    uint32_t total = 0;
    for (const OnTheWay& one : listing.on_the_way) total += one.market == market ? one.count : 0;
    return total;
  }
  std::array<uint32_t, 2> target() { return batch.pool("demo-cpu").target; }

  FakeBatch batch;
  ManualClock clock{TimePoint(Duration(1'800'000'000'000))};
  http::Client client;
  model::AzureCloud cloud;
  model::Cluster cluster;

 private:
  std::unique_ptr<Fleet> fleet_;
};

}  // namespace slipway::cloud::azure
