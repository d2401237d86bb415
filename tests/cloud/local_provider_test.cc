// The local provider keeps the providers' contract, with real machines. Needs root.
#include "cloud/local/local_provider.h"

#include <gtest/gtest.h>

#include "../contract/provider_contract.h"
#include "../machines/test_cluster.h"
#include "base/channel.h"
#include "base/loop.h"

namespace slipway::cloud {
namespace {

model::Cluster two_pools() {
  model::Cluster cluster;
  cluster.name = "test";
  for (const char* name : {"cpu", "gpu"}) {
    model::Pool pool;
    pool.name = PoolName(name);
    cluster.pools.push_back(pool);
  }
  return cluster;
}

class LocalWorld final : public ProviderWorld {
 public:
  LocalWorld()
      : provider_(make_local_provider(two_pools(), machines::host_socket(cluster_.state()), "198.18.0.2:6830")) {
    cluster_.start_host();
  }
  std::string name() const override { return "local"; }
  Provider& provider() override { return *provider_; }
  PoolName pool() const override { return PoolName("cpu"); }
  PoolName other_pool() const override { return PoolName("gpu"); }
  Duration patience() const override { return Duration(30'000); }
  void kill(const InstanceId& instance) override {
    auto killed = cluster_.client().kill({instance.str()});
    EXPECT_TRUE(killed) << killed.error().message;
  }
  std::vector<model::Offer> offers() const override { return {{"m.large", "a"}, {"m.large", "b"}, {"m.small", "a"}}; }
  bool set_capacity(const PoolName& pool, model::Market market, const model::Offer& offer, uint32_t most,
                    ErrorCode error) override {
    auto set = cluster_.client().set_capacity({pool.str(), market, offer.machine, offer.zone, most, error});
    EXPECT_TRUE(set) << set.error().message;
    return true;
  }
  std::optional<Duration> evict(const InstanceId& instance) override {
    constexpr Duration notice{1'500};
    auto evicted = cluster_.client().evict({instance.str()}, notice);
    EXPECT_TRUE(evicted) << evicted.error().message;
    return notice;
  }
  void disconnect() override { cluster_.kill_host(); }
  void reconnect() override { cluster_.start_host(); }

  machines::TestCluster& cluster() { return cluster_; }

 private:
  machines::TestCluster cluster_;
  std::unique_ptr<Provider> provider_;
};

INSTANTIATE_TEST_SUITE_P(Local, ProviderContract, ::testing::Values([] { return std::make_unique<LocalWorld>(); }));

TEST(LocalProvider, AgentsAreToldWhereTheDaemonIs) {
  LocalWorld world;
  auto receipt = world.provider().launch({.pool = PoolName("gpu"), .count = 1, .token = "t"}, Duration(5'000));
  ASSERT_TRUE(receipt) << receipt.error().message;
  ASSERT_EQ(receipt->instances.size(), 1u);
  const std::string id = receipt->instances[0].str();
  ASSERT_TRUE(world.cluster().wait_for(
      id, [](const machines::Machine& m) { return m.state == machines::MachineState::running; }));
  auto boot_data = machines::run_in(world.cluster().find(id), "cat /run/slipway/boot.json").out;
  for (const char* part :
       {R"("daemon":"198.18.0.2:6830")", R"("role":"compute")", R"("pool":"gpu")", R"("cluster":"test")"}) {
    EXPECT_NE(boot_data.find(part), std::string::npos) << part << " in " << boot_data;
  }
}

// In no pool, so nothing is decided about it; but who joins from there is known.
TEST(LocalProvider, ALoginMachineIsListedInNoPool) {
  LocalWorld world;
  machines::MachineSpec login = world.cluster().compute();
  login.role = "login";
  login.pool = "";
  world.cluster().launch_one(login);
  auto listing = world.provider().list(Duration(5'000));
  ASSERT_TRUE(listing);
  ASSERT_EQ(listing->instances.size(), 1u);
  EXPECT_TRUE(listing->instances[0].pool.str().empty());
}

TEST(LocalProvider, AMachineThatCannotStartSaysWhy) {
  LocalWorld world;
  machines::write_text_file(world.cluster().programs() / "slipway-agent", "#!/no/such/shell\n", 0755);
  auto receipt = world.provider().launch({.pool = PoolName("cpu"), .count = 1, .token = "t"}, Duration(5'000));
  ASSERT_TRUE(receipt);
  ASSERT_TRUE(world.cluster().wait_gone(receipt->instances.at(0).str()));
  auto listing = world.provider().list(Duration(5'000));
  ASSERT_TRUE(listing);
  ASSERT_EQ(listing->instances.size(), 1u);
  ASSERT_TRUE(listing->instances[0].trouble);
  EXPECT_NE(listing->instances[0].trouble->message.find("failed to start"), std::string::npos)
      << listing->instances[0].trouble->message;
}

TEST(LocalProvider, AFrozenMachineRunsAsFarAsACloudCanTell) {
  LocalWorld world;
  auto machine = world.cluster().launch_one();
  ASSERT_TRUE(world.cluster().client().freeze({machine.id}));
  auto listing = world.provider().list(Duration(5'000));
  ASSERT_TRUE(listing);
  ASSERT_EQ(listing->instances.size(), 1u);
  EXPECT_EQ(listing->instances[0].state, model::InstanceState::running);
  EXPECT_FALSE(listing->instances[0].trouble);
}

// A host that takes the request and dies: whether it launched is unknown, and must be said.
TEST(LocalProvider, ALostAnswerIsOutcomeUnknown) {
  char name[] = "/tmp/slipway-provider-test-XXXXXX";
  ASSERT_TRUE(::mkdtemp(name));
  std::filesystem::path socket = std::filesystem::path(name) / "host.sock";
  Loop loop;
  std::vector<std::unique_ptr<Channel>> channels;
  auto listener = Listener::unix_socket(loop, socket, 0600, [&](std::unique_ptr<Channel> channel) {
    Channel* one = channel.get();
    channels.push_back(std::move(channel));
    one->on_message([&](const std::string&) { channels.clear(); });
  });
  ASSERT_TRUE(listener);
  std::thread server([&] { loop.run(); });
  auto provider = make_local_provider(two_pools(), socket, "198.18.0.2:6830");
  auto receipt = provider->launch({.pool = PoolName("cpu"), .count = 1, .token = "t"}, Duration(5'000));
  auto listing = provider->list(Duration(5'000));
  loop.stop();
  server.join();
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::outcome_unknown);
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, ErrorCode::transient);
  channels.clear();
  listener->reset();
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace slipway::cloud
