#include "cloud/azure/fleet.h"

#include "http/digest.h"

namespace slipway::cloud::azure {

InstanceId instance_id(const PoolName& pool, std::string_view machine) {
  return InstanceId(pool.str() + "/" + std::string(machine));
}

InstanceParts parts_of(const InstanceId& id) {
  const std::string& text = id.str();
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return {PoolName(), text};
  return {PoolName(text.substr(0, slash)), text.substr(slash + 1)};
}

std::vector<std::pair<std::string, std::string>> boot_environment(const model::Cluster& cluster,
                                                                  const model::Pool& pool, const std::string& daemon,
                                                                  const std::string& daemon_key) {
  const bool batch = pool.azure && pool.azure->kind == model::AzurePoolKind::batch;
  return {{"SLIPWAY_CLUSTER", cluster.name},
          {"SLIPWAY_POOL", pool.name.str()},
          {"SLIPWAY_DAEMON", daemon},
          {"SLIPWAY_DAEMON_KEY", daemon_key},
          {"SLIPWAY_PROVIDER", "azure"},
          {"SLIPWAY_KIND", batch ? "batch" : "scale_set"},
          {"SLIPWAY_IDENTITY", pool.azure ? pool.azure->node_identity : std::string()}};
}

std::string settings_hash(std::string_view text) {
  std::string hex;
  for (const char c : http::sha256(text).substr(0, 8)) {
    const auto byte = static_cast<unsigned char>(c);
    hex += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
  }
  return hex;
}

}  // namespace slipway::cloud::azure
