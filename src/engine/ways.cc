#include "engine/ways.h"

#include <algorithm>

namespace slipway::engine {
namespace {

// A passing trouble that lasts for so long, and so many times in a row, is none.
constexpr Duration passing_longest{20'000};
constexpr uint32_t passing_max = 3;

uint64_t fnv(std::string_view text, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325ull ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash ^ (hash >> 29);
}

// By a quarter up or down, so that ways that failed together don't all ask again together; the same for the same
// failure.
Duration jittered(Duration pause, uint64_t hash) {
  return Duration(pause.count() * static_cast<int64_t>(75 + hash % 51) / 100);
}

void open_way(WayMemory& way, const Failed& failed, const Reaction& reaction, size_t index, TimePoint now) {
  const bool probe_failed = !way.probe.empty();
  const bool paused = way.open && now < way.not_before && !probe_failed;
  if (way.failures == 0) way.failing_since = now;
  if (!paused && way.failures < UINT32_MAX) ++way.failures;
  way.open = true;
  way.elsewhere = reaction.elsewhere || (way.failures >= passing_max && now - way.failing_since >= passing_longest);
  way.kind = failed.kind;
  way.why = failed.why;
  way.probe.clear();
  const Duration pause = jittered(pause_after(way.failures, reaction.first, reaction.longest),
                                  fnv(failed.why, index + 31ull * way.failures));
  // A wait that the provider asked for is never cut short.
  const Duration least = std::clamp(failed.retry_after.value_or(Duration(0)), Duration(0), Duration(3'600'000));
  way.not_before = std::max(way.not_before, now + std::max(paused ? Duration(0) : pause, least));
}

}  // namespace

WayState state_of(const WayMemory& way, TimePoint now) {
  if (!way.open) return WayState::closed;
  if (!way.probe.empty()) return WayState::probing;
  if (now < way.not_before) return way.elsewhere ? WayState::open : WayState::waiting;
  return way.elsewhere ? WayState::half_open : WayState::closed;
}

const std::vector<Spec::Way>& ways_of(const Spec::Pool& pool) {
  static const std::vector<Spec::Way> one(1);
  return pool.ways.empty() ? one : pool.ways;
}

size_t find_way(const Spec::Pool& pool, model::Market market, const model::Offer& offer) {
  const auto& ways = ways_of(pool);
  size_t found = SIZE_MAX;
  for (size_t i = 0; i < ways.size(); ++i) {
    if (ways[i].market != market) continue;
    if (ways[i].offer == offer) return i;
    const bool fits =
        (offer.machine.empty() || ways[i].offer.machine.empty() || offer.machine == ways[i].offer.machine) &&
        (offer.zone.empty() || ways[i].offer.zone.empty() || offer.zone == ways[i].offer.zone);
    if (found == SIZE_MAX && fits) found = i;
  }
  return found;
}

bool sells_both(const Spec::Pool& pool) {
  const auto& ways = ways_of(pool);
  return std::any_of(ways.begin(), ways.end(), [&](const auto& way) { return way.market != ways.front().market; });
}

std::string to_text(const Spec::Way& way) {
  std::string text(model::to_string(way.market));
  if (!way.offer.machine.empty()) text += " " + way.offer.machine;
  if (!way.offer.zone.empty()) text += " in zone " + way.offer.zone;
  return text;
}

void fit_memory(Memory& memory, const Spec& spec) {
  memory.pools.resize(spec.pools.size());
  memory.accounts.resize(spec.accounts.size());
  for (size_t p = 0; p < spec.pools.size(); ++p) memory.pools[p].ways.resize(ways_of(spec.pools[p]).size());
}

bool fail_way(Memory& memory, const Spec& spec, const Failed& failed, TimePoint now) {
  if (failed.pool >= memory.pools.size() || failed.pool >= spec.pools.size()) return false;
  std::vector<WayMemory>& ways = memory.pools[failed.pool].ways;
  const auto& specs = ways_of(spec.pools[failed.pool]);
  if (failed.way >= ways.size() || failed.way >= specs.size()) return false;
  const Reaction& reaction = reaction_to(failed.kind);
  const Spec::Way& its = specs[failed.way];
  for (size_t i = 0; i < ways.size() && i < specs.size(); ++i) {
    bool hit = i == failed.way;
    if (reaction.scope == Scope::machine_type) {
      hit = specs[i].market == its.market && specs[i].offer.machine == its.offer.machine;
    }
    if (reaction.scope == Scope::pool) hit = true;
    if (reaction.scope == Scope::nothing || reaction.scope == Scope::account) hit = false;
    if (hit) open_way(ways[i], failed, reaction, i, now);
  }
  return reaction.scope != Scope::nothing && reaction.scope != Scope::account;
}

void mend_way(WayMemory& way, bool whole) {
  way.open = false;
  way.elsewhere = false;
  way.probe.clear();
  if (!whole) return;
  way.failures = 0;
  way.why.clear();
}

bool is_short(const PoolMemory& pool, TimePoint now) {
  return !pool.ways.empty() && std::all_of(pool.ways.begin(), pool.ways.end(),
                                           [&](const WayMemory& way) { return state_of(way, now) == WayState::open; });
}

TimePoint first_retry(const PoolMemory& pool) {
  TimePoint first{};
  for (const WayMemory& way : pool.ways) {
    if (way.open && (first == TimePoint{} || way.not_before < first)) first = way.not_before;
  }
  return first;
}

std::string why_short(const PoolMemory& pool, const Spec::Pool& spec) {
  const auto& ways = ways_of(spec);
  const WayMemory* last = nullptr;
  size_t index = 0;
  for (size_t i = 0; i < pool.ways.size() && i < ways.size(); ++i) {
    if (!pool.ways[i].open || (last != nullptr && pool.ways[i].not_before <= last->not_before)) continue;
    last = &pool.ways[i];
    index = i;
  }
  if (last == nullptr) return "";
  std::string text = std::string(to_string(last->kind)) + " for " + to_text(ways[index]);
  if (!last->why.empty()) text += " (" + last->why + ")";
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text;
}

}  // namespace slipway::engine
