#include "rehearse/azure/imds.h"

#include <boost/json.hpp>

#include <algorithm>

#include "http/base64.h"
#include "rehearse/azure/arm_plane.h"
#include "rehearse/azure/certificates.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/login.h"
#include "rehearse/azure/passage.h"
#include "rehearse/azure/reply.h"
#include "rehearse/azure/spec_check.h"
#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr const char* signer_name = "metadata.azure.com";
constexpr Duration attested_life = std::chrono::hours(6);

http::Response refuse(int status, const std::string& why) {
  return json_reply(status, json::object{{"error", why}});
}

http::Response refuse_identity(int status, const char* error, const std::string& why) {
  return json_reply(status, json::object{{"error", error}, {"error_description", why}});
}

std::string parameter(const http::Query& query, std::string_view name) {
  for (const auto& [key, value] : query) {
    if (same_text(key, name)) return value;
  }
  return {};
}

// The part of the document that a longer path names: "/compute/tagsList/0/name"; null: there is no such part.
const json::value* part_of(const json::value& document, const std::vector<std::string>& path) {
  const json::value* here = &document;
  for (const std::string& name : path) {
    if (here->is_object()) {
      here = here->get_object().if_contains(name);
    } else if (here->is_array() && !name.empty() && name.find_first_not_of("0123456789") == std::string::npos &&
               name.size() < 6) {
      here = here->get_array().if_contains(std::stoul(name));
    } else {
      here = nullptr;
    }
    if (here == nullptr) return nullptr;
  }
  return here;
}

http::Response text_reply(const std::string& text) {
  return {.status = 200, .headers = {{"Content-Type", "text/plain; charset=utf-8"}}, .body = text};
}

// The names below a part of the document, as format=text lists them.
std::string listing(const json::value& part) {
  std::string out;
  if (part.is_object()) {
    for (const auto& [name, value] : part.get_object()) {
      out += (out.empty() ? "" : "\n") + std::string(name) + (value.is_structured() ? "/" : "");
    }
  } else {
    for (size_t i = 0; i < part.get_array().size(); ++i) out += (out.empty() ? "" : "\n") + std::to_string(i) + "/";
  }
  return out;
}

}  // namespace

Imds::Imds(Core& core, BatchPools& pools, ScaleSets& sets) : core_(core), pools_(pools), sets_(sets) {
  core_.site.watch([this, watching = Watching(alive_)](const Machine& machine, bool exists) {
    if (watching.expired() || machine.order == nullptr) return;
    const bool noticed = exists && machine.evict_at != TimePoint{} && machine.phase != Phase::evicted;
    const auto found = noticed_.find(machine.order->group);
    if (noticed) {
      Noticed& group = noticed_[machine.order->group];
      if (group.machines.insert(machine.key).second) ++group.incarnation;
    } else if (found != noticed_.end() && found->second.machines.erase(machine.key) > 0) {
      ++found->second.incarnation;
    }
  });
}

Imds::Who Imds::who(const Machine* machine) {
  Who out;
  out.subscription = core_.world.subscriptions.empty() ? "" : core_.world.subscriptions.front();
  if (!core_.world.resource_groups.empty()) {
    const std::vector<std::string> parts = path_segments(core_.world.resource_groups.front());
    if (parts.size() == 3) {
      out.resource_group = parts[1];
      out.region = parts[2];
    }
  }
  out.name = "controller";
  out.size = "Standard_D4s_v5";
  if (machine == nullptr) {
    out.system_identity = true;
    out.identities = core_.world.identities;
  } else {
    out.name = machine->name;
    out.size = machine->order->size;
    out.zone = machine->order->zone;
    out.group = machine->order->group;
    out.address = machine->address;
    out.market = machine->order->market;
    if (const BatchPool* pool = pools_.of_group(out.group)) {
      out.identities = pool->identities;
      // The VMs of Batch are in a subscription of the service's.
      if (const BatchAccount* account = core_.account(pool->account)) out.region = account->region;
      out.subscription = Core::uuid_of("subscription of the Batch service");
      out.resource_group = "AzureBatch-" + Core::uuid_of(out.group);
      out.scale_set = Core::uuid_of(out.group).substr(0, 8) + "-azurebatch-VMSS-D";
    } else if (const ScaleSet* set = sets_.of_group(out.group)) {
      if (const json::object* identities = object_at(*set->model, "identity.userAssignedIdentities")) {
        for (const auto& [id, value] : *identities) out.identities.emplace_back(id);
      }
      out.system_identity = text_at(*set->model, "identity.type").find("SystemAssigned") != std::string::npos;
      out.subscription = set->subscription;
      out.resource_group = set->resource_group;
      out.region = set->region();
      out.scale_set = set->name;
      out.tags = object_at(*set->model, "tags");
    }
  }
  out.resource_id = "/subscriptions/" + out.subscription + "/resourceGroups/" + out.resource_group +
                    "/providers/Microsoft.Compute/virtualMachines/" + out.name;
  out.vm_id = machine == nullptr ? Core::uuid_of(out.resource_id) : vm_id_of(*machine);
  return out;
}

void Imds::handle(const Machine* machine, http::Asked asked, http::Answer answer) {
  const auto target = http::parse_target(asked.target);
  if (!target) {
    answer(refuse(400, "Bad request. The URL can't be parsed"));
    return;
  }
  pass_gate(core_, "Imds", "imds", false,
            {.act = [this, from = who(machine), asked, target = *target] { return act(from, asked, target); },
             .refuse = [](int status, const std::string& code,
                          const std::string& message) { return refuse_identity(status, code.c_str(), message); },
             .answer = answer});
}

http::Response Imds::act(const Who& from, const http::Asked& asked, const http::Target& target) {
  const bool about_identity = lower(target.path).starts_with("/metadata/identity");
  const auto bad = [&](int status, const std::string& why) {
    return about_identity ? refuse_identity(status, "invalid_request", why) : refuse(status, "Bad request. " + why);
  };
  // Whoever was talked into asking for another can't set these.
  if (!http::find_header(asked.headers, "X-Forwarded-For").empty()) {
    return bad(400, "The X-Forwarded-For header isn't allowed");
  }
  if (!same_text(http::find_header(asked.headers, "Metadata"), "true")) {
    return bad(400, "Required metadata header not specified");
  }
  std::string path = target.path;
  std::vector<std::string> rest;
  if (const std::vector<std::string> parts = path_segments(path); parts.size() > 2 && same_text(parts[1], "instance")) {
    rest.assign(parts.begin() + 2, parts.end());
    path = "/metadata/instance";
  }
  const auto found = core_.imds_spec->find(asked.method, path);
  if (found.operation == nullptr) {
    return found.other_method ? refuse(405, "Method Not Allowed") : refuse(404, "Not found");
  }
  const std::string& id = found.operation->id;
  if (id == "GetVersions") return versions();
  http::Query query;
  for (const auto& [name, value] : target.query) {
    if (!(id == "Instances_GetMetadata" && same_text(name, "format"))) query.emplace_back(name, value);
  }
  json::value body;
  if (!asked.body.empty()) {
    boost::system::error_code error;
    body = json::parse(asked.body, error);
    if (error) return bad(400, "The body isn't JSON");
  }
  if (const auto complaint = check_request(*found.operation, query, asked.headers, body.is_null() ? nullptr : &body)) {
    const bool version = complaint->kind == Complaint::Kind::no_version;
    return bad(400, version ? "api-version was not specified in the request. For more information refer to "
                              "aka.ms/azureimds"
                            : complaint->name + " is invalid: " + complaint->reason);
  }
  if (id == "Instances_GetMetadata") {
    std::string joined;
    for (const std::string& part : rest) joined += "/" + part;
    return instance(from, joined, target.query);
  }
  if (id == "Identity_GetToken") return token(from, query);
  if (id == "Identity_GetInfo") return json_reply(200, json::object{{"tenantId", core_.world.tenant}});
  if (id == "Attested_GetDocument") return attested(from, query);
  return asked.method == "POST" ? start_events(from, asked.body) : events(from);
}

http::Response Imds::versions() const {
  std::set<std::string> all;
  for (const auto& operation : core_.imds_spec->operations()) {
    all.insert(operation->versions.begin(), operation->versions.end());
  }
  json::array list;
  for (const std::string& one : all) list.push_back(json::string(one));
  return json_reply(200, json::object{{"apiVersions", list}});
}

http::Response Imds::instance(const Who& from, const std::string& path, const http::Query& query) const {
  json::array tags_list;
  std::string tags;
  if (from.tags != nullptr) {
    for (const auto& [name, value] : *from.tags) {
      const std::string text = value.is_string() ? std::string(value.get_string()) : "";
      tags_list.push_back({{"name", std::string(name)}, {"value", text}});
      tags += (tags.empty() ? "" : ";") + std::string(name) + ":" + text;
    }
  }
  const bool spot = from.market == model::Market::spot;
  const json::object compute{{"azEnvironment", "AzurePublicCloud"},
                             {"customData", ""},
                             {"evictionPolicy", spot ? "Delete" : ""},
                             {"isHostCompatibilityLayerVm", "false"},
                             {"licenseType", ""},
                             {"location", from.region},
                             {"name", from.name},
                             {"offer", ""},
                             {"osProfile", {{"computerName", from.name}, {"adminUsername", ""}}},
                             {"osType", "Linux"},
                             {"placementGroupId", ""},
                             {"plan", {{"name", ""}, {"product", ""}, {"publisher", ""}}},
                             {"platformFaultDomain", "0"},
                             {"platformUpdateDomain", "0"},
                             {"priority", spot ? "Spot" : "Regular"},
                             {"provider", "Microsoft.Compute"},
                             {"publicKeys", json::array{}},
                             {"publisher", ""},
                             {"resourceGroupName", from.resource_group},
                             {"resourceId", from.resource_id},
                             {"sku", ""},
                             {"subscriptionId", from.subscription},
                             {"tags", tags},
                             {"tagsList", tags_list},
                             {"userData", ""},
                             {"version", ""},
                             {"vmId", from.vm_id},
                             {"vmScaleSetName", from.scale_set},
                             {"vmSize", from.size},
                             {"zone", from.zone}};
  json::array addresses;
  if (!from.address.empty()) addresses.push_back({{"privateIpAddress", from.address}, {"publicIpAddress", ""}});
  const json::object interface {
    {"ipv4", {{"ipAddress", addresses}, {"subnet", json::array{}}}}, {"ipv6", {{"ipAddress", json::array{}}}}, {
      "macAddress", "000D3A000001"
    }
  };
  const json::value document = json::object{{"compute", compute}, {"network", {{"interface", json::array{interface}}}}};
  const json::value* part = part_of(document, path_segments(path));
  if (part == nullptr) return refuse(404, "Not found");
  const std::string format = lower(parameter(query, "format"));
  if (!part->is_structured()) {
    // A leaf is text only.
    if (format != "text") {
      return refuse(400, "Bad request. The requested node is a leaf: ask with format=text");
    }
    return text_reply(part->is_string() ? std::string(part->get_string()) : json::serialize(*part));
  }
  return format == "text" ? text_reply(listing(*part)) : json_reply(200, *part);
}

http::Response Imds::token(const Who& from, const http::Query& query) const {
  const std::string client_id = parameter(query, "client_id");
  const std::string object_id = parameter(query, "object_id");
  const std::string resource_id = parameter(query, "msi_res_id");
  const int given = static_cast<int>(!client_id.empty()) + static_cast<int>(!object_id.empty()) +
                    static_cast<int>(!resource_id.empty());
  if (given > 1) {
    return refuse_identity(400, "invalid_request", "Only one of client_id, object_id and msi_res_id may be given");
  }
  std::string identity;
  std::string used_client;
  if (given == 1) {
    for (const std::string& one : from.identities) {
      const bool fits = same_text(one, resource_id) || same_text(core_.client_id_of(one), client_id) ||
                        same_text(core_.object_id_of(one), object_id);
      if (fits) identity = one;
    }
    // The controller's cluster file may name any principal of this world.
    for (const std::string& one : core_.world.client_ids) {
      if (from.system_identity && identity.empty() && same_text(one, client_id)) {
        identity = from.resource_id;
        used_client = one;
      }
    }
  } else if (from.system_identity) {
    identity = from.resource_id;
  } else if (from.identities.size() == 1) {
    identity = from.identities.front();
  } else if (from.identities.size() > 1) {
    return refuse_identity(400, "invalid_request",
                           "Multiple user assigned identities exist, please specify the clientId / resourceId of the "
                           "identity in the token request");
  }
  if (identity.empty()) return refuse_identity(400, "invalid_request", "Identity not found");
  if (used_client.empty()) used_client = core_.client_id_of(identity);
  const std::string resource = parameter(query, "resource");
  const std::string made =
      issue_token(core_, resource, used_client, core_.object_id_of(identity), identity, from.resource_id);
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(core_.clock.now().time_since_epoch()).count();
  const int64_t life = std::chrono::duration_cast<std::chrono::seconds>(token_life).count();
  json::object body{{"access_token", made},
                    {"client_id", used_client},
                    {"expires_in", std::to_string(life)},
                    {"expires_on", std::to_string(now + life)},
                    {"ext_expires_in", std::to_string(life)},
                    {"not_before", std::to_string(now - 300)},
                    {"resource", resource},
                    {"token_type", "Bearer"}};
  if (!object_id.empty()) body["object_id"] = object_id;
  if (!resource_id.empty()) body["msi_res_id"] = resource_id;
  return json_reply(200, body);
}

http::Response Imds::attested(const Who& from, const http::Query& query) {
  const std::string nonce = parameter(query, "nonce");
  if (nonce.size() > 10 || nonce.find_first_not_of("0123456789") != std::string::npos) {
    return refuse(400, "Bad request. The nonce may have at most 10 digits");
  }
  if (core_.options.ca_certificate.empty()) return refuse(503, "Service unavailable");
  const TimePoint now = core_.clock.now();
  if (signer_key_.empty()) {
    signer_key_ = new_rsa_key();
    signer_certificate_ =
        new_certificate(signer_name, signer_key_, core_.options.ca_certificate, core_.options.ca_key, now);
  }
  const json::object document{
      {"licenseType", ""},
      {"nonce", nonce.empty() ? to_attested_time(now) : nonce},
      {"plan", {{"name", ""}, {"product", ""}, {"publisher", ""}}},
      {"timeStamp", {{"createdOn", to_attested_time(now)}, {"expiresOn", to_attested_time(now + attested_life)}}},
      {"vmId", from.vm_id},
      {"subscriptionId", from.subscription},
      {"sku", ""}};
  const std::string signature = sign_cms(json::serialize(document), signer_certificate_, signer_key_);
  return json_reply(200, json::object{{"encoding", "pkcs7"}, {"signature", http::to_base64(signature)}});
}

http::Response Imds::events(const Who& from) {
  const auto found = noticed_.find(from.group);
  json::array list;
  if (found != noticed_.end()) {
    for (const MachineKey key : found->second.machines) {
      const Machine* machine = core_.site.find(key);
      if (machine == nullptr) continue;
      list.push_back({{"EventId", machine->event_id},
                      {"EventStatus", "Scheduled"},
                      {"EventType", "Preempt"},
                      {"ResourceType", "VirtualMachine"},
                      {"Resources", json::array{json::string(machine->name)}},
                      {"NotBefore", to_rfc1123(machine->evict_at)},
                      {"Description", ""},
                      {"EventSource", "Platform"},
                      {"DurationInSeconds", -1}});
    }
  }
  const uint64_t incarnation = found == noticed_.end() ? 1 : found->second.incarnation;
  return json_reply(200, json::object{{"DocumentIncarnation", incarnation}, {"Events", list}});
}

http::Response Imds::start_events(const Who& from, const std::string& body) {
  const auto found = noticed_.find(from.group);
  std::set<std::string> known;
  if (found != noticed_.end()) {
    for (const MachineKey key : found->second.machines) {
      if (const Machine* machine = core_.site.find(key)) known.insert(machine->event_id);
    }
  }
  std::vector<std::string> ids;
  const json::value request = json::parse(body);
  for (const json::value& one : request.at("StartRequests").as_array()) {
    ids.emplace_back(text_at(one.get_object(), "EventId"));
    if (!known.contains(ids.back())) return refuse(400, "Bad request. There is no event " + ids.back());
  }
  for (const std::string& id : ids) core_.site.acknowledge(id);
  return json_reply(200, json::object{});
}

}  // namespace slipway::rehearse::azure
