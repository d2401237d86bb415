// Machines that don't exist yet, of a provider that names none at launch: those that a forgotten launch left on their
// way are counted, and those that nothing wants any more are taken back.
#include <algorithm>
#include <tuple>

#include "engine/budget.h"
#include "engine/round.h"
#include "engine/ways.h"

namespace slipway::engine {
namespace {

constexpr uint32_t vain_max = 7;  // then every ten minutes

uint32_t missing(const LaunchMemory& launch) {
  return launch.count - std::min(launch.count, launch.visible);
}

// What the listing tells beyond what is remembered was asked for by somebody whose memory is lost.
void adopt(Round& round, const OnTheWay& told) {
  uint32_t known = 0;
  LaunchMemory* adopted = nullptr;
  for (auto& [token, launch] : round.memory.launches) {
    if (launch.pool != told.pool || launch.market != told.market) continue;
    // Its answer, or the listing that shows it, isn't here yet.
    if (!launch.answered || launch.answered_at >= round.view.instances_as_of) return;
    known += missing(launch);
    if (launch.adopted) adopted = &launch;
  }
  if (known > told.count && adopted != nullptr) {
    adopted->count -= std::min(known - told.count, missing(*adopted));
    return;
  }
  if (known >= told.count) return;
  const uint32_t count = told.count - known;
  const std::string token = "adopted-" + std::to_string(told.pool) +
                            (told.market == model::Market::spot ? "-spot-" : "-on-demand-") +
                            std::to_string(round.memory.round);
  LaunchMemory& launch = round.memory.launches[token];
  launch = {.pool = told.pool, .count = count, .at = round.now, .market = told.market};
  launch.answered = launch.adopted = true;
  launch.answered_at = round.now;
  const auto& ways = ways_of(round.spec.pools[told.pool]);
  for (uint32_t w = 0; w < ways.size(); ++w) {
    if (ways[w].market == told.market) launch.ways.push_back(w);
  }
  round.plan.notes.push_back(
      {.kind = "launch_found",
       .pool = told.pool,
       .message = std::to_string(count) + " machines are on their way that were asked for before"});
}

}  // namespace

void adopt_launches(Round& round) {
  if (!round.view.instances_complete) return;
  for (auto& [token, launch] : round.memory.launches) {
    if (launch.answered && launch.answered_at == TimePoint{}) launch.answered_at = round.now;
    if (!launch.adopted || !round.known_pool(launch.pool) || launch.answered_at >= round.view.instances_as_of) continue;
    // One that is told no longer has come or was called off.
    const auto& told = round.view.on_the_way;
    const bool still = std::any_of(told.begin(), told.end(), [&](const OnTheWay& one) {
      return one.pool == launch.pool && one.market == launch.market;
    });
    if (!still) launch.count = std::min(launch.count, launch.visible);
  }
  for (const OnTheWay& told : round.view.on_the_way) {
    if (!round.known_pool(told.pool)) continue;
    // What was taken back may still be among what an older listing tells.
    if (round.memory.pools[told.pool].withdrawn_at < round.view.instances_as_of) adopt(round, told);
  }
}

void withdraw_excess(Round& round) {
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    PoolMemory& pool = round.memory.pools[p];
    // A probe must be able to prove something first.
    const auto probes = static_cast<uint32_t>(
        std::count_if(pool.ways.begin(), pool.ways.end(), [](const WayMemory& way) { return !way.probe.empty(); }));
    const uint32_t excess = round.pools[p].excess - std::min(round.pools[p].excess, probes);
    if (excess == 0 || round.pools[p].unanswered) {
      pool.excess_since = TimePoint{};
      continue;
    }
    if (pool.excess_since == TimePoint{}) pool.excess_since = round.now;
    const Duration patience = round.spec.update_patience * (1 << std::min(pool.withdrawals_vain, vain_max));
    const TimePoint at = std::max(pool.excess_since + round.spec.update_patience, pool.withdrawn_at + patience);
    if (round.now < at) {
      round.due(at);
      continue;
    }
    uint32_t left = excess;
    for (const model::Market market : {model::Market::on_demand, model::Market::spot}) {  // the dearest first
      for (const OnTheWay& told : round.view.on_the_way) {
        const uint32_t count = std::min(left, told.count);
        if (told.pool != p || told.market != market || count == 0) continue;
        const uint32_t account = round.spec.pools[p].account;
        if (!take_action(round.memory, round.spec, account, round.now)) {
          round.due(next_call(round.memory, round.spec, account, round.now));
          return;
        }
        pool.withdrawn_at = round.now;
        round.due(round.now + round.spec.update_patience);
        left -= count;
        round.plan.withdrawals.push_back({p, market, count});
        round.plan.notes.push_back(
            {.kind = "launch_withdrawn",
             .pool = p,
             .message = std::to_string(count) + " machines on their way are taken back: nothing wants them"});
      }
    }
  }
}

void withdrawn(Memory& memory, const Withdraw& asked, uint32_t count, TimePoint now) {
  if (asked.pool < memory.pools.size()) {
    PoolMemory& pool = memory.pools[asked.pool];
    pool.withdrawn_at = now;
    pool.withdrawals_vain = count > 0 ? 0 : std::min(pool.withdrawals_vain + 1, vain_max);
  }
  std::vector<std::pair<const std::string*, LaunchMemory*>> launches;
  for (auto& [token, launch] : memory.launches) {
    if (launch.pool == asked.pool && launch.market == asked.market) launches.emplace_back(&token, &launch);
  }
  std::sort(launches.begin(), launches.end(), [](const auto& a, const auto& b) {
    return std::tie(b.second->at, *b.first) < std::tie(a.second->at, *a.first);
  });
  for (auto& [token, launch] : launches) {
    const uint32_t part = std::min(count, missing(*launch));
    launch->count -= part;
    launch->refused |= part > 0;  // it proves nothing about its way
    count -= part;
  }
}

}  // namespace slipway::engine
