// ARM's side of Batch: accounts, their keys and quotas, and pools, which may have an identity only when made here.
#include <boost/json.hpp>

#include <algorithm>
#include <set>

#include "catalog/catalog.h"
#include "http/base64.h"
#include "http/digest.h"
#include "rehearse/azure/arm_plane.h"
#include "rehearse/azure/batch_json.h"
#include "rehearse/azure/batch_plane.h"
#include "rehearse/azure/conditions.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/recase.h"
#include "rehearse/azure/reply.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr uint32_t cores_default = 100'000;
constexpr uint32_t pools_default = 100;
constexpr size_t pools_a_page = 100;

uint32_t given_or(uint32_t given, uint32_t otherwise) {
  return given == 0 ? otherwise : given;
}

http::Response account_not_found(const ArmCall& call) {
  return arm_error(404, "ResourceNotFound",
                   "The Resource 'Microsoft.Batch/batchAccounts/" + call.at("accountName") +
                       "' under resource group '" + call.at("resourceGroupName") + "' was not found.");
}

http::Response pool_not_found() {
  return arm_error(404, "PoolNotFound", "The specified pool does not exist.");
}

// The data plane's settings from ARM's properties.
json::object data_plane_settings(const json::object& properties, const Schema& words) {
  json::object out = recase(properties, words).as_object();
  out.erase("resourceTags");
  if (const json::object* machine = object_at(properties, "deploymentConfiguration.virtualMachineConfiguration")) {
    json::object wrapped{{"virtualMachineConfiguration", *machine}};
    out["virtualMachineConfiguration"] = recase(wrapped, words).as_object().at("virtualMachineConfiguration");
  }
  if (properties.contains("interNodeCommunication")) {
    out["enableInterNodeCommunication"] = text_at(properties, "interNodeCommunication") == "Enabled";
  }
  return out;
}

std::vector<std::string> identities_of(const json::object& body) {
  std::vector<std::string> out;
  if (const json::object* identities = object_at(body, "identity.userAssignedIdentities")) {
    for (const auto& [id, value] : *identities) out.emplace_back(id);
  }
  return out;
}

struct Scale {
  bool given = false;
  PerMarket<uint32_t> target{};
  Duration timeout = std::chrono::minutes(15);
  std::string formula;
  std::string wrong;
};

Scale scale_of(const json::object& properties, PerMarket<uint32_t> otherwise) {
  Scale out{.target = otherwise};
  if (const json::object* fixed = object_at(properties, "scaleSettings.fixedScale")) {
    out.given = true;
    out.target = {
        static_cast<uint32_t>(std::max<int64_t>(0, integer_at(*fixed, "targetDedicatedNodes").value_or(0))),
        static_cast<uint32_t>(std::max<int64_t>(0, integer_at(*fixed, "targetLowPriorityNodes").value_or(0)))};
    if (const auto seconds = parse_iso_duration(text_at(*fixed, "resizeTimeout"))) {
      if (*seconds < 300) out.wrong = "the resize timeout must be at least 5 minutes";
      out.timeout = Duration(static_cast<int64_t>(*seconds * 1000));
    }
  }
  if (const json::object* automatic = object_at(properties, "scaleSettings.autoScale")) {
    out.formula = text_at(*automatic, "formula");
    const auto target = run_formula(out.formula, otherwise);
    if (!target) out.wrong = target.error().message;
    if (target) out.target = *target;
    out.given = true;
  }
  return out;
}

}  // namespace

json::object ArmPlane::account_json(const BatchAccount& account) const {
  const auto url = core_.batch_urls.find(account.name);
  std::string endpoint = url == core_.batch_urls.end() ? account.name : url->second;
  if (const size_t scheme = endpoint.find("://"); scheme != std::string::npos) endpoint.erase(0, scheme + 3);
  json::array families;
  std::set<std::string> known;
  for (const std::string_view name : catalog::names(model::ProviderKind::azure)) {
    known.insert(catalog::find(model::ProviderKind::azure, name)->family);
  }
  bool enforced = false;
  for (const std::string& family : known) {
    uint32_t quota = given_or(account.dedicated_cores, cores_default);
    for (const QuotaLever& lever : core_.site.levers().quotas) {
      if (lever.market == model::Market::spot || !same_text(lever.family, family)) continue;
      if (lever.scope.empty() || same_text(lever.scope, account.name)) {
        quota = std::min(quota, lever.cores);
        enforced = true;
      }
    }
    families.push_back({{"name", family}, {"coreQuota", quota}});
  }
  const auto quota_of = [&](model::Market market, uint32_t given) {
    uint32_t quota = given_or(given, cores_default);
    for (const QuotaLever& lever : core_.site.levers().quotas) {
      if (!lever.family.empty() || (!lever.scope.empty() && !same_text(lever.scope, account.name))) continue;
      if (!lever.market || *lever.market == market) quota = std::min(quota, lever.cores);
    }
    return quota;
  };
  return {{"id", "/subscriptions/" + account.subscription + "/resourceGroups/" + account.resource_group +
                     "/providers/Microsoft.Batch/batchAccounts/" + account.name},
          {"name", account.name},
          {"type", "Microsoft.Batch/batchAccounts"},
          {"location", account.region},
          {"identity", {{"type", "None"}}},
          {"properties",
           {{"accountEndpoint", endpoint},
            {"provisioningState", "Succeeded"},
            {"poolAllocationMode", "BatchService"},
            {"publicNetworkAccess", "Enabled"},
            {"dedicatedCoreQuota", quota_of(model::Market::on_demand, account.dedicated_cores)},
            {"lowPriorityCoreQuota", quota_of(model::Market::spot, account.low_priority_cores)},
            {"dedicatedCoreQuotaPerVMFamily", families},
            {"dedicatedCoreQuotaPerVMFamilyEnforced", enforced},
            {"poolQuota", given_or(account.pools, pools_default)},
            {"activeJobAndJobScheduleQuota", 300},
            {"allowedAuthenticationModes", json::array{"SharedKey", "AAD", "TaskAuthenticationToken"}}}}};
}

namespace {

const BatchAccount* account_of(const Core& core, const ArmCall& call) {
  const BatchAccount* account = core.account(call.at("accountName"));
  const bool here = account != nullptr && same_text(account->subscription, call.at("subscriptionId")) &&
                    same_text(account->resource_group, call.at("resourceGroupName"));
  return here ? account : nullptr;
}

}  // namespace

http::Response ArmPlane::account_list(const ArmCall& call) {
  json::array value;
  for (const BatchAccount& account : core_.world.batch_accounts) {
    if (!same_text(account.subscription, call.at("subscriptionId"))) continue;
    const std::string group = call.at("resourceGroupName");
    if (group.empty() || same_text(account.resource_group, group)) value.push_back(account_json(account));
  }
  return json_reply(200, json::object{{"value", value}});
}

http::Response ArmPlane::account_get(const ArmCall& call) {
  const BatchAccount* account = account_of(core_, call);
  return account == nullptr ? account_not_found(call) : json_reply(200, account_json(*account));
}

http::Response ArmPlane::account_keys(const ArmCall& call) {
  const BatchAccount* account = account_of(core_, call);
  if (account == nullptr) return account_not_found(call);
  // The second key isn't accepted by the data plane: it stands for one that was made anew.
  const std::string second = http::to_base64(http::sha256("second key of " + account->key));
  return json_reply(200,
                    json::object{{"accountName", account->name}, {"primary", account->key}, {"secondary", second}});
}

http::Response ArmPlane::batch_quotas(const ArmCall&) {
  return json_reply(200, json::object{{"accountQuota", 3}});
}

json::object ArmPlane::pool_json(const BatchAccount& account, const BatchPool& pool) {
  const Schema& words = core_.arm_definition("PoolProperties");
  json::object properties = recase(*pool.settings, words).as_object();
  properties["interNodeCommunication"] =
      bool_at(*pool.settings, "enableInterNodeCommunication") ? "Enabled" : "Disabled";
  if (const json::value* machine = at_path(*pool.settings, "virtualMachineConfiguration")) {
    const json::object wrapped{{"deploymentConfiguration", {{"virtualMachineConfiguration", *machine}}}};
    properties["deploymentConfiguration"] = recase(wrapped, words).as_object().at("deploymentConfiguration");
  }
  properties["creationTime"] = to_iso8601(pool.created);
  properties["lastModified"] = to_iso8601(pool.modified);
  properties["provisioningState"] = pool.deleting ? "Deleting" : "Succeeded";
  properties["provisioningStateTransitionTime"] = to_iso8601(pool.state_since);
  properties["allocationState"] =
      recase(json::string(to_string(pool.allocation)), *words.properties.at("allocationState"));
  properties["allocationStateTransitionTime"] = to_iso8601(pool.allocation_since);
  properties["currentDedicatedNodes"] = pool.current[0];
  properties["currentLowPriorityNodes"] = pool.current[1];
  const std::string timeout = to_iso_duration(std::chrono::duration<double>(pool.resize_timeout).count());
  if (pool.autoscale) {
    const std::string interval = to_iso_duration(std::chrono::duration<double>(pool.formula_interval).count());
    properties["scaleSettings"] = {{"autoScale", {{"formula", pool.formula}, {"evaluationInterval", interval}}}};
  } else {
    properties["scaleSettings"] = {{"fixedScale",
                                    {{"targetDedicatedNodes", pool.target[0]},
                                     {"targetLowPriorityNodes", pool.target[1]},
                                     {"resizeTimeout", timeout}}}};
  }
  json::object resize{{"targetDedicatedNodes", pool.target[0]},
                      {"targetLowPriorityNodes", pool.target[1]},
                      {"nodeDeallocationOption", "Requeue"},
                      {"resizeTimeout", timeout},
                      {"startTime", to_iso8601(pool.allocation_since)}};
  if (!pool.faults.empty() && pool.allocation == Allocation::steady) {
    json::array& errors = resize["errors"].emplace_array();
    for (const ResizeFault& fault : pool.faults) errors.push_back({{"code", fault.code}, {"message", fault.message}});
  }
  properties["resizeOperationStatus"] = std::move(resize);
  json::object out{{"id", text_at(account_json(account), "id") + "/pools/" + pool.id},
                   {"name", pool.id},
                   {"type", "Microsoft.Batch/batchAccounts/pools"},
                   {"etag", "W/\"" + pool.etag + "\""},
                   {"properties", std::move(properties)}};
  if (!pool.identities.empty()) {
    json::object identities;
    for (const std::string& id : pool.identities) {
      identities[id] = {{"clientId", core_.client_id_of(id)}, {"principalId", core_.object_id_of(id)}};
    }
    out["identity"] = {{"type", "UserAssigned"}, {"userAssignedIdentities", identities}};
  }
  return out;
}

http::Response ArmPlane::pool_reply(int status, const BatchAccount& account, const BatchPool& pool) {
  http::Response response = json_reply(status, pool_json(account, pool));
  response.headers.emplace_back("ETag", "W/\"" + pool.etag + "\"");
  return response;
}

http::Response ArmPlane::pool_put(const ArmCall& call) {
  const BatchAccount* account = account_of(core_, call);
  if (account == nullptr) return account_not_found(call);
  const std::string id = call.at("poolName");
  BatchPool* there = pools_.find(account->name, id);
  if (there != nullptr) {
    if (check_conditions(call.headers, there->etag, there->modified) != Condition::met) {
      return arm_error(412, "PreconditionFailed", "The condition of If-Match or If-None-Match isn't met.");
    }
    if (there->deleting) return arm_error(409, "PoolBeingDeleted", "The specified pool is being deleted.");
    return pool_patch(call);
  }
  if (!http::find_header(call.headers, "If-Match").empty()) {
    return arm_error(412, "PreconditionFailed", "If-Match names a pool that doesn't exist.");
  }
  const json::object nothing;
  const json::object* given = object_at(call.body, "properties");
  const json::object& properties = given == nullptr ? nothing : *given;
  auto settings = std::make_shared<json::object>(
      data_plane_settings(properties, *core_.batch_spec->definition("PoolAddParameter")));
  if (auto complaint = check_pool_settings(core_, id, *settings)) return arm_error(*complaint);
  const std::vector<std::string> identities = identities_of(call.body);
  for (const std::string& one : identities) {
    const auto known = std::find_if(core_.world.identities.begin(), core_.world.identities.end(),
                                    [&](const std::string& other) { return same_text(one, other); });
    if (known == core_.world.identities.end()) {
      return arm_error(400, "FailedIdentityOperation", "The identity '" + one + "' can't be found.", "identity");
    }
  }
  const Scale scale = scale_of(properties, {});
  if (!scale.wrong.empty()) return arm_error(400, "InvalidPropertyValue", scale.wrong, "properties.scaleSettings");
  if (pools_.of_account(account->name).size() >= given_or(account->pools, pools_default)) {
    return arm_error(409, "PoolQuotaReached", "The pool quota for the account has been reached.");
  }
  settings->emplace("taskSlotsPerNode", 1);
  settings->emplace("taskSchedulingPolicy", json::object{{"nodeFillType", "spread"}});
  settings->emplace("enableInterNodeCommunication", false);
  settings->emplace("currentNodeCommunicationMode", "simplified");
  BatchPool& pool = pools_.add(account->name, id, std::move(settings));
  pool.identities = identities;
  pool.resize_timeout = scale.timeout;
  pool.autoscale = !scale.formula.empty();
  pool.formula = scale.formula;
  if (scale.target[0] + scale.target[1] > 0) pools_.resize(pool, scale.target);
  return pool_reply(200, *account, pool);
}

http::Response ArmPlane::pool_patch(const ArmCall& call) {
  const BatchAccount* account = account_of(core_, call);
  if (account == nullptr) return account_not_found(call);
  BatchPool* pool = pools_.find(account->name, call.at("poolName"));
  if (pool == nullptr) return pool_not_found();
  if (check_conditions(call.headers, pool->etag, pool->modified) != Condition::met) {
    return arm_error(412, "PreconditionFailed", "The condition of If-Match or If-None-Match isn't met.");
  }
  if (pool->deleting) return arm_error(409, "PoolBeingDeleted", "The specified pool is being deleted.");
  const json::object nothing;
  const json::object* given = object_at(call.body, "properties");
  const json::object& properties = given == nullptr ? nothing : *given;
  const json::object changes = data_plane_settings(properties, *core_.batch_spec->definition("PoolAddParameter"));
  json::object merged = *pool->settings;
  for (const auto& [name, value] : changes) merged[name] = value;
  if (auto complaint = check_pool_settings(core_, pool->id, merged)) return arm_error(*complaint);
  const bool has_nodes = pool->current[0] + pool->current[1] + pool->allocating > 0;
  for (const auto& [name, value] : changes) {
    const bool free = name == "startTask" || name == "metadata" || name == "targetNodeCommunicationMode" ||
                      name == "displayName" || name == "upgradePolicy";
    const json::value* old = pool->settings->if_contains(name);
    if (has_nodes && !free && (old == nullptr || *old != value)) {
      return arm_error(409, "OperationInvalidForCurrentState",
                       std::string(name) + " can be changed only while the pool has no nodes.");
    }
  }
  const Scale scale = scale_of(properties, pool->target);
  if (!scale.wrong.empty()) return arm_error(400, "InvalidPropertyValue", scale.wrong, "properties.scaleSettings");
  const bool resizes = scale.given && scale.target != pool->target;
  if (resizes && pool->allocation != Allocation::steady) {
    return arm_error(409, "PoolBeingResized", "The specified pool is being resized.");
  }
  *pool->settings = std::move(merged);
  if (call.body.contains("identity")) pool->identities = identities_of(call.body);
  if (scale.given) {
    pool->autoscale = !scale.formula.empty();
    pool->formula = scale.formula;
    pool->resize_timeout = scale.timeout;
  }
  pools_.changed(*pool);
  if (resizes) pools_.resize(*pool, scale.target);
  return pool_reply(200, *account, *pool);
}

http::Response ArmPlane::pool_get(const ArmCall& call) {
  const BatchAccount* account = account_of(core_, call);
  if (account == nullptr) return account_not_found(call);
  const BatchPool* pool = pools_.find(account->name, call.at("poolName"));
  return pool == nullptr ? pool_not_found() : pool_reply(200, *account, *pool);
}

http::Response ArmPlane::pool_delete(const ArmCall& call) {
  const BatchAccount* account = account_of(core_, call);
  if (account == nullptr) return account_not_found(call);
  BatchPool* pool = pools_.find(account->name, call.at("poolName"));
  if (pool == nullptr) return empty_reply(204);
  const std::string id = "delete-" + pool->id;
  if (!pool->deleting) pools_.remove(*pool);
  http::Response response = empty_reply(202);
  response.headers = {{"Location", core_.arm_url + text_at(account_json(*account), "id") + "/poolOperationResults/" +
                                       id + "?api-version=" + call.version()},
                      {"Retry-After", "1"}};
  return response;
}

http::Response ArmPlane::pool_operation(const ArmCall& call) {
  const BatchAccount* account = account_of(core_, call);
  if (account == nullptr) return account_not_found(call);
  const std::string id = call.at("operationId");
  const std::string_view begin = "delete-";
  if (!id.starts_with(begin)) return arm_error(404, "NotFound", "The entity was not found: operation " + id + ".");
  const BatchPool* pool = pools_.find(account->name, id.substr(begin.size()));
  if (pool == nullptr || !pool->deleting) return empty_reply(204);
  http::Response response = empty_reply(202);
  response.headers = {{"Location", core_.arm_url + call.target}, {"Retry-After", "1"}};
  return response;
}

http::Response ArmPlane::pool_list(const ArmCall& call) {
  const BatchAccount* account = account_of(core_, call);
  if (account == nullptr) return account_not_found(call);
  const std::string from = lower(call.parameter("$skiptoken"));
  json::array value;
  json::object body;
  std::string last;
  for (const BatchPool* pool : pools_.of_account(account->name)) {
    if (!from.empty() && lower(pool->id) <= from) continue;
    if (value.size() == pools_a_page) {
      body["nextLink"] = next_link(call, last);
      break;
    }
    value.push_back(pool_json(*account, *pool));
    last = pool->id;
  }
  body["value"] = std::move(value);
  return json_reply(200, body);
}

}  // namespace slipway::rehearse::azure
