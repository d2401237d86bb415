#include "daemon/providers.h"

#include "cloud/azure/azure_provider.h"
#include "cloud/local/local_provider.h"
#include "cloud/provider_set.h"
#include "join/claim.h"

namespace slipway::daemon {

Result<std::unique_ptr<cloud::Provider>> make_providers(const model::Cluster& cluster, const Clock& clock,
                                                        const ProviderOptions& options) {
  std::vector<PoolName> local_pools;
  std::vector<PoolName> azure_pools;
  for (const model::Pool& pool : cluster.pools) {
    (pool.provider == model::ProviderKind::azure ? azure_pools : local_pools).push_back(pool.name);
  }
  std::vector<cloud::ProviderOfPools> members;
  members.push_back({cloud::make_local_provider(cluster, options.host_socket, options.listen), std::move(local_pools)});
  if (!azure_pools.empty()) {
    const join::KeyPair keys = join::daemon_key_pair(options.master);
    auto azure = cloud::make_azure_provider(cluster, clock, {options.listen, join::to_hex(keys.public_key)});
    if (!azure) return fail(azure.error());
    members.push_back({std::move(*azure), std::move(azure_pools)});
  }
  return cloud::join_providers(std::move(members));
}

}  // namespace slipway::daemon
