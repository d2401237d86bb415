// Mistakes in what a file says of Azure: each alone, at its place, with a way out.
#include <sstream>

#include "helpers.h"

namespace slipway::config {
namespace {

constexpr const char* guid = "11111111-2222-3333-4444-555555555555";

// A cluster section with all that pools need, `more` keys of it, then the pool's keys.
std::string file_with(const std::string& pool, const std::string& more = "") {
  return std::string("cluster: a\nprovider: azure\nazure:\n  subscription: ") + guid +
         "\n  resource_group: hpc\n  region: westeurope\n  account: hpcbatch\n  subnet: net/nodes\n"
         "  image: canonical:ubuntu-24_04-lts:server:latest\n  node_identity: /subscriptions/" +
         guid + "/resourceGroups/hpc/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nodes\n" + more +
         "pools:\n  p: {max: 8, " + pool + "}\n";
}

std::string text_at(const std::string& yaml, int line, int column) {
  std::istringstream lines(yaml);
  std::string text;
  for (int i = 0; i < line; ++i) std::getline(lines, text);
  return line > 0 && column > 0 && static_cast<size_t>(column) <= text.size() + 1
             ? text.substr(static_cast<size_t>(column) - 1)
             : "";
}

// What stands at the problem's place begins with `at`.
void expect_one(const std::string& yaml, Severity severity, const std::string& at, const std::string& message) {
  const Loaded loaded = parse_text(yaml);
  ASSERT_EQ(loaded.problems.size(), 1u) << yaml << all_problems(loaded);
  const Problem& problem = loaded.problems[0];
  EXPECT_EQ(problem.severity, severity) << problem.message;
  EXPECT_NE(problem.message.find(message), std::string::npos) << problem.message;
  const std::string found = text_at(yaml, problem.line, problem.column);
  EXPECT_TRUE(found.starts_with(at)) << problem.message << "\nstands at: " << found;
}

struct Mistake {
  const char* keys;
  const char* at;
  const char* message;
};

TEST(AzureErrors, InThePool) {
  const std::string image_id =
      std::string("/subscriptions/") + guid + "/resourceGroups/g/providers/Microsoft.Compute/images/mine";
  const std::string own_image = "machines: Standard_D2s_v5, azure: {image: " + image_id + "}";
  const std::string reserved = std::string("azure: {kind: scale_set, capacity_reservation: /subscriptions/") + guid +
                               "/resourceGroups/g/providers/Microsoft.Compute/capacityReservationGroups/r}";
  const std::string reserved_spot = "machines: Standard_D2s_v5, market: spot_then_on_demand, " + reserved;
  const std::string reserved_together = "machines: Standard_D2s_v5, placement: per_pool, " + reserved;
  const Mistake mistakes[] = {
      {"cpus: 2", "p: {", "pools.p: 'machines' is missing; expected one VM size or more"},
      {"machines: Standard_D2sv5", "Standard_D2sv5",
       "the VM size 'Standard_D2sv5' isn't one that Slipway knows; did you mean 'Standard_D2_v5' or "
       "'Standard_D2s_v5'?"},
      {"machines: d2s_v5", "d2s_v5", "did you mean 'Standard_D2s_v5'?"},
      {"machines: Standard_HB120rs_v9, cpus: 120", "Standard_HB120rs_v9",
       "did you mean 'Standard_HB120rs_v2' or 'Standard_HB120rs_v3'?; for a new size write the pool's 'cpus' and"},
      {"machines: c7i.8xlarge", "c7i.8xlarge", "isn't one that Slipway knows; for a new size write"},
      {"machines: [Standard_D2s_v5, standard_d2s_v5]", "standard_d2s_v5", "is named twice"},
      {"machines: [Standard_D2s_v5, Standard_D2ps_v5]", "[Standard_D2s_v5",
       "Standard_D2ps_v5 is Arm64 and Standard_D2s_v5 is x64, and one image can't boot both"},
      {"machines: Standard_D2s_v5, zones: 1", "1}", "Batch chooses the zones itself"},
      {"machines: Standard_D2s_v5, zones: a, azure: {kind: scale_set}", "a, azure", "Azure has no zone 'a'"},
      {"machines: Standard_D2s_v5, placement: per_job", "per_job", "not those of a job"},
      {"machines: Standard_D2s_v5, placement: per_pool, azure: {inter_node: false}", "per_pool",
       "only with inter_node: true"},
      {"machines: Standard_D2s_v5, image: /srv/images/x", "/srv/images/x", "is a folder of this box"},
      {"machines: Standard_D2s_v5, azure: {kind: batsh}", "batsh", "unknown kind 'batsh'; expected one of batch and"},
      {"machines: Standard_D2s_v5, azure: {kind: scale_set, account: abc}", "abc",
       "azure.account: is for kind batch, and this pool's is scale_set"},
      {"machines: Standard_D2s_v5, azure: {eviction_policy: delete}", "delete",
       "azure.eviction_policy: is for kind scale_set, and this pool's is batch"},
      {"machines: Standard_D2s_v5, azure: {kind: scale_set, eviction_policy: stop}", "stop",
       "unknown eviction policy 'stop'"},
      {"machines: Standard_D2s_v5, azure: {regoin: x}", "regoin", "unknown key 'regoin'; did you mean 'region'?"},
      {"machines: Standard_D2s_v5, azure: {location: x}", "location", "did you mean 'region'?"},
      {"machines: Standard_D2s_v5, azure: {identity: cli}", "identity", "belongs to the cluster's own 'azure' section"},
      {"azure: {machines: Standard_D2s_v5}, machines: Standard_D2s_v5", "machines", "belongs to the pool itself"},
      {"machines: Standard_D2s_v5, azure: batch", "batch", "is 'batch'; expected a map with the keys kind, subs"},
      {"machines: Standard_D2s_v5, azure: {region: West Europe}", "West Europe", "did you mean 'westeurope'?"},
      {"machines: Standard_D2s_v5, azure: {subscription: 1234}", "1234", "expected a subscription's id, 32 hex"},
      {"machines: Standard_D2s_v5, azure: {resource_group: \"a b\"}", "\"a b\"", "expected a resource group's name"},
      {"machines: Standard_D2s_v5, azure: {account: My-Batch}", "My-Batch", "expected a Batch account's name"},
      {"machines: Standard_D2s_v5, azure: {account_url: \"http://x.example.org\"}", "\"http", "isn't encrypted"},
      {"machines: Standard_D2s_v5, azure: {account_url: \"http://127.0.0.1.example.org\"}", "\"http", "isn't encry"},
      {"machines: Standard_D2s_v5, azure: {account_url: x.example.org}", "x.example", "is not an address"},
      {"machines: Standard_D2s_v5, azure: {subnet: nodes}", "nodes", "expected VNET/SUBNET of the pool's resource"},
      {"machines: Standard_D2s_v5, azure: {subnet: /subscriptions/1/resourceGroups/g}", "/subscr", "expected VNET/SUB"},
      {"machines: Standard_D2s_v5, azure: {image: ubuntu}", "ubuntu", "expected a marketplace image as publisher:"},
      {own_image.c_str(), "{image", "'node_agent' is missing; expected Batch's agent for an image of your own"},
      {"machines: Standard_D2s_v5, azure: {node_agent: ubuntu}", "ubuntu", "name of a Batch node agent"},
      {"machines: Standard_D2s_v5, azure: {node_identity: nodes}", "nodes",
       "expected the resource id of a user-assigned identity, like /subscriptions/…/resourceGroups/…/providers/"},
      {"machines: Standard_D2s_v5, azure: {resize_timeout: 4m}", "4m", "'4m' is too short; expected from 5m to 1d"},
      {"machines: Standard_D2s_v5, azure: {inter_node: yes}", "yes", "neither true nor false"},
      {"machines: Standard_D2s_v5, azure: {admin: {user: ops}}", "{user", "'key' is missing; expected both keys"},
      {"machines: Standard_D2s_v5, azure: {admin: {user: root, key: \"ssh-rsa A\"}}", "root", "root"},
      {"machines: Standard_D2s_v5, azure: {tags: {slipway-pool: x}}", "slipway-pool", "are Slipway's own or Azure's"},
      {"machines: Standard_D2s_v5, azure: {tags: {a: 1, A: 2}}", "A: 2", "in another spelling"},
      {"machines: Standard_D2s_v5, azure: {tags: {\"a?\": 1}}", "\"a?\"", "can't be a tag's name"},
      {"machines: Standard_D2s_v5, azure: {kind: scale_set, priority_mix: {base: 1}}", "{base",
       "shares machines between both markets, and pool p buys on one"},
      {"machines: Standard_D2s_v5, market: spot_then_on_demand, azure: {kind: scale_set, priority_mix: {on_demand: "
       "2.5%}}",
       "2.5%", "Azure counts whole percents"},
      {"machines: Standard_D2s_v5, azure: {capacity_reservation: x, kind: scale_set}", "x, kind",
       "expected the resource id of a capacity reservation group"},
      {reserved_spot.c_str(), "/subscriptions", "Azure reserves no capacity for spot machines"},
      {reserved_together.c_str(), "per_pool", "doesn't place machines of a capacity reservation together"},
  };
  for (const Mistake& m : mistakes) expect_one(file_with(m.keys), Severity::error, m.at, m.message);
}

TEST(AzureErrors, InMounts) {
  const Mistake mistakes[] = {
      {"{type: nfs, source: /export, target: data}", "/export", "expected SERVER:/EXPORT"},
      {"{type: smb, source: x, target: data}", "smb", "unknown type 'smb'; expected one of nfs, azure_files and blob"},
      {"{type: nfs, source: \"s:/e\", target: /data}", "/data", "expected a relative path, like data"},
      {"{type: nfs, source: \"s:/e\", target: a/../../b}", "a/..", "expected a relative path, like data"},
      {"{type: nfs, source: \"s:/e\"}", "{type", "'target' is missing"},
      {"{type: nfs, source: \"s:/e\", target: data, account: abc}", "abc", "nfs has no storage account"},
      {"{type: azure_files, source: \"https://a.b/c\", target: d, account: abc}", "{type", "'key_file' is missing"},
      {"{type: blob, source: c, target: d}", "{type", "'account' is missing"},
      {"{type: blob, source: \"https://a/c\", target: d, account: abc}", "\"https", "expected a container's name"},
      {"{type: blob, source: c, target: d, account: abc, key: x}", "key: x", "looks like a secret"},
  };
  for (const Mistake& m : mistakes) {
    expect_one(file_with("machines: Standard_D2s_v5, azure: {mounts: [" + std::string(m.keys) + "]}"), Severity::error,
               m.at, m.message);
  }
  expect_one(file_with("machines: Standard_D2s_v5, azure: {mounts: [{type: nfs, source: \"s:/e\", target: d}, {type: "
                       "nfs, source: \"s:/f\", target: d}]}"),
             Severity::error, "{type: nfs, source: \"s:/f\"", "'d' is there already");
}

TEST(AzureErrors, InTheClustersSection) {
  const std::string who = std::string("tenant: ") + guid + ", client: " + guid;
  const std::string both = "  identity: {service_principal: {" + who + ", secret_file: /a, certificate_file: /b}}\n";
  const std::string none = "  identity: {service_principal: {" + who + "}}\n";
  const std::string workload = "  identity: {workload: {" + who + "}}\n";
  const std::string two = std::string("  identity: {managed: ") + guid + ", workload: {" + who + ", token_file: /t}}\n";
  const Mistake mistakes[] = {
      {"  cloud: german\n", "german", "unknown cloud 'german'; expected one of public, us_government and china"},
      {"  identity: manged\n", "manged", "did you mean 'managed'?"},
      {"  identity: {managed: me}\n", "me", "expected a user-assigned identity's client id"},
      {"  identity: {}\n", "{}", "has 0 keys; expected one of 'managed', 'cli'"},
      {two.c_str(), "{managed", "has 2 keys; expected one of"},
      {both.c_str(), "{tenant", "has 'secret_file' and 'certificate_file'; expected one of them"},
      {none.c_str(), "{tenant", "'secret_file' is missing; expected it or 'certificate_file'"},
      {workload.c_str(), "{tenant", "'token_file' is missing"},
      {"  endpoints: {arm: management}\n", "management", "is not an address"},
      {"  endpoints: {arm: \"http://arm.example.org\"}\n", "\"http", "isn't encrypted"},
      {"  endpoints: {ca_file: ca.pem}\n", "ca.pem",
       "is not the absolute path of a file; expected one that holds certificates as PEM"},
      {"  endpoints: {amr: \"https://x\"}\n", "amr", "did you mean 'arm'?"},
      {"  vm_size: x\n", "vm_size", "unknown key 'vm_size'"},
  };
  for (const Mistake& m : mistakes) {
    expect_one(file_with("machines: Standard_D2s_v5", m.keys), Severity::error, m.at, m.message);
  }
}

// Nor is what was written shown: messages end in logs and on screens.
TEST(AzureErrors, SecretsDoNotBelongIntoTheFile) {
  const std::string who = std::string("tenant: ") + guid + ", client: " + guid;
  const std::string principal = "  identity: {service_principal: {" + who + ", secret: hunter2}}\n";
  const std::string as_path = "  identity: {service_principal: {" + who + ", secret_file: hunter2}}\n";
  for (const std::string& section :
       {std::string("  account_key: hunter2\n"), std::string("  sas_token: hunter2\n"),
        std::string("  password: hunter2\n"), std::string("  account_key_file: hunter2\n"), principal, as_path,
        std::string("  admin: {user: ops, key: \"-----BEGIN PRIVATE KEY----- hunter2\"}\n")}) {
    const Loaded loaded = parse_text(file_with("machines: Standard_D2s_v5", section));
    EXPECT_FALSE(loaded.ok()) << section;
    EXPECT_EQ(all_problems(loaded).find("hunter2"), std::string::npos) << all_problems(loaded);
    EXPECT_NE(all_problems(loaded).find("file"), std::string::npos) << all_problems(loaded);
  }
  expect_one(file_with("machines: Standard_D2s_v5", "  account_key: hunter2\n"), Severity::error, "account_key",
             "'account_key' looks like a secret, and a cluster file is no place for one");
  expect_one(file_with("machines: Standard_D2s_v5", "  account_key_fil: /x\n"), Severity::error, "account_key_fil",
             "did you mean 'account_key_file'?");
}

TEST(AzureErrors, WhatIsMissingIsSaidOnce) {
  expect_one("cluster: a\nprovider: azure\npools: {p: {max: 1, machines: Standard_D2s_v5}}\n", Severity::error, "p: {",
             "pools.p.azure: 'subscription', 'resource_group', 'region', 'image' and 'account' are missing; expected "
             "them here, or for all pools in the cluster's own 'azure'");
  expect_one(std::string("cluster: a\npools: {p: {max: 1, provider: azure, machines: Standard_D2s_v5, azure: {kind: "
                         "scale_set, subscription: ") +
                 guid + ", resource_group: g, region: r, image: \"a:b:c:d\"}}}\n",
             Severity::error, "{kind", "'subnet' is missing; expected the scale set's subnet as VNET/SUBNET here");
  // Misspelled or refused is not missing.
  const Loaded loaded = parse_text(
      "cluster: a\nprovider: azure\nazure: {subscripton: x, resource_group: \"\", region: WE, account: A, image: x}\n"
      "pools: {p: {max: 1, machines: Standard_D2s_v5}}\n");
  EXPECT_EQ(loaded.problems.size(), 5u) << all_problems(loaded);
  EXPECT_EQ(all_problems(loaded).find("missing"), std::string::npos) << all_problems(loaded);
}

TEST(AzureErrors, ProvidersDoNotMix) {
  expect_one("cluster: a\npools: {p: {max: 1, azure: {kind: batch}}}\n", Severity::error, "{kind",
             "pools.p.azure: is for pools with provider azure, and this one's is local");
  expect_one(file_with("machines: Standard_D2s_v5", "") + "  l: {max: 1001, provider: local}\n", Severity::error,
             "1001", "with it the pools may grow to 1001 nodes; a cluster on one box has at most 1000");
  expect_one(file_with("machines: Standard_D2s_v5", "") +
                 "  q: {max: 99993, machines: Standard_D2s_v5, azure: {inter_node: false}}\n",
             Severity::error, "99993", "may grow to 100001 nodes; a cluster has at most 100000");
}

TEST(AzureWarnings, AboutWhatIsUnwise) {
  const Mistake unwise[] = {
      {"machines: [Standard_D4s_v5, Standard_D2s_v5]", "[Standard", "that of the smallest, 2 CPUs and 8 GiB"},
      {"machines: Standard_D2s_v5, cpus: 4", "4}", "more than its machines have, 2 CPUs and 8 GiB"},
      {"machines: Standard_D2s_v5, memory: 9GiB", "9GiB", "more than its machines have"},
      {"machines: Standard_B2s, market: spot_then_on_demand", "spot_then", "Azure doesn't sell Standard_B2s as spot"},
      {"machines: Standard_HB120rs_v3", "Standard_HB", "write placement: per_pool"},
      {"machines: Standard_HB120rs_v3, azure: {inter_node: false}", "Standard_HB", "per_pool and inter_node: true"},
      {"machines: Standard_D2s_v5, azure: {account_key_file: /etc/key}", "/etc/key", "whoever has the account's key"},
  };
  for (const Mistake& m : unwise) expect_one(file_with(m.keys), Severity::warning, m.at, m.message);
  std::string many = file_with("machines: Standard_D2s_v5");
  many.replace(many.find("max: 8"), 6, "max: 101");
  expect_one(many, Severity::warning, "101", "at most 100 of them; write azure: {inter_node: false}");
  many = file_with("machines: Standard_D2s_v5, azure: {kind: scale_set}");
  many.replace(many.find("max: 8"), 6, "max: 1001");
  expect_one(many, Severity::warning, "1001", "a flexible scale set holds at most 1000");
  expect_one("cluster: a\nazure: {region: westeurope}\npools: {p: {max: 2}}\n", Severity::warning, "{region",
             "no pool's provider is azure");
}

TEST(AzureWarnings, JobsThatSpanRegions) {
  const std::string pools = "  q: {max: 1, machines: Standard_D2s_v5, azure: {region: northeurope}}\n";
  const std::string text = file_with("machines: Standard_D2s_v5") + pools;
  expect_one(text + "partitions: {x: {pools: [p, q]}}\n", Severity::warning, "x: {pools",
             "may come to stand in westeurope and northeurope");
  expect_one(
      file_with("machines: Standard_D2s_v5") + "  l: {max: 1, provider: local}\npartitions: {x: {pools: [p, l]}}\n",
      Severity::warning, "x: {pools", "may come to stand in westeurope and this box");
  parse_clean(text + "partitions: {x: {pools: p}, y: {pools: q}}\n");
  parse_clean(text + "partitions: {x: {pools: [p, q], slurm: {MaxNodes: 1}}}\n");
}

TEST(AzureWarnings, AboutWhatIsLackingAreSaidOnceForAllPools) {
  const std::string text = std::string("cluster: a\nprovider: azure\nazure: {subscription: ") + guid +
                           ", resource_group: g, region: r, account: abc, image: \"a:b:c:d\"}\npools:\n"
                           "  p: {max: 1, machines: Standard_D2s_v5}\n  q: {max: 1, machines: Standard_D2s_v5}\n";
  const Loaded loaded = parse_text(text);
  EXPECT_TRUE(loaded.ok()) << all_problems(loaded);
  ASSERT_EQ(loaded.problems.size(), 2u) << all_problems(loaded);
  EXPECT_NE(all_problems(loaded).find("file:5:3: warning: pools p and q: without 'node_identity'"), std::string::npos)
      << all_problems(loaded);
  EXPECT_NE(all_problems(loaded).find("file:5:3: warning: pools p and q: without 'subnet'"), std::string::npos);
}

// A key of the cluster's section that is wrong is wrong once, however many pools take it.
TEST(AzureErrors, OfTheClusterAreNotRepeatedForEveryPool) {
  std::string text = file_with("machines: Standard_D2s_v5", "  resize_timeout: 1m\n");
  for (int i = 0; i < 50; ++i) text += "  x" + std::to_string(i) + "y: {max: 1, machines: Standard_D2s_v5}\n";
  expect_one(text, Severity::error, "1m", "azure.resize_timeout: '1m' is too short");
}

}  // namespace
}  // namespace slipway::config
