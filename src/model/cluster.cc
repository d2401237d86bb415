#include "model/cluster.h"

#include <algorithm>

namespace slipway::model {

NodeName node_name(const PoolName& pool, uint32_t number) {
  constexpr size_t digits_min = 4;
  const std::string digits = std::to_string(number);
  const size_t padding = digits_min - std::min(digits_min, digits.size());
  return NodeName(pool.str() + "-" + std::string(padding, '0') + digits);
}

Duration idle_reclaim_of(const Cluster& cluster, const Pool& pool) {
  if (pool.idle_reclaim) {
    return *pool.idle_reclaim;
  }
  // The longest, because a node serves all its partitions: none of them may lose it sooner than its users were told.
  std::optional<Duration> longest;
  for (const Partition& partition : cluster.partitions) {
    const bool holds = std::find(partition.pools.begin(), partition.pools.end(), pool.name) != partition.pools.end();
    if (holds && partition.idle_reclaim) {
      longest = std::max(longest.value_or(*partition.idle_reclaim), *partition.idle_reclaim);
    }
  }
  return longest.value_or(cluster.idle_reclaim);
}

}  // namespace slipway::model
