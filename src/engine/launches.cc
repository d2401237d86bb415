// Launches that are on their way, what providers answered, and how long to pause after a refusal.
#include <algorithm>

#include "engine/round.h"

namespace slipway::engine {
namespace {

constexpr Duration longest_pause{300'000};
constexpr Duration answer_patience{600'000};  // the shell answers or refuses every launch; this is against its bugs

uint64_t mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ull + (hash << 6) + (hash >> 2);
  hash ^= hash >> 31;
  hash *= 0xbf58476d1ce4e5b9ull;
  return hash ^ (hash >> 29);
}

uint64_t fnv(std::string_view text, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325ull ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return mix(hash, text.size());
}

std::string hex(uint64_t value) {
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4) text[static_cast<size_t>(i)] = "0123456789abcdef"[value & 15];
  return text;
}

// By a quarter up or down, so that pools that failed together don't all ask again together; the same for the same
// launch.
Duration jittered(Duration pause, uint64_t hash) {
  const auto percent = static_cast<int64_t>(75 + hash % 51);
  return Duration(pause.count() * percent / 100);
}

Duration pause_for(const Error& error, uint32_t refusals) {
  switch (error.code) {
    case ErrorCode::throttled:
      if (error.retry_after) return std::clamp(*error.retry_after, Duration(0), longest_pause);
      return pause_after(refusals, Duration(1'000), Duration(60'000));
    case ErrorCode::transient:
    case ErrorCode::outcome_unknown:
      return pause_after(refusals, Duration(1'000), Duration(60'000));
    case ErrorCode::no_capacity:
    case ErrorCode::quota:
    case ErrorCode::not_found:
      break;
    case ErrorCode::denied:
    case ErrorCode::bad_config:
    case ErrorCode::permanent:
      return pause_after(refusals, Duration(30'000), longest_pause);  // a person must act
  }
  return pause_after(refusals, Duration(5'000), longest_pause);
}

// Instances whose provider can't tell their launch are taken to be of the pool's oldest launch that still misses some.
void credit_untokened(Round& round, std::vector<uint32_t>& untokened) {
  if (untokened.empty()) return;
  std::vector<LaunchMemory*> open;
  for (auto& [token, launch] : round.memory.launches) {
    if (launch.visible < launch.count) open.push_back(&launch);
  }
  std::sort(open.begin(), open.end(), [](const LaunchMemory* a, const LaunchMemory* b) { return a->at < b->at; });
  for (const uint32_t i : untokened) {
    const InstanceView& instance = round.view.instances[i];
    for (LaunchMemory* launch : open) {
      if (launch->pool != instance.pool || launch->visible >= launch->count) continue;
      if (instance.launched_at + Duration(1'000) < launch->at) continue;
      ++launch->visible;
      break;
    }
  }
}

void count_visible(Round& round) {
  for (auto& [token, launch] : round.memory.launches) launch.visible = 0;
  std::vector<uint32_t> untokened;
  const std::string* last_token = nullptr;
  LaunchMemory* last = nullptr;
  for (uint32_t i = 0; i < round.view.instances.size(); ++i) {
    const InstanceView& instance = round.view.instances[i];
    if (instance.launch_token.empty()) {
      untokened.push_back(i);
      continue;
    }
    if (last_token == nullptr || *last_token != instance.launch_token) {
      const auto it = round.memory.launches.find(instance.launch_token);
      last = it == round.memory.launches.end() ? nullptr : &it->second;
      last_token = &instance.launch_token;
    }
    if (last != nullptr) ++last->visible;
  }
  credit_untokened(round, untokened);
}

// True when the launch needn't be remembered any longer.
bool settled(Round& round, LaunchMemory& launch) {
  if (!round.known_pool(launch.pool) || launch.visible >= launch.count) return true;
  if (launch.answered && launch.answered_at == TimePoint{}) launch.answered_at = round.now;
  const Duration patience =
      launch.answered ? round.spec.consistency_delay + round.spec.update_patience : answer_patience;
  const TimePoint over_at = (launch.answered ? launch.answered_at : launch.at) + patience;
  // An old or partial listing proves nothing about what it doesn't show.
  const bool looked = round.view.instances_complete && round.view.instances_as_of >= over_at;
  if (round.now < over_at || (launch.answered && !looked)) {
    round.pools[launch.pool].asked += launch.count - launch.visible;
    round.due(over_at);
    return false;
  }
  if (launch.answered && !launch.outcome_unknown) ++round.memory.pools[launch.pool].launches;
  Note note{.kind = "launch_lost", .pool = launch.pool};
  note.message = std::to_string(launch.count - launch.visible) + " of " + std::to_string(launch.count) +
                 " machines that were asked for never showed up";
  round.plan.notes.push_back(std::move(note));
  return true;
}

// Order-independent sum of the hashes of all the pool's listed instances; made for all pools when the first one
// launches.
uint64_t ids_of(Round& round, PoolIndex pool) {
  if (!round.ids_summed) {
    for (const InstanceView& instance : round.view.instances) {
      if (round.known_pool(instance.pool)) round.pools[instance.pool].ids += std::hash<InstanceId>{}(instance.id);
    }
    round.ids_summed = true;
  }
  return round.pools[pool].ids;
}

}  // namespace

Duration pause_after(uint32_t failures, Duration first, Duration longest) {
  if (failures == 0) return Duration(0);
  const uint32_t doublings = std::min(failures - 1, 20u);
  return std::min(longest, first * (int64_t{1} << doublings));
}

void settle_launches(Round& round) {
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    PoolMemory& pool = round.memory.pools[p];
    if (pool.unnoted.empty()) continue;
    round.plan.notes.push_back({.kind = "launch_refused", .pool = p, .message = std::move(pool.unnoted)});
    pool.unnoted.clear();
  }
  if (round.memory.launches.empty()) return;
  count_visible(round);
  for (auto it = round.memory.launches.begin(); it != round.memory.launches.end();) {
    it = settled(round, it->second) ? round.memory.launches.erase(it) : std::next(it);
  }
}

std::string launch_token(Round& round, PoolIndex pool, const std::vector<uint32_t>& wanted, uint32_t count) {
  const std::string& name = round.spec.pools[pool].name.str();
  uint64_t names = 0;  // sums: the order in which nodes are listed or served doesn't matter
  for (const uint32_t w : wanted) {
    const NodeView& node = round.node(round.works[w]);
    names += fnv(node.name.str(), static_cast<uint64_t>(node.last_busy.time_since_epoch().count()));
  }
  const uint64_t ids = ids_of(round, pool);
  for (uint64_t attempt = round.memory.pools[pool].launches;; ++attempt) {
    uint64_t low = fnv(round.spec.cluster, 1);
    low = mix(low, fnv(name, 2));
    low = mix(low, names);
    low = mix(low, ids);
    low = mix(low, count);
    low = mix(low, attempt);
    const std::string token = "slw-" + hex(low) + hex(mix(low ^ names, ids + attempt));
    // One that is still on its way can't stand for this launch too.
    if (!round.memory.launches.contains(token)) return token;
  }
}

void launch_answered(Memory& memory, std::string_view token, uint32_t accepted) {
  const auto it = memory.launches.find(std::string(token));
  if (it == memory.launches.end()) return;
  LaunchMemory& launch = it->second;
  launch.answered = true;
  launch.count = std::min(launch.count, accepted);
  if (accepted > 0 && launch.pool < memory.pools.size()) {
    memory.pools[launch.pool].refusals = 0;
    memory.pools[launch.pool].why.clear();
  }
  if (launch.count == 0) memory.launches.erase(it);
}

void launch_refused(Memory& memory, std::string_view token, const Error& error, TimePoint now, uint32_t count) {
  const auto it = memory.launches.find(std::string(token));
  if (it == memory.launches.end()) return;
  LaunchMemory& launch = it->second;
  const PoolIndex pool = launch.pool;
  if (error.code == ErrorCode::outcome_unknown && count == 0 && !launch.answered) {
    launch.answered = true;  // it may have happened: it counts until patience with the listings ends
    launch.outcome_unknown = true;
  } else if (!launch.answered) {
    memory.launches.erase(it);
  } else {
    launch.count -= std::min(launch.count, count);
    if (launch.count == 0) memory.launches.erase(it);
  }
  pool_refused(memory, pool, error, now);
}

void pool_refused(Memory& memory, PoolIndex index, const Error& error, TimePoint now) {
  if (index >= memory.pools.size()) return;
  PoolMemory& pool = memory.pools[index];
  if (pool.refusals < UINT32_MAX) ++pool.refusals;
  const Duration pause = jittered(pause_for(error, pool.refusals), fnv(error.message, index + 31ull * pool.refusals));
  // A wait that the provider asked for is never cut short.
  pool.not_before = std::max(pool.not_before, now + std::max(pause, error.retry_after.value_or(Duration(0))));
  pool.why = std::string(to_string(error.code)) + (error.message.empty() ? "" : ": " + error.message);
  pool.unnoted = "the provider refused (" + pool.why + "); next attempt in " + to_short(pool.not_before - now);
}

}  // namespace slipway::engine
