#include "cloud/azure/scale_set_model.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "http/base64.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;
using model::Market;

class ScaleSetModel : public ::testing::Test {
 protected:
  ScaleSetModel() {
    cluster.name = "hpc";
    pool.name = PoolName("cpu");
    pool.provider = model::ProviderKind::azure;
    pool.machines = {"Standard_D2s_v5"};
    pool.azure.emplace();
    pool.azure->kind = model::AzurePoolKind::scale_set;
    pool.azure->subscription = "sub-1";
    pool.azure->resource_group = "rg-1";
    pool.azure->region = "westeurope";
    pool.azure->subnet = "/subnet";
    pool.azure->image = "almalinux:almalinux-hpc:8_10:latest";
    pool.azure->tags = {{"owner", "lab"}};
    pool.azure->admin_user = "ada";  // so that no key must be made, which takes time
    pool.azure->admin_key = "ssh-ed25519 AAAA ada";
  }
  std::vector<ScaleSetSpec> specs() { return scale_sets_of(cluster, pool, options); }
  json::value body(uint32_t capacity = 0) { return json::parse(make_body(specs().front(), pool, capacity)); }
  std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const ScaleSetSpec& spec : specs()) all.push_back(spec.name);
    return all;
  }

  model::Cluster cluster;
  model::Pool pool;
  AzureOptions options{.daemon = "10.0.0.4:6830", .daemon_key = "00ff"};
};

TEST_F(ScaleSetModel, Names) {
  EXPECT_EQ(names(), std::vector<std::string>{"hpc-cpu-od"});
  pool.markets = {Market::spot, Market::on_demand};
  EXPECT_EQ(names(), (std::vector<std::string>{"hpc-cpu-spot", "hpc-cpu-od"}));
  pool.machines = {"Standard_D2s_v5", "Standard_D4s_v5"};
  EXPECT_EQ(names(), (std::vector<std::string>{"hpc-cpu-spot-standard_d2s_v5", "hpc-cpu-spot-standard_d4s_v5",
                                               "hpc-cpu-od-standard_d2s_v5", "hpc-cpu-od-standard_d4s_v5"}));
  pool.azure->priority_mix = model::AzurePriorityMix{.base = 1, .on_demand_percent = 25};
  EXPECT_EQ(names(), (std::vector<std::string>{"hpc-cpu-standard_d2s_v5", "hpc-cpu-standard_d4s_v5"}));
}

TEST_F(ScaleSetModel, ANewSet) {
  const json::value set = body(17);
  EXPECT_EQ(set.at("location"), "westeurope");
  EXPECT_EQ(set.at("sku").at("name"), "Standard_D2s_v5");
  EXPECT_EQ(set.at("sku").at("capacity").as_int64(), 17);
  EXPECT_EQ(set.at("tags").at("owner"), "lab");
  EXPECT_EQ(set.at("tags").at("slipway-cluster"), "hpc");
  EXPECT_EQ(set.at("tags").at("slipway-pool"), "cpu");
  EXPECT_EQ(set.at("tags").at("slipway-settings"), json::string(specs().front().settings));
  EXPECT_FALSE(set.as_object().contains("zones"));
  EXPECT_FALSE(set.as_object().contains("identity"));
  const json::value& properties = set.at("properties");
  EXPECT_EQ(properties.at("orchestrationMode"), "Flexible");
  EXPECT_EQ(properties.at("platformFaultDomainCount").as_int64(), 1);
  EXPECT_EQ(properties.at("singlePlacementGroup"), false);
  EXPECT_FALSE(properties.as_object().contains("zoneBalance"));
  EXPECT_FALSE(properties.as_object().contains("proximityPlacementGroup"));
  const json::value& profile = properties.at("virtualMachineProfile");
  EXPECT_EQ(profile.at("priority"), "Regular");
  EXPECT_FALSE(profile.as_object().contains("evictionPolicy"));
  EXPECT_EQ(profile.at("storageProfile").at("imageReference").at("offer"), "almalinux-hpc");
  EXPECT_EQ(profile.at("storageProfile").at("osDisk").at("deleteOption"), "Delete");
  EXPECT_EQ(profile.at("networkProfile").at("networkApiVersion"), "2020-11-01");
  const json::value& nic = profile.at("networkProfile").at("networkInterfaceConfigurations").at(0).at("properties");
  EXPECT_EQ(nic.at("deleteOption"), "Delete");
  EXPECT_EQ(nic.at("enableAcceleratedNetworking"), true);
  EXPECT_EQ(nic.at("ipConfigurations").at(0).at("properties").at("subnet").at("id"), "/subnet");
  EXPECT_FALSE(nic.at("ipConfigurations").at(0).at("properties").as_object().contains("publicIPAddressConfiguration"));
  EXPECT_EQ(profile.at("scheduledEventsProfile").at("terminateNotificationProfile").at("enable"), true);
}

TEST_F(ScaleSetModel, SpotIsNeverRestoredAndNeverTooDear) {
  pool.markets = {Market::spot};
  json::value set = body();
  EXPECT_EQ(set.at("properties").at("virtualMachineProfile").at("priority"), "Spot");
  EXPECT_EQ(set.at("properties").at("virtualMachineProfile").at("evictionPolicy"), "Delete");
  EXPECT_EQ(set.at("properties").at("virtualMachineProfile").at("billingProfile").at("maxPrice").as_int64(), -1);
  EXPECT_EQ(set.at("properties").at("spotRestorePolicy").at("enabled"), false);
  pool.azure->evicted_are_deleted = false;
  EXPECT_EQ(body().at("properties").at("virtualMachineProfile").at("evictionPolicy"), "Deallocate");
}

TEST_F(ScaleSetModel, AMixIsOfBoth) {
  pool.azure->priority_mix = model::AzurePriorityMix{.base = 3, .on_demand_percent = 25};
  const json::value set = body();
  EXPECT_EQ(set.at("properties").at("priorityMixPolicy").at("baseRegularPriorityCount").as_int64(), 3);
  EXPECT_EQ(set.at("properties").at("priorityMixPolicy").at("regularPriorityPercentageAboveBase").as_int64(), 25);
  EXPECT_EQ(set.at("properties").at("virtualMachineProfile").at("priority"), "Spot");
}

TEST_F(ScaleSetModel, ZonesImagesIdentitiesAndReservations) {
  pool.zones = {"2", "3"};
  pool.azure->image = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i";
  pool.azure->node_identity = "/subscriptions/s/id";
  pool.azure->capacity_reservation = "/subscriptions/s/crg";
  const json::value set = body();
  EXPECT_EQ(set.at("zones"), (json::array{"2", "3"}));
  EXPECT_EQ(set.at("properties").at("zoneBalance"), false);
  EXPECT_EQ(set.at("properties").at("virtualMachineProfile").at("storageProfile").at("imageReference").at("id"),
            json::string(pool.azure->image));
  EXPECT_TRUE(set.at("identity").at("userAssignedIdentities").as_object().contains("/subscriptions/s/id"));
  EXPECT_EQ(set.at("properties")
                .at("virtualMachineProfile")
                .at("capacityReservation")
                .at("capacityReservationGroup")
                .at("id"),
            "/subscriptions/s/crg");
  pool.azure->image = "/CommunityGalleries/g/images/i/versions/1";
  EXPECT_TRUE(body()
                  .at("properties")
                  .at("virtualMachineProfile")
                  .at("storageProfile")
                  .at("imageReference")
                  .as_object()
                  .contains("communityGalleryImageId"));
}

TEST_F(ScaleSetModel, ClosePlacementAndInfiniBandAreGroups) {
  EXPECT_EQ(specs().front().proximity, "");
  pool.placement = model::Placement::per_pool;
  EXPECT_EQ(specs().front().proximity, "hpc-cpu");
  EXPECT_NE(
      std::string(body().at("properties").at("proximityPlacementGroup").at("id").as_string())
          .find(
              "/subscriptions/sub-1/resourceGroups/rg-1/providers/Microsoft.Compute/proximityPlacementGroups/hpc-cpu"),
      std::string::npos);
  pool.placement = model::Placement::none;
  pool.machines = {"Standard_HB120rs_v3"};
  EXPECT_EQ(specs().front().proximity, "hpc-cpu");
}

TEST_F(ScaleSetModel, SettingsTellWhatOnlyANewSetCanTake) {
  const std::string before = specs().front().settings;
  pool.azure->image = "a:b:c:d";
  const std::string patched = specs().front().settings;
  EXPECT_NE(patched, before);
  EXPECT_TRUE(same_fixed_settings(patched, before));
  pool.zones = {"1"};
  EXPECT_FALSE(same_fixed_settings(specs().front().settings, before));
  EXPECT_FALSE(same_fixed_settings("", before));
  // A PATCH says nothing of a capacity, which would be one that is old.
  const json::value update = json::parse(specs().front().update_body);
  EXPECT_FALSE(update.at("sku").as_object().contains("capacity"));
  EXPECT_FALSE(update.at("properties").as_object().contains("orchestrationMode"));
}

TEST_F(ScaleSetModel, AKeyThatNobodyHas) {
  const std::string one = throw_away_ssh_key();
  EXPECT_NE(one, throw_away_ssh_key());
  ASSERT_TRUE(one.starts_with("ssh-rsa AAAAB3NzaC1yc2E")) << one;
  const auto blob = http::from_base64(one.substr(8, one.rfind(' ') - 8));
  ASSERT_TRUE(blob);
  EXPECT_EQ(blob->size(), 4 + 7 + 4 + 3 + 4 + 257u);
  const json::value ada = body().at("properties").at("virtualMachineProfile").at("osProfile");
  const json::value& key = ada.at("linuxConfiguration").at("ssh").at("publicKeys").at(0);
  EXPECT_EQ(key.at("keyData"), "ssh-ed25519 AAAA ada");
  EXPECT_EQ(key.at("path"), "/home/ada/.ssh/authorized_keys");
  EXPECT_EQ(ada.at("linuxConfiguration").at("disablePasswordAuthentication"), true);
  pool.azure->admin_user.clear();
  pool.azure->admin_key.clear();
  const json::value nobody = body().at("properties").at("virtualMachineProfile").at("osProfile");
  EXPECT_EQ(nobody.at("adminUsername"), "slipway");
  EXPECT_TRUE(nobody.at("linuxConfiguration")
                  .at("ssh")
                  .at("publicKeys")
                  .at(0)
                  .at("keyData")
                  .as_string()
                  .starts_with("ssh-rsa "));
}

TEST_F(ScaleSetModel, TheBootScriptIsAShellScriptWhateverTheNamesAre) {
  pool.azure->agent_url = "https://x/agent?a='b'";
  const std::string script = custom_data(cluster, pool, options);
  EXPECT_TRUE(script.starts_with("#!/bin/sh\n"));
  EXPECT_NE(script.find("SLIPWAY_CLUSTER"), std::string::npos);
  EXPECT_NE(script.find("10.0.0.4:6830"), std::string::npos);
  EXPECT_NE(script.find("exec slipway-agent --join"), std::string::npos);
  EXPECT_LT(script.size(), 20'000u);
  const auto file = std::filesystem::temp_directory_path() / ("slipway-boot-" + std::to_string(::getpid()));
  std::ofstream(file) << script;
  EXPECT_EQ(std::system(("sh -n " + file.string()).c_str()), 0);
  std::filesystem::remove(file);
  EXPECT_EQ(
      std::string(body().at("properties").at("virtualMachineProfile").at("osProfile").at("customData").as_string()),
      http::to_base64(script));
}

}  // namespace
}  // namespace slipway::cloud::azure
