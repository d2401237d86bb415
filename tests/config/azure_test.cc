// Pools in Azure: what a file says of them arrives, with the catalogue's facts and the cluster's defaults.
#include "helpers.h"

namespace slipway::config {
namespace {

using model::AzureIdentity;
using model::AzureMount;
using model::AzurePoolKind;
using model::Market;
using model::ProviderKind;
using std::chrono::minutes;
using Words = std::vector<std::string>;

constexpr const char* subscription = "11111111-2222-3333-4444-555555555555";
const std::string vnets =
    std::string("/subscriptions/") + subscription + "/resourceGroups/hpc/providers/Microsoft.Network/virtualNetworks/";
const std::string node_identity =
    std::string("/subscriptions/") + subscription +
    "/resourceGroups/hpc/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nodes";

// A cluster section with all that a Batch pool needs; `more` are further keys of it.
std::string cluster_section(const std::string& more = "") {
  return std::string("cluster: a\nprovider: azure\nazure:\n  subscription: ") + subscription +
         "\n  resource_group: hpc\n  region: westeurope\n  account: hpcbatch\n  subnet: net/nodes\n"
         "  image: canonical:ubuntu-24_04-lts:server:latest\n  node_identity: " +
         node_identity + "\n" + more;
}
std::string with_pool(const std::string& keys, const std::string& more = "") {
  return cluster_section(more) + "pools: {p: {max: 8, " + keys + "}}\n";
}
model::Pool pool_with(const std::string& keys, const std::string& more = "") {
  model::Cluster cluster = parse_clean(with_pool(keys, more));
  return cluster.pools.at(0);
}

// Nothing is lost on the way to the controller.
void expect_round_trip(const Loaded& loaded) {
  ASSERT_TRUE(loaded.ok()) << all_problems(loaded);
  const std::string written = to_yaml(loaded.cluster);
  const Loaded again = parse_text(written);
  ASSERT_TRUE(again.ok()) << all_problems(again) << written;
  EXPECT_EQ(to_yaml(again.cluster), written);
}

TEST(AzurePools, TakeWhatTheClusterSaysAndTheCatalogueKnows) {
  const Loaded loaded = parse_text(with_pool("machines: standard_d2S_v5"));
  EXPECT_EQ(all_problems(loaded), "");
  const model::Cluster& cluster = loaded.cluster;
  EXPECT_EQ(cluster.provider, ProviderKind::azure);
  ASSERT_TRUE(cluster.azure);
  EXPECT_EQ(cluster.azure->cloud, model::AzureCloudName::public_cloud);
  EXPECT_EQ(cluster.azure->identity.kind, AzureIdentity::Kind::managed);
  const model::Pool& pool = cluster.pools.at(0);
  EXPECT_EQ(pool.provider, ProviderKind::azure);
  EXPECT_EQ(pool.machines, Words{"Standard_D2s_v5"});
  EXPECT_EQ(pool.shape.cpus, 2u);
  EXPECT_EQ(pool.shape.memory_mib, 8192u);
  EXPECT_TRUE(pool.shape.gres.empty());
  EXPECT_EQ(pool.boot_timeout, minutes(15));
  EXPECT_EQ(pool.features, (Words{"standard_d2s_v5", "dsv5", "x64", "dedicated"}));
  ASSERT_TRUE(pool.azure);
  EXPECT_EQ(pool.azure->kind, AzurePoolKind::batch);
  EXPECT_EQ(pool.azure->subscription, subscription);
  EXPECT_EQ(pool.azure->resource_group, "hpc");
  EXPECT_EQ(pool.azure->region, "westeurope");
  EXPECT_EQ(pool.azure->account, "hpcbatch");
  EXPECT_EQ(pool.azure->subnet, vnets + "net/subnets/nodes");
  EXPECT_EQ(pool.azure->image, "canonical:ubuntu-24_04-lts:server:latest");
  EXPECT_EQ(pool.azure->node_identity, node_identity);
  EXPECT_EQ(pool.azure->resize_timeout, minutes(15));
  EXPECT_TRUE(pool.azure->inter_node);
  expect_round_trip(loaded);
}

TEST(AzurePools, EveryKeyArrives) {
  const Loaded loaded = parse_text(cluster_section(R"(  cloud: us_government
  identity: {service_principal: {tenant: contoso.example.org, client: 99999999-2222-3333-4444-555555555555, secret_file: /etc/slipway/secret}}
  endpoints: {arm: "https://arm.example.org/", login: "http://198.18.0.1:8443", imds: "http://169.254.169.254", ca_file: /etc/ca.pem}
  tags: {team: chemistry}
  resize_timeout: 10m
)") + R"(pools:
  b:
    max: 8
    machines: Standard_D2s_v5
    market: spot_then_on_demand
    boot_timeout: 5m
    features: [mine, x64]
    azure:
      kind: batch
      subscription: 22222222-2222-3333-4444-555555555555
      resource_group: other.group
      region: northeurope
      account: other
      account_url: https://other.northeurope.batch.azure.com/
      subnet: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/x/providers/microsoft.network/virtualnetworks/v/subnets/s
      image: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/x/providers/Microsoft.Compute/galleries/g/images/i/versions/1.2.3
      node_agent: batch.node.ubuntu 24.04
      agent_url: https://files.example.org/slipway-agent
      admin: {user: ops, key: "ssh-ed25519 AAAAC3 ops@example"}
      tags: {"cost center": "12 34", Team: physics}
      inter_node: false
      resize_timeout: 5m
      mounts:
        - {type: nfs, source: "10.0.0.4:/export", target: data, options: "-o vers=4"}
        - {type: azure_files, source: "https://acc.file.core.windows.net/share", target: files/deep, account: acc, key_file: /etc/key}
        - {type: blob, source: results, target: results, account: acc}
  s:
    max: 900
    machines: [Standard_D2s_v5, Standard_D2as_v5]
    zones: [1, 2]
    market: spot_then_on_demand
    placement: none
    azure:
      kind: scale_set
      eviction_policy: deallocate
      priority_mix: {base: 2, on_demand: 20%}
      accelerated_network: false
  r:
    max: 9
    machines: Standard_D2s_v5
    azure:
      kind: scale_set
      capacity_reservation: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/x/providers/Microsoft.Compute/capacityReservationGroups/g
  l: {max: 2, provider: local, cpus: 3}
partitions: {north: {pools: b}, west: {pools: [s, r]}, here: {pools: l}}
)");
  EXPECT_EQ(all_problems(loaded), "");
  const model::Cluster& c = loaded.cluster;
  ASSERT_TRUE(c.azure);
  EXPECT_EQ(c.azure->cloud, model::AzureCloudName::us_government);
  EXPECT_EQ(c.azure->identity.kind, AzureIdentity::Kind::service_principal);
  EXPECT_EQ(c.azure->identity.tenant_id, "contoso.example.org");
  EXPECT_EQ(c.azure->identity.client_id, "99999999-2222-3333-4444-555555555555");
  EXPECT_EQ(c.azure->identity.secret_file, "/etc/slipway/secret");
  EXPECT_EQ(c.azure->endpoints.arm, "https://arm.example.org");
  EXPECT_EQ(c.azure->endpoints.login, "http://198.18.0.1:8443");
  EXPECT_EQ(c.azure->endpoints.imds, "http://169.254.169.254");
  EXPECT_EQ(c.azure->endpoints.ca_file, "/etc/ca.pem");
  ASSERT_EQ(c.pools.size(), 4u);

  const model::AzurePool& b = *c.pools[0].azure;
  EXPECT_EQ(b.subscription.substr(0, 4), "2222");
  EXPECT_EQ(b.resource_group, "other.group");
  EXPECT_EQ(b.region, "northeurope");
  EXPECT_EQ(b.account, "other");
  EXPECT_EQ(b.account_url, "https://other.northeurope.batch.azure.com");
  EXPECT_TRUE(b.subnet.ends_with("/virtualnetworks/v/subnets/s"));
  EXPECT_TRUE(b.image.ends_with("/versions/1.2.3"));
  EXPECT_EQ(b.node_agent, "batch.node.ubuntu 24.04");
  EXPECT_EQ(b.agent_url, "https://files.example.org/slipway-agent");
  EXPECT_EQ(b.admin_user, "ops");
  EXPECT_EQ(b.admin_key, "ssh-ed25519 AAAAC3 ops@example");
  EXPECT_EQ(b.tags, (std::map<std::string, std::string>{{"Team", "physics"}, {"cost center", "12 34"}}));
  EXPECT_FALSE(b.inter_node);
  EXPECT_EQ(b.resize_timeout, minutes(5));
  ASSERT_EQ(b.mounts.size(), 3u);
  EXPECT_EQ(b.mounts[0].options, "-o vers=4");
  EXPECT_EQ(b.mounts[1].kind, AzureMount::Kind::azure_files);
  EXPECT_EQ(b.mounts[1].target, "files/deep");
  EXPECT_EQ(b.mounts[1].key_file, "/etc/key");
  EXPECT_EQ(b.mounts[2].kind, AzureMount::Kind::blob);
  EXPECT_EQ(c.pools[0].boot_timeout, minutes(5));
  EXPECT_EQ(c.pools[0].features, (Words{"mine", "x64", "standard_d2s_v5", "dsv5"}));

  const model::AzurePool& s = *c.pools[1].azure;
  EXPECT_EQ(s.kind, AzurePoolKind::scale_set);
  EXPECT_EQ(s.account, "") << "of the cluster's section, and only for Batch";
  EXPECT_EQ(s.tags.at("team"), "chemistry");
  EXPECT_FALSE(s.evicted_are_deleted);
  ASSERT_TRUE(s.priority_mix);
  EXPECT_EQ(s.priority_mix->base, 2u);
  EXPECT_EQ(s.priority_mix->on_demand_percent, 20u);
  EXPECT_FALSE(s.accelerated_network);
  EXPECT_EQ(c.pools[1].zones, (Words{"1", "2"}));
  EXPECT_EQ(c.pools[1].features, Words{"x64"}) << "what both sizes have";
  EXPECT_TRUE(c.pools[2].azure->capacity_reservation.ends_with("/g"));
  EXPECT_TRUE(c.pools[2].azure->accelerated_network);

  EXPECT_EQ(c.pools[3].provider, ProviderKind::local);
  EXPECT_FALSE(c.pools[3].azure);
  EXPECT_EQ(c.pools[3].boot_timeout, std::chrono::seconds(60));
  expect_round_trip(loaded);
  EXPECT_EQ(parse_text(to_yaml(c)).cluster.pools[0].azure->mounts[1].source, "https://acc.file.core.windows.net/share");
}

TEST(AzurePools, IdentitiesInEveryForm) {
  using Kind = AzureIdentity::Kind;
  const auto identity = [](const std::string& text) {
    const Loaded loaded = parse_text(with_pool("machines: Standard_D2s_v5", "  identity: " + text + "\n"));
    EXPECT_EQ(all_problems(loaded), "");
    expect_round_trip(loaded);
    return parse_text(to_yaml(loaded.cluster)).cluster.azure.value_or(model::AzureCloud()).identity;
  };
  EXPECT_EQ(identity("managed").kind, Kind::managed);
  EXPECT_EQ(identity("cli").kind, Kind::cli);
  EXPECT_EQ(identity(std::string("{managed: ") + subscription + "}").client_id, subscription);
  const std::string who = std::string("tenant: ") + subscription + ", client: " + subscription;
  AzureIdentity found = identity("{workload: {" + who + ", token_file: /var/run/token}}");
  EXPECT_EQ(found.kind, Kind::workload);
  EXPECT_EQ(found.token_file, "/var/run/token");
  EXPECT_EQ(found.tenant_id, subscription);
  found = identity("{service_principal: {" + who + ", certificate_file: /etc/c.pem}}");
  EXPECT_EQ(found.kind, Kind::service_principal);
  EXPECT_EQ(found.certificate_file, "/etc/c.pem");
  EXPECT_EQ(found.secret_file, "");
}

TEST(AzurePools, HaveTheShapeThatAllTheirMachinesHave) {
  EXPECT_EQ(pool_with("machines: Standard_ND96isr_H100_v5, placement: per_pool").shape.gres, Words{"gpu:h100:8"});
  EXPECT_EQ(pool_with("machines: Standard_HB120-16rs_v3, placement: per_pool").shape.cpus, 16u);
  const Loaded mixed = parse_text(with_pool("machines: [Standard_NC24ads_A100_v4, Standard_NC12s_v3]"));
  EXPECT_TRUE(mixed.ok());
  EXPECT_EQ(mixed.cluster.pools[0].shape.cpus, 12u);
  EXPECT_EQ(mixed.cluster.pools[0].shape.memory_mib, 220u * 1024);
  EXPECT_EQ(mixed.cluster.pools[0].shape.gres, Words{"gpu:1"}) << "two models: none is promised";
  EXPECT_EQ(mixed.cluster.pools[0].features, (Words{"gpu", "x64", "dedicated"}));
  const Loaded half = parse_text(with_pool("machines: [Standard_NC6s_v3, Standard_D8s_v5]"));
  EXPECT_TRUE(half.cluster.pools[0].shape.gres.empty());
}

TEST(AzurePools, WhatTheFileSaysOfTheShapeHolds) {
  const model::Pool less = pool_with("machines: Standard_NC6s_v3, cpus: 4, memory: 64GiB, gres: []");
  EXPECT_EQ(less.shape.cpus, 4u);
  EXPECT_EQ(less.shape.memory_mib, 64u * 1024);
  EXPECT_TRUE(less.shape.gres.empty());
  expect_round_trip(parse_text(with_pool("machines: Standard_NC6s_v3, gres: []")));
  EXPECT_TRUE(parse_text(to_yaml(parse_text(with_pool("machines: Standard_NC6s_v3, gres: []")).cluster))
                  .cluster.pools.at(0)
                  .shape.gres.empty());
  const model::Pool unknown = pool_with("machines: Standard_Z9s_v99, cpus: 9, memory: 9GiB");
  EXPECT_EQ(unknown.machines, Words{"Standard_Z9s_v99"});
  EXPECT_EQ(unknown.shape.cpus, 9u);
  EXPECT_EQ(unknown.features, (Words{"standard_z9s_v99", "dedicated"}));
}

TEST(AzurePools, FeaturesSayHowAndWhereMachinesAreBought) {
  const std::string size = "machines: Standard_D2s_v5, ";
  const auto last = [&](const std::string& keys) {
    const Loaded loaded = parse_text(with_pool(size + keys));
    EXPECT_TRUE(loaded.ok()) << all_problems(loaded);
    return loaded.ok() ? loaded.cluster.pools.at(0).features.back() : "";
  };
  EXPECT_EQ(last("market: on_demand"), "dedicated");
  EXPECT_EQ(last("market: spot"), "low-priority");
  EXPECT_EQ(last("market: spot_then_on_demand"), "x64");
  EXPECT_EQ(last("market: on_demand, azure: {kind: scale_set}"), "on-demand");
  EXPECT_EQ(last("market: spot, azure: {kind: scale_set}"), "spot");
  EXPECT_EQ(last("zones: 2, azure: {kind: scale_set}"), "zone-2");
}

TEST(AzurePools, LiveBesideLocalOnes) {
  const Loaded loaded = parse_text(cluster_section() +
                                   "pools:\n  c: {max: 20000, machines: Standard_D2s_v5, azure: {inter_node: false}}\n"
                                   "  l: {max: 1000, provider: local}\npartitions: {c: {pools: c}, l: {pools: l}}\n"
                                   "reclaim_exclude: [c-20000, l-1000]\n");
  EXPECT_EQ(all_problems(loaded), "") << "a bridge's 1000 ports are the local machines'";
  EXPECT_EQ(loaded.cluster.reclaim_exclude, (Words{"c-20000", "l-1000"}));
  expect_round_trip(loaded);
  const Loaded other = parse_text(
      "cluster: a\npools:\n  l: {max: 2}\n  c:\n    max: 2\n    provider: azure\n    machines: Standard_D2s_v5\n    "
      "azure:\n"
      "      {subscription: 11111111-2222-3333-4444-555555555555, resource_group: g, region: r, account: abc,\n"
      "       image: \"a:b:c:d\", subnet: v/s, node_identity: " +
      node_identity + "}\npartitions: {l: {pools: l}, c: {pools: c}}\n");
  EXPECT_EQ(all_problems(other), "") << "without a section of the cluster";
  EXPECT_EQ(other.cluster.provider, ProviderKind::local);
  EXPECT_TRUE(other.cluster.azure);
  EXPECT_FALSE(parse_text("cluster: a\npools: {p: {max: 2}}\n").cluster.azure);
  expect_round_trip(other);
}

TEST(AzurePools, NamesOfAllLengthsThatAzureTakes) {
  const std::string cluster = "cluster: " + std::string(31, 'a') + "\n";
  const std::string rest = cluster_section().substr(std::string("cluster: a\n").size());
  const auto pools = [&](size_t letters, const std::string& keys) {
    return parse_text(cluster + rest + "pools: {" + std::string(letters, 'p') + ": {max: 2, " + keys + "}}\n");
  };
  EXPECT_EQ(all_problems(pools(32, "machines: Standard_D2s_v5")), "") << "31 and 1 and 32 are 64";
  EXPECT_EQ(all_problems(pools(18, "machines: Standard_D2s_v5, azure: {kind: scale_set}")), "");
  EXPECT_FALSE(pools(19, "machines: Standard_D2s_v5, azure: {kind: scale_set}").ok());
  EXPECT_FALSE(pools(17, "machines: [Standard_D2s_v5, Standard_D2as_v5]").ok());
}

}  // namespace
}  // namespace slipway::config
