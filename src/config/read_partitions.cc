#include <algorithm>
#include <array>

#include "base/hostlist.h"
#include "config/names.h"
#include "config/read.h"
#include "config/units.h"

namespace slipway::config {
namespace {

constexpr uint64_t priority_tier_max = 65'533;  // Slurm keeps it in 16 bits
constexpr std::chrono::seconds time_limit_max = std::chrono::hours(24 * 3650);

constexpr std::array<std::string_view, 7> partition_keys = {"pools",         "default",      "max_time", "default_time",
                                                            "priority_tier", "idle_reclaim", "slurm"};
constexpr std::string_view of_pools = "belongs to pools; write it under each pool of the partition";
constexpr std::array<LaterKey, 6> partition_later = {{{"placement", of_pools},
                                                      {"market", of_pools},
                                                      {"machines", of_pools},
                                                      {"zones", of_pools},
                                                      {"warm", of_pools},
                                                      {"eviction", of_pools}}};
constexpr std::array<Synonym, 7> partition_synonyms = {{{"pool", "pools"},
                                                        {"nodes", "pools"},
                                                        {"time_limit", "max_time"},
                                                        {"time", "max_time"},
                                                        {"MaxTime", "max_time"},
                                                        {"priority", "priority_tier"},
                                                        {"options", "slurm"}}};
constexpr std::array<std::string_view, 4> existing_keys = {"nodes", "slurm", "partition", "address"};
constexpr std::array<Synonym, 4> existing_synonyms = {
    {{"partitions", "partition"}, {"addresses", "address"}, {"name", "nodes"}, {"hosts", "nodes"}}};

std::optional<SlurmTime> read_time(Context& context, const Field& field) {
  auto text = read_text(context.problems, field, "a time limit like 2-00:00:00, 12h or UNLIMITED");
  if (!text) return std::nullopt;
  auto time = parse_slurm_time(*text);
  if (!time) {
    context.problems.error(field.at, field.path + ": " + time.error().message);
    return std::nullopt;
  }
  if (time->length && time->length->count() == 0) {
    context.problems.error(field.at,
                           field.path + ": " + show(*text) + " lets no job run; expected a time, or UNLIMITED");
    return std::nullopt;
  }
  if (time->length && *time->length > time_limit_max) {
    context.problems.error(field.at, field.path + ": " + show(*text) + " is longer than ten years; write UNLIMITED");
    return std::nullopt;
  }
  return *time;
}

PartitionDraft read_partition(Context& context, const NamedField& named) {
  Problems& problems = context.problems;
  PartitionDraft draft;
  draft.name_at = named.key_at;
  model::Partition& partition = draft.partition;
  partition.name = PartitionName(named.name);
  MapReader map(problems, named.field, {partition_keys, partition_later, partition_synonyms});
  draft.pools_refused = !map.usable();
  if (!map.usable()) return draft;
  if (auto pools = map.get("pools")) {
    draft.pools = read_words(problems, *pools, "a pool's name");
    bool is_empty_list = pools->node->kind == NodeKind::list && pools->node->items.empty();
    draft.pools_refused = draft.pools.empty() && !is_empty_list;
  } else {
    draft.pools_refused = map.has("pools");
  }
  if (auto is_default = map.get("default")) {
    draft.default_at = is_default->at;
    partition.is_default = read_bool(problems, *is_default).value_or(false);
  }
  std::optional<SlurmTime> max_time;
  if (auto time = map.get("max_time")) {
    max_time = read_time(context, *time);
    if (max_time) partition.max_time = max_time->text;
  }
  if (auto time = map.get("default_time")) {
    if (auto default_time = read_time(context, *time)) {
      partition.default_time = default_time->text;
      bool longer =
          max_time && max_time->length && (!default_time->length || *default_time->length > *max_time->length);
      if (longer) {
        problems.error(time->at, time->path + ": " + show(default_time->text) +
                                     " is longer than the partition's max_time of " + max_time->text +
                                     ", so no job without --time could run; make it at most that");
      }
    }
  }
  if (auto tier = map.get("priority_tier")) {
    if (auto number = read_count(problems, *tier, 0, priority_tier_max))
      partition.priority_tier = static_cast<uint32_t>(*number);
  }
  if (auto idle = map.get("idle_reclaim")) partition.idle_reclaim = read_idle_reclaim(context, *idle);
  if (auto slurm = map.get("slurm")) partition.slurm = read_passthrough(context, *slurm, SlurmLine::partition);
  return draft;
}

// The names of a hostlist, each fit to be one; empty after a report.
std::vector<std::string> read_hosts(Context& context, const Field& field, const std::string& text, bool are_addresses) {
  auto names = expand_hostlist(text, context.names_left);
  if (!names) {
    context.problems.error(field.at,
                           field.path + ": " + names.error().message + "; expected names like rack[01-20] or a,b,c");
    return {};
  }
  context.names_left -= names->size();
  for (const std::string& name : *names) {
    std::string trouble = host_name_trouble(name);
    bool is_ipv6 =
        are_addresses && !name.empty() && name.find_first_not_of("0123456789abcdefABCDEF:.") == std::string::npos;
    if (trouble.empty() || is_ipv6) continue;
    context.problems.error(field.at, field.path + ": " + trouble);
    return {};
  }
  return std::move(*names);
}

}  // namespace

std::vector<PartitionDraft> read_partitions(Context& context, const Field& field) {
  std::vector<PartitionDraft> out;
  auto partitions = read_named(context.problems, field, "{pools: [cpu]}");
  if (field.node->kind == NodeKind::map && field.node->entries.empty()) {
    context.problems.error(
        field.at,
        field.path + ": is empty; expected at least one, or leave it out for one partition 'batch' of all pools");
  }
  for (const NamedField& named : partitions) {
    if (auto trouble = partition_name_trouble(named.name); !trouble.empty()) {
      context.problems.error(named.key_at, field.path + ": " + trouble);
    }
    if (named.field.node->kind == NodeKind::nothing) {
      context.problems.error(named.key_at,
                             named.field.path + ": has no keys; expected at least 'pools', for example {pools: [cpu]}");
      continue;
    }
    out.push_back(read_partition(context, named));
  }
  return out;
}

std::vector<ExistingDraft> read_existing(Context& context, const Field& field) {
  Problems& problems = context.problems;
  std::vector<ExistingDraft> out;
  for (const Field& item : read_list(
           problems, field, "{nodes: \"rack[01-20]\", slurm: \"CPUs=64 RealMemory=250000\", partition: onprem}")) {
    ExistingDraft draft;
    MapReader map(problems, item, {existing_keys, {}, existing_synonyms});
    if (!map.usable()) continue;
    draft.nodes_at = draft.partition_at = item.at;
    if (auto nodes = map.get("nodes")) {
      draft.nodes_at = nodes->at;
      if (auto text = read_text(problems, *nodes, "node names like rack[01-20]")) {
        draft.nodes.nodes = *text;
        draft.names = read_hosts(context, *nodes, *text, false);
      }
    } else if (map.lacks("nodes")) {
      problems.error(item.at, item.path + ": 'nodes' is missing; expected node names like rack[01-20]");
    }
    if (auto slurm = map.get("slurm")) {
      draft.nodes.slurm = read_node_keys(context, *slurm);
    } else if (map.lacks("slurm")) {
      problems.warning(
          item.at,
          item.path +
              ": without 'slurm' Slurm takes these nodes for ones with one CPU and 1 MB; add, for example, slurm: "
              "\"CPUs=64 RealMemory=250000\"");
    }
    if (auto partition = map.get("partition")) {
      draft.partition_at = partition->at;
      if (auto text = read_text(problems, *partition, "a partition's name")) {
        draft.nodes.partition = PartitionName(*text);
        if (auto trouble = partition_name_trouble(*text); !trouble.empty()) {
          problems.error(partition->at, partition->path + ": " + trouble);
          draft.nodes.partition = PartitionName();
        }
      }
    } else if (map.lacks("partition")) {
      problems.error(
          item.at,
          item.path + ": 'partition' is missing; expected the one that these nodes are in (a new name makes one)");
    }
    if (auto address = map.get("address")) {
      if (auto text = read_text(problems, *address, "addresses like 10.0.0.[1-20]")) {
        auto addresses = read_hosts(context, *address, *text, true);
        draft.nodes.address = *text;
        if (!addresses.empty() && !draft.names.empty() && addresses.size() != draft.names.size()) {
          problems.error(address->at, address->path + ": has " + std::to_string(addresses.size()) + " addresses for " +
                                          std::to_string(draft.names.size()) +
                                          " nodes; expected one for each, in the same order");
        }
      }
    }
    out.push_back(std::move(draft));
  }
  return out;
}

}  // namespace slipway::config
