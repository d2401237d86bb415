// The sections of the cluster file, one reader each, and what they hand to the checks that look across sections
// (checks.cc).
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "config/fields.h"
#include "config/read_azure.h"

namespace slipway::config {

// One file being read.
struct Context {
  Problems& problems;
  const std::filesystem::path& folder;
  bool check_paths = false;
  std::string cluster{};        // its name
  size_t prep_bytes = 0;        // of all scripts so far
  size_t names_left = 100'000;  // that hostlists may still expand to, all together
};

// What was read, with the places that a later complaint must point at. Things whose name or values were refused are
// here too, so that one mistake isn't reported again wherever the thing is referred to.
struct PoolDraft {
  model::Pool pool;
  Position name_at;
  Position max_at;
  // Of keys that the file needn't have: line 0 when it hasn't.
  Position market_at;
  Position zones_at;
  Position placement_at;
  Position spares_at;
  Position billing_at;
  Position tolerance_at;
  Position machines_at;
  Position cpus_at;
  Position memory_at;
  std::vector<Word> machine_words;  // as the file has them
  // Of a pool with provider azure: where what it has was written, its sizes as far as the catalogue knows them, and
  // what every one of these has.
  std::map<std::string_view, Field> azure_given;
  std::vector<const catalog::MachineType*> types;
  std::optional<model::Shape> catalogue_shape;
};
// What the cluster says for all its pools.
struct PoolDefaults {
  std::optional<model::ProviderKind> provider;  // unset: the file's was refused
  const AzureSettings& azure;
};
struct PartitionDraft {
  model::Partition partition;
  Position name_at;
  std::vector<Word> pools;
  bool pools_refused = false;  // some were given, and reported
  Position default_at;         // of 'default: true'
};
struct ExistingDraft {
  model::ExistingNodes nodes;
  std::vector<std::string> names;
  Position nodes_at;
  Position partition_at;
};
struct Draft {
  model::Cluster cluster;
  std::vector<PoolDraft> pools;
  bool has_partitions = false;  // the file has the section
  std::vector<PartitionDraft> partitions;
  std::vector<ExistingDraft> existing;
  std::vector<Word> reclaim_exclude;
  Position subnet_at;
  AzureSettings azure;
};

model::RoleMachines read_role(Context& context, const Field& field, uint64_t count_max, std::string_view above_max);
std::vector<model::SharedFolder> read_storage(Context& context, const Field& field);
std::vector<model::User> read_users(Context& context, const Field& field);
std::vector<PoolDraft> read_pools(Context& context, const Field& field, const PoolDefaults& defaults);
// Of a pool: what stays up without a job.
model::Warm read_warm(Context& context, const Field& field, uint32_t max);
// Of a pool: what its provider is asked for, and what becomes of a job whose machine is taken.
void read_offers(Context& context, const MapReader& map, PoolDraft& draft);
model::LaunchWindow read_launch_window(Context& context, const Field& field);
std::optional<model::ApiBudget> read_api(Context& context, const Field& field);
std::vector<PartitionDraft> read_partitions(Context& context, const Field& field);
std::vector<ExistingDraft> read_existing(Context& context, const Field& field);

// One that this release has, or a plain refusal.
std::optional<model::ProviderKind> read_provider(Context& context, const Field& field);
// A duration, or "never" with a warning.
std::optional<Duration> read_idle_reclaim(Context& context, const Field& field);
// An absolute path of a folder with a root file system.
std::string read_image(Context& context, const Field& field);
// The text of a script, from its file or written in place.
std::string read_prep(Context& context, const Field& field);

// Keys for slurm.conf itself or for a partition's line, as Slurm spells them.
enum class SlurmLine { global, partition };
std::map<std::string, std::string> read_passthrough(Context& context, const Field& field, SlurmLine line);
// The keys of an existing node's line, "CPUs=64 RealMemory=250000", with single spaces.
std::string read_node_keys(Context& context, const Field& field);

// What is legal but unwise, and shows only when the sections are laid side by side. `draft.cluster` is whole and
// without errors.
void advise(Context& context, const Draft& draft);
void advise_on_azure(Context& context, const Draft& draft);

// Looks across sections, fills in what depends on several, and moves everything into `draft.cluster`.
void check_and_join(Context& context, Draft& draft);

}  // namespace slipway::config
