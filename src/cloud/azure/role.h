// What the provider's identity must be allowed to do in Azure, in one table: the least role is written from it, and
// `doctor` compares it with what is allowed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/cluster.h"

namespace slipway::cloud::azure {

// On what an action is done: the scope that must allow it.
enum class RoleScope : uint8_t {
  batch_account,
  scale_sets,   // the resource group that has them
  subnet,       // of pools that name one
  identity,     // node_identity, of pools that name one
  image,        // of pools whose image is a resource
  reservation,  // of pools that name a capacity reservation group
  subscription,
};

struct RoleAction {
  std::string_view action;
  RoleScope scope;
  std::string_view what_for;
};

std::span<const RoleAction> role_actions();
// The scope's resource id for a pool; empty: the pool doesn't need it.
std::string scope_id(RoleScope scope, const model::AzurePool& pool);

// What one role assignment grants, as Microsoft.Authorization's permissions API tells it.
struct Grant {
  std::vector<std::string> actions;  // "Microsoft.Batch/*/read"; "*" stands for any text
  std::vector<std::string> not_actions;
};
bool allows(const std::vector<Grant>& grants, std::string_view action);

// A role definition as `az role definition create --role-definition` takes it: what the pools of `cluster` need, in
// their subscriptions; everything, and a subscription to be filled in, without a cluster.
std::string role_definition(const model::Cluster* cluster);

}  // namespace slipway::cloud::azure
