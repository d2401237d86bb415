// The doctor against an Azure of canned answers: each trouble is found, named and told the way out of.
#include "cloud/azure/doctor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/files.h"
#include "base/loop.h"
#include "http/base64.h"
#include "http/server.h"
#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

using namespace std::chrono_literals;

const std::string subscription = "/subscriptions/11111111-1111-1111-1111-111111111111";
const std::string group = subscription + "/resourceGroups/hpc";
const std::string account = group + "/providers/Microsoft.Batch/batchAccounts/lab";
const std::string network = group + "/providers/Microsoft.Network/virtualNetworks/net";
const std::string subnet = network + "/subnets/nodes";
const std::string permissions = "/providers/Microsoft.Authorization/permissions";
const std::string skus = subscription + "/providers/Microsoft.Compute/skus";
const std::string batch_skus = subscription + "/providers/Microsoft.Batch/locations/westeurope/virtualMachineSkus";
const std::string usages = subscription + "/providers/Microsoft.Compute/locations/westeurope/usages";
const std::string versions =
    subscription +
    "/providers/Microsoft.Compute/locations/westeurope/publishers/canonical/artifacttypes/vmimage/offers/"
    "ubuntu-24_04-lts/skus/server/versions";

std::string token_of(const std::string& claims) {
  return http::to_base64url("{}") + "." + http::to_base64url(claims) + ".x";
}

// One server is the login, ARM and the Batch account. Answers by path; 404 for all others.
struct CannedAzure {
  struct Canned {
    int status = 200;
    std::string body;
  };
  std::map<std::string, Canned> answers;
  std::string secret_file = "/tmp/slipway-doctor-secret-" + std::to_string(getpid());
  std::string token = token_of(R"({"appid":"app-1","oid":"object-1","tid":"tenant-1"})");

  Loop loop;
  http::Server server{loop, {}, [this](http::Asked asked, http::Answer answer) { serve(asked, answer); }};
  uint16_t port = 0;
  std::thread thread;

  CannedAzure() {
    SLIPWAY_CHECK(write_file(secret_file, "secret", 0600).has_value());
    http::Door door;
    door.listen = "127.0.0.1:0";
    port = server.add(std::move(door))->port;
    answers[account] = {200, R"({"location":"westeurope","properties":{"provisioningState":"Succeeded",
      "accountEndpoint":"lab","poolAllocationMode":"BatchService","publicNetworkAccess":"Enabled",
      "dedicatedCoreQuota":200,"lowPriorityCoreQuota":100,"dedicatedCoreQuotaPerVMFamilyEnforced":true,
      "dedicatedCoreQuotaPerVMFamily":[{"name":"standardDSv5Family","coreQuota":100}],"poolQuota":10,
      "allowedAuthenticationModes":["AAD","SharedKey"]}})"};
    const Canned everything{200, R"({"value":[{"actions":["*"],"notActions":[]}]})"};
    for (const std::string& scope : {account, group, subnet}) answers[scope + permissions] = everything;
    answers[skus] = {200, R"({"value":[
      {"resourceType":"virtualMachines","name":"Standard_D4s_v5","family":"standardDSv5Family",
       "locations":["westeurope"],"locationInfo":[{"location":"westeurope","zones":["1","2"]}],
       "capabilities":[{"name":"vCPUs","value":"4"},{"name":"LowPriorityCapable","value":"True"}],"restrictions":[]}]})"};
    answers[batch_skus] = {200, R"({"value":[{"name":"Standard_D4s_v5","familyName":"standardDSv5Family"}]})"};
    answers[usages] = {200, R"({"value":[
      {"currentValue":10,"limit":350,"name":{"value":"cores"}},
      {"currentValue":0,"limit":100,"name":{"value":"lowPriorityCores"}},
      {"currentValue":10,"limit":100,"name":{"value":"standardDSv5Family"}}]})"};
    answers[network] = {200, R"({"location":"westeurope"})"};
    answers[subnet] = {200, R"({"properties":{"addressPrefix":"10.0.0.0/24","ipConfigurations":[{},{}]}})"};
    answers[versions] = {200, R"([{"name":"24.04.1"}])"};
    answers["/supportedimages"] = {200, R"({"value":[{"nodeAgentSKUId":"batch.node.ubuntu 24.04",
      "imageReference":{"publisher":"canonical","offer":"ubuntu-24_04-lts","sku":"server","version":"latest"},
      "osType":"linux","verificationType":"verified"}]})"};
    answers["/pools"] = {200, R"({"value":[]})"};
    thread = std::thread([this] { loop.run(); });
  }
  ~CannedAzure() {
    loop.stop();
    thread.join();
    unlink(secret_file.c_str());
  }

  void serve(const http::Asked& asked, const http::Answer& answer) {
    if (asked.target == "/tenant-1/oauth2/v2.0/token") {
      return answer({200, {}, R"({"token_type":"Bearer","expires_in":3600,"access_token":")" + token + "\"}"});
    }
    const bool known = http::find_header(asked.headers, "Authorization") == "Bearer " + token;
    const auto found = answers.find(asked.target.substr(0, asked.target.find('?')));
    if (!known || asked.method != "GET") return answer({401, {}, R"({"error":{"code":"AuthenticationFailed"}})"});
    if (found == answers.end()) return answer({404, {}, R"({"error":{"code":"ResourceNotFound","message":"none"}})"});
    answer({found->second.status, {{"Content-Type", "application/json"}}, found->second.body});
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port); }
};

struct AzureDoctor : testing::Test {
  CannedAzure azure;
  model::Cluster cluster;

  AzureDoctor() {
    cluster.name = "lab";
    cluster.azure.emplace();
    cluster.azure->identity = {.kind = model::AzureIdentity::Kind::service_principal,
                               .client_id = "app-1",
                               .tenant_id = "tenant-1",
                               .secret_file = azure.secret_file};
    cluster.azure->endpoints = {.arm = azure.url(), .login = azure.url()};
  }

  model::Pool& add_pool(const std::string& name, model::AzurePoolKind kind, uint32_t max) {
    model::Pool pool;
    pool.name = PoolName(name);
    pool.provider = model::ProviderKind::azure;
    pool.max = max;
    pool.machines = {"Standard_D4s_v5"};
    pool.azure.emplace();
    pool.azure->kind = kind;
    pool.azure->subscription = subscription.substr(subscription.rfind('/') + 1);
    pool.azure->resource_group = "hpc";
    pool.azure->region = "westeurope";
    pool.azure->subnet = subnet;
    pool.azure->image = "canonical:ubuntu-24_04-lts:server:latest";
    if (kind == model::AzurePoolKind::batch) {
      pool.azure->account = "lab";
      pool.azure->account_url = azure.url();
    }
    cluster.pools.push_back(std::move(pool));
    return cluster.pools.back();
  }
  model::Pool& batch(uint32_t max = 20) { return add_pool("cpu", model::AzurePoolKind::batch, max); }
  model::Pool& scale_set(uint32_t max = 20) { return add_pool("burst", model::AzurePoolKind::scale_set, max); }

  std::vector<Finding> findings() {
    const SystemClock clock;
    return examine(cluster, clock, 20s);
  }
  // The one finding about `what`; all of them in words when there isn't exactly one.
  Finding finding(const std::string& what) {
    Finding found;
    size_t count = 0;
    std::string all;
    for (const Finding& each : findings()) {
      all += std::string(to_string(each.verdict)) + " " + each.what + ": " + each.sentence + "\n";
      if (each.what == what) {
        found = each;
        ++count;
      }
    }
    EXPECT_EQ(count, 1u) << what << " among\n" << all;
    return found;
  }
  void expect(const std::string& what, Verdict verdict, const std::string& words) {
    const Finding found = finding(what);
    EXPECT_EQ(to_string(found.verdict), to_string(verdict)) << found.sentence;
    EXPECT_NE(found.sentence.find(words), std::string::npos) << found.sentence;
    EXPECT_EQ(found.way_out.empty(), verdict == Verdict::ok) << found.way_out;
  }
};

TEST_F(AzureDoctor, all_is_well) {
  batch();
  scale_set();
  const auto all = findings();
  EXPECT_TRUE(is_healthy(all));
  for (const Finding& each : all) {
    EXPECT_EQ(to_string(each.verdict), "ok") << each.what << ": " << each.sentence;
    EXPECT_EQ(each.way_out, "");
  }
  EXPECT_EQ(all.size(), 16u);
  EXPECT_EQ(all.front().sentence, "Azure knows it as application app-1, object object-1, tenant tenant-1");
}

TEST_F(AzureDoctor, without_a_token_nothing_else_is_asked) {
  batch();
  cluster.azure->identity.secret_file = "/nowhere/secret";
  auto all = findings();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all.front().verdict, Verdict::problem);
  EXPECT_FALSE(is_healthy(all));
  cluster.azure->identity.secret_file = azure.secret_file;
  cluster.azure->identity.tenant_id = "another";
  all = findings();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all.front().verdict, Verdict::problem);
  EXPECT_NE(all.front().way_out.find("tenant_id"), std::string::npos);
}

TEST_F(AzureDoctor, a_token_that_cannot_be_read_still_is_one) {
  batch();
  azure.token = "opaque";
  expect("identity", Verdict::ok, "it gets tokens");
}

TEST_F(AzureDoctor, missing_permissions_are_named) {
  batch();
  azure.answers[account + permissions].body =
      R"({"value":[{"actions":["Microsoft.Batch/batchAccounts/*"],"notActions":["Microsoft.Batch/*/delete"]}]})";
  const Finding found = finding("Batch account lab: permissions");
  EXPECT_EQ(found.verdict, Verdict::problem);
  EXPECT_EQ(found.sentence, "not allowed: Microsoft.Batch/batchAccounts/pools/delete (remove a pool of the cluster)");
  EXPECT_NE(found.way_out.find(account), std::string::npos);
}

TEST_F(AzureDoctor, permissions_come_in_pages) {
  batch();
  azure.answers[account + permissions].body =
      R"({"value":[{"actions":["*/read"]}],"nextLink":")" + azure.url() + R"(/page2"})";
  azure.answers["/page2"] = {200, R"({"value":[{"actions":["Microsoft.Batch/*"]}]})"};
  expect("Batch account lab: permissions", Verdict::ok, "");
}

TEST_F(AzureDoctor, what_may_not_be_asked_is_unknown) {
  batch();
  azure.answers[account + permissions] = {403, R"({"error":{"code":"AuthorizationFailed","message":"no"}})"};
  expect("Batch account lab: permissions", Verdict::unknown, "AuthorizationFailed");
  EXPECT_NE(finding("Batch account lab: permissions").way_out.find("permissions/read"), std::string::npos);
  EXPECT_TRUE(is_healthy(findings()));
}

TEST_F(AzureDoctor, no_such_account) {
  batch();
  azure.answers.erase(account);
  expect("Batch account lab", Verdict::problem, "there is none");
}

TEST_F(AzureDoctor, an_account_elsewhere) {
  batch();
  auto& body = azure.answers[account].body;
  body.replace(body.find("westeurope"), 10, "North Europe");
  expect("Batch account lab", Verdict::problem, "North Europe");
}

TEST_F(AzureDoctor, an_account_that_takes_keys_only) {
  batch();
  auto& body = azure.answers[account].body;
  body.replace(body.find(R"("AAD",)"), 6, "");
  expect("Batch account lab", Verdict::problem, "AAD");
}

TEST_F(AzureDoctor, the_service_refuses) {
  batch();
  azure.answers["/supportedimages"] = {403, R"({"code":"PermissionDenied","message":{"value":"no"}})"};
  expect("Batch account lab: service", Verdict::problem, "no");
}

TEST_F(AzureDoctor, quotas_of_an_account) {
  batch(20).markets = {model::Market::spot, model::Market::on_demand};
  expect("Batch account lab: dedicated cores", Verdict::ok, "pool cpu may come to 80 cores");
  expect("Batch account lab: low-priority cores", Verdict::ok, "80 cores, the account's quota is 100");
  cluster.pools.front().max = 26;
  expect("Batch account lab: dedicated cores", Verdict::ok, "104");
  expect("Batch account lab: dedicated cores of standardDSv5Family", Verdict::warning, "for 25 machines");
  expect("Batch account lab: low-priority cores", Verdict::warning, "for 25 machines");
  auto& body = azure.answers[account].body;
  body.replace(body.find("Quota\":100,"), 11, "Quota\":0,");
  expect("Batch account lab: low-priority cores", Verdict::problem, "not enough for one machine");
}

TEST_F(AzureDoctor, one_quota_is_shared_by_the_pools_of_an_account) {
  batch(20);
  add_pool("more", model::AzurePoolKind::batch, 20);
  expect("Batch account lab: dedicated cores of standardDSv5Family", Verdict::warning,
         "pools cpu, more may come to 160 cores");
}

TEST_F(AzureDoctor, pools_of_an_account) {
  batch();
  auto& body = azure.answers[account].body;
  body.replace(body.find("poolQuota\":10"), 13, "poolQuota\":1");
  expect("Batch account lab: pool quota", Verdict::ok, "needs 1 more");
  azure.answers["/pools"].body = R"({"value":[{"id":"other"}]})";
  expect("Batch account lab: pool quota", Verdict::problem, "1 of 1");
  azure.answers["/pools"].body = R"({"value":[{"id":"LAB-cpu"}]})";  // it is there already
  expect("Batch account lab: pool quota", Verdict::ok, "needs 0 more");
}

TEST_F(AzureDoctor, accounts_of_the_users_subscription_count_against_it) {
  batch(30);
  auto& body = azure.answers[account].body;
  body.replace(body.find("BatchService"), 12, "UserSubscription");
  expect("vCPU quota in westeurope: standardDSv5Family", Verdict::warning, "may come to 120 cores");
}

TEST_F(AzureDoctor, vcpu_quotas_of_scale_sets) {
  scale_set(23).markets = {model::Market::spot, model::Market::on_demand};
  expect("vCPU quota in westeurope: standardDSv5Family", Verdict::warning, "for 22 machines");  // 90 are free
  expect("vCPU quota in westeurope: cores", Verdict::ok, "92 cores, 340 of the subscription's 350 are free");
  expect("vCPU quota in westeurope: lowPriorityCores", Verdict::ok, "92 cores");
  azure.answers.erase(usages);
  expect("vCPU quota in westeurope", Verdict::unknown, "ResourceNotFound");
}

TEST_F(AzureDoctor, sizes) {
  scale_set().zones = {"1", "3"};
  expect("pool burst: size Standard_D4s_v5", Verdict::problem, "not in zone 3");
  cluster.pools.front().zones.clear();
  auto& body = azure.answers[skus].body;
  body.replace(body.find("\"True\""), 6, "\"False\"");
  expect("pool burst: size Standard_D4s_v5", Verdict::ok, "4 cores");
  cluster.pools.front().markets = {model::Market::spot};
  expect("pool burst: size Standard_D4s_v5", Verdict::problem, "spot");
  body.replace(body.find(R"("restrictions":[])"), 17,
               R"("restrictions":[{"type":"Location","values":["westeurope"],
               "restrictionInfo":{"locations":["westeurope"]},"reasonCode":"NotAvailableForSubscription"}])");
  expect("pool burst: size Standard_D4s_v5", Verdict::problem, "NotAvailableForSubscription");
  cluster.pools.front().machines = {"Standard_Nonsense"};
  expect("pool burst: size Standard_Nonsense", Verdict::problem, "no such size");
}

TEST_F(AzureDoctor, sizes_of_batch) {
  batch();
  azure.answers[batch_skus].body = R"({"value":[]})";
  expect("pool cpu: size Standard_D4s_v5", Verdict::problem, "Batch doesn't offer it");
}

TEST_F(AzureDoctor, addresses_of_a_subnet) {
  batch(249);
  expect("subnet nodes", Verdict::ok, "249 of its 251 addresses are free");
  scale_set(1);
  expect("subnet nodes", Verdict::warning, "may come to 250 machines");
  azure.answers[subnet].body = R"({"properties":{"addressPrefixes":["10.0.0.0/29","fd00::/64"],
    "ipConfigurations":[{},{},{}]}})";
  expect("subnet nodes", Verdict::problem, "0 of its 3");
  azure.answers[subnet].body = R"({"properties":{"addressPrefix":"10.0.0.0/16",
    "delegations":[{"properties":{"serviceName":"Microsoft.Web/serverFarms"}}]}})";
  expect("subnet nodes", Verdict::problem, "Microsoft.Web/serverFarms");
  azure.answers.erase(subnet);
  expect("subnet nodes", Verdict::problem, "there is no");
}

TEST_F(AzureDoctor, a_subnet_elsewhere) {
  batch();
  azure.answers[network].body = R"({"location":"northeurope"})";
  expect("pool cpu: subnet", Verdict::problem, "northeurope");
  azure.answers[network].body = R"({"location":"West Europe"})";
  for (const Finding& each : findings()) EXPECT_NE(each.what, "pool cpu: subnet");
  cluster.pools.front().azure->subscription = "22222222-2222-2222-2222-222222222222";
  expect("pool cpu: subnet", Verdict::problem, "another subscription");
}

TEST_F(AzureDoctor, marketplace_images) {
  batch();
  scale_set();
  expect("pool cpu: image", Verdict::ok, "Batch accepts");
  auto& images = azure.answers["/supportedimages"].body;
  images.replace(images.find("\"verified\""), 10, "\"unverified\"");
  expect("pool cpu: image", Verdict::warning, "verified");
  images = R"({"value":[]})";
  expect("pool cpu: image", Verdict::problem, "doesn't accept");
  azure.answers[versions].body = "[]";
  expect("pool burst: image", Verdict::problem, "there is no");
  azure.answers.erase(versions);
  expect("pool burst: image", Verdict::problem, "there is no");
}

TEST_F(AzureDoctor, own_images) {
  const std::string version = group + "/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0";
  azure.answers[version + permissions] = azure.answers[group + permissions];
  batch().azure->image = version;
  expect("pool cpu: image", Verdict::problem, "there is no");
  azure.answers[version].body =
      R"({"location":"westus","properties":{"publishingProfile":{"targetRegions":[{"name":"North Europe"}]}}})";
  expect("pool cpu: image", Verdict::problem, "no copy in westeurope");
  azure.answers[version].body =
      R"({"location":"westus","properties":{"publishingProfile":{"targetRegions":[{"name":"West Europe"}]}}})";
  expect("pool cpu: image", Verdict::ok, "");
  const std::string managed = group + "/providers/Microsoft.Compute/images/i";
  azure.answers[managed + permissions] = azure.answers[group + permissions];
  azure.answers[managed].body = R"({"location":"westus"})";
  cluster.pools.front().azure->image = managed;
  expect("pool cpu: image", Verdict::problem, "westus");
}

TEST_F(AzureDoctor, an_own_image_and_a_key_do_not_go_together) {
  const std::string key_file = azure.secret_file + ".key";
  ASSERT_TRUE(write_file(key_file, http::to_base64("key"), 0600));
  batch().azure->image = group + "/providers/Microsoft.Compute/images/i";
  cluster.pools.front().azure->batch_key_file = key_file;
  expect("pool cpu: image", Verdict::problem, "not with a key");
  unlink(key_file.c_str());
}

TEST_F(AzureDoctor, answers_that_are_none_of_azures) {
  batch();
  scale_set();
  for (auto& [path, canned] : azure.answers) canned.body = "<html>proxy</html>";
  for (const Finding& each : findings()) EXPECT_NE(each.verdict, Verdict::problem) << each.what << each.sentence;
}

}  // namespace
}  // namespace slipway::cloud::azure
