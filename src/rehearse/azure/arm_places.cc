// ARM: where machines are put and what they boot: networks and their subnets, images, the sizes that Batch offers.
#include <boost/json.hpp>

#include <algorithm>

#include "catalog/catalog.h"
#include "rehearse/azure/arm_plane.h"
#include "rehearse/azure/batch_images.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/odata_filter.h"
#include "rehearse/azure/reply.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr const char* marketplace_version = "1.0.20261101";

http::Response not_found(const std::string& type, const std::string& name, const ArmCall& call) {
  return arm_error(404, "ResourceNotFound",
                   "The Resource '" + type + "/" + name + "' under resource group '" + call.at("resourceGroupName") +
                       "' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix");
}

std::string group_id(const ArmCall& call) {
  return "/subscriptions/" + call.at("subscriptionId") + "/resourceGroups/" + call.at("resourceGroupName");
}

std::string network_id(const ArmCall& call) {
  return group_id(call) + "/providers/Microsoft.Network/virtualNetworks/" + call.at("virtualNetworkName");
}

std::string gallery_image_id(const ArmCall& call) {
  return group_id(call) + "/providers/Microsoft.Compute/galleries/" + call.at("galleryName") + "/images/" +
         call.at("galleryImageName");
}

bool contains(const std::vector<std::string>& list, std::string_view id) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& one) { return same_text(one, id); });
}

// "22.04.202411010": what a version must look like.
bool is_version(std::string_view text) {
  int parts = 1;
  bool digit_before = false;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c != '.' || !digit_before)) return false;
    if (c == '.') ++parts;
    digit_before = digit;
  }
  return digit_before && parts == 3;
}

// The marketplace's versions of an image that the world names: "" is any, and none of an image that isn't there.
std::vector<std::string> marketplace_versions(const Core& core, const ArmCall& call) {
  std::vector<std::string> versions;
  const std::string image = call.at("publisherName") + ":" + call.at("offer") + ":" + call.at("skus");
  for (const BatchImage& one : batch_images) {
    const std::string known = std::string(one.publisher) + ":" + std::string(one.offer) + ":" + std::string(one.sku);
    if (same_text(known, image)) versions.emplace_back();
  }
  for (const std::string& one : core.world.images) {
    if (one.size() < image.size() || !same_text(std::string_view(one).substr(0, image.size()), image)) continue;
    const std::string rest = one.substr(image.size());
    if (rest.empty() || same_text(rest, ":latest")) versions.emplace_back();
    if (rest.size() > 1 && rest.front() == ':' && is_version(std::string_view(rest).substr(1))) {
      versions.push_back(rest.substr(1));
    }
  }
  return versions;
}

http::Response image_not_in_marketplace() {
  return arm_error(404, "NotFound", "Artifact: VMImage was not found.");
}

json::object marketplace_json(const ArmCall& call, const std::string& version) {
  const std::string path = call.target.substr(0, call.target.find('?'));
  const std::string list = path.substr(0, lower(path).rfind("/versions") + std::string_view("/versions").size());
  return {{"location", call.at("location")}, {"name", version}, {"id", list + "/" + version}};
}

}  // namespace

std::set<std::string> ArmPlane::regions() const {
  std::set<std::string> regions;
  for (const Group& group : groups_) regions.insert(lower(group.region));
  for (const BatchAccount& account : core_.world.batch_accounts) regions.insert(lower(account.region));
  return regions;
}

// Status 0: it is one.
http::Response ArmPlane::check_region(const ArmCall& call, const std::string& region, const std::string& type) const {
  const std::set<std::string> known = regions();
  if (known.contains(lower(region))) return empty_reply(0);
  std::string all;
  for (const std::string& one : known) all += (all.empty() ? "" : ", ") + one;
  return arm_error(400, "NoRegisteredProviderFound",
                   "No registered resource provider found for location '" + region + "' and API version '" +
                       call.version() + "' for type '" + type + "'. The supported locations are '" + all + "'.");
}

json::object ArmPlane::subnet_json(const std::string& id) {
  const auto& subnets = core_.world.subnets;
  const auto known = std::find_if(subnets.begin(), subnets.end(), [&](const auto& one) { return same_text(one, id); });
  // What is in it, as the portal counts its free addresses.
  json::array configurations;
  const std::string subscription = path_segments(id)[1];
  for (ScaleSet* set : sets_.all(subscription, "")) {
    for (const auto& [key, vm] : set->vms) {
      if (vm.phase == Phase::allocating) continue;
      const json::object interface = interface_json(*set, key, vm);
      const json::object& first = interface.at("properties").at("ipConfigurations").as_array().front().as_object();
      if (!same_text(text_at(first, "properties.subnet.id"), id)) continue;
      configurations.push_back(json::object{{"id", text_at(first, "id")}});
    }
  }
  for (const BatchAccount& account : core_.world.batch_accounts) {
    for (const BatchPool* pool : pools_.of_account(account.name)) {
      if (!same_text(text_at(*pool->settings, "networkConfiguration.subnetId"), id)) continue;
      // Nodes are machines of scale sets in a subscription of Batch's own.
      const std::string set = "/subscriptions/" + Core::uuid_of("Batch in " + account.region) + "/resourceGroups/" +
                              Core::uuid_of(account.name + "/" + pool->id) +
                              "/providers/Microsoft.Compute/virtualMachineScaleSets/azurebatch-VMSS-D/virtualMachines/";
      for (const auto& [key, node] : pool->nodes) {
        if (node.phase == Phase::allocating) continue;
        configurations.push_back(
            json::object{{"id", set + std::to_string(key) + "/networkInterfaces/NIC/ipConfigurations/NIC"}});
      }
    }
  }
  return {{"id", *known},
          {"name", path_segments(*known).back()},
          {"type", "Microsoft.Network/virtualNetworks/subnets"},
          {"etag", "W/\"" + Core::uuid_of(*known) + "\""},
          {"properties",
           {{"addressPrefix", "10." + std::to_string((known - subnets.begin()) % 256) + ".0.0/16"},
            {"provisioningState", "Succeeded"},
            {"ipConfigurations", std::move(configurations)},
            {"delegations", json::array()}}}};
}

http::Response ArmPlane::subnet_get(const ArmCall& call) {
  const std::string id = network_id(call) + "/subnets/" + call.at("subnetName");
  if (!contains(core_.world.subnets, id)) {
    return not_found("Microsoft.Network/virtualNetworks/" + call.at("virtualNetworkName") + "/subnets",
                     call.at("subnetName"), call);
  }
  return json_reply(200, subnet_json(id));
}

http::Response ArmPlane::network_get(const ArmCall& call) {
  const std::string id = network_id(call);
  const std::string front = lower(id) + "/subnets/";
  json::array subnets;
  for (const std::string& one : core_.world.subnets) {
    if (lower(one).starts_with(front)) subnets.push_back(subnet_json(one));
  }
  if (subnets.empty()) {
    return not_found("Microsoft.Network/virtualNetworks", call.at("virtualNetworkName"), call);
  }
  const Group& group = *find_group(call.at("subscriptionId"), call.at("resourceGroupName"));
  return json_reply(200, json::object{{"id", id},
                                      {"name", call.at("virtualNetworkName")},
                                      {"type", "Microsoft.Network/virtualNetworks"},
                                      {"etag", "W/\"" + Core::uuid_of(front) + "\""},
                                      {"location", group.region},
                                      {"properties",
                                       {{"addressSpace", {{"addressPrefixes", json::array{"10.0.0.0/8"}}}},
                                        {"provisioningState", "Succeeded"},
                                        {"subnets", std::move(subnets)},
                                        {"enableDdosProtection", false}}}});
}

http::Response ArmPlane::batch_sizes(const ArmCall& call) {
  http::Response wrong = check_region(call, call.at("locationName"), "locations/virtualMachineSkus");
  if (wrong.status != 0) return wrong;
  const std::string filter = call.parameter("$filter");
  const auto parsed = ODataFilter::parse(filter);
  const bool known = parsed && std::all_of(parsed->properties().begin(), parsed->properties().end(),
                                           [](const std::string& name) { return same_text(name, "familyName"); });
  if (!known)
    return arm_error(400, "InvalidQueryParameterValue", "$filter '" + filter + "' isn't supported.", "$filter");
  size_t most = SIZE_MAX;
  if (const std::string text = call.parameter("maxresults"); !text.empty()) {
    most = static_cast<size_t>(std::strtoull(text.c_str(), nullptr, 10));
    if (most == 0 || text.front() == '-') {
      return arm_error(400, "InvalidQueryParameterValue", "maxresults must be above 0.", "maxresults");
    }
  }
  const std::string from = call.parameter("$skiptoken");
  bool begun = from.empty();
  json::object body;
  json::array value;
  for (const std::string_view name : catalog::names(model::ProviderKind::azure)) {
    begun = begun || same_text(name, from);
    const auto& type = *catalog::find(model::ProviderKind::azure, name);
    if (!begun || !parsed->fits({{"familyName", type.family}})) continue;
    if (value.size() == most) {
      body["nextLink"] = next_link(call, std::string(name));
      break;
    }
    value.push_back(
        {{"name", name},
         {"familyName", type.family},
         {"capabilities", json::array{json::object{{"name", "vCPUs"}, {"value", std::to_string(type.cores)}}}}});
  }
  body["value"] = std::move(value);
  return json_reply(200, body);
}

http::Response ArmPlane::marketplace_list(const ArmCall& call) {
  http::Response wrong = check_region(call, call.at("location"), "locations/publishers");
  if (wrong.status != 0) return wrong;
  const std::vector<std::string> versions = marketplace_versions(core_, call);
  if (versions.empty()) return image_not_in_marketplace();
  std::set<std::string> names;
  for (const std::string& one : versions) names.insert(one.empty() ? marketplace_version : one);
  json::array value;
  for (const std::string& name : names) value.push_back(marketplace_json(call, name));
  if (same_text(call.parameter("$orderby"), "name desc")) std::reverse(value.begin(), value.end());
  if (const std::string top = call.parameter("$top"); !top.empty()) {
    value.resize(std::min<size_t>(value.size(), std::strtoull(top.c_str(), nullptr, 10)));
  }
  return json_reply(200, value);
}

http::Response ArmPlane::marketplace_get(const ArmCall& call) {
  http::Response wrong = check_region(call, call.at("location"), "locations/publishers");
  if (wrong.status != 0) return wrong;
  const std::string version = call.at("version");
  const std::vector<std::string> versions = marketplace_versions(core_, call);
  const bool there = is_version(version) && (contains(versions, "") || contains(versions, version));
  if (!there) return image_not_in_marketplace();
  json::object image = marketplace_json(call, version);
  image["properties"] = {{"osDiskImage", {{"operatingSystem", "Linux"}}},
                         {"dataDiskImages", json::array()},
                         {"hyperVGeneration", "V2"},
                         {"architecture", "x64"}};
  return json_reply(200, image);
}

http::Response ArmPlane::image_get(const ArmCall& call) {
  const std::string id = group_id(call) + "/providers/Microsoft.Compute/images/" + call.at("imageName");
  if (!contains(core_.world.images, id)) return not_found("Microsoft.Compute/images", call.at("imageName"), call);
  const Group& group = *find_group(call.at("subscriptionId"), call.at("resourceGroupName"));
  return json_reply(200,
                    json::object{{"id", id},
                                 {"name", call.at("imageName")},
                                 {"type", "Microsoft.Compute/images"},
                                 {"location", group.region},
                                 {"properties",
                                  {{"storageProfile", {{"osDisk", {{"osType", "Linux"}, {"osState", "Generalized"}}}}},
                                   {"provisioningState", "Succeeded"},
                                   {"hyperVGeneration", "V2"}}}});
}

http::Response ArmPlane::gallery_image_get(const ArmCall& call) {
  const std::string id = gallery_image_id(call);
  const bool there = std::any_of(core_.world.images.begin(), core_.world.images.end(), [&](const std::string& one) {
    return same_text(one, id) || lower(one).starts_with(lower(id) + "/versions/");
  });
  if (!there) {
    return not_found("Microsoft.Compute/galleries/" + call.at("galleryName") + "/images", call.at("galleryImageName"),
                     call);
  }
  const Group& group = *find_group(call.at("subscriptionId"), call.at("resourceGroupName"));
  return json_reply(200, json::object{{"id", id},
                                      {"name", call.at("galleryImageName")},
                                      {"type", "Microsoft.Compute/galleries/images"},
                                      {"location", group.region},
                                      {"properties",
                                       {{"osType", "Linux"},
                                        {"osState", "Generalized"},
                                        {"hyperVGeneration", "V2"},
                                        {"architecture", "x64"},
                                        {"provisioningState", "Succeeded"}}}});
}

http::Response ArmPlane::gallery_version_get(const ArmCall& call) {
  const std::string id = gallery_image_id(call) + "/versions/" + call.at("galleryImageVersionName");
  if (!contains(core_.world.images, id)) {
    return not_found("Microsoft.Compute/galleries/" + call.at("galleryName") + "/images/" +
                         call.at("galleryImageName") + "/versions",
                     call.at("galleryImageVersionName"), call);
  }
  const Group& group = *find_group(call.at("subscriptionId"), call.at("resourceGroupName"));
  json::array targets;  // it has a copy in every region that this world has
  for (const std::string& region : regions()) {
    targets.push_back({{"name", region}, {"regionalReplicaCount", 1}, {"storageAccountType", "Standard_LRS"}});
  }
  return json_reply(
      200, json::object{{"id", id},
                        {"name", call.at("galleryImageVersionName")},
                        {"type", "Microsoft.Compute/galleries/images/versions"},
                        {"location", group.region},
                        {"properties",
                         {{"publishingProfile",
                           {{"targetRegions", std::move(targets)}, {"replicaCount", 1}, {"excludeFromLatest", false}}},
                          {"provisioningState", "Succeeded"}}}});
}

}  // namespace slipway::rehearse::azure
