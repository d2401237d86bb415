// What only shows when the sections are laid side by side: references, sums, names that collide, defaults that depend
// on others.
#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/hostlist.h"
#include "config/names.h"
#include "config/read.h"
#include "config/units.h"
#include "config/words.h"

namespace slipway::config {
namespace {

// A Linux bridge has 1023 ports; the rest is for controllers, logins and machines on their way out.
constexpr uint64_t local_nodes_max = 1000;
constexpr uint64_t nodes_max = 100'000;  // of the cluster: what everything here is made and tested for
constexpr std::string_view partition_default = "batch";

void check_sum(Context& context, const Draft& draft) {
  uint64_t sum = 0, all = 0;
  for (const PoolDraft& pool : draft.pools) {
    const bool all_fitted = all <= nodes_max;
    all += pool.pool.max;
    if (all > nodes_max && all_fitted) {
      context.problems.error(pool.max_at, "pools." + pool.pool.name.str() + ".max: with it the pools may grow to " +
                                              std::to_string(all) + " nodes; a cluster has at most " +
                                              std::to_string(nodes_max) + "; lower 'max'");
    }
    if (pool.pool.provider != model::ProviderKind::local) continue;
    bool fitted = sum <= local_nodes_max;
    sum += pool.pool.max + static_cast<uint64_t>(pool.pool.spares * pool.pool.max);
    if (sum > local_nodes_max && fitted) {
      context.problems.error(
          pool.max_at, "pools." + pool.pool.name.str() + ".max: with it the pools may grow to " + std::to_string(sum) +
                           (pool.pool.spares > 0 ? " nodes and spares" : " nodes") +
                           "; a cluster on one box has at most " + std::to_string(local_nodes_max) +
                           ", for its machines hang on one Linux bridge, which has 1023 ports; lower 'max'");
    }
  }
  const model::Cluster& cluster = draft.cluster;
  if (cluster.subnet.empty()) return;
  auto machines = subnet_machines(cluster.subnet);
  uint64_t wanted = sum + cluster.controllers.count + cluster.logins.count;
  if (machines && wanted > *machines && sum <= local_nodes_max) {
    context.problems.error(draft.subnet_at, "local.subnet: " + cluster.subnet + " has addresses for " +
                                                std::to_string(*machines) + " machines, and the cluster may have " +
                                                std::to_string(wanted) +
                                                "; take a larger one, for example a /20, or leave it out");
  }
}

void join_partitions(Context& context, Draft& draft) {
  Problems& problems = context.problems;
  std::vector<std::string> pool_names;
  for (const PoolDraft& pool : draft.pools) pool_names.push_back(pool.pool.name.str());
  std::set<std::string> used;
  bool refused = false;  // some partition's pools are unknown, so that none can be called unused
  if (!draft.has_partitions) {
    PartitionDraft all;
    all.partition.name = PartitionName(partition_default);
    for (const PoolDraft& pool : draft.pools) all.partition.pools.push_back(pool.pool.name);
    draft.partitions.push_back(std::move(all));
    used.insert(pool_names.begin(), pool_names.end());
  }
  for (PartitionDraft& partition : draft.partitions) {
    refused = refused || partition.pools_refused;
    std::set<std::string> own;
    for (const Word& word : partition.pools) {
      std::string path = "partitions." + partition.partition.name.str() + ".pools: ";
      used.insert(word.text);
      if (std::find(pool_names.begin(), pool_names.end(), word.text) == pool_names.end()) {
        refused = true;
        std::string hint = problems.full() ? "" : did_you_mean(word.text, pool_names);
        if (hint.empty() && !pool_names.empty()) hint = "; there are " + enumerate(pool_names);
        problems.error(word.at, join({path, "there is no pool ", show(word.text), hint}));
      } else if (!own.insert(word.text).second) {
        problems.error(word.at, path + "the pool " + show(word.text) + " is named twice; expected each once");
      } else {
        partition.partition.pools.push_back(PoolName(word.text));
      }
    }
  }
  if (refused || draft.partitions.empty()) return;
  for (const PoolDraft& pool : draft.pools) {
    if (used.contains(pool.pool.name.str())) continue;
    problems.warning(pool.name_at,
                     "pools." + pool.pool.name.str() +
                         ": no partition uses this pool, so it can never run a job; name it in a partition's 'pools'");
  }
}

// Whose node a name is, without writing down the names of all nodes there may be.
class PoolNodes {
 public:
  explicit PoolNodes(const std::vector<PoolDraft>& pools) {
    for (const PoolDraft& pool : pools) max_.emplace(pool.pool.name.str(), pool.pool.max);
  }
  // The pool's name; empty: no pool has such a node.
  std::string owner(const std::string& node) const {
    const size_t dash = node.rfind('-');
    const auto number =
        dash == std::string::npos ? std::nullopt : parse_digits(std::string_view(node).substr(dash + 1));
    if (!number) return "";
    const auto pool = max_.find(node.substr(0, dash));
    if (pool == max_.end() || *number < 1 || *number > pool->second) return "";
    const auto name = model::node_name(PoolName(pool->first), static_cast<uint32_t>(*number));
    return name.str() == node ? pool->first : "";
  }

 private:
  std::unordered_map<std::string, uint32_t> max_;
};

void join_existing(Context& context, Draft& draft) {
  Problems& problems = context.problems;
  const PoolNodes pool_nodes(draft.pools);
  std::unordered_map<std::string, std::string> owner;
  std::vector<std::string> file_names;
  for (const PartitionDraft& partition : draft.partitions) file_names.push_back(partition.partition.name.str());
  size_t number = 0;
  for (ExistingDraft& existing : draft.existing) {
    std::string path = "existing[" + std::to_string(++number) + "].";
    for (const std::string& name : existing.names) {
      const std::string pool = pool_nodes.owner(name);
      auto [first, fresh] = owner.emplace(name, "existing[" + std::to_string(number) + "]");
      if (fresh && pool.empty()) continue;
      problems.error(existing.nodes_at, path + "nodes: the node name " + show(name) + " is there already, in " +
                                            (pool.empty() ? first->second : "pool " + pool) +
                                            "; expected each name once");
      break;
    }
    const std::string& wanted = existing.nodes.partition.str();
    if (wanted.empty()) continue;
    auto is_wanted = [&](const PartitionDraft& partition) { return partition.partition.name.str() == wanted; };
    auto found = std::find_if(draft.partitions.begin(), draft.partitions.end(), is_wanted);
    if (found == draft.partitions.end()) {
      // A new partition is fine, a misspelled old one isn't; which of the two it is shows only to a person.
      if (std::string hint = problems.full() ? "" : did_you_mean(wanted, file_names); !hint.empty()) {
        problems.warning(existing.partition_at,
                         join({path, "partition: this makes a new partition ", show(wanted), hint}));
      }
      PartitionDraft fresh;
      fresh.partition.name = PartitionName(wanted);
      fresh.name_at = existing.partition_at;
      draft.partitions.push_back(std::move(fresh));
      found = draft.partitions.end() - 1;
    }
    found->partition.existing.push_back(existing.nodes.nodes);
  }
}

void check_partitions(Context& context, Draft& draft) {
  Problems& problems = context.problems;
  const PartitionDraft* marked = nullptr;
  for (PartitionDraft& partition : draft.partitions) {
    std::string path = "partitions." + partition.partition.name.str();
    if (draft.has_partitions && !partition.pools_refused && partition.pools.empty() &&
        partition.partition.pools.empty() && partition.partition.existing.empty()) {
      problems.error(partition.name_at,
                     path + ": has no nodes; expected 'pools' with at least one, or 'existing' nodes in it");
    }
    if (!partition.partition.is_default) continue;
    if (marked != nullptr) {
      problems.error(partition.default_at, path + ".default: " + show(marked->partition.name.str()) +
                                               " is the default partition already, in line " +
                                               std::to_string(marked->default_at.line) +
                                               "; expected one; remove the other mark");
    } else {
      marked = &partition;
    }
  }
  if (marked == nullptr && !draft.partitions.empty()) draft.partitions.front().partition.is_default = true;
}

void join_reclaim_exclude(Context& context, Draft& draft) {
  const PoolNodes pool_nodes(draft.pools);
  std::unordered_set<std::string> seen;
  for (const Word& word : draft.reclaim_exclude) {
    auto names = expand_hostlist(word.text, context.names_left);
    if (!names) {
      context.problems.error(
          word.at, "reclaim_exclude: " + names.error().message + "; expected node names like cpu-[0001-0004]");
      continue;
    }
    context.names_left -= names->size();
    size_t missing = 0;
    std::string first_missing;
    for (const std::string& name : *names) {
      if (!pool_nodes.owner(name).empty()) {
        if (seen.insert(name).second) draft.cluster.reclaim_exclude.push_back(name);
      } else if (++missing == 1) {
        first_missing = name;
      }
    }
    if (missing == 0) continue;
    if (context.problems.full()) {
      context.problems.error(word.at, "no such node");  // only counted
      continue;
    }
    // "cpu-1" for "cpu-0001", "cpu-0065" of 64, or no pool at all.
    std::string hint;
    for (const PoolDraft& pool : draft.pools) {
      if (pool.pool.max == 0 || !first_missing.starts_with(pool.pool.name.str() + "-")) continue;
      hint = "; pool " + pool.pool.name.str() + " has " + model::node_name(pool.pool.name, 1).str();
      if (pool.pool.max > 1) hint += " to " + model::node_name(pool.pool.name, pool.pool.max).str();
    }
    std::vector<std::string> firsts;
    for (const PoolDraft& pool : draft.pools) {
      if (pool.pool.max > 0) firsts.push_back(model::node_name(pool.pool.name, 1).str());
    }
    if (hint.empty()) hint = did_you_mean(first_missing, firsts);
    if (hint.empty() && !firsts.empty()) hint = "; node names are like " + firsts.front();
    std::string others = missing > 1 ? " (nor " + std::to_string(missing - 1) + " more of this list)" : "";
    context.problems.error(word.at, join({"reclaim_exclude: there is no node ", show(first_missing), others, hint}));
  }
}

}  // namespace

void check_and_join(Context& context, Draft& draft) {
  check_sum(context, draft);
  join_partitions(context, draft);
  join_existing(context, draft);
  check_partitions(context, draft);
  join_reclaim_exclude(context, draft);
  for (PoolDraft& pool : draft.pools) draft.cluster.pools.push_back(std::move(pool.pool));
  const auto in_azure = [](const model::Pool& pool) { return pool.azure.has_value(); };
  if (std::any_of(draft.cluster.pools.begin(), draft.cluster.pools.end(), in_azure))
    draft.cluster.azure = draft.azure.cloud;
  for (PartitionDraft& partition : draft.partitions) draft.cluster.partitions.push_back(std::move(partition.partition));
  for (ExistingDraft& existing : draft.existing) draft.cluster.existing.push_back(std::move(existing.nodes));
  if (!context.problems.has_errors()) advise(context, draft);
}

}  // namespace slipway::config
