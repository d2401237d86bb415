#include "rehearse/azure/arm_plane.h"

#include <boost/json.hpp>

#include "http/url.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/passage.h"
#include "rehearse/azure/reply.h"
#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {

namespace json = boost::json;

namespace {

// A client may ask for a token by either of ARM's two names, with or without the slash.
bool is_arm_audience(std::string_view audience) {
  while (audience.ends_with('/')) audience.remove_suffix(1);
  return audience == "https://management.azure.com" || audience == "https://management.core.windows.net";
}

std::string operation_name(const Operation& operation, const Spec& spec, const Spec& batch) {
  // "Pool_Get" is of ARM here; the data plane has operations of the same names.
  return &spec == &batch ? "Arm" + operation.id : operation.id;
}

}  // namespace

std::string ArmCall::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (same_text(key, name)) return value;
  }
  return {};
}

std::string ArmCall::at(const std::string& name) const {
  const auto found = path.find(name);
  return found == path.end() ? "" : found->second;
}

ArmPlane::ArmPlane(Core& core, BatchPools& pools, ScaleSets& sets, Operations& operations)
    : core_(core), pools_(pools), sets_(sets), operations_(operations) {
  for (const std::string& text : core_.world.resource_groups) {
    const std::vector<std::string> parts = path_segments(text);
    if (parts.size() == 3) groups_.push_back({parts[0], parts[1], parts[2]});
  }
}

const std::map<std::string, ArmPlane::Handler>& ArmPlane::handlers() {
  static const std::map<std::string, Handler> known{
      {"Subscriptions_List", &ArmPlane::subscriptions_list},
      {"Subscriptions_Get", &ArmPlane::subscription_get},
      {"ResourceGroups_Get", &ArmPlane::group_get},
      {"ResourceGroups_CheckExistence", &ArmPlane::group_exists},
      {"ResourceGroups_List", &ArmPlane::group_list},
      {"Permissions_ListForResourceGroup", &ArmPlane::permissions},
      {"Permissions_ListForResource", &ArmPlane::permissions},
      {"Operations_Get", &ArmPlane::operation_get},
      {"Subnets_Get", &ArmPlane::subnet_get},
      {"VirtualNetworks_Get", &ArmPlane::network_get},
      {"VirtualMachineImages_List", &ArmPlane::marketplace_list},
      {"VirtualMachineImages_Get", &ArmPlane::marketplace_get},
      {"Images_Get", &ArmPlane::image_get},
      {"GalleryImages_Get", &ArmPlane::gallery_image_get},
      {"GalleryImageVersions_Get", &ArmPlane::gallery_version_get},
      {"NetworkInterfaces_List", &ArmPlane::interface_list},
      {"NetworkInterfaces_ListAll", &ArmPlane::interface_list},
      {"NetworkInterfaces_Get", &ArmPlane::interface_get},
      {"Usage_List", &ArmPlane::usage_list},
      {"ResourceSkus_List", &ArmPlane::sku_list},
      {"ProximityPlacementGroups_CreateOrUpdate", &ArmPlane::placement_put},
      {"ProximityPlacementGroups_Get", &ArmPlane::placement_get},
      {"ProximityPlacementGroups_Delete", &ArmPlane::placement_delete},
      {"BatchAccount_List", &ArmPlane::account_list},
      {"BatchAccount_ListByResourceGroup", &ArmPlane::account_list},
      {"BatchAccount_Get", &ArmPlane::account_get},
      {"BatchAccount_GetKeys", &ArmPlane::account_keys},
      {"Location_GetQuotas", &ArmPlane::batch_quotas},
      {"Location_ListSupportedVirtualMachineSkus", &ArmPlane::batch_sizes},
      {"Pool_Create", &ArmPlane::pool_put},
      {"Pool_Update", &ArmPlane::pool_patch},
      {"Pool_Get", &ArmPlane::pool_get},
      {"Pool_Delete", &ArmPlane::pool_delete},
      {"Pool_ListByBatchAccount", &ArmPlane::pool_list},
      {"Pool_OperationResult", &ArmPlane::pool_operation},
      {"VirtualMachineScaleSets_CreateOrUpdate", &ArmPlane::set_put},
      {"VirtualMachineScaleSets_Update", &ArmPlane::set_patch},
      {"VirtualMachineScaleSets_Get", &ArmPlane::set_get},
      {"VirtualMachineScaleSets_Delete", &ArmPlane::set_delete},
      {"VirtualMachineScaleSets_List", &ArmPlane::set_list},
      {"VirtualMachineScaleSets_ListAll", &ArmPlane::set_list},
      {"VirtualMachineScaleSets_DeleteInstances", &ArmPlane::set_delete_instances},
      {"VirtualMachines_List", &ArmPlane::vm_list},
      {"VirtualMachines_ListAll", &ArmPlane::vm_list},
      {"VirtualMachines_Get", &ArmPlane::vm_get},
      {"VirtualMachines_InstanceView", &ArmPlane::vm_view},
      {"VirtualMachines_Delete", &ArmPlane::vm_delete},
      {"VirtualMachines_Deallocate", &ArmPlane::vm_deallocate},
      {"VirtualMachines_SimulateEviction", &ArmPlane::vm_evict}};
  return known;
}

void ArmPlane::handle(http::Asked asked, http::Answer answer) {
  const auto target = http::parse_target(asked.target);
  const std::string path = asked.target.substr(0, asked.target.find('?'));
  Spec::Found found;
  const Spec* spec = nullptr;
  for (const auto& one : core_.arm_specs) {
    const bool elsewhere = found.other_method;
    found = one->find(asked.method, path);
    spec = one.get();
    if (found.operation != nullptr) break;
    found.other_method = found.other_method || elsewhere;
  }
  const std::vector<std::string> parts = path_segments(path);
  const bool in_subscription = parts.size() >= 2 && same_text(parts[0], "subscriptions");
  const std::string subscription = in_subscription ? parts[1] : "";
  const bool reads = asked.method == "GET" || asked.method == "HEAD";

  const auto finish = [this, answer, headers = asked.headers, subscription, reads](http::Response response) {
    const std::string id = core_.uuid();
    response.headers.emplace_back("x-ms-request-id", id);
    response.headers.emplace_back("x-ms-correlation-request-id", id);
    response.headers.emplace_back("Date", to_rfc1123(core_.clock.now()));
    if (!subscription.empty()) {
      uint32_t& left = calls_left_.try_emplace(subscription + (reads ? "/reads" : "/writes"), 12'000).first->second;
      left = left > 1 ? left - 1 : 11'999;
      response.headers.emplace_back(
          reads ? "x-ms-ratelimit-remaining-subscription-reads" : "x-ms-ratelimit-remaining-subscription-writes",
          std::to_string(left));
    }
    const std::string_view client = http::find_header(headers, "x-ms-client-request-id");
    if (!client.empty()) response.headers.emplace_back("x-ms-client-request-id", std::string(client));
    answer(std::move(response));
  };

  const std::string_view authorization = http::find_header(asked.headers, "Authorization");
  const auto unauthorized = [&](std::string_view code, const std::string& message) {
    http::Response refused = arm_error(401, code, message);
    refused.headers.emplace_back("WWW-Authenticate",
                                 "Bearer authorization_uri=\"" + core_.login_url + "/" + core_.world.tenant +
                                     "\", error=\"invalid_token\", error_description=\"" + message + "\"");
    finish(std::move(refused));
  };
  if (!authorization.starts_with("Bearer ")) {
    unauthorized("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.");
    return;
  }
  const auto claims = core_.tokens->verify(authorization.substr(7));
  if (!claims) {
    const bool expired = claims.error().message.find("expired") != std::string::npos;
    unauthorized(expired ? "ExpiredAuthenticationToken" : "InvalidAuthenticationToken", claims.error().message);
    return;
  }
  if (!is_arm_audience(text_at(*claims, "aud"))) {
    unauthorized("InvalidAuthenticationTokenAudience",
                 "The access token has been obtained for wrong audience or resource '" + text_at(*claims, "aud") +
                     "'. It should exactly match with one of the allowed audiences 'https://management.azure.com/', "
                     "'https://management.core.windows.net/'.");
    return;
  }
  if (!target) {
    finish(arm_error(400, "InvalidRequestUri", "The request URI can't be parsed."));
    return;
  }
  if (in_subscription) {
    bool known = false;
    for (const std::string& one : core_.world.subscriptions) known = known || same_text(one, subscription);
    if (!known) {
      finish(arm_error(404, "SubscriptionNotFound", "The subscription '" + subscription + "' could not be found."));
      return;
    }
  }
  if (found.operation == nullptr) {
    finish(found.other_method ? arm_error(405, "MethodNotAllowed", "The HTTP method isn't supported by this resource.")
                              : arm_error(404, "InvalidResourceType",
                                          "The resource type could not be found, or isn't simulated: " + path));
    return;
  }
  const Spec& batch = *core_.arm_specs.front();
  pass_gate(core_, operation_name(*found.operation, *spec, batch), subscription, !reads,
            {.act = [this, asked, operation = found.operation, parameters = found.path,
                     query = target->query] { return act(asked, *operation, parameters, query); },
             .refuse = [](int status, const std::string& code,
                          const std::string& message) { return arm_error(status, code, message); },
             .answer = finish});
}

http::Response ArmPlane::act(const http::Asked& asked, const Operation& operation,
                             const std::map<std::string, std::string>& path, const http::Query& query) {
  json::value body;
  if (!asked.body.empty() && operation.takes_body) {
    const std::string type = lower(http::find_header(asked.headers, "Content-Type"));
    if (!type.starts_with("application/json")) {
      return arm_error(415, "UnsupportedMediaType", "The content type must be application/json.");
    }
    boost::system::error_code error;
    body = json::parse(asked.body, error);
    if (error || !body.is_object()) {
      return arm_error(400, "InvalidRequestContent", "The request content was invalid and could not be deserialized.");
    }
  }
  // ARM's own front drops conditions that an operation doesn't know.
  http::Headers headers;
  for (const auto& [name, value] : asked.headers) {
    bool known = !lower(name).starts_with("if-");
    for (const Parameter& one : operation.parameters) known = known || (one.in_header && same_text(one.name, name));
    if (known) headers.emplace_back(name, value);
  }
  if (auto complaint = check_request(operation, query, headers, body.is_null() ? nullptr : &body)) {
    return arm_error(*complaint);
  }
  const auto subscription = path.find("subscriptionId");
  const auto group = path.find("resourceGroupName");
  if (group != path.end() && subscription != path.end() && operation.method != "HEAD" &&
      find_group(subscription->second, group->second) == nullptr) {
    return arm_error(404, "ResourceGroupNotFound", "Resource group '" + group->second + "' could not be found.");
  }
  const auto handler = handlers().find(operation.id);
  if (handler == handlers().end()) return arm_error(501, "NotImplemented", "Not simulated: " + operation.id);
  const json::object nothing;
  return (this->*handler->second)(
      {operation, headers, query, path, body.is_object() ? body.get_object() : nothing, asked.target});
}

std::string ArmPlane::next_link(const ArmCall& call, const std::string& skip_token) const {
  http::Query query;
  for (const auto& [name, value] : call.query) {
    if (!same_text(name, "$skiptoken")) query.emplace_back(name, value);
  }
  query.emplace_back("$skiptoken", skip_token);
  return core_.arm_url + call.target.substr(0, call.target.find('?')) + "?" + http::encode_query(query);
}

std::vector<ArmPlane::Group> ArmPlane::groups(std::string_view subscription) const {
  std::vector<Group> out;
  for (const Group& one : groups_) {
    if (same_text(one.subscription, subscription)) out.push_back(one);
  }
  return out;
}

const ArmPlane::Group* ArmPlane::find_group(std::string_view subscription, std::string_view name) const {
  for (const Group& one : groups_) {
    if (same_text(one.subscription, subscription) && same_text(one.name, name)) return &one;
  }
  return nullptr;
}

}  // namespace slipway::rehearse::azure
