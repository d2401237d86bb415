// The `azure` sections of a cluster file: the cluster's, which says who calls Azure and what its pools have in common,
// and a pool's, whose keys replace the cluster's.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>

#include "config/fields.h"

namespace slipway::config {

struct Context;
struct PoolDraft;

struct AzureSettings {
  std::optional<Field> field;  // of the section; unset: the file has none
  model::AzurePool values;     // meaningful for the keys that were given
  std::map<std::string_view, Field> given;
  std::set<std::string_view> reported;  // keys that are there misspelled, and everything when the section can't be read
  model::AzureCloud cloud;              // of the cluster's section
  bool lacks(std::string_view key) const { return !given.contains(key) && !reported.contains(key); }
};

enum class AzureLevel { cluster, pool };
AzureSettings read_azure(Context& context, const Field& field, AzureLevel level);
// The keys of the cluster's section alone.
void read_azure_cloud(Context& context, const MapReader& map, model::AzureCloud& cloud);
std::vector<model::AzureMount> read_azure_mounts(Context& context, const Field& field);

// Fills in what a pool with provider azure takes from both sections and from the catalogue of machine types, and
// checks what only shows when its keys are laid side by side. `map` has the pool's own keys.
void complete_azure_pool(Context& context, const MapReader& map, const AzureSettings& cluster, const AzureSettings& own,
                         PoolDraft& draft);

// The sections' keys that some pools have no use for.
enum class AzureScope { any, batch, scale_set };
struct AzureKey {
  std::string_view name;
  AzureScope scope;
  void (*read)(Context&, const Field&, model::AzurePool&);
  void (*copy)(const model::AzurePool& from, model::AzurePool& to);
};
std::span<const AzureKey> azure_keys();
std::string_view to_string(model::AzurePoolKind kind);

}  // namespace slipway::config
