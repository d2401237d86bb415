#include "cloud/azure/role.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

namespace slipway::cloud::azure {

namespace json = boost::json;

namespace {

using enum RoleScope;

// learn.microsoft.com, "Azure permissions for Compute", "… for Networking" and "Role-based access control for Azure
// Batch service" (Batch's own API checks the actions of pools on the account); November 2026.
constexpr RoleAction actions[] = {
    {"Microsoft.Batch/batchAccounts/read", batch_account, "quotas, supported images"},
    {"Microsoft.Batch/batchAccounts/pools/read", batch_account, "list pools and nodes"},
    {"Microsoft.Batch/batchAccounts/pools/write", batch_account, "make, change and resize pools, remove nodes"},
    {"Microsoft.Batch/batchAccounts/pools/delete", batch_account, "remove a pool of the cluster"},

    {"Microsoft.Compute/virtualMachineScaleSets/read", scale_sets, "find the scale sets of the cluster"},
    {"Microsoft.Compute/virtualMachineScaleSets/write", scale_sets, "make scale sets, change their capacity"},
    {"Microsoft.Compute/virtualMachineScaleSets/delete", scale_sets, "remove a scale set of the cluster"},
    {"Microsoft.Compute/virtualMachineScaleSets/delete/action", scale_sets, "delete particular machines"},
    {"Microsoft.Compute/virtualMachines/read", scale_sets, "list machines"},
    {"Microsoft.Compute/proximityPlacementGroups/read", scale_sets, "place machines close together"},
    {"Microsoft.Compute/proximityPlacementGroups/write", scale_sets, "place machines close together"},
    {"Microsoft.Network/networkInterfaces/read", scale_sets, "learn the machines' addresses"},
    // A flexible set makes and deletes its machines in the caller's name.
    {"Microsoft.Compute/virtualMachines/write", scale_sets, "machines of a set are made"},
    {"Microsoft.Compute/virtualMachines/delete", scale_sets, "and deleted"},
    {"Microsoft.Compute/disks/write", scale_sets, "with their disks"},
    {"Microsoft.Compute/disks/delete", scale_sets, "with their disks"},
    {"Microsoft.Network/networkInterfaces/write", scale_sets, "with their network interfaces"},
    {"Microsoft.Network/networkInterfaces/join/action", scale_sets, "with their network interfaces"},
    {"Microsoft.Network/networkInterfaces/delete", scale_sets, "with their network interfaces"},

    {"Microsoft.Network/virtualNetworks/read", subnet, "its region"},
    {"Microsoft.Network/virtualNetworks/subnets/read", subnet, "its free addresses"},
    {"Microsoft.Network/virtualNetworks/subnets/join/action", subnet, "put machines into it"},
    {"Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", identity, "give it to machines"},
    {"Microsoft.Compute/images/read", image, "boot it"},
    {"Microsoft.Compute/galleries/images/read", image, "boot it"},
    {"Microsoft.Compute/galleries/images/versions/read", image, "boot it"},
    {"Microsoft.Compute/capacityReservationGroups/deploy/action", reservation, "take reserved machines"},

    {"Microsoft.Resources/subscriptions/read", subscription, "its tenant, whose tokens machines show"},
    {"Microsoft.Compute/skus/read", subscription, "which sizes a region has"},
    {"Microsoft.Compute/locations/usages/read", subscription, "vCPU quotas"},
    {"Microsoft.Compute/locations/operations/read", subscription, "follow what was asked"},
    {"Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read", subscription,
     "whether an image exists"},
    {"Microsoft.Batch/locations/virtualMachineSkus/read", subscription, "which sizes Batch offers"},
    {"Microsoft.Authorization/permissions/read", subscription, "what is allowed"},
};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// "*" stands for any text, empty and "/" included; case doesn't matter.
bool matches(std::string_view pattern, std::string_view text) {
  size_t at = 0;
  size_t in = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;
  while (in < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      resume = in;
    } else if (at < pattern.size() && lower(pattern[at]) == lower(text[in])) {
      ++at;
      ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

bool any_matches(const std::vector<std::string>& patterns, std::string_view action) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) { return matches(pattern, action); });
}

bool is_needed(const RoleAction& action, const model::Cluster& cluster) {
  return std::any_of(cluster.pools.begin(), cluster.pools.end(), [&](const model::Pool& pool) {
    if (!pool.azure || scope_id(action.scope, *pool.azure).empty()) return false;
    const bool is_placement = action.action.starts_with("Microsoft.Compute/proximityPlacementGroups/");
    const bool is_of_batch = action.action.starts_with("Microsoft.Batch/");
    return (!is_placement || pool.placement != model::Placement::none) &&
           (!is_of_batch || pool.azure->kind == model::AzurePoolKind::batch);
  });
}

}  // namespace

std::span<const RoleAction> role_actions() {
  return actions;
}

std::string scope_id(RoleScope scope, const model::AzurePool& pool) {
  std::string of_subscription = "/subscriptions/" + pool.subscription;
  const std::string group = of_subscription + "/resourceGroups/" + pool.resource_group;
  const bool is_batch = pool.kind == model::AzurePoolKind::batch;
  switch (scope) {
    case batch_account:
      return is_batch ? group + "/providers/Microsoft.Batch/batchAccounts/" + pool.account : "";
    case scale_sets:
      return is_batch ? "" : group;
    case subnet:
      return pool.subnet;
    case identity:
      return pool.node_identity;
    case image:
      return pool.image.starts_with('/') ? pool.image : "";
    case reservation:
      return is_batch ? "" : pool.capacity_reservation;
    case subscription:
      return of_subscription;
  }
  return "";
}

bool allows(const std::vector<Grant>& grants, std::string_view action) {
  return std::any_of(grants.begin(), grants.end(), [&](const Grant& grant) {
    return any_matches(grant.actions, action) && !any_matches(grant.not_actions, action);
  });
}

std::string role_definition(const model::Cluster* cluster) {
  json::array granted;
  for (const RoleAction& action : actions) {
    if (cluster == nullptr || is_needed(action, *cluster)) granted.emplace_back(action.action);
  }
  std::set<std::string> subscriptions;
  if (cluster != nullptr) {
    for (const model::Pool& pool : cluster->pools) {
      if (!pool.azure) continue;
      for (const RoleScope scope : {subscription, subnet, identity, image, reservation}) {
        const std::string id = scope_id(scope, *pool.azure);
        // "/subscriptions/<id>" of "/subscriptions/<id>/resourceGroups/…"
        if (id.starts_with('/')) subscriptions.insert(id.substr(0, id.find('/', id.find('/', 1) + 1)));
      }
    }
  }
  if (subscriptions.empty()) subscriptions.insert("/subscriptions/00000000-0000-0000-0000-000000000000");
  const json::object definition{
      {"Name", cluster == nullptr ? "Slipway" : "Slipway " + cluster->name},
      {"IsCustom", true},
      {"Description", "What Slipway's daemon does in Azure, and nothing else."},
      {"Actions", granted},
      {"NotActions", json::array()},
      {"DataActions", json::array()},
      {"NotDataActions", json::array()},
      {"AssignableScopes", json::array(subscriptions.begin(), subscriptions.end())},
  };
  return json::serialize(definition);
}

}  // namespace slipway::cloud::azure
