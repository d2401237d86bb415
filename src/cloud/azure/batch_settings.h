// What a Batch pool is to be, by the cluster file: one for each machine type of a pool.
//
// Its metadata holds whose it is and two hashes of what the file asked: of what can only be chosen while the pool is
// empty (size, image, network, mounts, users, identity), and of what new nodes take from a live pool (the start task,
// the metadata). So a changed file is noticed without reading the pool's whole description at every look.
//
// A pool with an identity can only be made through ARM, which Batch's own API has no word for. All others are made
// through Batch's: it needs no role on the account's resource, works with SharedKey, and is the API that resizes them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cloud/azure/azure_provider.h"
#include "cloud/azure/batch_model.h"
#include "model/cluster.h"

namespace slipway::cloud::azure {

struct BatchSettings {
  std::shared_ptr<const model::Cluster> cluster;
  const model::Pool* pool = nullptr;  // of `cluster`
  std::string machine;                // the pool's word for the type
  std::string id;                     // of the Batch pool; at most 64 characters
  AzureOptions options;
  std::vector<std::string> mount_keys;  // as pool->azure->mounts
  std::string fixed_hash;
  std::string live_hash;

  const model::AzurePool& azure() const { return *pool->azure; }
};

// Fails with bad_config when a mount's key file can't be read.
Result<BatchSettings> batch_settings(std::shared_ptr<const model::Cluster> cluster, const model::Pool& pool,
                                     const std::string& machine, const AzureOptions& options);

// "<cluster>-<pool>", "<cluster>-<pool>-<type>" where the pool has several types; cut and marked when too long.
std::string batch_pool_id(const std::string& cluster, const model::Pool& pool, const std::string& machine);

// Bodies of requests. `node_agent`: Batch's node agent for the image.
std::string batch_create_body(const BatchSettings& settings, const BatchCounts& targets, const std::string& node_agent);
std::string arm_create_body(const BatchSettings& settings, const BatchCounts& targets, const std::string& node_agent);
// Of what may change while machines run; `fixed_hash` is what the pool has now.
std::string batch_patch_body(const BatchSettings& settings, const std::string& fixed_hash);
std::string batch_resize_body(const BatchCounts& targets, Duration timeout);
std::string batch_remove_body(const std::vector<std::string>& nodes, Duration timeout);

// What a pool's metadata says of it.
struct BatchOwnership {
  bool ours = false;
  std::string refusal;     // why it can't be used, ours or not; empty: it can
  std::string fixed_hash;  // as of its making
  std::string live_hash;
};
BatchOwnership ownership_of(const BatchPoolView& pool, const BatchSettings& settings);

// "publisher:offer:sku[:version]" → its parts; empty when it isn't of that form (a resource id).
std::vector<std::string> marketplace_image(const std::string& image);

}  // namespace slipway::cloud::azure
