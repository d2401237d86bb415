#include "cloud/azure/scale_set_model.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "base/check.h"
#include "catalog/catalog.h"
#include "cloud/azure/compute_parse.h"
#include "cloud/azure/fleet.h"
#include "http/base64.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;

std::string shell_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string group_path(const model::AzurePool& azure) {
  return "/subscriptions/" + azure.subscription + "/resourceGroups/" + azure.resource_group;
}

json::object image_reference(const std::string& image) {
  const std::string lower = lower_case(image);
  if (lower.starts_with("/communitygalleries/")) return {{"communityGalleryImageId", image}};
  if (lower.starts_with("/sharedgalleries/")) return {{"sharedGalleryImageId", image}};
  if (image.starts_with('/')) return {{"id", image}};
  std::vector<std::string> parts(1);
  for (const char c : image) {
    if (c == ':') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  parts.resize(4);
  return {{"publisher", parts[0]}, {"offer", parts[1]}, {"sku", parts[2]}, {"version", parts[3]}};
}

json::object network_profile(const ScaleSetSpec& spec, const model::AzurePool& azure) {
  const json::object address{
      {"name", "primary"},
      {"properties", {{"primary", true}, {"privateIPAddressVersion", "IPv4"}, {"subnet", {{"id", azure.subnet}}}}}};
  const json::object interface {
    {"name", spec.name + "-nic"}, {
      "properties", {
        {"primary", true}, {"enableAcceleratedNetworking", azure.accelerated_network}, {"enableIPForwarding", false},
            {"deleteOption", "Delete"}, {
          "ipConfigurations", json::array {
            address
          }
        }
      }
    }
  };
  // The only value that flexible orchestration knows.
  return {{"networkApiVersion", "2020-11-01"}, {"networkInterfaceConfigurations", json::array{interface}}};
}

// The prefix of the machines' own host names, at most nine characters as Azure adds six; what Slurm calls them is said
// by the daemon.
std::string computer_prefix(const std::string& pool) {
  std::string prefix;
  for (const char c : lower_case(pool)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) prefix += c;
  }
  prefix.resize(std::min<size_t>(prefix.size(), 9));
  return prefix.empty() ? "node" : prefix;
}

json::object tags_of(const model::Cluster& cluster, const model::Pool& pool, const std::string& settings) {
  json::object tags;
  for (const auto& [key, value] : pool.azure->tags) tags[key] = value;
  tags[json::string_view(cluster_tag.data(), cluster_tag.size())] = cluster.name;
  tags[json::string_view(pool_tag.data(), pool_tag.size())] = pool.name.str();
  if (!settings.empty()) tags[json::string_view(settings_tag.data(), settings_tag.size())] = settings;
  return tags;
}

bool spot(const ScaleSetSpec& spec) {
  return spec.mixed || spec.market == model::Market::spot;
}

// What a PATCH of an existing set may carry.
json::object update_of(const model::Cluster& cluster, const model::Pool& pool, const AzureOptions& options,
                       const ScaleSetSpec& spec) {
  const model::AzurePool& azure = *pool.azure;
  json::object profile{
      {"storageProfile", {{"imageReference", image_reference(azure.image)}}},
      {"osProfile", {{"customData", http::to_base64(custom_data(cluster, pool, options))}}},
      {"networkProfile", network_profile(spec, azure)},
      // Five minutes is the least that Azure takes. The agent says that it is ready as soon as it is.
      {"scheduledEventsProfile", {{"terminateNotificationProfile", {{"enable", true}, {"notBeforeTimeout", "PT5M"}}}}}};
  if (spot(spec)) profile["billingProfile"] = {{"maxPrice", -1}};  // up to the price on demand: never evicted for money
  json::object properties{
      {"virtualMachineProfile", std::move(profile)},
      // Should a capacity ever be lowered while machines come, the newest go: those that nobody uses yet.
      {"scaleInPolicy", {{"rules", json::array{"NewestVM"}}, {"forceDeletion", false}}},
      {"spotRestorePolicy", {{"enabled", false}}}};
  if (!spot(spec)) properties.erase("spotRestorePolicy");
  if (spec.mixed) {
    properties["priorityMixPolicy"] = {{"baseRegularPriorityCount", azure.priority_mix->base},
                                       {"regularPriorityPercentageAboveBase", azure.priority_mix->on_demand_percent}};
  }
  json::object update{{"sku", {{"name", spec.machine}, {"tier", "Standard"}}}, {"properties", std::move(properties)}};
  if (!azure.node_identity.empty()) {
    update["identity"] = {{"type", "UserAssigned"},
                          {"userAssignedIdentities", json::object{{azure.node_identity, json::object{}}}}};
  }
  return update;
}

// What only a new set can be given.
json::object fixed_of(const model::Pool& pool, const ScaleSetSpec& spec) {
  const model::AzurePool& azure = *pool.azure;
  json::object profile{
      {"priority", spot(spec) ? "Spot" : "Regular"},
      {"storageProfile",
       {{"osDisk", {{"createOption", "FromImage"}, {"caching", "ReadOnly"}, {"deleteOption", "Delete"}}}}},
      {"osProfile",
       {{"computerNamePrefix", computer_prefix(pool.name.str())},
        {"adminUsername", azure.admin_user.empty() ? "slipway" : azure.admin_user}}}};
  if (spot(spec)) profile["evictionPolicy"] = azure.evicted_are_deleted ? "Delete" : "Deallocate";
  if (!azure.capacity_reservation.empty())
    profile["capacityReservation"] = {{"capacityReservationGroup", {{"id", azure.capacity_reservation}}}};
  json::object properties{{"orchestrationMode", "Flexible"},
                          {"platformFaultDomainCount", 1},
                          {"singlePlacementGroup", false},
                          {"virtualMachineProfile", std::move(profile)}};
  if (pool.zones.size() > 1) properties["zoneBalance"] = false;  // Azure refuses the word with fewer
  if (!spec.proximity.empty()) {
    properties["proximityPlacementGroup"] = {
        {"id", group_path(azure) + "/providers/Microsoft.Compute/proximityPlacementGroups/" + spec.proximity}};
  }
  json::object fixed{{"location", azure.region}, {"properties", std::move(properties)}};
  if (!pool.zones.empty()) {
    json::array zones;
    for (const std::string& zone : pool.zones) zones.emplace_back(zone);
    fixed["zones"] = std::move(zones);
  }
  return fixed;
}

// `more` into `into`, object by object.
void merge(json::object& into, const json::object& more) {
  for (const auto& [key, value] : more) {
    json::value& there = into[key];
    if (there.is_object() && value.is_object()) {
      merge(there.get_object(), value.get_object());
    } else {
      there = value;
    }
  }
}

}  // namespace

std::string custom_data(const model::Cluster& cluster, const model::Pool& pool, const AzureOptions& options) {
  // cloud-init runs this once a machine, not once a boot; a machine that Azure reboots or moves must come back.
  std::string script =
      "#!/bin/sh\n"
      "mkdir -p /var/lib/slipway\n"
      "cat > /var/lib/slipway/join <<'SLIPWAY_JOIN'\n"
      "#!/bin/sh\n";
  for (const auto& [name, value] : boot_environment(cluster, pool, options.daemon, options.daemon_key))
    script += "export " + name + "=" + shell_quoted(value) + "\n";
  script += "PATH=/opt/slipway/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\n";
  if (!pool.azure->agent_url.empty()) {
    const std::string url = shell_quoted(pool.azure->agent_url);
    script +=
        "if ! command -v slipway-agent >/dev/null; then\n"
        "  mkdir -p /opt/slipway/bin\n"
        "  for try in 1 2 3 4 5 6; do\n"
        "    { curl -fsSL --retry 2 -o /opt/slipway/bin/.agent " +
        url + " || wget -qO /opt/slipway/bin/.agent " + url +
        "; } &&\n"
        "      chmod 755 /opt/slipway/bin/.agent && mv /opt/slipway/bin/.agent /opt/slipway/bin/slipway-agent && "
        "break\n"
        "    sleep 5\n"
        "  done\n"
        "fi\n";
  }
  script +=
      "exec slipway-agent --join\n"
      "SLIPWAY_JOIN\n"
      "chmod 755 /var/lib/slipway/join\n"
      "if [ -d /run/systemd/system ]; then\n"
      "  cat > /etc/systemd/system/slipway-join.service <<'SLIPWAY_UNIT'\n"
      "[Unit]\n"
      "Description=Joins the Slipway cluster\n"
      "Wants=network-online.target\n"
      "After=network-online.target\n"
      "[Service]\n"
      "Type=oneshot\n"
      "RemainAfterExit=yes\n"
      "ExecStart=/bin/sh /var/lib/slipway/join\n"
      "[Install]\n"
      "WantedBy=multi-user.target\n"
      "SLIPWAY_UNIT\n"
      "  systemctl daemon-reload && systemctl enable slipway-join && exec systemctl start --no-block slipway-join\n"
      "fi\n"
      "exec /bin/sh /var/lib/slipway/join\n";
  return script;
}

std::vector<ScaleSetSpec> scale_sets_of(const model::Cluster& cluster, const model::Pool& pool,
                                        const AzureOptions& options) {
  SLIPWAY_CHECK(pool.azure.has_value());
  std::vector<ScaleSetSpec> specs;
  std::vector<model::Market> markets = pool.markets;
  const bool mixed = pool.azure->priority_mix.has_value();
  if (mixed || markets.empty()) markets = {markets.empty() ? model::Market::on_demand : markets.front()};
  for (const model::Market market : markets) {
    for (const std::string& machine : pool.machines) {
      ScaleSetSpec spec;
      spec.pool = pool.name;
      spec.machine = machine;
      spec.market = market;
      spec.mixed = mixed;
      spec.name = cluster.name + "-" + pool.name.str();
      if (!mixed) spec.name += market == model::Market::spot ? "-spot" : "-od";
      if (pool.machines.size() > 1) spec.name += "-" + lower_case(machine);
      const catalog::MachineType* type = catalog::find(model::ProviderKind::azure, machine);
      // InfiniBand machines reach each other only within one group; so do those that were asked to be close.
      if (pool.placement == model::Placement::per_pool || (type != nullptr && type->rdma))
        spec.proximity = cluster.name + "-" + pool.name.str();
      json::object update = update_of(cluster, pool, options, spec);
      const std::string fixed = json::serialize(fixed_of(pool, spec));
      const std::string hashed = json::serialize(update) + json::serialize(tags_of(cluster, pool, ""));
      spec.settings =
          settings_hash(fixed + pool.azure->admin_user + "\n" + pool.azure->admin_key) + "-" + settings_hash(hashed);
      update["tags"] = tags_of(cluster, pool, spec.settings);
      spec.update_body = json::serialize(update);
      spec.fixed_model = fixed;
      specs.push_back(std::move(spec));
    }
  }
  return specs;
}

std::string make_body(const ScaleSetSpec& spec, const model::Pool& pool, uint32_t capacity) {
  json::object body = json::parse(spec.fixed_model).as_object();
  merge(body, json::parse(spec.update_body).as_object());
  body["sku"].as_object()["capacity"] = capacity;
  json::object& os = body["properties"].as_object()["virtualMachineProfile"].as_object()["osProfile"].as_object();
  const std::string user(os["adminUsername"].as_string());
  const std::string key = pool.azure->admin_key.empty() ? throw_away_ssh_key() : pool.azure->admin_key;
  os["linuxConfiguration"] = {
      {"disablePasswordAuthentication", true},
      {"ssh",
       {{"publicKeys",
         json::array{json::object{{"path", "/home/" + user + "/.ssh/authorized_keys"}, {"keyData", key}}}}}}};
  return json::serialize(body);
}

std::string capacity_body(const ScaleSetSpec& spec, uint32_t capacity) {
  return json::serialize(json::object{{"sku", {{"name", spec.machine}, {"tier", "Standard"}, {"capacity", capacity}}}});
}

std::string proximity_body(const model::Cluster& cluster, const model::Pool& pool) {
  return json::serialize(json::object{{"location", pool.azure->region},
                                      {"tags", tags_of(cluster, pool, "")},
                                      {"properties", {{"proximityPlacementGroupType", "Standard"}}}});
}

std::string throw_away_ssh_key() {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048), &EVP_PKEY_free);
  SLIPWAY_CHECK(key != nullptr);
  const auto number = [&](const char* name) {
    BIGNUM* value = nullptr;
    SLIPWAY_CHECK(EVP_PKEY_get_bn_param(key.get(), name, &value) == 1);
    std::string bytes(static_cast<size_t>(BN_num_bytes(value)), '\0');
    BN_bn2bin(value, reinterpret_cast<unsigned char*>(bytes.data()));
    BN_free(value);
    if (!bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0x80) != 0) bytes.insert(0, 1, '\0');
    return bytes;
  };
  // RFC 4253, 6.6: each part with its length before it.
  std::string blob;
  for (const std::string& part :
       {std::string("ssh-rsa"), number(OSSL_PKEY_PARAM_RSA_E), number(OSSL_PKEY_PARAM_RSA_N)}) {
    for (int shift = 24; shift >= 0; shift -= 8) blob += static_cast<char>((part.size() >> shift) & 0xff);
    blob += part;
  }
  return "ssh-rsa " + http::to_base64(blob) + " slipway";
}

bool same_fixed_settings(std::string_view one, std::string_view other) {
  return !one.empty() && one.substr(0, one.find('-')) == other.substr(0, other.find('-'));
}

}  // namespace slipway::cloud::azure
