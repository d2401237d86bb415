// What a pool's scale sets are to be, from the cluster file alone: their names and the bodies of the requests that make
// and correct them. Pure, but for the throw-away SSH key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cloud/azure/azure_provider.h"
#include "model/cluster.h"

namespace slipway::cloud::azure {

inline constexpr std::string_view cluster_tag = "slipway-cluster";
inline constexpr std::string_view pool_tag = "slipway-pool";
inline constexpr std::string_view settings_tag = "slipway-settings";
// Azure's own limit for flexible scale sets that spread as far as they can.
inline constexpr uint32_t scale_set_vms_max = 1'000;

struct ScaleSetSpec {
  std::string name;  // "<cluster>-<pool>-<od|spot>[-<machine type>]", without the market with a priority mix
  PoolName pool;
  std::string machine;
  model::Market market = model::Market::on_demand;
  bool mixed = false;       // of both markets, by a priority mix
  std::string proximity;    // name of its proximity placement group; empty: none
  std::string settings;     // "<hash of what only a new set can take>-<hash of what a PATCH can change>"
  std::string update_body;  // PATCH, without a capacity
  std::string fixed_model;  // the rest of the PUT's body
};

// One for each market and machine type of the pool, in that order; one for each machine type with a priority mix.
std::vector<ScaleSetSpec> scale_sets_of(const model::Cluster& cluster, const model::Pool& pool,
                                        const AzureOptions& options);

// PUT: a new set of that many machines. Azure demands a way to log in; where the file gives none, it is the public half
// of a key that is made here and whose private half nobody ever sees.
std::string make_body(const ScaleSetSpec& spec, const model::Pool& pool, uint32_t capacity);
std::string capacity_body(const ScaleSetSpec& spec, uint32_t capacity);              // PATCH
std::string proximity_body(const model::Cluster& cluster, const model::Pool& pool);  // PUT

// What cloud-init runs once at the first boot: it keeps the boot environment where every later boot finds it.
std::string custom_data(const model::Cluster& cluster, const model::Pool& pool, const AzureOptions& options);

// "ssh-rsa AAAA… slipway": of a new key whose private half is gone when this returns.
std::string throw_away_ssh_key();

// Whether the first half of the settings is the same.
bool same_fixed_settings(std::string_view one, std::string_view other);

}  // namespace slipway::cloud::azure
