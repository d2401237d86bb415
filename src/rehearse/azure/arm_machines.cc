// ARM: the VMs of flexible scale sets, and their network interfaces.
#include <boost/json.hpp>

#include <charconv>

#include "rehearse/azure/arm_plane.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/odata_filter.h"
#include "rehearse/azure/reply.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr size_t machines_a_page = 500;
constexpr Duration eviction_notice = std::chrono::seconds(30);

std::string machine_id(const ScaleSet& set, const ScaleVm& vm) {
  return "/subscriptions/" + set.subscription + "/resourceGroups/" + set.resource_group +
         "/providers/Microsoft.Compute/virtualMachines/" + vm.name;
}

std::string interface_id(const ScaleSet& set, const ScaleVm& vm) {
  return "/subscriptions/" + set.subscription + "/resourceGroups/" + set.resource_group +
         "/providers/Microsoft.Network/networkInterfaces/" + vm.name + "-nic";
}

const char* provisioning_of(Phase phase) {
  switch (phase) {
    case Phase::allocating:
    case Phase::starting:
      return "Creating";
    case Phase::leaving:
      return "Deleting";
    case Phase::unusable:
      return "Failed";
    default:
      return "Succeeded";
  }
}

const char* power_of(Phase phase) {
  switch (phase) {
    case Phase::allocating:
    case Phase::starting:
      return "starting";
    case Phase::evicted:
      return "deallocated";
    default:
      return "running";
  }
}

json::object status(std::string code, std::string words) {
  return {{"code", std::move(code)}, {"level", "Info"}, {"displayStatus", std::move(words)}};
}

http::Response vm_not_found(const ArmCall& call) {
  return arm_error(404, "ResourceNotFound",
                   "The Resource 'Microsoft.Compute/virtualMachines/" + call.at("vmName") + "' under resource group '" +
                       call.at("resourceGroupName") + "' was not found.");
}

}  // namespace

std::string vm_id_of(const Machine& machine) {
  return Core::uuid_of("vm " + machine.order->group + "/" + machine.name);
}

json::object ArmPlane::view_json(const ScaleSet& set, const ScaleVm& vm) const {
  (void)set;
  const std::string provisioning = provisioning_of(vm.phase);
  const std::string power = power_of(vm.phase);
  return {{"statuses",
           json::array{status("ProvisioningState/" + lower(provisioning), "Provisioning " + lower(provisioning)),
                       status("PowerState/" + power, "VM " + power)}}};
}

json::object ArmPlane::vm_json(const ScaleSet& set, MachineKey key, const ScaleVm& vm, bool view) const {
  const Machine* machine = core_.site.find(key);
  const bool spot = machine != nullptr && machine->order->market == model::Market::spot;
  json::object properties{{"vmId", machine == nullptr ? "" : vm_id_of(*machine)},
                          {"provisioningState", provisioning_of(vm.phase)},
                          {"hardwareProfile", {{"vmSize", machine == nullptr ? set.size() : machine->order->size}}},
                          {"virtualMachineScaleSet", {{"id", set.id()}}},
                          {"osProfile", {{"computerName", vm.name}}},
                          {"networkProfile",
                           {{"networkInterfaces", json::array{json::object{{"id", interface_id(set, vm)},
                                                                           {"properties", {{"primary", true}}}}}}}},
                          {"timeCreated", to_iso8601(machine == nullptr ? set.created : machine->asked_at)}};
  if (spot) {
    const std::string policy = text_at(*set.model, "properties.virtualMachineProfile.evictionPolicy");
    properties["priority"] = "Spot";
    properties["evictionPolicy"] = policy.empty() ? "Deallocate" : policy;
  } else {
    properties["priority"] = "Regular";
  }
  if (view) properties["instanceView"] = view_json(set, vm);
  json::object out{{"id", machine_id(set, vm)},
                   {"name", vm.name},
                   {"type", "Microsoft.Compute/virtualMachines"},
                   {"location", set.region()},
                   {"properties", std::move(properties)}};
  if (machine != nullptr && !machine->order->zone.empty())
    out["zones"] = json::array{json::string(machine->order->zone)};
  if (const json::value* tags = set.model->if_contains("tags")) out["tags"] = *tags;
  if (const json::value* identity = set.model->if_contains("identity")) out["identity"] = *identity;
  return out;
}

json::object ArmPlane::interface_json(const ScaleSet& set, MachineKey key, const ScaleVm& vm) const {
  const Machine* machine = core_.site.find(key);
  std::string subnet;
  const json::value* list =
      at_path(*set.model, "properties.virtualMachineProfile.networkProfile.networkInterfaceConfigurations");
  if (list != nullptr && list->is_array() && !list->get_array().empty()) {
    const json::value* configurations = at_path(list->get_array().front().get_object(), "properties.ipConfigurations");
    if (configurations != nullptr && configurations->is_array() && !configurations->get_array().empty()) {
      subnet = text_at(configurations->get_array().front().get_object(), "properties.subnet.id");
    }
  }
  const std::string id = interface_id(set, vm);
  json::object configuration{{"primary", true}, {"provisioningState", "Succeeded"}, {"subnet", {{"id", subnet}}}};
  if (machine != nullptr && !machine->address.empty()) {
    configuration["privateIPAddress"] = machine->address;
    configuration["privateIPAllocationMethod"] = "Dynamic";
    configuration["privateIPAddressVersion"] = "IPv4";
  }
  return {{"id", id},
          {"name", vm.name + "-nic"},
          {"type", "Microsoft.Network/networkInterfaces"},
          {"location", set.region()},
          {"properties",
           {{"provisioningState", "Succeeded"},
            {"primary", true},
            {"virtualMachine", {{"id", machine_id(set, vm)}}},
            {"ipConfigurations", json::array{json::object{{"id", id + "/ipConfigurations/primary"},
                                                          {"name", "primary"},
                                                          {"properties", std::move(configuration)}}}}}}};
}

http::Response ArmPlane::vm_list(const ArmCall& call) {
  const std::string text = call.parameter("$filter");
  const auto filter = ODataFilter::parse(text);
  if (!filter) return arm_error(400, "InvalidFilterInQueryString", "Invalid $filter '" + text + "' specified.");
  for (const std::string& property : filter->properties()) {
    if (!same_text(property, "virtualMachineScaleSet/id")) {
      return arm_error(400, "InvalidFilterInQueryString", "The $filter knows 'virtualMachineScaleSet/id' only.");
    }
  }
  const bool view = same_text(call.parameter("$expand"), "instanceView");
  // The position is a set, by its name, and a machine of it.
  const std::string token = call.parameter("$skiptoken");
  const size_t bang = token.rfind('!');
  const std::string from_set = token.substr(0, bang);
  MachineKey from = 0;
  if (bang != std::string::npos) std::from_chars(token.data() + bang + 1, token.data() + token.size(), from);
  json::array value;
  std::string last;
  bool more = false;
  for (ScaleSet* set : sets_.all(call.at("subscriptionId"), call.at("resourceGroupName"))) {
    const std::string place = lower(set->resource_group + "/" + set->name);
    if (!token.empty() && place < from_set) continue;
    if (!filter->properties().empty() && !filter->fits({{"virtualMachineScaleSet", {{"id", set->id()}}}})) continue;
    auto at = place == from_set ? set->vms.upper_bound(from) : set->vms.begin();
    for (; at != set->vms.end(); ++at) {
      if (at->second.phase == Phase::allocating) continue;
      if (value.size() == machines_a_page) {
        more = true;
        break;
      }
      value.push_back(vm_json(*set, at->first, at->second, view));
      last = place + "!" + std::to_string(at->first);
    }
    if (more) break;
  }
  json::object body;
  body["value"] = std::move(value);
  if (more) body["nextLink"] = next_link(call, last);
  return json_reply(200, body);
}

http::Response ArmPlane::vm_get(const ArmCall& call) {
  const auto found = sets_.find_vm(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmName"));
  if (found.set == nullptr) return vm_not_found(call);
  const bool view = same_text(call.parameter("$expand"), "instanceView");
  return json_reply(200, vm_json(*found.set, found.key, found.set->vms.at(found.key), view));
}

http::Response ArmPlane::vm_view(const ArmCall& call) {
  const auto found = sets_.find_vm(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmName"));
  if (found.set == nullptr) return vm_not_found(call);
  return json_reply(200, view_json(*found.set, found.set->vms.at(found.key)));
}

http::Response ArmPlane::vm_delete(const ArmCall& call) {
  const auto found = sets_.find_vm(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmName"));
  if (found.set == nullptr) return empty_reply(204);
  http::Response response = empty_reply(202);
  operations_.tell(response, sets_.remove_vms(*found.set, {found.key}), call.version());
  return response;
}

http::Response ArmPlane::vm_deallocate(const ArmCall& call) {
  const auto found = sets_.find_vm(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmName"));
  if (found.set == nullptr) return vm_not_found(call);
  http::Response response = empty_reply(202);
  operations_.tell(response, sets_.deallocate(*found.set, found.key), call.version());
  return response;
}

http::Response ArmPlane::vm_evict(const ArmCall& call) {
  const auto found = sets_.find_vm(call.at("subscriptionId"), call.at("resourceGroupName"), call.at("vmName"));
  if (found.set == nullptr) return vm_not_found(call);
  const Machine* machine = core_.site.find(found.key);
  if (machine == nullptr || machine->order->market != model::Market::spot) {
    return arm_error(409, "OperationNotAllowed", "Only Azure Spot Virtual Machines can be evicted.");
  }
  core_.site.evict({found.key}, eviction_notice);
  return empty_reply(204);
}

}  // namespace slipway::rehearse::azure
