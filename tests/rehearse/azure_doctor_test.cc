// `slipway doctor azure` against the simulated Azure: a file that fits it gets nothing but ok, and what is lacking is
// found.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "cloud/azure/doctor.h"
#include "http/server.h"
#include "rehearse/azure/face.h"
#include "rehearse/certificates.h"
#include "rehearse/gate.h"
#include "rehearse/site.h"

namespace slipway::cloud::azure {
namespace {

const std::string subscription = "11111111-2222-3333-4444-555555555555";
const std::string group = "/subscriptions/" + subscription + "/resourceGroups/rg";
const std::string network = group + "/providers/Microsoft.Network/virtualNetworks/net";
const std::string subnet = network + "/subnets/nodes";
const std::string identity = group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nodes";
const std::string managed_image = group + "/providers/Microsoft.Compute/images/node";
// In a subscription that has nothing else of the cluster.
const std::string gallery =
    "/subscriptions/99999999-2222-3333-4444-555555555555/resourceGroups/pictures/providers/"
    "Microsoft.Compute/galleries/g/images/node/versions/";

class DoctorOfRehearsal : public ::testing::Test {
 protected:
  using Plane = rehearse::AzureFace::Plane;

  DoctorOfRehearsal() {
    char name[] = "/tmp/slipway-doctor-XXXXXX";
    folder_ = ::mkdtemp(name);
    std::ofstream(folder_ / "ca") << certificates().ca;
    thread_ = std::thread([this] {
      begin();
      loop_.run();
      server_.reset();
      face_.reset();
      site_.reset();
    });
    on_loop([] {});
    make_cluster();
  }
  ~DoctorOfRehearsal() override {
    loop_.stop();
    thread_.join();
    std::filesystem::remove_all(folder_);
  }

  void set(const std::string& levers) {
    auto parsed = rehearse::parse_levers(levers);
    ASSERT_TRUE(parsed) << parsed.error().message;
    on_loop([&] { site_->set_levers(*parsed); });
  }
  std::vector<Finding> look() { return examine(cluster, clock_, Duration(20'000)); }

  // What isn't ok, as text: "<what>: <verdict>: <sentence>".
  std::vector<std::string> complaints() {
    std::vector<std::string> out;
    for (const Finding& finding : look()) {
      if (finding.verdict == Verdict::ok) continue;
      EXPECT_FALSE(finding.way_out.empty()) << finding.what;
      out.push_back(finding.what + ": " + std::string(to_string(finding.verdict)) + ": " + finding.sentence);
    }
    return out;
  }
  model::Pool& pool(const std::string& name) {
    return *std::find_if(cluster.pools.begin(), cluster.pools.end(),
                         [&](const model::Pool& one) { return one.name.str() == name; });
  }
  model::AzurePool& azure(const std::string& name) { return *pool(name).azure; }

  model::Cluster cluster;

 private:
  // Made once: keys take their time.
  static const rehearse::Certificates& certificates() {
    static const rehearse::Certificates made = [] {
      char name[] = "/tmp/slipway-doctor-ca-XXXXXX";
      const std::filesystem::path folder = ::mkdtemp(name);
      auto all = rehearse::make_certificates(folder, {"127.0.0.1"});
      EXPECT_TRUE(all) << all.error().message;
      std::filesystem::remove_all(folder);
      return all.value_or(rehearse::Certificates());
    }();
    return made;
  }
  std::string url(size_t door) const { return "https://127.0.0.1:" + std::to_string(ports_[door]); }

  void make_cluster() {
    cluster.name = "demo";
    cluster.azure.emplace();
    cluster.azure->endpoints = {.arm = url(0), .login = url(1), .imds = url(3), .ca_file = folder_ / "ca"};
    for (const char* name : {"batch", "sets"}) {
      model::Pool& made = cluster.pools.emplace_back();
      made.name = PoolName(name);
      made.provider = model::ProviderKind::azure;
      made.machines = {"Standard_D4s_v5", "Standard_D8as_v5"};
      made.markets = {model::Market::on_demand, model::Market::spot};
      made.max = 100;
      model::AzurePool& settings = made.azure.emplace();
      settings.kind = made.name.str() == "batch" ? model::AzurePoolKind::batch : model::AzurePoolKind::scale_set;
      settings.subscription = subscription;
      settings.resource_group = "rg";
      settings.region = "westeurope";
      settings.image = "canonical:ubuntu-24_04-lts:server:latest";
      settings.subnet = subnet;
      settings.node_identity = identity;
      if (settings.kind == model::AzurePoolKind::batch) {
        settings.account = "acc";
        settings.account_url = url(2);
      }
    }
    pool("sets").zones = {"1", "2"};
  }

  void begin() {
    server_ =
        std::make_unique<http::Server>(loop_, http::ServerOptions(), [this](http::Asked asked, http::Answer answer) {
          const size_t plane = planes_[asked.door];
          if (plane == 3) return face_->handle_imds(nullptr, std::move(asked), std::move(answer));
          const Plane planes[] = {Plane::arm, Plane::login, Plane::batch};
          face_->handle(planes[plane], plane == 2 ? "acc" : "", std::move(asked), std::move(answer));
        });
    rehearse::AzureWorld world;
    world.subscriptions = {subscription};
    world.resource_groups = {subscription + "/rg/westeurope"};
    world.subnets = {subnet};
    world.identities = {identity};
    world.images = {managed_image, gallery + "1.0.0", "vendor:product:plan:3.2.1"};
    world.batch_accounts = {{.name = "acc",
                             .key = "c2VjcmV0LWtleS1vZi1hLWJhdGNoLWFjY291bnQtMTIzNDU2Nzg=",
                             .subscription = subscription,
                             .resource_group = "rg",
                             .region = "westeurope"}};
    site_ = std::make_unique<rehearse::Site>(loop_, clock_, *floor_, 1);
    face_ = std::make_unique<rehearse::AzureFace>(loop_, clock_, *site_, gate_, world,
                                                  rehearse::AzureOptions{.certificate = certificates().server,
                                                                         .key = certificates().server_key,
                                                                         .ca_certificate = certificates().ca,
                                                                         .ca_key = certificates().ca_key,
                                                                         .host = "127.0.0.1"});
    for (size_t plane = 0; plane < ports_.size(); ++plane) {
      auto opened = server_->add({.listen = "127.0.0.1:0",
                                  .socket = {},
                                  .tls_certificate = certificates().server,
                                  .tls_key = certificates().server_key});
      ASSERT_TRUE(opened) << opened.error().message;
      ports_[plane] = opened->port;
      planes_[opened->door] = plane;
    }
    face_->set_urls(url(0), url(1), {{"acc", url(2)}});
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

  std::filesystem::path folder_;
  SystemClock clock_;
  Loop loop_;
  std::thread thread_;
  std::array<uint16_t, 4> ports_{};
  // On the loop's thread:
  std::map<size_t, size_t> planes_;
  std::unique_ptr<rehearse::Floor> floor_ = rehearse::make_virtual_floor(loop_);
  rehearse::Gate gate_{clock_, 1};
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<rehearse::Site> site_;
  std::unique_ptr<rehearse::AzureFace> face_;
};

using Texts = std::vector<std::string>;

TEST_F(DoctorOfRehearsal, FileThatFitsGetsNothingButOk) {
  EXPECT_EQ(complaints(), Texts());
  Texts what;
  for (const Finding& finding : look()) what.push_back(finding.what);
  for (const std::string expected :
       {"identity", "Batch account acc: permissions", "resource group rg: permissions", "subnet nodes: permissions",
        "node_identity nodes: permissions", "pool batch: size Standard_D4s_v5", "pool sets: size Standard_D8as_v5",
        "Batch account acc: dedicated cores", "Batch account acc: low-priority cores", "pool batch: image",
        "pool sets: image", "subnet nodes", "vCPU quota in westeurope: cores"}) {
    EXPECT_NE(std::find(what.begin(), what.end(), expected), what.end()) << expected << " wasn't looked at";
  }
}

TEST_F(DoctorOfRehearsal, ImagesOfEveryKindAreFoundOrMissing) {
  for (const std::string& image : {managed_image, gallery + "1.0.0", gallery.substr(0, gallery.rfind("/versions/")),
                                   std::string("vendor:product:plan:3.2.1"), std::string("vendor:product:plan:latest"),
                                   std::string("Canonical:ubuntu-24_04-lts:server:24.04.202611010")}) {
    azure("sets").image = image;
    EXPECT_EQ(complaints(), Texts()) << image;
  }
  for (const std::string& image : {managed_image + "2", gallery + "1.0.1", std::string("vendor:product:plan:3.2.2"),
                                   std::string("canonical:ubuntu-24_04-lts:servant:latest")}) {
    azure("sets").image = image;
    EXPECT_EQ(complaints(), Texts{"pool sets: image: problem: there is no " + image + " in westeurope"});
  }
  azure("sets").image = "canonical:ubuntu-24_04-lts:server:latest";
  azure("batch").image = "vendor:product:plan:3.2.1";
  EXPECT_EQ(complaints(), Texts{"pool batch: image: problem: Batch doesn't accept vendor:product:plan:3.2.1"});
}

TEST_F(DoctorOfRehearsal, QuotasThatAreReachedAreFound) {
  // 100 machines of up to 8 cores may be wanted.
  set(R"({"quotas": [{"scope": "acc", "market": "on_demand", "cores": 80}]})");
  EXPECT_EQ(complaints(), Texts{"Batch account acc: dedicated cores: warning: pool batch may come to 800 cores, the "
                                "account's quota is 80: enough for 10 machines at most"});
  set(R"({"quotas": [{"scope": "westeurope", "market": "spot", "cores": 4}]})");
  EXPECT_EQ(complaints(), Texts{"vCPU quota in westeurope: lowPriorityCores: problem: pool sets may come to 800 cores, "
                                "4 of the subscription's 4 are free: not enough for one machine"});
}

TEST_F(DoctorOfRehearsal, SubnetsThatAreSmallOrMissingOrElsewhereAreFound) {
  pool("batch").max = 60'000;
  pool("sets").max = 60'000;
  set(R"({})");
  const Texts all = complaints();
  const std::string small =
      "subnet nodes: warning: 65531 of its 65531 addresses are free, its pools may come to 120000 machines";
  EXPECT_NE(std::find(all.begin(), all.end(), small), all.end()) << ::testing::PrintToString(all);
  pool("batch").max = 100;
  pool("sets").max = 100;
  azure("sets").subnet = network + "/subnets/other";
  EXPECT_EQ(complaints(), Texts{"subnet other: problem: there is no " + network + "/subnets/other"});
  azure("sets").subnet = subnet;
  azure("sets").region = "northeurope";
  const Texts elsewhere = complaints();
  const std::string region = "pool sets: subnet: problem: it is in westeurope, the pool in northeurope";
  EXPECT_NE(std::find(elsewhere.begin(), elsewhere.end(), region), elsewhere.end())
      << ::testing::PrintToString(elsewhere);
}

TEST_F(DoctorOfRehearsal, SizesThatBatchDoesntHaveAreFound) {
  pool("batch").machines = {"Standard_D4s_v5", "Standard_Q1"};
  EXPECT_EQ(complaints(), Texts{"pool batch: size Standard_Q1: problem: Batch doesn't offer it in westeurope"});
}

}  // namespace
}  // namespace slipway::cloud::azure
