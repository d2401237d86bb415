#include "rehearse/world.h"

#include <algorithm>

namespace slipway::rehearse {
namespace {

void add(std::vector<std::string>& to, const std::string& text) {
  if (!text.empty() && std::find(to.begin(), to.end(), text) == to.end()) to.push_back(text);
}

void add_account(AzureWorld& world, const model::AzurePool& pool, Kept& kept) {
  for (const BatchAccount& known : world.batch_accounts) {
    if (known.name == pool.account) return;
  }
  BatchAccount account;
  account.name = pool.account;
  account.key = kept.batch_key(pool.account);
  account.subscription = pool.subscription;
  account.resource_group = pool.resource_group;
  account.region = pool.region;
  world.batch_accounts.push_back(std::move(account));
}

}  // namespace

AzureWorld world_of(const model::Cluster& cluster, Kept& kept) {
  AzureWorld world;
  if (cluster.azure) {
    if (!cluster.azure->identity.tenant_id.empty()) world.tenant = cluster.azure->identity.tenant_id;
    add(world.client_ids, cluster.azure->identity.client_id);
  }
  // Machines are made of what the controller is made of, so that they have the same Slurm.
  world.machine_image = cluster.controllers.image;
  for (const model::Pool& pool : cluster.pools) {
    if (!pool.azure) continue;
    const model::AzurePool& azure = *pool.azure;
    add(world.subscriptions, azure.subscription);
    add(world.resource_groups, azure.subscription + "/" + azure.resource_group + "/" + azure.region);
    add(world.subnets, azure.subnet);
    add(world.identities, azure.node_identity);
    add(world.images, azure.image);
    if (azure.kind == model::AzurePoolKind::batch) add_account(world, azure, kept);
  }
  return world;
}

}  // namespace slipway::rehearse
