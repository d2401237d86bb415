// The `azure` sections as to_yaml writes them: the cluster's says who calls Azure, each pool's has everything else.
#include "config/azure_yaml.h"

#include "config/read_azure.h"
#include "config/units.h"

namespace slipway::config {
namespace {

// "{key: "text", …}" without what is empty.
class FlowMap {
 public:
  void text(std::string_view key, std::string_view value) {
    if (!value.empty()) plain(key, quote_yaml(value));
  }
  void plain(std::string_view key, std::string_view value) {
    text_ += join({text_.empty() ? "" : ", ", key, ": ", value});
  }
  bool empty() const { return text_.empty(); }
  std::string str() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string identity_text(const model::AzureIdentity& identity) {
  using Kind = model::AzureIdentity::Kind;
  FlowMap inner, outer;
  inner.text("tenant", identity.tenant_id);
  inner.text("client", identity.client_id);
  inner.text("token_file", identity.token_file);
  inner.text("secret_file", identity.secret_file);
  inner.text("certificate_file", identity.certificate_file);
  switch (identity.kind) {
    case Kind::managed:
      if (identity.client_id.empty()) return "managed";
      outer.text("managed", identity.client_id);
      return outer.str();
    case Kind::workload:
      outer.plain("workload", inner.str());
      return outer.str();
    case Kind::service_principal:
      outer.plain("service_principal", inner.str());
      return outer.str();
    case Kind::cli:
      return "cli";
  }
  return "managed";
}

std::string mount_text(const model::AzureMount& mount) {
  static constexpr std::string_view types[] = {"nfs", "azure_files", "blob"};
  FlowMap map;
  map.plain("type", types[static_cast<size_t>(mount.kind)]);
  map.text("source", mount.source);
  map.text("target", mount.target);
  map.text("options", mount.options);
  map.text("account", mount.account);
  map.text("key_file", mount.key_file);
  return map.str();
}

std::string_view yes_or_no(bool value) {
  return value ? "true" : "false";
}

}  // namespace

std::string quote_yaml(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\\x";
      out += hex[(c >> 4) & 0xf];
      out += hex[c & 0xf];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void add_azure_cloud(std::string& out, const model::AzureCloud& cloud) {
  static constexpr std::string_view clouds[] = {"public", "us_government", "china"};
  out += join({"azure:\n  cloud: ", clouds[static_cast<size_t>(cloud.cloud)],
               "\n  identity: ", identity_text(cloud.identity), "\n"});
  FlowMap endpoints;
  endpoints.text("arm", cloud.endpoints.arm);
  endpoints.text("login", cloud.endpoints.login);
  endpoints.text("imds", cloud.endpoints.imds);
  endpoints.text("ca_file", cloud.endpoints.ca_file);
  if (!endpoints.empty()) out += "  endpoints: " + endpoints.str() + "\n";
}

void add_azure_pool(std::string& out, const model::AzurePool& pool) {
  const auto plain = [&](std::string_view key, std::string_view value) {
    out += join({"      ", key, ": ", value, "\n"});
  };
  const auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) plain(key, quote_yaml(value));
  };
  out += "    azure:\n";
  plain("kind", to_string(pool.kind));
  text("subscription", pool.subscription);
  text("resource_group", pool.resource_group);
  text("region", pool.region);
  text("subnet", pool.subnet);
  text("image", pool.image);
  text("node_identity", pool.node_identity);
  text("agent_url", pool.agent_url);
  FlowMap admin;
  admin.text("user", pool.admin_user);
  admin.text("key", pool.admin_key);
  if (!admin.empty()) plain("admin", admin.str());
  FlowMap tags;
  for (const auto& [name, value] : pool.tags) tags.text(quote_yaml(name), value);
  if (!tags.empty()) plain("tags", tags.str());
  if (pool.kind == model::AzurePoolKind::batch) {
    text("account", pool.account);
    text("account_url", pool.account_url);
    text("account_key_file", pool.batch_key_file);
    text("node_agent", pool.node_agent);
    plain("inter_node", yes_or_no(pool.inter_node));
    plain("resize_timeout", duration_text(pool.resize_timeout));
    if (!pool.mounts.empty()) out += "      mounts:\n";
    for (const model::AzureMount& mount : pool.mounts) out += "        - " + mount_text(mount) + "\n";
    return;
  }
  plain("eviction_policy", pool.evicted_are_deleted ? "delete" : "deallocate");
  if (pool.priority_mix) {
    plain("priority_mix", "{base: " + std::to_string(pool.priority_mix->base) +
                              ", on_demand: " + std::to_string(pool.priority_mix->on_demand_percent) + "%}");
  }
  text("capacity_reservation", pool.capacity_reservation);
  plain("accelerated_network", yes_or_no(pool.accelerated_network));
}

}  // namespace slipway::config
