#include "base/hostlist.h"
#include "config/azure_yaml.h"
#include "config/config.h"
#include "config/problems.h"
#include "config/units.h"

namespace slipway::config {
namespace {

std::string quote(std::string_view text) {
  return quote_yaml(text);
}

std::string quote_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() > 1 ? ", " : "") + quote(text);
  return out + "]";
}

std::string idle_text(Duration idle) {
  return idle >= model::idle_reclaim_never ? "never" : duration_text(idle);
}

void add_key(std::string& out, std::string_view indent, std::string_view key, const std::string& value) {
  out += std::string(indent) + std::string(key) + ": " + value + "\n";
}

void add_passthrough(std::string& out, const std::string& indent, const std::map<std::string, std::string>& keys) {
  if (keys.empty()) return;
  out += indent + "slurm:\n";
  for (const auto& [key, value] : keys) add_key(out, indent + "  ", quote(key), quote(value));
}

void add_role(std::string& out, std::string_view name, const model::RoleMachines& role) {
  out += std::string(name) + ":\n";
  add_key(out, "  ", "count", std::to_string(role.count));
  if (!role.image.empty()) add_key(out, "  ", "image", quote(role.image));
  if (!role.prep.empty()) add_key(out, "  ", "prep", quote(role.prep));
}

std::string level_text(const model::WarmLevel& level) {
  std::string count = std::to_string(level.count);
  if (level.share == 0) return count;
  return level.count == 0 ? share_text(level.share) : "[" + count + ", " + share_text(level.share) + "]";
}

std::string days_text(uint8_t days) {
  static constexpr std::string_view names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
  std::string out = "[";
  for (size_t day = 0; day < 7; ++day) {
    if ((days & (1u << day)) != 0) out += join({out.size() > 1 ? ", " : "", names[day]});
  }
  return out + "]";
}

void add_warm(std::string& out, const model::Warm& warm) {
  if (warm.hours.empty()) return add_key(out, "    ", "warm", level_text(warm.usual));
  out += "    warm:\n";
  add_key(out, "      ", "usual", level_text(warm.usual));
  out += "      hours:\n";
  for (const model::WarmHours& hours : warm.hours) {
    out += "        - {days: " + days_text(hours.days) + ", from: \"" + clock_text(hours.from) + "\", to: \"" +
           clock_text(hours.to) + "\", warm: " + level_text(hours.level) + "}\n";
  }
}

std::string market_text(const std::vector<model::Market>& markets) {
  std::string out;
  for (model::Market market : markets) out += join({out.empty() ? "" : "_then_", model::to_string(market)});
  return out;
}

std::string placement_text(model::Placement placement) {
  switch (placement) {
    case model::Placement::none:
      return "none";
    case model::Placement::per_pool:
      return "per_pool";
    case model::Placement::per_job:
      return "per_job";
  }
  return "none";
}

// Only what differs from the defaults: some keys are unwise without others.
std::string eviction_text(const model::Eviction& eviction) {
  const model::Eviction usual;
  std::string out;
  auto add = [&](std::string_view key, const std::string& value) {
    out += join({out.empty() ? "{" : ", ", key, ": ", value});
  };
  if (eviction.signal != usual.signal) add("signal", eviction.signal);
  if (eviction.lead != usual.lead) add("lead", duration_text(eviction.lead));
  if (eviction.tolerance != usual.tolerance) add("tolerance", std::to_string(eviction.tolerance));
  return out + "}";
}

void add_offers(std::string& out, const model::Pool& pool) {
  auto add = [&](std::string_view key, const std::string& value) { add_key(out, "    ", key, value); };
  if (!pool.machines.empty()) add("machines", quote_list(pool.machines));
  if (!pool.zones.empty()) add("zones", quote_list(pool.zones));
  if (!pool.markets.empty()) add("market", market_text(pool.markets));
  add("placement", placement_text(pool.placement));
  if (pool.spares > 0) add("spares", share_text(pool.spares));
  if (pool.billing_period > Duration(0)) add("billing_period", duration_text(pool.billing_period));
  if (pool.eviction != model::Eviction()) add("eviction", eviction_text(pool.eviction));
}

void add_pool(std::string& out, const model::Pool& pool) {
  out += "  " + quote(pool.name.str()) + ":\n";
  auto add = [&](std::string_view key, const std::string& value) { add_key(out, "    ", key, value); };
  add("provider", pool.azure ? "azure" : "local");
  add("max", std::to_string(pool.max));
  add_warm(out, pool.warm);
  add("cpus", std::to_string(pool.shape.cpus));
  add("memory", std::to_string(pool.shape.memory_mib) + "MiB");
  add("boot_timeout", duration_text(pool.boot_timeout));
  add_offers(out, pool);
  // In Azure no GRES isn't the same as no word on them: then they are those of the machine type.
  if (!pool.shape.gres.empty() || pool.azure) add("gres", quote_list(pool.shape.gres));
  if (!pool.features.empty()) add("features", quote_list(pool.features));
  if (pool.idle_reclaim) add("idle_reclaim", idle_text(*pool.idle_reclaim));
  if (pool.weight) add("weight", std::to_string(*pool.weight));
  if (!pool.image.empty()) add("image", quote(pool.image));
  if (!pool.prep.empty()) add("prep", quote(pool.prep));
  if (pool.azure) add_azure_pool(out, *pool.azure);
}

void add_partition(std::string& out, const model::Partition& partition) {
  out += "  " + quote(partition.name.str()) + ":\n";
  auto add = [&](std::string_view key, const std::string& value) { add_key(out, "    ", key, value); };
  std::vector<std::string> pools;
  for (const PoolName& pool : partition.pools) pools.push_back(pool.str());
  add("pools", quote_list(pools));
  add("default", partition.is_default ? "true" : "false");
  if (partition.max_time) add("max_time", quote(*partition.max_time));
  if (partition.default_time) add("default_time", quote(*partition.default_time));
  if (partition.priority_tier) add("priority_tier", std::to_string(*partition.priority_tier));
  if (partition.idle_reclaim) add("idle_reclaim", idle_text(*partition.idle_reclaim));
  add_passthrough(out, "    ", partition.slurm);
}

}  // namespace

std::string to_yaml(const model::Cluster& cluster) {
  std::string out;
  add_key(out, "", "cluster", quote(cluster.name));
  add_key(out, "", "provider", cluster.provider == model::ProviderKind::azure ? "azure" : "local");
  if (!cluster.subnet.empty()) out += "local:\n  subnet: " + quote(cluster.subnet) + "\n";
  if (cluster.azure) add_azure_cloud(out, *cluster.azure);
  add_role(out, "controllers", cluster.controllers);
  add_role(out, "logins", cluster.logins);
  out += cluster.storage.empty() ? "storage: {}\n" : "storage:\n";
  for (const model::SharedFolder& folder : cluster.storage) {
    out += "  " + quote(folder.name) + ": {type: local, mount: " + quote(folder.mount) + "}\n";
  }
  out += "users:\n";
  for (const model::User& user : cluster.users)
    out += "  - {name: " + quote(user.name) + ", uid: " + std::to_string(user.uid) + "}\n";
  add_key(out, "", "idle_reclaim", idle_text(cluster.idle_reclaim));
  if (!cluster.reclaim_exclude.empty()) {
    add_key(out, "", "reclaim_exclude", "[" + quote(compress_hostlist_ordered(cluster.reclaim_exclude)) + "]");
  }
  if (cluster.launch_window) {
    out += "launch_window: {quiet: " + duration_text(cluster.launch_window->quiet) +
           ", longest: " + duration_text(cluster.launch_window->longest) + "}\n";
  }
  if (cluster.api) {
    out += "api: {per_second: " + rate_text(cluster.api->per_second) +
           ", burst: " + std::to_string(cluster.api->burst) + "}\n";
  }
  out += "pools:\n";
  for (const model::Pool& pool : cluster.pools) add_pool(out, pool);
  out += "partitions:\n";
  for (const model::Partition& partition : cluster.partitions) add_partition(out, partition);
  if (!cluster.existing.empty()) out += "existing:\n";
  for (const model::ExistingNodes& existing : cluster.existing) {
    add_key(out, "  - ", "nodes", quote(existing.nodes));
    if (!existing.slurm.empty()) add_key(out, "    ", "slurm", quote(existing.slurm));
    add_key(out, "    ", "partition", quote(existing.partition.str()));
    if (existing.address) add_key(out, "    ", "address", quote(*existing.address));
  }
  add_passthrough(out, "", cluster.slurm);
  return out;
}

}  // namespace slipway::config
