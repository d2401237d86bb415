#include <algorithm>

#include "engine/view.h"

namespace slipway::engine {

namespace {

// Market by market, in each machine by machine, of each zone by zone.
std::vector<Spec::Way> ways_of(const model::Pool& pool) {
  const std::vector<std::string> any{""};
  std::vector<Spec::Way> ways;
  for (const model::Market market : pool.markets) {
    for (const std::string& machine : pool.machines.empty() ? any : pool.machines) {
      for (const std::string& zone : pool.zones.empty() ? any : pool.zones) {
        ways.push_back({.market = market, .offer = {.machine = machine, .zone = zone}});
      }
    }
  }
  return ways;
}

}  // namespace

Spec make_spec(const model::Cluster& cluster) {
  Spec spec;
  spec.cluster = cluster.name;
  spec.pools.reserve(cluster.pools.size());
  for (const model::Pool& pool : cluster.pools) {
    Spec::Pool made;
    made.name = pool.name;
    made.max = pool.max;
    made.warm = pool.warm;
    made.ways = ways_of(pool);
    made.placement = pool.placement;
    made.spares = pool.spares;
    made.billing_period = pool.billing_period;
    made.eviction = pool.eviction;
    made.idle_reclaim = model::idle_reclaim_of(cluster, pool);
    made.boot_timeout = pool.boot_timeout > Duration::zero() ? pool.boot_timeout : Duration(300'000);
    made.register_timeout = Duration(60'000);
    spec.pools.push_back(std::move(made));
  }
  spec.launch_window = cluster.launch_window.value_or(model::LaunchWindow{});
  spec.accounts.push_back(cluster.api.value_or(model::ApiBudget{}));
  for (const std::string& node : cluster.reclaim_exclude) spec.reclaim_exclude.emplace_back(node);
  std::sort(spec.reclaim_exclude.begin(), spec.reclaim_exclude.end());
  return spec;
}

}  // namespace slipway::engine
