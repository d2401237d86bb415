#include "config/read_azure.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "config/azure_values.h"
#include "config/names.h"
#include "config/read.h"
#include "config/units.h"
#include "config/words.h"

namespace slipway::config {
namespace {

using model::AzurePool;
using model::AzurePoolKind;

constexpr std::array<std::string_view, 2> kinds = {"batch", "scale_set"};
constexpr Duration resize_timeout_min = std::chrono::minutes(5);  // Batch refuses less
constexpr Duration resize_timeout_max = std::chrono::hours(24);
constexpr size_t tags_max = 40;  // Azure allows 50; some are Slipway's
constexpr size_t tag_name_max = 128;
constexpr size_t tag_value_max = 256;

void read_agent_url(Context& context, const Field& field, AzurePool& pool) {
  if (auto url = read_url(context, field, "https://files.example.org/slipway-agent")) pool.agent_url = *url;
}

void read_node_agent(Context& context, const Field& field, AzurePool& pool) {
  constexpr std::string_view expected = "the name of a Batch node agent like batch.node.ubuntu 24.04";
  auto text = read_text(context.problems, field, expected);
  if (!text) return;
  if (text->starts_with("batch.node.") && text->size() <= 64) {
    pool.node_agent = *text;
  } else {
    context.problems.error(field.at, join({field.path, ": ", show(*text), " won't do; expected ", expected}));
  }
}

void read_admin(Context& context, const Field& field, AzurePool& pool) {
  static constexpr std::array<std::string_view, 2> keys = {"user", "key"};
  static constexpr std::array<Synonym, 3> synonyms = {{{"name", "user"}, {"ssh_key", "key"}, {"public_key", "key"}}};
  MapReader map(context.problems, field, {keys, {}, synonyms, "'key', which is a public key"});
  for (std::string_view key : keys) {
    if (!map.lacks(key)) continue;
    context.problems.error(field.at, join({field.path, ": '", key,
                                           "' is missing; expected both keys, for example {user: ops, key: "
                                           "\"ssh-ed25519 AAAA…\"}"}));
  }
  if (auto user = map.get("user")) {
    if (auto text = read_text(context.problems, *user, "a user's name")) {
      auto trouble = user_name_trouble(*text);
      if (!trouble.empty()) context.problems.error(user->at, user->path + ": " + trouble);
      pool.admin_user = *text;
    }
  }
  if (auto key = map.get("key")) {
    const TreeNode& node = *key->node;
    const bool looks_public = node.kind == NodeKind::scalar && node.text.size() < 2048 &&
                              (node.text.starts_with("ssh-") || node.text.starts_with("ecdsa-")) &&
                              node.text.find(' ') != std::string::npos && node.text.find('\n') == std::string::npos;
    if (looks_public) {
      if (auto text = read_text(context.problems, *key, "an SSH public key")) pool.admin_key = *text;
    } else {  // not shown: it may be a private one
      context.problems.error(key->at, key->path +
                                          ": is no SSH public key in one line; expected one that begins with "
                                          "ssh-ed25519 or ssh-rsa, what is in a file whose name ends in .pub");
    }
  }
}

void read_tags(Context& context, const Field& field, AzurePool& pool) {
  constexpr std::string_view forbidden = "<>%&\\?/";
  Problems& problems = context.problems;
  const auto entries = read_named(problems, field, "texts, like {team: chemistry}");
  if (entries.size() > tags_max) {
    problems.error(field.at, field.path + ": has " + std::to_string(entries.size()) + " tags; expected at most " +
                                 std::to_string(tags_max) + ", for Azure allows 50 and some are Slipway's");
    return;
  }
  std::set<std::string> seen;
  for (const NamedField& tag : entries) {
    auto value = read_text(problems, tag.field, "a tag's value");
    const std::string name = lower(tag.name);
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (name.empty() || name.size() > tag_name_max || name.find_first_of(forbidden) != std::string::npos ||
        std::any_of(name.begin(), name.end(), control)) {
      problems.error(tag.key_at,
                     join({field.path, ": ", show(tag.name),
                           " can't be a tag's name; expected at most 128 letters without any of ", forbidden}));
    } else if (name.starts_with("slipway") || name.starts_with("microsoft") || name.starts_with("azure") ||
               name.starts_with("windows")) {
      problems.error(tag.key_at, join({field.path, ": names of tags that begin like ", show(tag.name),
                                       " are Slipway's own or Azure's; choose another"}));
    } else if (!seen.insert(name).second) {
      problems.error(tag.key_at, join({field.path, ": the tag ", show(tag.name),
                                       " is there already in another spelling, and Azure takes both for one"}));
    } else if (value && value->size() > tag_value_max) {
      problems.error(tag.field.at, tag.field.path + ": is too long; expected at most 256 letters");
    } else if (value) {
      pool.tags[tag.name] = *value;
    }
  }
}

void read_eviction_policy(Context& context, const Field& field, AzurePool& pool) {
  static constexpr std::array<std::string_view, 2> policies = {"delete", "deallocate"};
  if (auto choice = read_choice(context.problems, field, "eviction policy", policies))
    pool.evicted_are_deleted = *choice == 0;
}

void read_priority_mix(Context& context, const Field& field, AzurePool& pool) {
  static constexpr std::array<std::string_view, 2> keys = {"base", "on_demand"};
  static constexpr std::array<Synonym, 3> synonyms = {
      {{"regular", "base"}, {"on_demand_percent", "on_demand"}, {"percent", "on_demand"}}};
  model::AzurePriorityMix mix;
  MapReader map(context.problems, field, {keys, {}, synonyms});
  if (auto base = map.get("base")) {
    if (auto count = read_count(context.problems, *base, 0, 1000)) mix.base = static_cast<uint32_t>(*count);
  }
  if (auto share = map.get("on_demand")) {
    if (auto part = read_share(context.problems, *share, 0, 1)) {
      mix.on_demand_percent = static_cast<uint32_t>(std::lround(*part * 100));
      if (mix.on_demand_percent / 100.0 != *part)
        context.problems.error(share->at, share->path + ": Azure counts whole percents; expected one like 20%");
    }
  }
  if (map.usable()) pool.priority_mix = mix;
}

template <std::string AzurePool::*member, auto read, auto... more>
void text_key(Context& context, const Field& field, AzurePool& pool) {
  if (auto text = read(context, field, more...)) pool.*member = *text;
}
template <auto member>
void copy_key(const AzurePool& from, AzurePool& to) {
  to.*member = from.*member;
}
template <bool AzurePool::*member>
void bool_key(Context& context, const Field& field, AzurePool& pool) {
  if (auto value = read_bool(context.problems, field)) pool.*member = *value;
}

std::optional<std::string> read_subscription(Context& context, const Field& field) {
  return read_guid(context, field, "a subscription's id");
}
std::optional<std::string> read_batch_account(Context& context, const Field& field) {
  return read_account_name(context, field, "a Batch account");
}
std::optional<std::string> read_account_url(Context& context, const Field& field) {
  return read_url(context, field, "https://myaccount.westeurope.batch.azure.com");
}
std::optional<std::string> read_account_key_file(Context& context, const Field& field) {
  return read_file_path(context, field, "the Batch account's key");
}
std::optional<std::string> read_node_identity(Context& context, const Field& field) {
  return read_resource_id(context, field, identity_form, "a user-assigned identity");
}
std::optional<std::string> read_reservation(Context& context, const Field& field) {
  return read_resource_id(context, field, reservation_form, "a capacity reservation group");
}
void read_kind(Context& context, const Field& field, AzurePool& pool) {
  if (auto choice = read_choice(context.problems, field, "kind", kinds))
    pool.kind = static_cast<AzurePoolKind>(*choice);
}
void read_resize_timeout(Context& context, const Field& field, AzurePool& pool) {
  if (auto time = read_duration(context.problems, field, resize_timeout_min, resize_timeout_max))
    pool.resize_timeout = *time;
}
void read_mounts(Context& context, const Field& field, AzurePool& pool) {
  pool.mounts = read_azure_mounts(context, field);
}
void copy_admin(const AzurePool& from, AzurePool& to) {
  to.admin_user = from.admin_user;
  to.admin_key = from.admin_key;
}

using A = AzurePool;
constexpr std::array<AzureKey, 21> keys = {{
    {"kind", AzureScope::any, read_kind, copy_key<&A::kind>},
    {"subscription", AzureScope::any, text_key<&A::subscription, read_subscription>, copy_key<&A::subscription>},
    {"resource_group", AzureScope::any, text_key<&A::resource_group, read_resource_group>,
     copy_key<&A::resource_group>},
    {"region", AzureScope::any, text_key<&A::region, read_region>, copy_key<&A::region>},
    {"account", AzureScope::batch, text_key<&A::account, read_batch_account>, copy_key<&A::account>},
    {"account_url", AzureScope::batch, text_key<&A::account_url, read_account_url>, copy_key<&A::account_url>},
    {"account_key_file", AzureScope::batch, text_key<&A::batch_key_file, read_account_key_file>,
     copy_key<&A::batch_key_file>},
    {"subnet", AzureScope::any, text_key<&A::subnet, read_azure_subnet>, copy_key<&A::subnet>},
    {"image", AzureScope::any, text_key<&A::image, read_azure_image>, copy_key<&A::image>},
    {"node_agent", AzureScope::batch, read_node_agent, copy_key<&A::node_agent>},
    {"node_identity", AzureScope::any, text_key<&A::node_identity, read_node_identity>, copy_key<&A::node_identity>},
    {"agent_url", AzureScope::any, read_agent_url, copy_key<&A::agent_url>},
    {"admin", AzureScope::any, read_admin, copy_admin},
    {"tags", AzureScope::any, read_tags, copy_key<&A::tags>},
    {"inter_node", AzureScope::batch, bool_key<&A::inter_node>, copy_key<&A::inter_node>},
    {"resize_timeout", AzureScope::batch, read_resize_timeout, copy_key<&A::resize_timeout>},
    {"mounts", AzureScope::batch, read_mounts, copy_key<&A::mounts>},
    {"eviction_policy", AzureScope::scale_set, read_eviction_policy, copy_key<&A::evicted_are_deleted>},
    {"priority_mix", AzureScope::scale_set, read_priority_mix, copy_key<&A::priority_mix>},
    {"capacity_reservation", AzureScope::scale_set, text_key<&A::capacity_reservation, read_reservation>,
     copy_key<&A::capacity_reservation>},
    {"accelerated_network", AzureScope::scale_set, bool_key<&A::accelerated_network>,
     copy_key<&A::accelerated_network>},
}};
constexpr std::array<std::string_view, 3> cloud_keys = {"cloud", "identity", "endpoints"};

constexpr std::string_view of_the_cluster = "belongs to the cluster's own 'azure' section, for one daemon calls Azure";
constexpr std::string_view of_the_pool = "belongs to the pool itself; write it beside 'azure', not in it";
constexpr std::array<LaterKey, 9> elsewhere = {{{"machines", of_the_pool},
                                                {"machine", of_the_pool},
                                                {"zones", of_the_pool},
                                                {"market", of_the_pool},
                                                {"placement", of_the_pool},
                                                {"boot_timeout", of_the_pool},
                                                {"cloud", of_the_cluster},
                                                {"identity", of_the_cluster},
                                                {"endpoints", of_the_cluster}}};
constexpr std::array<Synonym, 19> synonyms = {{{"type", "kind"},
                                               {"location", "region"},
                                               {"subscription_id", "subscription"},
                                               {"resource_group_name", "resource_group"},
                                               {"group", "resource_group"},
                                               {"batch_account", "account"},
                                               {"url", "account_url"},
                                               {"network", "subnet"},
                                               {"vnet", "subnet"},
                                               {"subnet_id", "subnet"},
                                               {"node_agent_sku", "node_agent"},
                                               {"node_agent_sku_id", "node_agent"},
                                               {"managed_identity", "node_identity"},
                                               {"ssh", "admin"},
                                               {"ssh_key", "admin"},
                                               {"admin_key", "admin"},
                                               {"inter_node_communication", "inter_node"},
                                               {"eviction", "eviction_policy"},
                                               {"mount", "mounts"}}};

}  // namespace

std::span<const AzureKey> azure_keys() {
  return keys;
}

std::string_view to_string(AzurePoolKind kind) {
  return kinds[static_cast<size_t>(kind)];
}

AzureSettings read_azure(Context& context, const Field& field, AzureLevel level) {
  AzureSettings settings;
  settings.field = field;
  std::vector<std::string_view> known;
  known.reserve(keys.size() + cloud_keys.size());
  for (const AzureKey& key : keys) known.push_back(key.name);
  const bool whole = level == AzureLevel::cluster;
  if (whole) known.insert(known.end(), cloud_keys.begin(), cloud_keys.end());
  const std::span<const LaterKey> later(elsewhere);
  MapReader map(context.problems, field,
                {known, whole ? later.first(later.size() - cloud_keys.size()) : later, synonyms, "'account_key_file'"});
  for (const AzureKey& key : keys) {
    if (auto value = map.get(key.name)) {
      key.read(context, *value, settings.values);
      settings.given.emplace(key.name, *value);
    } else if (!map.lacks(key.name)) {
      settings.reported.insert(key.name);
    }
  }
  if (whole) read_azure_cloud(context, map, settings.cloud);
  return settings;
}

}  // namespace slipway::config
