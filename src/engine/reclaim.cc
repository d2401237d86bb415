// Which idle nodes are given up, the dearest and least useful first, and every node's situation.
#include <algorithm>
#include <cmath>

#include "engine/round.h"

namespace slipway::engine {
namespace {

// Of a billing period: an idle machine goes in this last part of it.
constexpr int64_t billing_parts = 12;

bool excluded(const Spec& spec, const NodeName& name) {
  return std::binary_search(spec.reclaim_exclude.begin(), spec.reclaim_exclude.end(), name);
}

TimePoint idle_since(const Round& round, const Work& work) {
  return std::max(round.node(work).last_busy, work.memory->up_since);
}

// Idle for long enough; and where whole periods are billed, near the end of one.
bool may_go(Round& round, const Work& work) {
  const Spec::Pool& pool = round.spec.pools[round.node(work).pool];
  if (pool.idle_reclaim == Duration::max() || excluded(round.spec, round.node(work).name)) return false;
  // What came up for a job that got nothing else is of no use to anybody who waits.
  const Duration limit =
      work.memory->surplus ? std::min(pool.idle_reclaim, round.spec.surplus_grace) : pool.idle_reclaim;
  const TimePoint since = idle_since(round, work);
  if (round.now - since <= limit) {
    if (limit < model::idle_reclaim_never) round.due(since + limit + Duration(1));
    return false;
  }
  const TimePoint launched = round.instance(work).launched_at;
  if (pool.billing_period <= Duration(0) || launched == TimePoint{} || launched > round.now) return true;
  const Duration begun = (round.now - launched) % pool.billing_period;
  const Duration last_part = pool.billing_period - pool.billing_period / billing_parts;
  if (begun >= last_part) return true;
  round.due(round.now + (last_part - begun));
  return false;
}

// Of an hour, or a guess that orders machines alike: what is bought on demand costs more than spot.
double price_of(const Round& round, const Work& work) {
  const InstanceView& instance = round.instance(work);
  const Spec::Pool& pool = round.spec.pools[round.node(work).pool];
  const size_t way = find_way(pool, instance.market, instance.offer);
  const double known = way == SIZE_MAX ? 0 : ways_of(pool)[way].price;
  return known > 0 ? known : (instance.market == model::Market::on_demand ? 1e-6 : 0);
}

struct Candidate {
  uint32_t work = 0;
  double price = 0;
  TimePoint since{};
};

void reclaim_from(Round& round, PoolIndex p, std::vector<Candidate>& candidates) {
  // A drained node is no use as a warm one: taking it back costs nothing that `warm` counts.
  std::erase_if(candidates, [&](const Candidate& candidate) {
    Work& work = round.works[candidate.work];
    if (!round.node(work).slurm.has(model::node_drain)) return false;
    work.facts.intent = Intent::reclaim;
    return true;
  });
  const uint32_t up = round.pools[p].up;
  const uint32_t warm = warm_target(round, p);
  const size_t taken = std::min<size_t>(up > warm ? up - warm : 0, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(taken), candidates.end(),
                    [&](const Candidate& a, const Candidate& b) {
                      if (a.price != b.price) return a.price > b.price;
                      if (a.since != b.since) return a.since < b.since;
                      return round.node(round.works[a.work]).name < round.node(round.works[b.work]).name;
                    });
  for (size_t i = 0; i < taken; ++i) round.works[candidates[i].work].facts.intent = Intent::reclaim;
}

}  // namespace

void choose_reclaims(Round& round) {
  std::vector<std::vector<Candidate>> idle(round.pools.size());
  for (uint32_t w = 0; w < round.works.size(); ++w) {
    Work& work = round.works[w];
    const NodeView& node = round.node(work);
    if (work.facts.power != Power::up || work.facts.busy || work.facts.machine != Machine::alive) continue;
    // Somebody asked Slurm for it already; or its provider takes it anyway.
    if (node.slurm.has(model::node_power_down_requested) || (work.evicting && work.facts.health != Health::down)) {
      work.facts.intent = Intent::reclaim;
      continue;
    }
    if (work.facts.health == Health::down || node.slurm.has(model::node_reserved) ||
        node.slurm.has(model::node_maintenance) || node.slurm.has(model::node_reboot)) {
      continue;
    }
    if (may_go(round, work)) idle[node.pool].push_back({w, price_of(round, work), idle_since(round, work)});
  }
  for (PoolIndex p = 0; p < idle.size(); ++p) {
    if (!idle[p].empty()) reclaim_from(round, p, idle[p]);
  }
  size_t entered = 0;
  for (Work& work : round.works) {
    work.situation = classify(work.facts);
    round.plan.situations[work.node] = work.situation;
    entered += work.before == static_cast<uint8_t>(work.situation) ? 0 : 1;
  }
  round.plan.notes.reserve(round.plan.notes.size() + entered);  // most transitions have a note
}

}  // namespace slipway::engine
