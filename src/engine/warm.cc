// Warm capacity: how many nodes stay up at this hour, and which sleeping ones are woken for it.
#include <algorithm>
#include <cmath>

#include "engine/round.h"

namespace slipway::engine {
namespace {

constexpr int64_t minutes_a_day = 24 * 60;

struct LocalTime {
  int64_t weekday = 0;   // 0 is Monday
  int64_t minute = 0;    // of the day
  TimePoint midnight{};  // that began the day
};

LocalTime local_time(const Round& round) {
  const auto local = std::chrono::floor<std::chrono::minutes>(round.now + round.view.utc_offset);
  const auto day = std::chrono::floor<std::chrono::days>(local);
  LocalTime time;
  time.weekday = (day.time_since_epoch().count() % 7 + 10) % 7;  // the epoch was a Thursday
  time.minute = (local - day).count();
  time.midnight = TimePoint(day) - round.view.utc_offset;
  return time;
}

bool covers(const model::WarmHours& hours, const LocalTime& time) {
  const auto has = [&](int64_t day) { return (hours.days >> ((day + 7) % 7) & 1) != 0; };
  if (hours.from < hours.to) return has(time.weekday) && time.minute >= hours.from && time.minute < hours.to;
  // Over midnight: the days are those on which it begins.
  return (has(time.weekday) && time.minute >= hours.from) || (has(time.weekday - 1) && time.minute < hours.to);
}

const model::WarmLevel& level_now(Round& round, const model::Warm& warm) {
  if (warm.hours.empty()) return warm.usual;
  const LocalTime time = local_time(round);
  const model::WarmLevel* level = &warm.usual;
  for (auto hours = warm.hours.rbegin(); hours != warm.hours.rend(); ++hours) {
    if (covers(*hours, time)) level = &hours->level;
    for (const int64_t edge : {int64_t{hours->from}, int64_t{hours->to}}) {
      const int64_t minute = edge % minutes_a_day;
      round.due(time.midnight + std::chrono::minutes(minute + (minute <= time.minute ? minutes_a_day : 0)));
    }
  }
  return *level;
}

bool by_number(const NodeName& a, const NodeName& b) {
  if (a.str().size() != b.str().size()) return a.str().size() < b.str().size();
  return a < b;
}

void wake(Round& round, PoolIndex p, size_t missing) {
  std::vector<uint32_t> sleepers;
  for (uint32_t i = 0; i < round.view.nodes.size(); ++i) {
    const NodeView& node = round.view.nodes[i];
    if (node.pool != p || round.plan.situations[i] != Situation::asleep || node.busy) continue;
    if ((node.slurm.flags &
         (model::node_drain | model::node_maintenance | model::node_reboot | model::node_power_up_requested)) != 0)
      continue;
    if (node.slurm.base != model::NodeBase::idle) continue;
    const auto it = round.memory.nodes.find(node.name);
    // One that has just fallen asleep is remembered until the end of this round.
    const bool forgotten =
        it == round.memory.nodes.end() || (it->second.round != round.memory.round &&
                                           round.now >= it->second.power_up_told_at + round.spec.update_patience);
    if (forgotten) sleepers.push_back(i);
  }
  missing = std::min(missing, sleepers.size());
  std::partial_sort(
      sleepers.begin(), sleepers.begin() + static_cast<ptrdiff_t>(missing), sleepers.end(),
      [&](uint32_t a, uint32_t b) { return by_number(round.view.nodes[a].name, round.view.nodes[b].name); });
  if (missing == 0) return;
  TellSlurm tell{.what = Tell::power_up};
  for (size_t k = 0; k < missing; ++k) {
    const NodeName& name = round.view.nodes[sleepers[k]].name;
    NodeMemory& memory = round.memory.nodes[name];
    memory.power_up_told_at = round.now;
    memory.pool = p;
    tell.nodes.push_back(name);
    round.plan.notes.push_back(
        {.kind = "node_warmed", .pool = p, .node = name, .message = name.str() + " is woken to be kept warm"});
  }
  round.due(round.now + round.spec.update_patience);
  round.plan.tells.push_back(std::move(tell));
}

}  // namespace

uint32_t warm_target(Round& round, PoolIndex p) {
  const Spec::Pool& pool = round.spec.pools[p];
  const model::WarmLevel& level = level_now(round, pool.warm);
  uint64_t target = level.count;
  const uint32_t busy = round.pools[p].busy;
  if (level.share > 0 && busy > 0) {
    target = std::max(target, busy + static_cast<uint64_t>(std::ceil(level.share * busy)));
  }
  return static_cast<uint32_t>(std::min<uint64_t>(target, pool.max));
}

void keep_warm(Round& round) {
  if (round.memory.nodes.size() > round.works.size()) {
    for (const auto& [name, memory] : round.memory.nodes) {
      if (memory.round != round.memory.round && memory.power_up_told_at != TimePoint{} &&
          round.now < memory.power_up_told_at + round.spec.update_patience && round.known_pool(memory.pool)) {
        ++round.pools[memory.pool].coming_up;
        round.due(memory.power_up_told_at + round.spec.update_patience);
      }
    }
  }
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    const PoolRound& pool = round.pools[p];
    const uint32_t warm = warm_target(round, p);
    const uint32_t have = pool.up + pool.coming_up;
    if (have >= warm) continue;
    if (is_short(round.memory.pools[p], round.now) || round.memory.pools[p].held) {
      round.due(first_retry(round.memory.pools[p]));
      continue;
    }
    wake(round, p, warm - have);
  }
}

}  // namespace slipway::engine
