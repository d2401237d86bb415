#include <algorithm>
#include <array>
#include <set>

#include "config/names.h"
#include "config/read.h"
#include "config/units.h"
#include "config/words.h"

namespace slipway::config {
namespace {

constexpr uint64_t nodes_max = 100'000;
constexpr uint64_t cpus_max = 65'533;           // Slurm counts CPUs in 16 bits
constexpr uint64_t weight_max = 4'000'000'000;  // and weights in 32
constexpr uint64_t memory_mib_min = 64;         // less doesn't start slurmd
constexpr uint64_t memory_mib_max = 64ull << 20;
constexpr Duration boot_timeout_default = std::chrono::seconds(60);
constexpr size_t list_max = 64;

constexpr std::array<std::string_view, 20> pool_keys = {
    "max",          "warm",   "cpus",           "memory",   "gres",     "features", "idle_reclaim",
    "boot_timeout", "weight", "image",          "prep",     "machines", "zones",    "market",
    "placement",    "spares", "billing_period", "eviction", "provider", "azure"};
constexpr std::array<LaterKey, 3> pool_later = {
    {{"containers", "isn't available yet; leave it out"},
     {"scratch", "isn't available yet; leave it out"},
     {"aws", "isn't available yet: this release has the providers local and azure; leave it out"}}};
constexpr std::array<Synonym, 22> pool_synonyms = {{{"size", "max"},
                                                    {"count", "max"},
                                                    {"nodes", "max"},
                                                    {"max_nodes", "max"},
                                                    {"min", "warm"},
                                                    {"min_nodes", "warm"},
                                                    {"cores", "cpus"},
                                                    {"vcpus", "cpus"},
                                                    {"ram", "memory"},
                                                    {"gpus", "gres"},
                                                    {"gpu", "gres"},
                                                    {"script", "prep"},
                                                    {"type", "machines"},
                                                    {"types", "machines"},
                                                    {"machine_types", "machines"},
                                                    {"instance_type", "machines"},
                                                    {"instance_types", "machines"},
                                                    {"vm_size", "machines"},
                                                    {"availability_zones", "zones"},
                                                    {"spot", "market"},
                                                    {"placement_group", "placement"},
                                                    {"preemption", "eviction"}}};

std::vector<std::string> read_features(Context& context, const Field& field) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const Word& word : read_words(context.problems, field, "a feature like avx512")) {
    if (auto trouble = feature_trouble(word.text); !trouble.empty()) {
      context.problems.error(word.at, field.path + ": " + trouble);
    } else if (!seen.insert(word.text).second) {
      context.problems.error(word.at,
                             field.path + ": the feature " + show(word.text) + " is named twice; expected each once");
    } else {
      out.push_back(word.text);
    }
  }
  if (out.size() > list_max) {
    context.problems.error(field.at, field.path + ": has " + std::to_string(out.size()) +
                                         " features; expected at most " + std::to_string(list_max));
  }
  return out;
}

std::vector<std::string> read_gres(Context& context, const Field& field) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const Word& word : read_words(context.problems, field, "a GRES like gpu:2")) {
    // One text may hold several, as in slurm.conf: "gpu:2,nvme:1".
    for (size_t start = 0; start <= word.text.size();) {
      size_t comma = std::min(word.text.find(',', start), word.text.size());
      auto gres = parse_gres(std::string_view(word.text).substr(start, comma - start));
      start = comma + 1;
      if (!gres) {
        context.problems.error(word.at, field.path + ": " + gres.error().message);
      } else if (!seen.insert(gres_kind(*gres)).second) {
        context.problems.error(word.at, field.path + ": the GRES " + show(gres_kind(*gres)) +
                                            " is named twice; expected each once, with its whole count");
      } else {
        out.push_back(*gres);
      }
    }
  }
  if (out.size() > list_max) {
    context.problems.error(field.at, field.path + ": has " + std::to_string(out.size()) + " GRES; expected at most " +
                                         std::to_string(list_max));
  }
  return out;
}

// The pool's own section, which only a pool with that provider may have.
AzureSettings read_own_azure(Context& context, const MapReader& map, std::optional<model::ProviderKind> provider) {
  auto field = map.get("azure");
  if (!field || !provider) return {};
  if (*provider == model::ProviderKind::azure) return read_azure(context, *field, AzureLevel::pool);
  context.problems.error(field->at, field->path +
                                        ": is for pools with provider azure, and this one's is local; write provider: "
                                        "azure in the pool, or leave it out");
  return {};
}

PoolDraft read_pool(Context& context, const NamedField& named, const PoolDefaults& defaults) {
  Problems& problems = context.problems;
  PoolDraft draft;
  draft.name_at = named.key_at;
  draft.max_at = named.key_at;
  model::Pool& pool = draft.pool;
  pool.name = PoolName(named.name);
  pool.boot_timeout = boot_timeout_default;
  MapReader map(problems, named.field, {pool_keys, pool_later, pool_synonyms});
  if (!map.usable()) return draft;
  std::optional<model::ProviderKind> provider = defaults.provider;
  if (auto own = map.get("provider")) provider = read_provider(context, *own);
  pool.provider = provider.value_or(model::ProviderKind::local);
  if (auto max = map.get("max")) {
    draft.max_at = max->at;
    if (auto number = read_count(problems, *max, 1, nodes_max)) pool.max = static_cast<uint32_t>(*number);
  } else if (map.lacks("max")) {
    problems.error(
        named.key_at,
        named.field.path + ": 'max' is missing; expected how many nodes the pool may grow to, for example max: 4");
  }
  if (auto warm = map.get("warm")) pool.warm = read_warm(context, *warm, pool.max);
  if (auto cpus = map.get("cpus")) {
    draft.cpus_at = cpus->at;
    if (auto number = read_count(problems, *cpus, 1, cpus_max)) pool.shape.cpus = static_cast<uint32_t>(*number);
  }
  if (auto memory = map.get("memory")) {
    draft.memory_at = memory->at;
    if (auto text = read_text(problems, *memory, "a size like 4GiB")) {
      auto mib = parse_memory_mib(*text);
      if (!mib) {
        problems.error(memory->at, memory->path + ": " + mib.error().message);
      } else if (*mib < memory_mib_min || *mib > memory_mib_max) {
        problems.error(memory->at, memory->path + ": " + show(*text) +
                                       (*mib < memory_mib_min ? " is too small" : " is too large") +
                                       "; expected from 64MiB to 64TiB");
      } else {
        pool.shape.memory_mib = *mib;
      }
    }
  }
  if (auto gres = map.get("gres")) pool.shape.gres = read_gres(context, *gres);
  if (auto features = map.get("features")) pool.features = read_features(context, *features);
  if (auto idle = map.get("idle_reclaim")) pool.idle_reclaim = read_idle_reclaim(context, *idle);
  if (auto boot = map.get("boot_timeout")) {
    if (auto time = read_duration(problems, *boot, std::chrono::seconds(1), std::chrono::hours(24)))
      pool.boot_timeout = *time;
  }
  if (auto weight = map.get("weight")) {
    if (auto number = read_count(problems, *weight, 0, weight_max)) pool.weight = static_cast<uint32_t>(*number);
  }
  const bool azure = provider == model::ProviderKind::azure;
  if (auto image = azure ? std::nullopt : map.get("image")) pool.image = read_image(context, *image);
  if (auto prep = map.get("prep")) pool.prep = read_prep(context, *prep);
  read_offers(context, map, draft);
  const AzureSettings own = read_own_azure(context, map, provider);
  if (azure) complete_azure_pool(context, map, defaults.azure, own, draft);
  return draft;
}

}  // namespace

std::vector<PoolDraft> read_pools(Context& context, const Field& field, const PoolDefaults& defaults) {
  std::vector<PoolDraft> out;
  auto pools = read_named(context.problems, field, "{max: 4}");
  if (field.node->kind == NodeKind::map && field.node->entries.empty()) {
    context.problems.error(field.at, field.path + ": is empty; expected at least one pool, for example cpu: {max: 4}");
  }
  for (const NamedField& named : pools) {
    if (auto trouble = pool_name_trouble(named.name); !trouble.empty()) {
      context.problems.error(named.key_at, field.path + ": " + trouble);
    }
    if (named.field.node->kind == NodeKind::nothing) {
      context.problems.error(named.key_at,
                             named.field.path + ": has no keys; expected at least 'max', for example {max: 4}");
      out.push_back({model::Pool{.name = PoolName(named.name)}, named.key_at, named.key_at});
      continue;
    }
    out.push_back(read_pool(context, named, defaults));
  }
  return out;
}

}  // namespace slipway::config
