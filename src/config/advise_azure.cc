// What works in Azure and will cost jobs, time, money or safety.
#include <algorithm>

#include "catalog/catalog.h"
#include "config/read.h"
#include "config/read_azure.h"
#include "config/words.h"

namespace slipway::config {
namespace {

using catalog::MachineType;
using model::AzurePoolKind;

// https://learn.microsoft.com/azure/batch/batch-quota-limit#pool-size-limits; 80 in user subscription mode.
constexpr uint32_t inter_node_max = 100;
constexpr uint32_t scale_set_max = 1000;  // of a flexible one

bool buys_spot(const model::Pool& pool) {
  return std::find(pool.markets.begin(), pool.markets.end(), model::Market::spot) != pool.markets.end();
}

void advise_on_sizes(Problems& problems, const PoolDraft& draft, const model::Pool& pool) {
  const std::string path = "pools." + pool.name.str() + ".";
  const model::AzurePool& azure = *pool.azure;
  const bool batch = azure.kind == AzurePoolKind::batch;
  std::vector<std::string> no_spot;
  bool differ = false, rdma = false;
  for (const MachineType* type : draft.types) {
    const model::Shape shape = catalog::shape_of(*type);
    differ = differ || shape.cpus != catalog::shape_of(*draft.types[0]).cpus ||
             shape.memory_mib != draft.types[0]->memory_mib;
    rdma = rdma || type->rdma;
    if (!type->spot) no_spot.push_back(type->name);
  }
  if (differ) {
    problems.warning(draft.machines_at, path +
                                            "machines: the sizes differ, and Slurm knows one shape for a pool: that "
                                            "of the smallest, " +
                                            std::to_string(pool.shape.cpus) + " CPUs and " +
                                            std::to_string(pool.shape.memory_mib / 1024) +
                                            " GiB; what larger ones have beyond it is paid for and lies idle");
  }
  if (draft.catalogue_shape) {
    const model::Shape& has = *draft.catalogue_shape;
    if (pool.shape.cpus > has.cpus || pool.shape.memory_mib > has.memory_mib) {
      problems.warning(draft.cpus_at.line > 0 ? draft.cpus_at : draft.memory_at,
                       path + "cpus, memory: more than its machines have, " + std::to_string(has.cpus) + " CPUs and " +
                           std::to_string(has.memory_mib / 1024) +
                           " GiB, so jobs would share what is promised to each; lower them or leave them out");
    }
  }
  if (buys_spot(pool) && !no_spot.empty()) {
    problems.warning(draft.market_at, path + "market: Azure doesn't sell " + enumerate(no_spot) +
                                          " as spot; choose another size or market: on_demand");
  }
  const bool reserved = !azure.capacity_reservation.empty();
  const bool together = pool.placement == model::Placement::per_pool && (!batch || azure.inter_node);
  if (rdma && !together) {
    problems.warning(draft.machines_at,
                     path +
                         "machines: InfiniBand joins machines only when they are placed together; "
                         "write placement: per_pool" +
                         (batch && !azure.inter_node ? " and inter_node: true" : "") +
                         (reserved ? ", and leave capacity_reservation out, which prevents it" : ""));
  }
}

void advise_on_limits(Problems& problems, const PoolDraft& draft, const model::Pool& pool) {
  const std::string path = "pools." + pool.name.str() + ".max: ";
  const model::AzurePool& azure = *pool.azure;
  const auto types = static_cast<uint32_t>(std::max<size_t>(pool.machines.size(), 1));
  const auto markets = static_cast<uint32_t>(azure.priority_mix ? 1 : std::max<size_t>(pool.markets.size(), 1));
  if (azure.kind == AzurePoolKind::batch && azure.inter_node && pool.max > inter_node_max * types) {
    problems.warning(draft.max_at, path + "Batch gives a pool whose nodes may talk to each other at most " +
                                       std::to_string(inter_node_max) +
                                       " of them; write azure: {inter_node: false} if jobs here stay on one node, or "
                                       "make several pools");
  }
  if (azure.kind == AzurePoolKind::scale_set && pool.max > scale_set_max * types * markets) {
    problems.warning(draft.max_at, path + "a flexible scale set holds at most " + std::to_string(scale_set_max) +
                                       " machines; make several pools of it");
  }
}

// Where the pool's machines stand, as far as the network between them is concerned.
std::string place_of(const model::Pool& pool) {
  return pool.azure ? pool.azure->region : "this box";
}

void advise_on_regions(Problems& problems, const Draft& draft) {
  for (size_t i = 0; i < draft.partitions.size(); ++i) {
    const model::Partition& partition = draft.cluster.partitions[i];
    const auto limit = partition.slurm.find("MaxNodes");
    if (limit != partition.slurm.end() && limit->second == "1") continue;
    std::vector<std::string> places;
    for (const model::Pool& pool : draft.cluster.pools) {
      if (std::find(partition.pools.begin(), partition.pools.end(), pool.name) == partition.pools.end()) continue;
      if (std::find(places.begin(), places.end(), place_of(pool)) == places.end()) places.push_back(place_of(pool));
    }
    if (places.size() < 2) continue;
    const Position at = draft.partitions[i].name_at;
    problems.warning(at, "partitions." + partition.name.str() + ".pools: the nodes of one job may come to stand in " +
                             enumerate(places, 4) +
                             ", where they talk slowly if at all; make a partition for each, or write slurm: "
                             "{MaxNodes: 1} if jobs here stay on one node");
  }
}

// One warning for all pools that lack something.
void advise_on_lack(Problems& problems, const std::vector<std::string>& pools, Position at, std::string_view what) {
  if (pools.empty()) return;
  problems.warning(at, join({pools.size() == 1 ? "pool " : "pools ", enumerate(pools, 4), what}));
}

}  // namespace

void advise_on_azure(Context& context, const Draft& draft) {
  Problems& problems = context.problems;
  std::vector<std::string> no_identity, no_subnet;
  Position identity_at, subnet_at;
  bool any = false;
  for (size_t i = 0; i < draft.pools.size(); ++i) {
    const model::Pool& pool = draft.cluster.pools[i];
    if (!pool.azure) continue;
    any = true;
    const PoolDraft& place = draft.pools[i];
    advise_on_sizes(problems, place, pool);
    advise_on_limits(problems, place, pool);
    if (auto key = place.azure_given.find("account_key_file"); key != place.azure_given.end()) {
      problems.warning(key->second.at, key->second.path +
                                           ": whoever has the account's key may do everything in the account, and it "
                                           "never ends; give the identity a role on the account instead (`slipway "
                                           "azure role` prints it) and leave the key out");
    }
    if (pool.azure->node_identity.empty()) {
      if (no_identity.empty()) identity_at = place.name_at;
      no_identity.push_back(pool.name.str());
    }
    if (pool.azure->subnet.empty()) {
      if (no_subnet.empty()) subnet_at = place.name_at;
      no_subnet.push_back(pool.name.str());
    }
  }
  advise_on_regions(problems, draft);
  advise_on_lack(problems, no_identity, identity_at,
                 ": without 'node_identity' machines prove who they are by Azure's attested data alone, which says "
                 "which machine it is, not whose it is; give them a user-assigned identity");
  advise_on_lack(problems, no_subnet, subnet_at,
                 ": without 'subnet' Batch puts the machines into a network of its own, from which they reach the "
                 "controller only at a public address; name a subnet of the controller's network");
  if (!any && draft.azure.field) {
    problems.warning(draft.azure.field->at,
                     "azure: no pool's provider is azure, so this section does nothing; write "
                     "provider: azure, or leave it out");
  }
}

}  // namespace slipway::config
