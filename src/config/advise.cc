// Warnings that need the whole cluster. Each is about something that works and will cost jobs, time or money.
#include <algorithm>

#include "config/read.h"
#include "config/units.h"

namespace slipway::config {
namespace {

using model::Market;

bool given(Position at) {
  return at.line > 0;
}

bool buys(const model::Pool& pool, Market market) {
  return std::find(pool.markets.begin(), pool.markets.end(), market) != pool.markets.end();
}

bool has_pool(const model::Partition& partition, const model::Pool& pool) {
  return std::find(partition.pools.begin(), partition.pools.end(), pool.name) != partition.pools.end();
}

// Whether a job may get several nodes of the pool.
bool runs_multi_node_jobs(const model::Cluster& cluster, const model::Pool& pool) {
  if (pool.max < 2) return false;
  return std::any_of(cluster.partitions.begin(), cluster.partitions.end(), [&](const model::Partition& partition) {
    auto limit = partition.slurm.find("MaxNodes");
    return has_pool(partition, pool) && (limit == partition.slurm.end() || limit->second != "1");
  });
}

void advise_on_placement(Problems& problems, const model::Cluster& cluster, const PoolDraft& draft,
                         const model::Pool& pool) {
  if (pool.zones.size() < 2 || !runs_multi_node_jobs(cluster, pool)) return;
  const std::string path = "pools." + pool.name.str() + ".";
  if (!given(draft.placement_at)) {
    problems.warning(draft.zones_at, path +
                                         "zones: the nodes of one job may come to stand in several zones, where they "
                                         "talk slowly and clouds charge for it; write placement: per_job, or "
                                         "placement: none if jobs here don't mind");
  } else if (pool.placement == model::Placement::per_pool) {
    problems.warning(draft.placement_at, path +
                                             "placement: machines next to each other are in one zone, so that with "
                                             "per_pool the other zones can't help out; write per_job, which lets each "
                                             "job have a zone, or leave one zone");
  }
}

void advise_on_money(Problems& problems, const model::Cluster& cluster, const PoolDraft& draft,
                     const model::Pool& pool) {
  const std::string path = "pools." + pool.name.str() + ".";
  Duration idle = model::idle_reclaim_of(cluster, pool);
  if (given(draft.billing_at) && idle > pool.billing_period && idle < model::idle_reclaim_never) {
    problems.warning(draft.billing_at, path + "billing_period: an idle machine stays for idle_reclaim, " +
                                           duration_text(idle) +
                                           ", so it is paid for again before it goes; make idle_reclaim at most " +
                                           duration_text(pool.billing_period) + ", or leave billing_period out");
  }
  if (given(draft.spares_at) && pool.spares > 0 && pool.spares * pool.max < 1) {
    problems.warning(draft.spares_at, path + "spares: " + share_text(pool.spares) + " of at most " +
                                          std::to_string(pool.max) +
                                          " nodes is less than one machine, so there are never spares; raise it or "
                                          "leave it out");
  }
}

void advise_on_spot(Problems& problems, const model::Cluster& cluster, const PoolDraft& draft,
                    const model::Pool& pool) {
  const std::string path = "pools." + pool.name.str() + ".";
  bool falls_back = buys(pool, Market::spot) && buys(pool, Market::on_demand);
  if (given(draft.tolerance_at) && pool.eviction.tolerance > 0 && !falls_back) {
    problems.warning(draft.tolerance_at, path +
                                             "eviction.tolerance: moves jobs from spot to on-demand machines, and "
                                             "this pool doesn't buy both; write market: spot_then_on_demand, or leave "
                                             "tolerance out");
  }
  if (!buys(pool, Market::spot)) return;
  auto requeue = cluster.slurm.find("JobRequeue");
  if (requeue != cluster.slurm.end() && requeue->second == "0") {
    problems.warning(draft.market_at, path +
                                          "market: with JobRequeue=0 a job whose spot machine is taken is lost unless "
                                          "it was submitted with --requeue; drop JobRequeue from 'slurm'");
  }
  for (const model::Partition& partition : cluster.partitions) {
    if (!partition.is_default || !has_pool(partition, pool)) continue;
    bool has_other_nodes = !partition.existing.empty() ||
                           std::any_of(cluster.pools.begin(), cluster.pools.end(), [&](const model::Pool& other) {
                             return has_pool(partition, other) && buys(other, Market::on_demand);
                           });
    if (has_other_nodes) continue;
    problems.warning(draft.market_at, path + "market: the default partition, " + partition.name.str() +
                                          ", has nothing but spot machines, so while the market has none every job "
                                          "waits; write spot_then_on_demand, or add a pool with on_demand");
  }
}

}  // namespace

void advise(Context& context, const Draft& draft) {
  for (size_t i = 0; i < draft.pools.size(); ++i) {
    const model::Pool& pool = draft.cluster.pools[i];
    advise_on_placement(context.problems, draft.cluster, draft.pools[i], pool);
    advise_on_money(context.problems, draft.cluster, draft.pools[i], pool);
    advise_on_spot(context.problems, draft.cluster, draft.pools[i], pool);
  }
  advise_on_azure(context, draft);
}

}  // namespace slipway::config
