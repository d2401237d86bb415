// What a region sells to a subscription, and how much of its quotas is used: from the resource SKUs and usages APIs
// (Microsoft.Compute/skus 2021-07-01, locations/usages 2024-07-01).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"
#include "cloud/azure/compute_pages.h"

namespace slipway::cloud::azure {

struct VmSize {
  catalog::MachineType type;  // as the API tells it; the GPU's model and prices are the built-in table's
  std::vector<std::string> zones;
  std::string refused;                     // why the subscription can't have it here; empty: it can
  std::vector<std::string> refused_zones;  // where it can't
};

struct Usage {
  std::string family;  // "standardHBrsv3Family"; "cores": all together; "lowPriorityCores": spot
  std::string title;
  int64_t used = 0;
  int64_t limit = 0;
};

// Of a page of SKUs those that are virtual machines.
Result<Page<VmSize>> parse_skus(std::string_view body);
Result<Page<Usage>> parse_usages(std::string_view body);

// Large: some megabytes.
Result<std::vector<VmSize>> read_sizes(Rest& arm, const std::string& endpoint, const std::string& subscription,
                                       const std::string& region, Duration timeout);
Result<std::vector<Usage>> read_usages(Rest& arm, const std::string& endpoint, const std::string& subscription,
                                       const std::string& region, Duration timeout);

}  // namespace slipway::cloud::azure
