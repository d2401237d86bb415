// ARM: subscriptions, groups, permissions, interfaces, usages, sizes, placement groups.
#include <boost/json.hpp>

#include <algorithm>
#include <set>

#include "catalog/catalog.h"
#include "rehearse/azure/arm_plane.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/odata_filter.h"
#include "rehearse/azure/reply.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr uint32_t quota_default = 100'000;
constexpr size_t interfaces_a_page = 1000;

json::object list_of(json::array value) {
  return {{"value", std::move(value)}};
}

http::Response not_found(const std::string& type, const std::string& name) {
  return arm_error(404, "ResourceNotFound", "The Resource '" + type + "/" + name + "' was not found.");
}

}  // namespace

http::Response ArmPlane::subscription_get(const ArmCall& call) {
  const std::string id = call.at("subscriptionId");
  return json_reply(200, json::object{{"id", "/subscriptions/" + id},
                                      {"subscriptionId", id},
                                      {"tenantId", core_.world.tenant},
                                      {"displayName", "Rehearsal"},
                                      {"state", "Enabled"},
                                      {"authorizationSource", "RoleBased"}});
}

http::Response ArmPlane::subscriptions_list(const ArmCall&) {
  json::array value;
  for (const std::string& id : core_.world.subscriptions) {
    value.push_back({{"id", "/subscriptions/" + id},
                     {"subscriptionId", id},
                     {"tenantId", core_.world.tenant},
                     {"displayName", "Rehearsal"},
                     {"state", "Enabled"},
                     {"authorizationSource", "RoleBased"}});
  }
  return json_reply(200, list_of(std::move(value)));
}

http::Response ArmPlane::group_get(const ArmCall& call) {
  const Group& group = *find_group(call.at("subscriptionId"), call.at("resourceGroupName"));
  return json_reply(200, json::object{{"id", "/subscriptions/" + group.subscription + "/resourceGroups/" + group.name},
                                      {"name", group.name},
                                      {"type", "Microsoft.Resources/resourceGroups"},
                                      {"location", group.region},
                                      {"properties", {{"provisioningState", "Succeeded"}}}});
}

http::Response ArmPlane::group_exists(const ArmCall& call) {
  const bool there = find_group(call.at("subscriptionId"), call.at("resourceGroupName")) != nullptr;
  return empty_reply(there ? 204 : 404);
}

http::Response ArmPlane::group_list(const ArmCall& call) {
  json::array value;
  for (const Group& group : groups(call.at("subscriptionId"))) {
    value.push_back({{"id", "/subscriptions/" + group.subscription + "/resourceGroups/" + group.name},
                     {"name", group.name},
                     {"type", "Microsoft.Resources/resourceGroups"},
                     {"location", group.region},
                     {"properties", {{"provisioningState", "Succeeded"}}}});
  }
  return json_reply(200, list_of(std::move(value)));
}

http::Response ArmPlane::permissions(const ArmCall&) {
  return json_reply(200, list_of({json::object{{"actions", json::array{"*"}},
                                               {"notActions", json::array{}},
                                               {"dataActions", json::array{"*"}},
                                               {"notDataActions", json::array{}}}}));
}

http::Response ArmPlane::operation_get(const ArmCall& call) {
  return operations_.get(call.at("operationId"), call.parameter("monitor") == "true", call.version());
}

http::Response ArmPlane::interface_list(const ArmCall& call) {
  const std::string from = lower(call.parameter("$skiptoken"));
  json::array value;
  std::string last;
  bool more = false;
  for (ScaleSet* set : sets_.all(call.at("subscriptionId"), call.at("resourceGroupName"))) {
    for (const auto& [key, vm] : set->vms) {
      // By set and machine: the order of their making.
      const std::string here = lower(set->resource_group + "/" + set->name) + "/" +
                               std::string(20 - std::min<size_t>(20, std::to_string(key).size()), '0') +
                               std::to_string(key);
      if (vm.phase == Phase::allocating || (!from.empty() && here <= from)) continue;
      if (value.size() == interfaces_a_page) {
        more = true;
        break;
      }
      value.push_back(interface_json(*set, key, vm));
      last = here;
    }
    if (more) break;
  }
  json::object body = list_of(std::move(value));
  if (more) body["nextLink"] = next_link(call, last);
  return json_reply(200, body);
}

http::Response ArmPlane::interface_get(const ArmCall& call) {
  const std::string name = call.at("networkInterfaceName");
  const std::string_view end = "-nic";
  if (name.ends_with(end)) {
    const auto found = sets_.find_vm(call.at("subscriptionId"), call.at("resourceGroupName"),
                                     std::string_view(name).substr(0, name.size() - end.size()));
    if (found.set != nullptr) {
      return json_reply(200, interface_json(*found.set, found.key, found.set->vms.at(found.key)));
    }
  }
  return not_found("Microsoft.Network/networkInterfaces", name);
}

http::Response ArmPlane::usage_list(const ArmCall& call) {
  const std::string region = call.at("location");
  const auto limit = [&](const std::string& family, bool spot) {
    uint32_t least = quota_default;
    for (const QuotaLever& lever : core_.site.levers().quotas) {
      if (!lever.scope.empty() && !same_text(lever.scope, region)) continue;
      if (lever.market && (*lever.market == model::Market::spot) != spot) continue;
      if (spot && !lever.market) continue;
      if (same_text(lever.family, family)) least = std::min(least, lever.cores);
    }
    return least;
  };
  json::array value;
  const auto add = [&](const std::string& name, const std::string& words, uint32_t used, uint32_t most) {
    value.push_back({{"unit", "Count"},
                     {"currentValue", used},
                     {"limit", most},
                     {"name", {{"value", name}, {"localizedValue", words}}}});
  };
  const auto used = [&](const std::string& family, std::optional<model::Market> market) {
    return core_.site.cores_used(region, family, market);
  };
  add("cores", "Total Regional vCPUs", used("", model::Market::on_demand), limit("", false));
  add("lowPriorityCores", "Total Regional Low-priority vCPUs", used("", model::Market::spot), limit("", true));
  std::set<std::string> families;
  for (const std::string_view name : catalog::names(model::ProviderKind::azure)) {
    families.insert(catalog::find(model::ProviderKind::azure, name)->family);
  }
  for (const std::string& family : families) {
    add(family, family + " vCPUs", used(family, model::Market::on_demand), limit(family, false));
  }
  return json_reply(200, list_of(std::move(value)));
}

http::Response ArmPlane::sku_list(const ArmCall& call) {
  const std::string filter = call.parameter("$filter");
  const auto parsed = ODataFilter::parse(filter);
  if (!parsed) return arm_error(400, "InvalidFilterInQueryString", "Invalid $filter '" + filter + "' specified.");
  json::array value;
  for (const std::string& region : regions()) {
    if (!parsed->fits({{"location", region}})) continue;
    for (const std::string_view name : catalog::names(model::ProviderKind::azure)) {
      const auto& type = *catalog::find(model::ProviderKind::azure, name);
      json::array capabilities;
      const auto add = [&](const char* what, std::string text) {
        capabilities.push_back({{"name", what}, {"value", std::move(text)}});
      };
      add("vCPUs", std::to_string(type.cores));
      add("vCPUsAvailable", std::to_string(type.cores_offered == 0 ? type.cores : type.cores_offered));
      char memory[32];
      snprintf(memory, sizeof memory, "%g", static_cast<double>(type.memory_mib) / 1024);
      add("MemoryGB", memory);
      if (type.gpus > 0) add("GPUs", std::to_string(type.gpus));
      add("RdmaEnabled", type.rdma ? "True" : "False");
      add("LowPriorityCapable", type.spot ? "True" : "False");
      add("PremiumIO", type.premium_storage ? "True" : "False");
      add("CpuArchitectureType", type.architecture);
      add("HyperVGenerations", "V1,V2");
      add("AcceleratedNetworkingEnabled", "True");
      const std::string plain(type.name.substr(type.name.starts_with("Standard_") ? 9 : 0));
      value.push_back({{"resourceType", "virtualMachines"},
                       {"name", type.name},
                       {"tier", "Standard"},
                       {"size", plain},
                       {"family", type.family},
                       {"locations", json::array{json::string(region)}},
                       {"locationInfo", json::array{json::object{{"location", region},
                                                                 {"zones", json::array{"1", "2", "3"}},
                                                                 {"zoneDetails", json::array{}}}}},
                       {"capabilities", std::move(capabilities)},
                       {"restrictions", json::array{}}});
    }
  }
  return json_reply(200, list_of(std::move(value)));
}

namespace {

std::string placement_id(const ArmCall& call) {
  return "/subscriptions/" + call.at("subscriptionId") + "/resourceGroups/" + call.at("resourceGroupName") +
         "/providers/Microsoft.Compute/proximityPlacementGroups/" + call.at("proximityPlacementGroupName");
}

}  // namespace

http::Response ArmPlane::placement_put(const ArmCall& call) {
  const std::string id = placement_id(call);
  auto& kept = placement_groups_[lower(id)];
  const int status = kept == nullptr ? 201 : 200;
  kept = std::make_shared<json::object>(call.body);
  (*kept)["id"] = id;
  (*kept)["name"] = call.at("proximityPlacementGroupName");
  (*kept)["type"] = "Microsoft.Compute/proximityPlacementGroups";
  json::value& properties = (*kept)["properties"];
  if (!properties.is_object()) properties.emplace_object();
  if (!properties.get_object().contains("proximityPlacementGroupType")) {
    properties.get_object()["proximityPlacementGroupType"] = "Standard";
  }
  return json_reply(status, *kept);
}

http::Response ArmPlane::placement_get(const ArmCall& call) {
  const auto found = placement_groups_.find(lower(placement_id(call)));
  if (found == placement_groups_.end()) {
    return not_found("Microsoft.Compute/proximityPlacementGroups", call.at("proximityPlacementGroupName"));
  }
  return json_reply(200, *found->second);
}

http::Response ArmPlane::placement_delete(const ArmCall& call) {
  const std::string id = placement_id(call);
  for (ScaleSet* set : sets_.all(call.at("subscriptionId"), "")) {
    if (same_text(text_at(*set->model, "properties.proximityPlacementGroup.id"), id)) {
      return arm_error(409, "OperationNotAllowed",
                       "Proximity Placement Group '" + id + "' can't be deleted: " + set->id() + " uses it.");
    }
  }
  return empty_reply(placement_groups_.erase(lower(id)) > 0 ? 200 : 204);
}

json::array ArmPlane::save_placement_groups() const {
  json::array out;
  for (const auto& [id, group] : placement_groups_) out.push_back(*group);
  return out;
}

Result<void> ArmPlane::load_placement_groups(const json::array& saved) {
  for (const json::value& one : saved) {
    if (!one.is_object() || text_at(one.get_object(), "id").empty()) {
      return fail(ErrorCode::bad_config, "a saved placement group isn't one");
    }
    placement_groups_[lower(text_at(one.get_object(), "id"))] = std::make_shared<json::object>(one.get_object());
  }
  return {};
}

}  // namespace slipway::rehearse::azure
