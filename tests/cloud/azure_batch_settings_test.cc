#include "cloud/azure/batch_settings.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "batch_world.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;

struct Settings {
  Settings() {
    cluster.name = "demo";
    cluster.pools = {batch_pool_of_file("cpu", "")};
    azure().node_identity = "";
  }
  model::AzurePool& azure() { return *cluster.pools[0].azure; }
  BatchSettings make() {
    auto copy = std::make_shared<const model::Cluster>(cluster);
    auto made = batch_settings(copy, copy->pools[0], copy->pools[0].machines[0],
                               {.daemon = "10.0.0.4:6830", .daemon_key = "00ff"});
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return std::move(*made);
  }
  json::object body() { return json::parse(batch_create_body(make(), {3, 4}, "agent")).as_object(); }
  json::object arm_body() { return json::parse(arm_create_body(make(), {3, 4}, "agent")).as_object(); }
  model::Cluster cluster;
};

TEST(BatchSettings, APoolAsBatchWantsIt) {
  Settings settings;
  settings.azure().subnet =
      "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/n";
  settings.azure().tags = {{"cost", "lab"}};
  const json::object body = settings.body();
  EXPECT_EQ(body.at("id").as_string(), "demo-cpu");
  EXPECT_EQ(body.at("vmSize").as_string(), "Standard_D4s_v5");
  EXPECT_EQ(body.at("targetDedicatedNodes").as_int64(), 3);
  EXPECT_EQ(body.at("targetLowPriorityNodes").as_int64(), 4);
  EXPECT_EQ(body.at("taskSlotsPerNode").as_int64(), 1);
  EXPECT_EQ(body.at("resizeTimeout").as_string(), "PT900S");
  EXPECT_EQ(body.at("targetNodeCommunicationMode").as_string(), "simplified");
  EXPECT_TRUE(body.at("enableInterNodeCommunication").as_bool());
  EXPECT_EQ(json::serialize(body.at("virtualMachineConfiguration")),
            R"({"imageReference":{"publisher":"canonical","offer":"0001-com-ubuntu-server-jammy","sku":"22_04-lts",)"
            R"("version":"latest"},"nodeAgentSKUId":"agent"})");
  EXPECT_EQ(body.at("networkConfiguration").at("publicIPAddressConfiguration").at("provision").as_string(),
            "nopublicipaddresses");
  const json::object& task = body.at("startTask").as_object();
  EXPECT_EQ(task.at("commandLine").as_string(),
            "/bin/sh -c 'set -e; PATH=/opt/slipway/bin:$PATH; exec slipway-agent --join'");
  EXPECT_EQ(task.at("maxTaskRetryCount").as_int64(), 1);
  EXPECT_TRUE(task.at("waitForSuccess").as_bool());
  EXPECT_EQ(json::serialize(task.at("userIdentity")), R"({"autoUser":{"scope":"pool","elevationLevel":"admin"}})");
  EXPECT_EQ(task.if_contains("resourceFiles"), nullptr);
  std::map<std::string, std::string> environment;
  for (const json::value& one : task.at("environmentSettings").as_array()) {
    environment[std::string(one.at("name").as_string())] = one.at("value").as_string();
  }
  EXPECT_EQ(environment["SLIPWAY_DAEMON"], "10.0.0.4:6830");
  EXPECT_EQ(environment["SLIPWAY_DAEMON_KEY"], "00ff");
  EXPECT_EQ(environment["SLIPWAY_KIND"], "batch");
  EXPECT_EQ(environment["SLIPWAY_POOL"], "cpu");
  EXPECT_EQ(json::serialize(body.at("metadata")).find(R"([{"name":"slipway-cluster","value":"demo"},)"), 0u);
  EXPECT_NE(json::serialize(body.at("metadata")).find(R"({"name":"cost","value":"lab"})"), std::string::npos);
}

TEST(BatchSettings, WithAnIdentityAsArmWantsIt) {
  Settings settings;
  settings.azure().node_identity = "/subscriptions/s/…/userAssignedIdentities/nodes";
  settings.azure().image = "/subscriptions/s/…/images/mine/versions/1.0.0";
  const json::object body = settings.arm_body();
  EXPECT_EQ(body.at("identity").at("type").as_string(), "UserAssigned");
  EXPECT_NE(body.at("identity").at("userAssignedIdentities").as_object().if_contains(settings.azure().node_identity),
            nullptr);
  const json::object& properties = body.at("properties").as_object();
  EXPECT_EQ(
      json::serialize(properties.at("deploymentConfiguration")),
      R"({"virtualMachineConfiguration":{"imageReference":{"id":"/subscriptions/s/…/images/mine/versions/1.0.0"},)"
      R"("nodeAgentSkuId":"agent"}})");
  EXPECT_EQ(json::serialize(properties.at("scaleSettings")),
            R"({"fixedScale":{"targetDedicatedNodes":3,"targetLowPriorityNodes":4,"resizeTimeout":"PT900S"}})");
  EXPECT_EQ(properties.at("interNodeCommunication").as_string(), "Enabled");
  EXPECT_EQ(properties.at("startTask").at("userIdentity").at("autoUser").at("elevationLevel").as_string(), "Admin");
}

TEST(BatchSettings, TheAgentIsBroughtAndAPersonMayLogIn) {
  Settings settings;
  settings.azure().agent_url = "https://files/slipway-agent";
  settings.azure().admin_user = "ops";
  settings.azure().admin_key = "ssh-ed25519 AAAA it's mine";
  const json::object body = settings.body();
  const json::object& task = body.at("startTask").as_object();
  EXPECT_EQ(json::serialize(task.at("resourceFiles")),
            R"([{"httpUrl":"https://files/slipway-agent","filePath":"slipway-agent","fileMode":"0755"}])");
  const std::string command(task.at("commandLine").as_string());
  EXPECT_NE(command.find("install -D -m 0755 slipway-agent /opt/slipway/bin/slipway-agent;"), std::string::npos);
  EXPECT_NE(command.find("authorized_keys"), std::string::npos);
  EXPECT_EQ(command.find("AAAA"), std::string::npos) << "a key with quotes stays out of the shell's text";
  EXPECT_EQ(std::count(command.begin(), command.end(), '\''), 2);
  const json::object& user = body.at("userAccounts").at(0).as_object();
  EXPECT_EQ(user.at("name").as_string(), "ops");
  EXPECT_GE(user.at("password").as_string().size(), 40u);
  EXPECT_NE(user.at("password"), settings.body().at("userAccounts").at(0).at("password"));
}

TEST(BatchSettings, MountsOfAllKinds) {
  char name[] = "/tmp/slipway-settings-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name);
  ASSERT_TRUE(write_file(folder / "key", "K3Y==\n"));
  Settings settings;
  settings.azure().node_identity = "/id";
  using Kind = model::AzureMount::Kind;
  settings.azure().mounts = {
      {Kind::nfs, "10.0.0.4:/home", "home", "-o nolock", "", ""},
      {Kind::azure_files, "https://acc.file.core.windows.net/share", "share", "", "acc", folder / "key"},
      {Kind::blob, "data", "data", "", "acc", ""}};
  EXPECT_EQ(
      json::serialize(settings.body().at("mountConfiguration")),
      R"([{"nfsMountConfiguration":{"source":"10.0.0.4:/home","relativeMountPath":"home","mountOptions":"-o nolock"}},)"
      R"({"azureFileShareConfiguration":{"accountName":"acc","azureFileUrl":"https://acc.file.core.windows.net/share",)"
      R"("accountKey":"K3Y==","relativeMountPath":"share"}},)"
      R"({"azureBlobFileSystemConfiguration":{"accountName":"acc","containerName":"data","relativeMountPath":"data",)"
      R"("identityReference":{"resourceId":"/id"}}}])");
  settings.azure().mounts[1].key_file = folder / "missing";
  auto copy = std::make_shared<const model::Cluster>(settings.cluster);
  const auto refused = batch_settings(copy, copy->pools[0], "x", {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::bad_config);
  std::filesystem::remove_all(folder);
}

TEST(BatchSettings, HashesTellWhatAnEmptyPoolIsNeededFor) {
  Settings settings;
  const BatchSettings before = settings.make();
  EXPECT_EQ(settings.make().fixed_hash, before.fixed_hash);
  EXPECT_EQ(settings.make().live_hash, before.live_hash);
  EXPECT_EQ(before.fixed_hash.size(), 16u);
  const auto changed = [&](auto change) {
    Settings other;
    change(other);
    const BatchSettings after = other.make();
    return std::pair(after.fixed_hash != before.fixed_hash, after.live_hash != before.live_hash);
  };
  const std::pair fixed(true, false);
  const std::pair live(false, true);
  EXPECT_EQ(changed([](Settings& s) { s.azure().image = "/another"; }), fixed);
  EXPECT_EQ(changed([](Settings& s) { s.cluster.pools[0].machines = {"Standard_D8s_v5"}; }), fixed);
  EXPECT_EQ(changed([](Settings& s) { s.azure().subnet = "/net"; }), fixed);
  EXPECT_EQ(changed([](Settings& s) { s.azure().inter_node = false; }), fixed);
  EXPECT_EQ(changed([](Settings& s) { s.azure().node_identity = "/id"; }), std::pair(true, true));
  EXPECT_EQ(changed([](Settings& s) { s.azure().tags["a"] = "b"; }), live);
  EXPECT_EQ(changed([](Settings& s) { s.azure().agent_url = "https://x"; }), live);
  EXPECT_EQ(changed([](Settings& s) { s.azure().resize_timeout = Duration(600'000); }), std::pair(false, false));
}

TEST(BatchSettings, NamesFitBatch) {
  model::Pool pool;
  pool.name = PoolName("cpu");
  pool.machines = {"Standard_D4s_v5"};
  EXPECT_EQ(batch_pool_id("demo", pool, "Standard_D4s_v5"), "demo-cpu");
  pool.machines.emplace_back("Standard_HB120-96rs_v3");
  EXPECT_EQ(batch_pool_id("demo", pool, "Standard_HB120-96rs_v3"), "demo-cpu-standard_hb120-96rs_v3");
  pool.name = PoolName(std::string(60, 'p'));
  const std::string one = batch_pool_id("demo", pool, "Standard_D4s_v5");
  EXPECT_EQ(one.size(), 64u);
  EXPECT_NE(one, batch_pool_id("demo", pool, "Standard_HB120-96rs_v3")) << "cut names stay different";
}

TEST(BatchSettings, ChangesAreWrittenAsBatchReadsThem) {
  EXPECT_EQ(batch_resize_body({5, 0}, Duration(300'000)),
            R"({"targetDedicatedNodes":5,"targetLowPriorityNodes":0,"resizeTimeout":"PT300S"})");
  EXPECT_EQ(batch_remove_body({"a", "b"}, Duration(900'000)),
            R"({"nodeList":["a","b"],"resizeTimeout":"PT900S","nodeDeallocationOption":"terminate"})");
  EXPECT_EQ(marketplace_image("a:b:c"), (std::vector<std::string>{"a", "b", "c", "latest"}));
  EXPECT_TRUE(marketplace_image("/subscriptions/a:b:c").empty());
  EXPECT_TRUE(marketplace_image("ubuntu").empty());
}

}  // namespace
}  // namespace slipway::cloud::azure
