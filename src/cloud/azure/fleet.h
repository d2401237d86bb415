// The pools of the cluster file that share one Azure account: the Batch pools of a Batch account, or the scale sets of
// a resource group. AzureProvider sends each call to the fleet of its pool and joins the listings.
//
// As cloud::Provider, from several worker threads at once.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloud/azure/azure_provider.h"
#include "cloud/azure/endpoints.h"
#include "cloud/azure/rest.h"
#include "cloud/provider.h"
#include "http/client.h"
#include "model/cluster.h"

namespace slipway::cloud::azure {

// What every fleet of a cluster is given. Copied; what it points to outlives the fleets.
struct FleetContext {
  std::shared_ptr<const model::Cluster> cluster;  // every pool, also those of other fleets and providers
  const Clock& clock;
  http::Client& client;       // trusts the cluster's ca_file
  std::shared_ptr<Rest> arm;  // of the cluster's cloud, as the cluster's identity; send() it Requests with whole URLs
  Endpoints endpoints;        // endpoints.arm + "/subscriptions/…?api-version=…"
  AzureOptions options;
};

// What a claim of a machine is compared with, besides its address (evidence.h).
struct MachineFacts {
  std::string vm_id;        // empty: not known
  std::string resource_id;  // of the VM; empty for Batch nodes, whose VMs aren't the account's
};

// Its constructor asks Azure nothing, so that a daemon starts while Azure can't be reached. Nothing runs in the
// background: what must happen later (a resize that waits for an earlier one) happens in list(), which the daemon calls
// every second or so while anything moves.
class Fleet {
 public:
  virtual ~Fleet() = default;
  virtual const std::vector<PoolName>& pools() const = 0;
  virtual Capabilities capabilities() const = 0;
  virtual Result<LaunchReceipt> launch(const LaunchRequest& request, Duration timeout) = 0;
  // Whatever couldn't be read makes it incomplete; a pool that can't be used (another owner, a bad setting) is a
  // trouble.
  virtual Result<Listing> list(Duration timeout) = 0;
  virtual Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances, Duration timeout) = 0;
  virtual Result<uint32_t> withdraw(const PoolName& pool, model::Market market, uint32_t count, Duration timeout) = 0;
  // Of the newest listing.
  virtual MachineFacts machine(const InstanceId& instance) const {
    (void)instance;
    return {};
  }
};

// "<pool>/<machine>" ↔ its parts.
InstanceId instance_id(const PoolName& pool, std::string_view machine);
struct InstanceParts {
  PoolName pool;
  std::string machine;
};
InstanceParts parts_of(const InstanceId& id);  // no slash: an empty pool

// What the machines of a pool are told, in the environment of the start task or the custom data. Nothing secret.
std::vector<std::pair<std::string, std::string>> boot_environment(const model::Cluster& cluster,
                                                                  const model::Pool& pool, const std::string& daemon,
                                                                  const std::string& daemon_key);

// Of what a pool is to be, kept in its metadata or tags: 16 hexadecimal digits of SHA-256.
std::string settings_hash(std::string_view text);

}  // namespace slipway::cloud::azure
