// ARM: virtual machine scale sets in flexible orchestration.
#include <boost/json.hpp>

#include <algorithm>

#include "catalog/catalog.h"
#include "rehearse/azure/arm_plane.h"
#include "rehearse/azure/conditions.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/reply.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr int64_t capacity_max = 1000;
constexpr size_t instances_max = 1000;
constexpr const char* profile = "properties.virtualMachineProfile";

http::Response fine() {
  return {};
}

http::Response wrong(std::string_view target, const std::string& message) {
  return arm_error(400, "InvalidParameter", message, target);
}

bool contains(const std::vector<std::string>& list, std::string_view id) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& one) { return same_text(one, id); });
}

std::string in_profile(const json::object& model, const std::string& path) {
  return text_at(model, profile + ("." + path));
}

http::Response check_network(const Core& core, const json::object& model) {
  const json::object* network = object_at(model, std::string(profile) + ".networkProfile");
  if (network == nullptr) return wrong("networkProfile", "Required parameter 'networkProfile' is missing (null).");
  const json::value* list = at_path(*network, "networkInterfaceConfigurations");
  if (list == nullptr || !list->is_array() || list->get_array().empty()) {
    return wrong("networkInterfaceConfigurations", "At least one network interface configuration is required.");
  }
  // https://learn.microsoft.com/azure/virtual-machine-scale-sets/virtual-machine-scale-sets-orchestration-modes
  if (text_at(*network, "networkApiVersion").empty()) {
    return wrong("networkApiVersion", "networkApiVersion is required for scale sets with flexible orchestration.");
  }
  for (const json::value& one : list->get_array()) {
    const json::value* configurations = at_path(one.get_object(), "properties.ipConfigurations");
    if (configurations == nullptr || !configurations->is_array() || configurations->get_array().empty()) {
      return wrong("ipConfigurations", "At least one IP configuration is required.");
    }
    for (const json::value& configuration : configurations->get_array()) {
      const std::string subnet = text_at(configuration.get_object(), "properties.subnet.id");
      if (!contains(core.world.subnets, subnet)) {
        return arm_error(400, "InvalidResourceReference",
                         "Resource " + subnet +
                             " referenced by the scale set was "
                             "not found. Please make sure that the referenced resource exists.",
                         "subnet");
      }
    }
  }
  return fine();
}

}  // namespace

http::Response ArmPlane::check_set(const ArmCall& call, const json::object& model) const {
  (void)call;
  const std::string size = text_at(model, "sku.name");
  if (size.empty()) return wrong("sku.name", "Required parameter 'sku.name' is missing (null).");
  if (catalog::find(model::ProviderKind::azure, size) == nullptr) {
    return wrong("vmSize", "The value " + size + " provided for the VM size is not valid.");
  }
  const int64_t capacity = integer_at(model, "sku.capacity").value_or(0);
  if (capacity < 0 || capacity > capacity_max) {
    return wrong("sku.capacity", "The capacity must be between 0 and " + std::to_string(capacity_max) + ".");
  }
  if (text_at(model, "properties.orchestrationMode") != "Flexible") {
    return arm_error(400, "OperationNotAllowed", "Only orchestrationMode 'Flexible' is simulated.");
  }
  if (bool_at(model, "properties.singlePlacementGroup") && capacity > 100) {
    return wrong("singlePlacementGroup", "A single placement group has at most 100 VMs.");
  }
  if (!integer_at(model, "properties.platformFaultDomainCount")) {
    return wrong("platformFaultDomainCount", "Required parameter 'platformFaultDomainCount' is missing (null).");
  }
  if (object_at(model, profile) == nullptr) {
    return capacity == 0 ? fine() : wrong("virtualMachineProfile", "A profile is required for a capacity above 0.");
  }
  const std::string priority = in_profile(model, "priority");
  if (!in_profile(model, "evictionPolicy").empty() && priority != "Spot") {
    return wrong("evictionPolicy", "Eviction policy can be set only on Azure Spot Virtual Machines.");
  }
  if (object_at(model, "properties.priorityMixPolicy") != nullptr && priority != "Spot") {
    return wrong("priorityMixPolicy", "A priority mix needs the priority 'Spot' in the profile.");
  }
  const std::string image = in_profile(model, "storageProfile.imageReference.id");
  if (!image.empty() && !contains(core_.world.images, image)) {
    return arm_error(404, "GalleryImageNotFound",
                     "The gallery image " + image + " is not available in " + text_at(model, "location") + " region.",
                     "imageReference");
  }
  if (image.empty() && in_profile(model, "storageProfile.imageReference.publisher").empty()) {
    return wrong("imageReference", "Required parameter 'imageReference' is missing (null).");
  }
  if (const json::object* identities = object_at(model, "identity.userAssignedIdentities")) {
    for (const auto& [id, value] : *identities) {
      if (!contains(core_.world.identities, id)) {
        return arm_error(400, "FailedIdentityOperation", "The identity " + std::string(id) + " can't be found.");
      }
    }
  }
  const std::string placement = text_at(model, "properties.proximityPlacementGroup.id");
  if (!placement.empty() && !placement_groups_.contains(lower(placement))) {
    return arm_error(404, "NotFound", "The proximity placement group " + placement + " was not found.");
  }
  return check_network(core_, model);
}

http::Response ArmPlane::set_reply(int status, const ArmCall& call, const ScaleSet& set) const {
  json::object body = *set.model;
  body["id"] = set.id();
  body["name"] = set.name;
  body["type"] = "Microsoft.Compute/virtualMachineScaleSets";
  body["etag"] = "\"" + set.etag + "\"";
  json::object& sku = body["sku"].as_object();
  sku["tier"] = "Standard";
  sku["capacity"] = set.capacity;
  json::object& properties = body["properties"].as_object();
  properties["provisioningState"] = set.provisioning;
  properties["uniqueId"] = set.unique_id;
  properties["timeCreated"] = to_iso8601(set.created);
  // Secrets are never told.
  if (json::value* os = properties.if_contains("virtualMachineProfile");
      os != nullptr && os->is_object() && os->get_object().contains("osProfile")) {
    os->get_object()["osProfile"].as_object().erase("customData");
    os->get_object()["osProfile"].as_object().erase("adminPassword");
  }
  http::Response response = json_reply(status, body);
  response.headers.emplace_back("ETag", "\"" + set.etag + "\"");
  if (call.operation.method != "GET") operations_.tell(response, set.operation, call.version());
  return response;
}

http::Response ArmPlane::apply_model(const ArmCall& call, ScaleSet& set, json::object model, int status) {
  const auto capacity = static_cast<uint32_t>(integer_at(model, "sku.capacity").value_or(set.capacity));
  const json::object before = *set.model;
  *set.model = std::move(model);
  const std::string over = sets_.over_quota(set, capacity);
  if (!over.empty()) {
    *set.model = before;
    return arm_error(409, "OperationNotAllowed", over);
  }
  sets_.scale(set, capacity);
  if (status == 201) set.provisioning = "Creating";
  return set_reply(status, call, set);
}

http::Response ArmPlane::set_put(const ArmCall& call) {
  const std::string subscription = call.at("subscriptionId");
  const std::string group = call.at("resourceGroupName");
  const std::string name = call.at("vmScaleSetName");
  ScaleSet* set = sets_.find(subscription, group, name);
  if (set == nullptr && !http::find_header(call.headers, "If-Match").empty()) {
    return arm_error(412, "PreconditionFailed", "If-Match names a scale set that doesn't exist.");
  }
  if (set != nullptr && check_conditions(call.headers, set->etag, set->modified) != Condition::met) {
    return arm_error(412, "PreconditionFailed", "The condition of If-Match or If-None-Match isn't met.");
  }
  if (set != nullptr && set->deleting) {
    return arm_error(409, "Conflict", "The scale set is being deleted.");
  }
  if (http::Response refused = check_set(call, call.body); refused.status != 0) return refused;
  if (set != nullptr) {
    for (const char* fixed :
         {"location", "properties.orchestrationMode", "properties.virtualMachineProfile.priority"}) {
      if (text_at(*set->model, fixed) != text_at(call.body, fixed)) {
        return arm_error(409, "PropertyChangeNotAllowed",
                         "Changing property '" + std::string(fixed) + "' is not allowed.", fixed);
      }
    }
    return apply_model(call, *set, call.body, 200);
  }
  // Made empty first: the quota is asked as for a rise from nothing.
  ScaleSet& made = sets_.add(subscription, group, name, std::make_shared<json::object>(call.body));
  http::Response response = apply_model(call, made, call.body, 201);
  if (response.status != 201) sets_.remove(made);
  return response;
}

http::Response ArmPlane::set_patch(const ArmCall& call) {
  ScaleSet* set = sets_.find(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmScaleSetName"));
  if (set == nullptr) {
    return arm_error(
        404, "ResourceNotFound",
        "The Resource 'Microsoft.Compute/virtualMachineScaleSets/" + call.at("vmScaleSetName") + "' was not found.");
  }
  if (check_conditions(call.headers, set->etag, set->modified) != Condition::met) {
    return arm_error(412, "PreconditionFailed", "The condition of If-Match or If-None-Match isn't met.");
  }
  if (set->deleting) return arm_error(409, "Conflict", "The scale set is being deleted.");
  json::object model = *set->model;
  model["sku"].as_object()["capacity"] = set->capacity;
  merge_patch(model, call.body);
  if (http::Response refused = check_set(call, model); refused.status != 0) return refused;
  return apply_model(call, *set, std::move(model), 200);
}

http::Response ArmPlane::set_get(const ArmCall& call) {
  const ScaleSet* set = sets_.find(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmScaleSetName"));
  if (set == nullptr) {
    return arm_error(
        404, "ResourceNotFound",
        "The Resource 'Microsoft.Compute/virtualMachineScaleSets/" + call.at("vmScaleSetName") + "' was not found.");
  }
  return set_reply(200, call, *set);
}

http::Response ArmPlane::set_delete(const ArmCall& call) {
  ScaleSet* set = sets_.find(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmScaleSetName"));
  if (set == nullptr) return empty_reply(204);
  const std::string operation = set->deleting ? set->delete_operation : sets_.remove(*set);
  http::Response response = empty_reply(202);
  operations_.tell(response, operation, call.version());
  return response;
}

http::Response ArmPlane::set_list(const ArmCall& call) {
  json::array value;
  for (const ScaleSet* set : sets_.all(call.at("subscriptionId"), call.at("resourceGroupName"))) {
    json::value one = json::parse(set_reply(200, call, *set).body);
    one.as_object().erase("etag");  // told of a single set only
    value.push_back(std::move(one));
  }
  return json_reply(200, json::object{{"value", std::move(value)}});
}

http::Response ArmPlane::set_delete_instances(const ArmCall& call) {
  ScaleSet* set = sets_.find(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmScaleSetName"));
  if (set == nullptr) {
    return arm_error(
        404, "ResourceNotFound",
        "The Resource 'Microsoft.Compute/virtualMachineScaleSets/" + call.at("vmScaleSetName") + "' was not found.");
  }
  const json::array& ids = call.body.at("instanceIds").as_array();
  if (ids.empty() || ids.size() > instances_max) {
    return wrong("instanceIds", "Between 1 and " + std::to_string(instances_max) + " instance ids may be given.");
  }
  std::vector<MachineKey> keys;
  for (const json::value& id : ids) {
    // An instance's id is its VM's name in this orchestration mode.
    const auto found = set->by_name.find(lower(std::string_view(id.as_string())));
    if (found == set->by_name.end()) {
      return wrong("instanceIds", "The provided instanceId " + std::string(id.as_string()) +
                                      " is not an active Virtual Machine Scale Set VM instanceId.");
    }
    keys.push_back(found->second);
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  http::Response response = empty_reply(202);
  operations_.tell(response, sets_.remove_vms(*set, keys), call.version());
  return response;
}

}  // namespace slipway::rehearse::azure
