// The parts that aren't about a pool: who asks, and what it may do.
#include "cloud/azure/doctor.h"

#include <algorithm>
#include <set>

#include "cloud/azure/examination.h"
#include "cloud/azure/rest.h"

namespace slipway::cloud::azure {

namespace {

constexpr const char* identity_ways[] = {
    "run this on the controller's machine, whose identity it is; `az vm identity assign` gives it one",
    "check tenant_id, client_id and token_file, and the federated credential in Entra",
    "check tenant_id, client_id and the secret or certificate: it may have expired",
    "run `az login` here, as the user who runs this",
};

std::string who(const TokenClaims& claims) {
  std::string text = claims.name.empty() ? "application " + claims.application : claims.name;
  if (!claims.object.empty()) text += ", object " + claims.object;
  if (!claims.tenant.empty()) text += ", tenant " + claims.tenant;
  return text;
}

bool examine_identity(Examination& examination) {
  const model::AzureIdentity& identity = examination.cluster.azure->identity;
  const auto token = examination.source->fetch(examination.endpoints.arm_resource, examination.deadline.left());
  if (!token) {
    examination.add("identity", Verdict::problem, token.error().message,
                    identity_ways[static_cast<size_t>(identity.kind)]);
    return false;
  }
  const auto claims = parse_claims(token->text);
  examination.add("identity", Verdict::ok,
                  claims ? "Azure knows it as " + who(*claims) : std::string("it gets tokens"));
  return true;
}

std::string name_of(RoleScope scope, const std::string& id) {
  std::string last = id.substr(id.rfind('/') + 1);
  switch (scope) {
    case RoleScope::batch_account:
      return "Batch account " + last;
    case RoleScope::scale_sets:
      return "resource group " + last;
    case RoleScope::subnet:
      return "subnet " + last;
    case RoleScope::identity:
      return "node_identity " + last;
    case RoleScope::image:
      return "image " + last;
    case RoleScope::reservation:
      return "capacity reservation " + last;
    case RoleScope::subscription:
      return "subscription " + last;
  }
  return last;
}

// Of the actions of a scope those that the pools using it need: an image is of one type only, and so on.
bool concerns(const RoleAction& action, const std::string& id, const std::vector<const model::Pool*>& pools) {
  if (action.scope == RoleScope::image) {
    const bool in_gallery = lower_case(id).find("/galleries/") != std::string::npos;
    return in_gallery == (action.action.find("/galleries/") != std::string_view::npos);
  }
  if (action.action.find("proximityPlacementGroups") == std::string_view::npos) return true;
  return std::any_of(pools.begin(), pools.end(),
                     [](const model::Pool* pool) { return pool->placement != model::Placement::none; });
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::warning:
      return "warning";
    case Verdict::problem:
      return "problem";
    case Verdict::unknown:
      return "unknown";
  }
  return "unknown";
}

void Examination::add(std::string what, Verdict verdict, std::string sentence, std::string way_out) {
  findings.push_back({std::move(what), verdict, std::move(sentence), std::move(way_out)});
}

void Examination::add_unknown(std::string what, const Error& error, std::string_view action) {
  std::string way_out = error.code == ErrorCode::denied
                            ? "grant the identity " + std::string(action) + ", as `slipway azure role` has it"
                            : std::string("try again; if it stays so, see whether this machine reaches Azure");
  add(std::move(what), Verdict::unknown, error.message, std::move(way_out));
}

Result<std::string> Examination::get(const std::string& resource_id, std::string_view api_version) {
  auto answer =
      arm->send({.url = endpoints.arm + resource_id + "?api-version=" + std::string(api_version)}, deadline.left());
  if (!answer) return fail(answer.error());
  return std::move(answer->body);
}

void Examination::for_each_pool(const std::function<void(const model::Pool&, const model::AzurePool&)>& visit) const {
  for (const model::Pool& pool : cluster.pools) {
    if (pool.azure) visit(pool, *pool.azure);
  }
}

catalog::MachineType Examination::type_of(const model::AzurePool& pool, const std::string& machine) const {
  const auto place = sizes.find({pool.subscription, region_word(pool.region)});
  if (place != sizes.end()) {
    const auto size = place->second.find(lower_case(machine));
    if (size != place->second.end()) return size->second.type;
  }
  const catalog::MachineType* known = catalog::find(model::ProviderKind::azure, machine);
  return known != nullptr ? *known : catalog::MachineType{.name = machine};
}

void examine_permissions(Examination& examination) {
  std::map<std::pair<RoleScope, std::string>, std::vector<const model::Pool*>> scopes;
  examination.for_each_pool([&](const model::Pool& pool, const model::AzurePool& azure) {
    std::set<RoleScope> all;
    for (const RoleAction& action : role_actions()) all.insert(action.scope);
    all.erase(RoleScope::subscription);  // what is read of it is asked for below, and that tells
    for (const RoleScope scope : all) {
      if (const std::string id = scope_id(scope, azure); !id.empty()) scopes[{scope, id}].push_back(&pool);
    }
  });
  for (const auto& [key, pools] : scopes) {
    const auto& [scope, id] = key;
    const std::string what = name_of(scope, id) + ": permissions";
    const auto grants = read_pages(
        *examination.arm, examination.endpoints.arm,
        examination.endpoints.arm + id + "/providers/Microsoft.Authorization/permissions?api-version=2022-04-01",
        &parse_permissions, examination.deadline);
    if (!grants) {
      examination.add_unknown(what, grants.error(), "Microsoft.Authorization/permissions/read");
      continue;
    }
    // With the account's key Batch asks for no role.
    const bool by_key =
        scope == RoleScope::batch_account && std::all_of(pools.begin(), pools.end(), [](const auto* pool) {
          return !pool->azure->batch_key_file.empty() && pool->azure->node_identity.empty();
        });
    std::string missing;
    for (const RoleAction& action : role_actions()) {
      if (action.scope != scope || !concerns(action, id, pools) || allows(*grants, action.action)) continue;
      if (by_key && action.action != "Microsoft.Batch/batchAccounts/read") continue;
      missing += (missing.empty() ? "" : "; ") + std::string(action.action) + " (" + std::string(action.what_for) + ")";
    }
    if (missing.empty()) {
      examination.add(what, Verdict::ok, "all that is needed is allowed");
    } else {
      examination.add(what, Verdict::problem, "not allowed: " + missing,
                      "make the role that `slipway azure role` prints, and assign it: az role assignment create --role "
                      "Slipway --assignee <object> --scope " +
                          id);
    }
  }
}

std::vector<Finding> examine(const model::Cluster& cluster, const Clock& clock, Duration timeout) {
  const model::AzureCloud cloud = cluster.azure.value_or(model::AzureCloud{});
  http::Client client({.ca_file = cloud.endpoints.ca_file});
  const Endpoints endpoints = endpoints_of(cloud);
  auto source = make_token_source(cloud.identity, endpoints, client, clock);
  if (!source) {
    return {{"identity", Verdict::problem, source.error().message,
             identity_ways[static_cast<size_t>(cloud.identity.kind)]}};
  }
  const auto arm = std::make_shared<Rest>(client, make_bearer(*source, endpoints.arm_resource, clock));
  Examination examination{cluster, clock, client, endpoints, *source, arm, Deadline(timeout), {}, {}};
  if (!examine_identity(examination)) return examination.findings;
  examine_permissions(examination);
  examine_sizes(examination);
  examine_batch_accounts(examination);
  examine_subnets(examination);
  examine_images(examination);
  return std::move(examination.findings);
}

bool is_healthy(const std::vector<Finding>& findings) {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.verdict == Verdict::problem; });
}

}  // namespace slipway::cloud::azure
