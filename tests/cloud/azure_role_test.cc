#include "cloud/azure/role.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "cloud/azure/doctor_views.h"
#include "http/base64.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;

TEST(AzureRole, wildcards_as_azure_reads_them) {
  const auto allowed = [](std::vector<std::string> actions, const char* action) {
    return allows({{std::move(actions), {}}}, action);
  };
  const char* const read = "Microsoft.Batch/batchAccounts/pools/read";
  EXPECT_TRUE(allowed({"*"}, read));
  EXPECT_TRUE(allowed({"*/read"}, read));
  EXPECT_TRUE(allowed({"microsoft.batch/*"}, read));
  EXPECT_TRUE(allowed({"Microsoft.Batch/*/read"}, read));
  EXPECT_TRUE(allowed({"Microsoft.Batch/batchAccounts/pools/read"}, read));
  EXPECT_TRUE(allowed({"Microsoft.Batch/batchAccounts/pools/read*"}, read));
  EXPECT_TRUE(allowed({"x", "Microsoft.*/*pools/*"}, read));
  EXPECT_FALSE(allowed({}, read));
  EXPECT_FALSE(allowed({""}, read));
  EXPECT_FALSE(allowed({"*/write"}, read));
  EXPECT_FALSE(allowed({"Microsoft.Batch/batchAccounts/read"}, read));
  EXPECT_FALSE(allowed({"Microsoft.Batch/batchAccounts/pools/rea"}, read));
  EXPECT_FALSE(allowed({"Microsoft.Batch/batchAccounts/pools/readx"}, read));
}

TEST(AzureRole, what_one_assignment_takes_away_another_may_give) {
  const Grant most{{"*"}, {"Microsoft.Batch/*/delete"}};
  const char* const remove = "Microsoft.Batch/batchAccounts/pools/delete";
  EXPECT_FALSE(allows({most}, remove));
  EXPECT_TRUE(allows({most}, "Microsoft.Batch/batchAccounts/pools/write"));
  EXPECT_TRUE(allows({most, {{"Microsoft.Batch/batchAccounts/pools/*"}, {}}}, remove));
}

json::object definition_of(const model::Cluster* cluster) {
  return json::parse(role_definition(cluster)).as_object();
}

std::string actions_of(const json::object& definition) {
  return json::serialize(definition.at("Actions"));
}

TEST(AzureRole, the_definition_has_what_az_wants) {
  const json::object all = definition_of(nullptr);
  EXPECT_EQ(all.at("Name"), "Slipway");
  EXPECT_EQ(all.at("IsCustom"), true);
  EXPECT_EQ(all.at("Actions").as_array().size(), role_actions().size());
  for (const char* key : {"NotActions", "DataActions", "NotDataActions"}) EXPECT_TRUE(all.at(key).as_array().empty());
  EXPECT_EQ(json::serialize(all.at("AssignableScopes")), R"(["/subscriptions/00000000-0000-0000-0000-000000000000"])");
  // It is the least: nothing is given by the handful.
  EXPECT_EQ(actions_of(all).find('*'), std::string::npos);
}

TEST(AzureRole, of_a_cluster_only_what_its_pools_need) {
  model::Cluster cluster;
  cluster.name = "lab";
  cluster.pools.resize(1);
  model::AzurePool& pool = cluster.pools.front().azure.emplace();
  pool.subscription = "aaa";
  pool.resource_group = "hpc";
  pool.account = "lab";
  pool.subnet = "/subscriptions/bbb/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/n/subnets/s";
  json::object role = definition_of(&cluster);
  EXPECT_EQ(role.at("Name"), "Slipway lab");
  EXPECT_EQ(json::serialize(role.at("AssignableScopes")), R"(["/subscriptions/aaa","/subscriptions/bbb"])");
  EXPECT_NE(actions_of(role).find("Microsoft.Batch/batchAccounts/pools/write"), std::string::npos);
  EXPECT_NE(actions_of(role).find("subnets/join/action"), std::string::npos);
  EXPECT_EQ(actions_of(role).find("virtualMachineScaleSets"), std::string::npos);
  EXPECT_EQ(actions_of(role).find("userAssignedIdentities"), std::string::npos);
  pool.kind = model::AzurePoolKind::scale_set;
  pool.node_identity = "/subscriptions/aaa/resourceGroups/hpc/providers/Microsoft.ManagedIdentity/x/y";
  role = definition_of(&cluster);
  EXPECT_EQ(actions_of(role).find("Microsoft.Batch/"), std::string::npos);
  EXPECT_EQ(actions_of(role).find("proximityPlacementGroups"), std::string::npos);
  EXPECT_NE(actions_of(role).find("virtualMachineScaleSets/delete/action"), std::string::npos);
  EXPECT_NE(actions_of(role).find("userAssignedIdentities/assign/action"), std::string::npos);
  cluster.pools.front().placement = model::Placement::per_pool;
  EXPECT_NE(actions_of(definition_of(&cluster)).find("proximityPlacementGroups/write"), std::string::npos);
}

TEST(AzureDoctorViews, claims) {
  const auto token = [](std::string_view claims) { return "e30." + http::to_base64url(claims) + ".c2ln"; };
  const auto person = parse_claims(token(R"({"oid":"o","tid":"t","upn":"a@b.c","appid":"cli"})"));
  ASSERT_TRUE(person);
  EXPECT_EQ(person->name, "a@b.c");
  EXPECT_EQ(parse_claims(token(R"({"azp":"app"})"))->application, "app");
  for (const std::string& text : {std::string(), std::string("a.b"), std::string("a.!.b"), token("[]"), token("{")}) {
    EXPECT_FALSE(parse_claims(text)) << text;
  }
}

TEST(AzureDoctorViews, addresses) {
  const auto addresses = [](const std::string& prefix) {
    return parse_subnet(R"({"properties":{"addressPrefix":")" + prefix + "\"}}")->addresses;
  };
  EXPECT_EQ(addresses("10.0.0.0/24"), 251u);
  EXPECT_EQ(addresses("10.0.0.0/29"), 3u);
  EXPECT_EQ(addresses("10.0.0.0/30"), 0u);
  EXPECT_EQ(addresses("10.0.0.0/32"), 0u);
  EXPECT_EQ(addresses("10.0.0.0/8"), (1u << 24) - 5);
  for (const char* text :
       {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/0", "10.0.0.0/8x", "fd00::/24"}) {
    EXPECT_EQ(addresses(text), 0u) << text;
  }
}

}  // namespace
}  // namespace slipway::cloud::azure
