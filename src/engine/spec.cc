#include <algorithm>

#include "engine/view.h"

namespace slipway::engine {

Spec make_spec(const model::Cluster& cluster) {
  Spec spec;
  spec.cluster = cluster.name;
  spec.pools.reserve(cluster.pools.size());
  for (const model::Pool& pool : cluster.pools) {
    Spec::Pool made;
    made.name = pool.name;
    made.max = pool.max;
    made.warm = std::min(pool.warm, pool.max);
    made.idle_reclaim = model::idle_reclaim_of(cluster, pool);
    made.boot_timeout = pool.boot_timeout > Duration::zero() ? pool.boot_timeout : Duration(300'000);
    made.register_timeout = Duration(60'000);
    spec.pools.push_back(std::move(made));
  }
  for (const std::string& node : cluster.reclaim_exclude) spec.reclaim_exclude.emplace_back(node);
  std::sort(spec.reclaim_exclude.begin(), spec.reclaim_exclude.end());
  return spec;
}

}  // namespace slipway::engine
