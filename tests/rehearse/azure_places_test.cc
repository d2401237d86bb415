#include "azure_world.h"

namespace slipway::rehearse::azure {
namespace {

const std::string network_version = "2024-01-01";
const std::string compute = "2024-07-01";
const std::string network_path = group_path + "/providers/Microsoft.Network/virtualNetworks/v";
const std::string provider_path = "/subscriptions/" + subscription + "/providers/";

class AzurePlaces : public AzureTest {
 protected:
  static std::string versions_of(const std::string& publisher, const std::string& sku,
                                 const std::string& region = "westeurope") {
    return provider_path + "Microsoft.Compute/locations/" + region + "/publishers/" + publisher +
           "/artifacttypes/vmimage/offers/ubuntu-24_04-lts/skus/" + sku + "/versions";
  }
  size_t used() {
    return arm("GET", subnet_id, network_version).body.at("properties").at("ipConfigurations").as_array().size();
  }
};

TEST_F(AzurePlaces, NetworkTellsItsRegionAndSubnets) {
  const auto network = arm("GET", network_path, network_version);
  ASSERT_EQ(network.status, 200) << network.raw.body;
  EXPECT_EQ(text_at(network.body, "location"), "westeurope");
  const json::array& subnets = network.body.at("properties").at("subnets").as_array();
  ASSERT_EQ(subnets.size(), 1u);
  EXPECT_EQ(text_at(subnets[0].as_object(), "id"), subnet_id);
  EXPECT_EQ(arm("GET", network_path + "2", network_version).code(), "ResourceNotFound");
  EXPECT_EQ(arm("GET", network_path + "/subnets/other", network_version).code(), "ResourceNotFound");
}

TEST_F(AzurePlaces, BatchNodesTakeTheSubnetsAddresses) {
  EXPECT_EQ(used(), 0u);
  json::object inside = pool_body("inside", 3);
  inside["networkConfiguration"] = {{"subnetId", subnet_id}};
  ASSERT_EQ(batch("POST", "/pools", json::serialize(inside)).status, 201);
  ASSERT_TRUE(steady("inside"));
  make_pool("outside", 2);
  EXPECT_EQ(used(), 3u);
}

TEST_F(AzurePlaces, SizesOfBatchComeInPagesAndByFamily) {
  const std::string path = provider_path + "Microsoft.Batch/locations/westeurope/virtualMachineSkus";
  const auto all = arm("GET", path, compute);
  ASSERT_EQ(all.status, 200) << all.raw.body;
  std::vector<std::string> names;
  std::string next = path + "?maxresults=300";
  for (int page = 0; !next.empty() && page < 100; ++page) {
    const auto part = arm("GET", next, compute);
    ASSERT_EQ(part.status, 200) << part.raw.body;
    EXPECT_LE(part.value().size(), 300u);
    for (const json::value& size : part.value()) names.push_back(text_at(size.as_object(), "name"));
    next = text_at(part.body, "nextLink");
    if (!next.empty()) next = next.substr(std::string("https://arm.test").size());
  }
  EXPECT_EQ(names.size(), all.value().size());
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  EXPECT_NE(std::find(names.begin(), names.end(), "Standard_D4s_v5"), names.end());
  const auto family = arm("GET", path + "?$filter=" + http::encode("familyName eq 'standardDSv5Family'"), compute);
  ASSERT_FALSE(family.value().empty());
  for (const json::value& size : family.value()) {
    EXPECT_EQ(text_at(size.as_object(), "familyName"), "standardDSv5Family");
  }
  EXPECT_EQ(arm("GET", path + "?$filter=" + http::encode("name eq 'Standard_D4s_v5'"), compute).status, 400);
  EXPECT_EQ(arm("GET", path + "?maxresults=0", compute).status, 400);
  EXPECT_EQ(arm("GET", provider_path + "Microsoft.Batch/locations/atlantis/virtualMachineSkus", compute).code(),
            "NoRegisteredProviderFound");
}

TEST_F(AzurePlaces, MarketplaceHasTheImagesThatBatchAccepts) {
  const auto list = arm("GET", versions_of("Canonical", "server") + "?$top=1&$orderby=name%20desc", compute);
  ASSERT_EQ(list.status, 200) << list.raw.body;
  const json::value versions = json::parse(list.raw.body);
  ASSERT_EQ(versions.as_array().size(), 1u);
  const std::string version = text_at(versions.as_array()[0].as_object(), "name");
  const auto one = arm("GET", versions_of("Canonical", "server") + "/" + version, compute);
  EXPECT_EQ(text_at(one.body, "id"), text_at(versions.as_array()[0].as_object(), "id"));
  for (const char* wrong : {"latest", "1.0", "1..0", "1.0.0.0", "a.b.c", "."}) {
    EXPECT_EQ(arm("GET", versions_of("Canonical", "server") + "/" + wrong, compute).code(), "NotFound") << wrong;
  }
  EXPECT_EQ(arm("GET", versions_of("Canonical", "servant"), compute).code(), "NotFound");
  EXPECT_EQ(arm("GET", versions_of("nobody", "server"), compute).code(), "NotFound");
  EXPECT_EQ(arm("GET", versions_of("Canonical", "server", "atlantis"), compute).code(), "NoRegisteredProviderFound");
}

TEST_F(AzurePlaces, OwnImagesAreThoseOfTheWorld) {
  const std::string images = group_path + "/providers/Microsoft.Compute/images/";
  const auto image = arm("GET", images + "node", compute);
  ASSERT_EQ(image.status, 200) << image.raw.body;
  EXPECT_EQ(text_at(image.body, "location"), "westeurope");
  EXPECT_EQ(arm("GET", images + "other", compute).code(), "ResourceNotFound");
  const std::string gallery = group_path + "/providers/Microsoft.Compute/galleries/g/images/node";
  EXPECT_EQ(arm("GET", gallery, "2023-07-03").code(), "ResourceNotFound");
  EXPECT_EQ(arm("GET", gallery + "/versions/1.0.0", "2023-07-03").code(), "ResourceNotFound");
  EXPECT_EQ(arm("GET", gallery + "/versions/1.0.0", "2024-07-01").status, 400) << "not a version of galleries' API";
}

TEST_F(AzurePlaces, PermissionsAreToldOfNestedResources) {
  const std::string last = "/providers/Microsoft.Authorization/permissions";
  for (const std::string& scope : {group_path, account_path, subnet_id,
                                   group_path + "/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0"}) {
    const auto permissions = arm("GET", scope + last, "2022-04-01");
    ASSERT_EQ(permissions.status, 200) << scope << permissions.raw.body;
    EXPECT_EQ(permissions.value().size(), 1u);
  }
  EXPECT_EQ(arm("GET", subnet_id + last, "2024-07-01").status, 400);
  EXPECT_EQ(arm("GET", "/subscriptions/" + subscription + "/resourceGroups/none" + last, "2022-04-01").code(),
            "ResourceGroupNotFound");
}

}  // namespace
}  // namespace slipway::rehearse::azure
