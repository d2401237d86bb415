// The provider contract over the simulated Azure: a whole daemon's worth of calls against its doors, with virtual
// machines.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <future>

#include "../contract/provider_contract.h"
#include "cloud/azure/azure_provider.h"
#include "http/client.h"
#include "http/server.h"
#include "rehearse/azure/face.h"
#include "rehearse/certificates.h"
#include "rehearse/gate.h"
#include "rehearse/site.h"

namespace slipway::cloud {
namespace {

constexpr const char* subscription = "11111111-2222-3333-4444-555555555555";
constexpr const char* batch_key = "c2VjcmV0LWtleS1vZi1hLWJhdGNoLWFjY291bnQtMTIzNDU2Nzg=";

class AzureWorld final : public ProviderWorld {
 public:
  explicit AzureWorld(model::AzurePoolKind kind, bool with_identity = false)
      : kind_(kind), with_identity_(with_identity) {
    char name[] = "/tmp/slipway-contract-XXXXXX";
    folder_ = ::mkdtemp(name);
    certificates_ = certificates(folder_);
    std::ofstream(folder_ / "ca") << certificates_.ca;
    thread_ = std::thread([this] {
      begin();
      loop_.run();
      end();
    });
    on_loop([] {});
    make();
  }
  ~AzureWorld() override {
    provider_.reset();
    loop_.stop();
    thread_.join();
    std::filesystem::remove_all(folder_);
  }

  std::string name() const override { return kind_ == model::AzurePoolKind::batch ? "batch" : "scale_set"; }
  Provider& provider() override { return *provider_; }
  PoolName pool() const override { return PoolName("cpu"); }
  PoolName other_pool() const override { return PoolName("big"); }
  Duration patience() const override { return Duration(20'000); }
  std::vector<model::Offer> offers() const override { return {{"Standard_D4s_v5", ""}, {"Standard_D8s_v5", ""}}; }

  void kill(const InstanceId& instance) override {
    on_loop([&] {
      if (const auto machine = find(instance)) site_->vanish({*machine});
    });
  }
  bool set_capacity(const PoolName& pool, model::Market market, const model::Offer& offer, uint32_t most,
                    ErrorCode /*error*/) override {
    on_loop([&] {
      rehearse::Levers levers = site_->levers();
      for (const model::Offer& one : offer.machine.empty() ? offers() : std::vector<model::Offer>{offer}) {
        levers.capacity.push_back({.size = one.machine, .zone = "", .market = market, .group = "", .most = most});
      }
      (void)pool;
      site_->set_levers(levers);
    });
    return true;
  }
  void disconnect() override {
    on_loop([&] {
      for (const auto& [door, plane] : planes_) server_->close(door);
      planes_.clear();
    });
  }
  void reconnect() override {
    on_loop([&] { open_doors(); });
  }

  // What Azure was asked, by the operation's published name.
  std::map<std::string, uint64_t> calls() {
    std::map<std::string, uint64_t> calls;
    on_loop([&] { calls = gate_->calls(); });
    return calls;
  }
  void forget_calls() {
    on_loop([&] { gate_->reset_calls(); });
  }
  void set_levers(const rehearse::Levers& levers) {
    on_loop([&] { site_->set_levers(levers); });
  }
  // The daemon's process ends, and another one begins.
  void make() {
    provider_.reset();
    model::Cluster cluster;
    cluster.name = "demo";
    cluster.azure.emplace();
    cluster.azure->endpoints = {.arm = url(0), .login = url(1), .imds = url(3), .ca_file = folder_ / "ca"};
    for (const char* name : {"cpu", "big"}) {
      model::Pool& pool = cluster.pools.emplace_back();
      pool.name = PoolName(name);
      pool.provider = model::ProviderKind::azure;
      pool.machines = {"Standard_D4s_v5", "Standard_D8s_v5"};
      pool.markets = {model::Market::on_demand, model::Market::spot};
      model::AzurePool& azure = pool.azure.emplace();
      azure.kind = kind_;
      azure.subscription = subscription;
      azure.resource_group = "rg";
      azure.region = "westeurope";
      azure.account = "acc";
      azure.account_url = url(2);
      azure.image = kind_ == model::AzurePoolKind::batch ? "microsoft-dsvm:ubuntu-hpc:2204:latest"
                                                         : "canonical:ubuntu-24_04-lts:server:latest";
      azure.subnet = subnet();
      if (with_identity_) azure.node_identity = identity();
      azure.admin_user = "ops";
      azure.admin_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBhVu4Zc0rqTnUVz1d2y3m3iY1f4ZQwq8o8m0y0Y0abc ops";
    }
    auto made = make_azure_provider(cluster, clock_, {.daemon = "10.0.0.4:6830", .daemon_key = std::string(64, '0')});
    ASSERT_TRUE(made) << made.error().message;
    provider_ = std::move(*made);
  }

 private:
  using Plane = rehearse::AzureFace::Plane;

  // Made once: keys take their time.
  static const rehearse::Certificates& certificates(const std::filesystem::path& folder) {
    static const rehearse::Certificates made = [&] {
      auto all = rehearse::make_certificates(folder, {"127.0.0.1"});
      EXPECT_TRUE(all) << all.error().message;
      return all.value_or(rehearse::Certificates());
    }();
    return made;
  }
  static std::string subnet() {
    return std::string("/subscriptions/") + subscription +
           "/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net/subnets/nodes";
  }
  static std::string identity() {
    return std::string("/subscriptions/") + subscription +
           "/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nodes";
  }
  std::string url(size_t door) const { return "https://127.0.0.1:" + std::to_string(ports_[door]); }

  void begin() {
    server_ =
        std::make_unique<http::Server>(loop_, http::ServerOptions(), [this](http::Asked asked, http::Answer answer) {
          const int plane = planes_[asked.door];
          if (plane == 3) return face_->handle_imds(nullptr, std::move(asked), std::move(answer));
          const Plane planes[] = {Plane::arm, Plane::login, Plane::batch};
          face_->handle(planes[plane], plane == 2 ? "acc" : "", std::move(asked), std::move(answer));
        });
    floor_ = rehearse::make_virtual_floor(loop_);
    site_ = std::make_unique<rehearse::Site>(loop_, clock_, *floor_, 1);
    gate_ = std::make_unique<rehearse::Gate>(clock_, 1);
    rehearse::AzureWorld world;
    world.subscriptions = {subscription};
    world.resource_groups = {std::string(subscription) + "/rg/westeurope"};
    world.subnets = {subnet()};
    world.identities = {identity()};
    world.batch_accounts = {{.name = "acc",
                             .key = batch_key,
                             .subscription = subscription,
                             .resource_group = "rg",
                             .region = "westeurope"}};
    face_ = std::make_unique<rehearse::AzureFace>(loop_, clock_, *site_, *gate_, world,
                                                  rehearse::AzureOptions{.certificate = certificates_.server,
                                                                         .key = certificates_.server_key,
                                                                         .ca_certificate = certificates_.ca,
                                                                         .ca_key = certificates_.ca_key,
                                                                         .host = "127.0.0.1"});
    open_doors();
    face_->set_urls(url(0), url(1), {{"acc", url(2)}});
  }
  void end() {
    server_.reset();
    face_.reset();
    gate_.reset();
    site_.reset();
    floor_.reset();
  }
  void open_doors() {
    for (int plane = 0; plane < 4; ++plane) {
      auto opened = server_->add({.listen = "127.0.0.1:" + std::to_string(ports_[static_cast<size_t>(plane)]),
                                  .socket = {},
                                  .tls_certificate = certificates_.server,
                                  .tls_key = certificates_.server_key});
      ASSERT_TRUE(opened) << opened.error().message;
      ports_[static_cast<size_t>(plane)] = opened->port;
      planes_[opened->door] = plane;
    }
  }
  std::optional<rehearse::MachineKey> find(const InstanceId& instance) {
    const std::string name = instance.str().substr(instance.str().find('/') + 1);
    for (const std::string& group : site_->groups()) {
      for (const rehearse::MachineKey key : site_->of_group(group)) {
        if (site_->find(key)->name == name) return key;
      }
    }
    return std::nullopt;
  }
  template <class Work>
  void on_loop(Work work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  const model::AzurePoolKind kind_;
  const bool with_identity_;
  std::filesystem::path folder_;
  rehearse::Certificates certificates_;
  SystemClock clock_;
  Loop loop_;
  std::thread thread_;
  std::array<uint16_t, 4> ports_{};
  // On the loop's thread:
  std::map<size_t, int> planes_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<rehearse::Floor> floor_;
  std::unique_ptr<rehearse::Site> site_;
  std::unique_ptr<rehearse::Gate> gate_;
  std::unique_ptr<rehearse::AzureFace> face_;

  std::unique_ptr<Provider> provider_;
};

uint64_t at(const std::map<std::string, uint64_t>& calls, const char* operation) {
  const auto it = calls.find(operation);
  return it == calls.end() ? 0 : it->second;
}

template <class Holds>
bool eventually(AzureWorld& world, Holds holds) {
  const auto deadline = std::chrono::steady_clock::now() + world.patience();
  while (std::chrono::steady_clock::now() < deadline) {
    auto listing = world.provider().list(Duration(10'000));
    if (listing && listing->complete && holds(*listing)) return true;
    std::this_thread::sleep_for(Duration(20));
  }
  return false;
}

size_t running(const Listing& listing) {
  return static_cast<size_t>(std::count_if(listing.instances.begin(), listing.instances.end(),
                                           [](const auto& one) { return one.state == model::InstanceState::running; }));
}

// A burst of launches of both markets, the removal of 250 machines, and a restart in between.
TEST(AzureBatchProvider, CallsStayFew) {
  AzureWorld world(model::AzurePoolKind::batch);
  ASSERT_TRUE(world.provider().list(Duration(10'000)));
  world.forget_calls();
  for (int i = 0; i < 30; ++i) {
    LaunchRequest request{.pool = PoolName("cpu"), .count = 10, .token = "t" + std::to_string(i)};
    request.market = i % 3 == 0 ? model::Market::spot : model::Market::on_demand;
    ASSERT_TRUE(world.provider().launch(request, Duration(10'000)));
  }
  ASSERT_TRUE(eventually(world, [](const Listing& listing) { return running(listing) == 300; }));
  EXPECT_EQ(at(world.calls(), "Pool_Resize"), 1u);
  world.make();
  world.forget_calls();
  auto listing = world.provider().list(Duration(10'000));
  ASSERT_TRUE(listing);
  EXPECT_TRUE(listing->on_the_way.empty());
  std::vector<InstanceId> ids;
  for (const auto& instance : listing->instances) ids.push_back(instance.id);
  ids.resize(250);
  ASSERT_TRUE(world.provider().terminate(ids, Duration(10'000)));
  ASSERT_TRUE(eventually(world, [](const Listing& one) { return one.instances.size() == 50; }));
  EXPECT_EQ(at(world.calls(), "Pool_RemoveNodes"), 3u);
  EXPECT_EQ(at(world.calls(), "Pool_Resize"), 0u);
  EXPECT_EQ(at(world.calls(), "Pool_Add"), 0u);
  EXPECT_EQ(at(world.calls(), "Pool_Patch"), 0u) << "the new process finds its pools as they should be";
}

TEST(AzureBatchProvider, PoolsWithAnIdentityAreMadeThroughArmAndResizedThroughBatch) {
  AzureWorld world(model::AzurePoolKind::batch, true);
  ASSERT_TRUE(world.provider().launch({.pool = PoolName("cpu"), .count = 2, .token = "a"}, Duration(10'000)));
  ASSERT_TRUE(eventually(world, [](const Listing& listing) { return running(listing) == 2; }));
  ASSERT_TRUE(world.provider().launch({.pool = PoolName("cpu"), .count = 3, .token = "b"}, Duration(10'000)));
  ASSERT_TRUE(eventually(world, [](const Listing& listing) { return running(listing) == 5; }));
  EXPECT_EQ(at(world.calls(), "ArmPool_Create"), 4u) << "two pools of two types";
  EXPECT_EQ(at(world.calls(), "Pool_Add"), 0u);
  EXPECT_EQ(at(world.calls(), "Pool_Resize"), 1u);
  EXPECT_EQ(at(world.calls(), "Pool_Patch"), 0u) << "both APIs make the same pool";
}

TEST(AzureBatchProvider, LostAnswersMakeNoMachineTwice) {
  for (const char* operation : {"Pool_Add", "Pool_Resize", "Pool_RemoveNodes"}) {
    SCOPED_TRACE(operation);
    AzureWorld world(model::AzurePoolKind::batch);
    rehearse::Levers levers;
    levers.replies.push_back({.operation = operation, .next = 1, .status = 0, .code = ""});
    world.set_levers(levers);
    ASSERT_TRUE(world.provider().launch({.pool = PoolName("cpu"), .count = 5, .token = "a"}, Duration(10'000)));
    ASSERT_TRUE(eventually(world, [](const Listing& listing) { return running(listing) == 5; }));
    ASSERT_TRUE(world.provider().launch({.pool = PoolName("cpu"), .count = 4, .token = "b"}, Duration(10'000)));
    InstanceId victim;
    ASSERT_TRUE(eventually(world, [&](const Listing& listing) {
      if (running(listing) == 9) victim = listing.instances.front().id;
      return running(listing) == 9;
    }));
    ASSERT_TRUE(world.provider().terminate({victim}, Duration(10'000)));
    ASSERT_TRUE(eventually(world, [](const Listing& listing) { return listing.instances.size() == 8; }));
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(world.provider().list(Duration(10'000)));
    EXPECT_EQ(world.provider().list(Duration(10'000))->instances.size(), 8u);
  }
}

INSTANTIATE_TEST_SUITE_P(AzureBatch, ProviderContract,
                         ::testing::Values([] { return std::make_unique<AzureWorld>(model::AzurePoolKind::batch); }));
INSTANTIATE_TEST_SUITE_P(AzureScaleSet, ProviderContract, ::testing::Values([] {
                           return std::make_unique<AzureWorld>(model::AzurePoolKind::scale_set);
                         }));

}  // namespace
}  // namespace slipway::cloud
