#include "cloud/azure/batch_settings.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "base/files.h"
#include "cloud/azure/fleet.h"
#include "http/base64.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;

constexpr size_t id_max = 64;  // BatchService: PoolAddParameter.id
constexpr const char* owner_key = "slipway-cluster";
constexpr const char* pool_key = "slipway-pool";
constexpr const char* settings_key = "slipway-settings";

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// The two APIs spell enumerations differently: "nopublicipaddresses" and "NoPublicIPAddresses".
enum class Plane : uint8_t { batch, arm };
std::string word(Plane plane, const char* arm) {
  return plane == Plane::arm ? std::string(arm) : lower(arm);
}

std::string iso_seconds(Duration duration) {
  return "PT" + std::to_string(std::chrono::ceil<std::chrono::seconds>(duration).count()) + "S";
}

// Single-quoted for a shell.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

// Runs as root in the start task's own folder, which holds what agent_url brought.
std::string start_script(const model::AzurePool& azure) {
  std::string script = "set -e; ";
  if (!azure.agent_url.empty()) {
    script += "install -D -m 0755 slipway-agent /opt/slipway/bin/slipway-agent; ";
  }
  if (!azure.admin_user.empty() && !azure.admin_key.empty()) {
    // Batch has made the user; a key can't be given to it through the pool.
    script +=
        "home=$(getent passwd \"$SLIPWAY_ADMIN_USER\" | cut -d: -f6); "
        "if [ -n \"$home\" ]; then install -d -m 0700 -o \"$SLIPWAY_ADMIN_USER\" \"$home/.ssh\"; "
        "printf \"%s\\n\" \"$SLIPWAY_ADMIN_KEY\" > \"$home/.ssh/authorized_keys\"; "
        "chown \"$SLIPWAY_ADMIN_USER\" \"$home/.ssh/authorized_keys\"; "
        "chmod 0600 \"$home/.ssh/authorized_keys\"; fi; ";
  }
  return script + "PATH=/opt/slipway/bin:$PATH; exec slipway-agent --join";
}

json::object start_task(const BatchSettings& settings, Plane plane) {
  const model::AzurePool& azure = settings.azure();
  json::array environment;
  const auto tell = [&](const std::string& name, const std::string& value) {
    environment.push_back(json::object{{"name", name}, {"value", value}});
  };
  for (const auto& [name, value] :
       boot_environment(*settings.cluster, *settings.pool, settings.options.daemon, settings.options.daemon_key)) {
    tell(name, value);
  }
  if (!azure.admin_user.empty() && !azure.admin_key.empty()) {
    tell("SLIPWAY_ADMIN_USER", azure.admin_user);
    tell("SLIPWAY_ADMIN_KEY", azure.admin_key);
  }
  json::object task{
      {"commandLine", "/bin/sh -c " + quoted(start_script(azure))},
      {"environmentSettings", std::move(environment)},
      {"userIdentity", json::object{{"autoUser", json::object{{"scope", word(plane, "Pool")},
                                                              {"elevationLevel", word(plane, "Admin")}}}}},
      {"maxTaskRetryCount", 1},
      {"waitForSuccess", true}};
  if (!azure.agent_url.empty()) {
    task["resourceFiles"] =
        json::array{json::object{{"httpUrl", azure.agent_url}, {"filePath", "slipway-agent"}, {"fileMode", "0755"}}};
  }
  return task;
}

json::array metadata(const BatchSettings& settings, const std::string& fixed_hash) {
  json::array items;
  const auto add = [&](const std::string& name, const std::string& value) {
    items.push_back(json::object{{"name", name}, {"value", value}});
  };
  add(owner_key, settings.cluster->name);
  add(pool_key, settings.pool->name.str());
  if (!fixed_hash.empty()) add(settings_key, fixed_hash + "-" + settings.live_hash);
  for (const auto& [name, value] : settings.azure().tags) add(name, value);
  return items;
}

json::object image_reference(const std::string& image, Plane plane) {
  const std::vector<std::string> parts = marketplace_image(image);
  if (parts.empty()) return {{plane == Plane::arm ? "id" : "virtualMachineImageId", image}};
  return {{"publisher", parts[0]}, {"offer", parts[1]}, {"sku", parts[2]}, {"version", parts[3]}};
}

json::array mounts(const BatchSettings& settings) {
  json::array list;
  const auto& all = settings.azure().mounts;
  for (size_t i = 0; i < all.size(); ++i) {
    const model::AzureMount& mount = all[i];
    json::object one;
    switch (mount.kind) {
      case model::AzureMount::Kind::nfs:
        one = {{"source", mount.source}, {"relativeMountPath", mount.target}};
        if (!mount.options.empty()) one["mountOptions"] = mount.options;
        list.push_back(json::object{{"nfsMountConfiguration", std::move(one)}});
        break;
      case model::AzureMount::Kind::azure_files:
        one = {{"accountName", mount.account},
               {"azureFileUrl", mount.source},
               {"accountKey", settings.mount_keys[i]},
               {"relativeMountPath", mount.target}};
        if (!mount.options.empty()) one["mountOptions"] = mount.options;
        list.push_back(json::object{{"azureFileShareConfiguration", std::move(one)}});
        break;
      case model::AzureMount::Kind::blob:
        one = {{"accountName", mount.account}, {"containerName", mount.source}, {"relativeMountPath", mount.target}};
        if (settings.mount_keys[i].empty()) {
          one["identityReference"] = json::object{{"resourceId", settings.azure().node_identity}};
        } else {
          one["accountKey"] = settings.mount_keys[i];
        }
        if (!mount.options.empty()) one["blobfuseOptions"] = mount.options;
        list.push_back(json::object{{"azureBlobFileSystemConfiguration", std::move(one)}});
        break;
    }
  }
  return list;
}

// Batch demands a password; nobody is to know it.
std::string password() {
  std::array<unsigned char, 30> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  return "aA1+" + http::to_base64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

// Members that both APIs call the same and that need an empty pool.
void add_fixed(json::object& body, const BatchSettings& settings, Plane plane, const std::string& secret) {
  const model::AzurePool& azure = settings.azure();
  body["vmSize"] = settings.machine;
  body["taskSlotsPerNode"] = 1;
  if (!azure.subnet.empty()) {
    body["networkConfiguration"] =
        json::object{{"subnetId", azure.subnet},
                     {"publicIPAddressConfiguration", json::object{{"provision", word(plane, "NoPublicIPAddresses")}}}};
  }
  if (!azure.admin_user.empty()) {
    body["userAccounts"] = json::array{
        json::object{{"name", azure.admin_user}, {"password", secret}, {"elevationLevel", word(plane, "Admin")}}};
  }
  if (json::array list = mounts(settings); !list.empty()) body["mountConfiguration"] = std::move(list);
}

void add_live(json::object& body, const BatchSettings& settings, Plane plane, const std::string& fixed_hash) {
  body["startTask"] = start_task(settings, plane);
  body["metadata"] = metadata(settings, fixed_hash);
  // Needs no way in from the internet, and works without public addresses.
  body["targetNodeCommunicationMode"] = word(plane, "Simplified");
}

// Two texts that change exactly when the file asks for something else.
void hash(BatchSettings& settings) {
  json::object fixed;
  add_fixed(fixed, settings, Plane::batch, "");
  fixed["image"] = settings.azure().image;
  fixed["agent"] = settings.azure().node_agent;
  fixed["interNode"] = settings.azure().inter_node;
  fixed["identity"] = settings.azure().node_identity;
  settings.fixed_hash = settings_hash(json::serialize(fixed));
  json::object live;
  add_live(live, settings, Plane::batch, "");
  settings.live_hash = settings_hash(json::serialize(live));
}

}  // namespace

std::vector<std::string> marketplace_image(const std::string& image) {
  if (image.starts_with('/')) return {};
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= image.size();) {
    const size_t end = std::min(image.find(':', begin), image.size());
    parts.push_back(image.substr(begin, end - begin));
    begin = end + 1;
  }
  if (parts.size() == 3) parts.emplace_back("latest");
  return parts.size() == 4 ? parts : std::vector<std::string>{};
}

std::string batch_pool_id(const std::string& cluster, const model::Pool& pool, const std::string& machine) {
  std::string id = cluster + "-" + pool.name.str();
  if (pool.machines.size() > 1) id += "-" + lower(machine);
  for (char& c : id) {
    const bool allowed =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!allowed) c = '_';
  }
  if (id.size() <= id_max) return id;
  return id.substr(0, id_max - 9) + "-" + settings_hash(id).substr(0, 8);
}

Result<BatchSettings> batch_settings(std::shared_ptr<const model::Cluster> cluster, const model::Pool& pool,
                                     const std::string& machine, const AzureOptions& options) {
  BatchSettings settings;
  settings.cluster = std::move(cluster);
  settings.pool = &pool;
  settings.machine = machine;
  settings.options = options;
  settings.id = batch_pool_id(settings.cluster->name, pool, machine);
  for (const model::AzureMount& mount : pool.azure->mounts) {
    std::string& key = settings.mount_keys.emplace_back();
    if (mount.key_file.empty()) continue;
    auto text = read_file(mount.key_file, 64u << 10);
    if (!text) return fail(ErrorCode::bad_config, "pool " + pool.name.str() + ", key_file: " + text.error().message);
    key = text->substr(0, text->find_first_of("\r\n"));
  }
  hash(settings);
  return settings;
}

std::string batch_create_body(const BatchSettings& settings, const BatchCounts& targets,
                              const std::string& node_agent) {
  const model::AzurePool& azure = settings.azure();
  json::object body{{"id", settings.id}};
  add_fixed(body, settings, Plane::batch, password());
  body["virtualMachineConfiguration"] =
      json::object{{"imageReference", image_reference(azure.image, Plane::batch)}, {"nodeAgentSKUId", node_agent}};
  body["enableInterNodeCommunication"] = azure.inter_node;
  body["enableAutoScale"] = false;
  body["targetDedicatedNodes"] = targets[0];
  body["targetLowPriorityNodes"] = targets[1];
  body["resizeTimeout"] = iso_seconds(azure.resize_timeout);
  add_live(body, settings, Plane::batch, settings.fixed_hash);
  return json::serialize(body);
}

std::string arm_create_body(const BatchSettings& settings, const BatchCounts& targets, const std::string& node_agent) {
  const model::AzurePool& azure = settings.azure();
  json::object properties;
  add_fixed(properties, settings, Plane::arm, password());
  properties["deploymentConfiguration"] = json::object{
      {"virtualMachineConfiguration",
       json::object{{"imageReference", image_reference(azure.image, Plane::arm)}, {"nodeAgentSkuId", node_agent}}}};
  properties["interNodeCommunication"] = azure.inter_node ? "Enabled" : "Disabled";
  properties["scaleSettings"] =
      json::object{{"fixedScale", json::object{{"targetDedicatedNodes", targets[0]},
                                               {"targetLowPriorityNodes", targets[1]},
                                               {"resizeTimeout", iso_seconds(azure.resize_timeout)}}}};
  add_live(properties, settings, Plane::arm, settings.fixed_hash);
  const json::object body{
      {"identity", json::object{{"type", "UserAssigned"},
                                {"userAssignedIdentities", json::object{{azure.node_identity, json::object()}}}}},
      {"properties", std::move(properties)}};
  return json::serialize(body);
}

std::string batch_patch_body(const BatchSettings& settings, const std::string& fixed_hash) {
  json::object body;
  add_live(body, settings, Plane::batch, fixed_hash);
  return json::serialize(body);
}

std::string batch_resize_body(const BatchCounts& targets, Duration timeout) {
  return json::serialize(json::object{{"targetDedicatedNodes", targets[0]},
                                      {"targetLowPriorityNodes", targets[1]},
                                      {"resizeTimeout", iso_seconds(timeout)}});
}

std::string batch_remove_body(const std::vector<std::string>& nodes, Duration timeout) {
  json::array list;
  for (const std::string& node : nodes) list.emplace_back(node);
  // Batch runs no jobs on them, so there is nothing to requeue or to wait for.
  return json::serialize(json::object{
      {"nodeList", std::move(list)}, {"resizeTimeout", iso_seconds(timeout)}, {"nodeDeallocationOption", "terminate"}});
}

BatchOwnership ownership_of(const BatchPoolView& pool, const BatchSettings& settings) {
  const auto value = [&](const char* key) {
    const auto it = pool.metadata.find(key);
    return it == pool.metadata.end() ? std::string() : it->second;
  };
  BatchOwnership ownership;
  const std::string owner = value(owner_key);
  if (owner != settings.cluster->name || value(pool_key) != settings.pool->name.str()) {
    ownership.refusal = "the Batch pool " + pool.id +
                        (owner.empty() ? " isn't Slipway's (it has no metadata slipway-cluster)"
                                       : " belongs to cluster " + owner + ", pool " + value(pool_key)) +
                        "; rename the cluster or its pool, or delete that Batch pool";
    return ownership;
  }
  ownership.ours = true;
  if (pool.autoscale) {
    ownership.refusal = "the Batch pool " + pool.id +
                        " has an autoscale formula, which would undo what Slipway does; turn it off: az batch pool "
                        "autoscale disable --pool-id " +
                        pool.id;
  }
  const std::string both = value(settings_key);
  const size_t dash = both.find('-');
  ownership.fixed_hash = both.substr(0, dash);
  if (dash != std::string::npos) ownership.live_hash = both.substr(dash + 1);
  return ownership;
}

}  // namespace slipway::cloud::azure
