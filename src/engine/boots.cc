// Failed boots: one by one they are replaced; when more than a fifth of a pool's machines fails, or wave after wave
// does, the ways they came by are paused.
#include <cmath>

#include "engine/round.h"

namespace slipway::engine {
namespace {

constexpr double share_max = 0.2;
constexpr double failures_min = 3;  // fewer say nothing about a share
constexpr Duration half_life{300'000};

}  // namespace

void fade_boots(PoolMemory& pool, TimePoint now) {
  if (now <= pool.boots_at) return;
  if (pool.boots_at != TimePoint{} && (pool.boots > 0 || pool.boots_failed > 0)) {
    const double halves = static_cast<double>((now - pool.boots_at).count()) / static_cast<double>(half_life.count());
    const double rest = std::exp2(-halves);
    pool.boots *= rest;
    pool.boots_failed *= rest;
  }
  pool.boots_at = now;
}

void count_failed_boot(Round& round, PoolIndex p, const InstanceView* instance, Failure kind, const std::string& why) {
  if (!round.known_pool(p)) return;
  PoolMemory& memory = round.memory.pools[p];
  round.pools[p].last_failure = why;
  memory.boot_failure = why;
  fade_boots(memory, round.now);
  memory.boots_failed += 1;
  const bool new_wave = memory.wave_failed_at == TimePoint{} || memory.launched_at >= memory.wave_failed_at;
  if (new_wave && round.now > memory.wave_failed_at) {
    ++memory.waves_failed;
    memory.wave_failed_at = round.now;
  }
  const Spec::Pool& spec = round.spec.pools[p];
  const size_t known = instance == nullptr ? SIZE_MAX : find_way(spec, instance->market, instance->offer);
  const size_t way = known == SIZE_MAX ? 0 : known;
  const bool too_many =
      memory.boots_failed >= failures_min && memory.boots_failed > share_max * (memory.boots + memory.boots_failed);
  const bool again = memory.waves_failed >= 2;
  if (!too_many && !again && memory.ways[way].probe.empty()) return;
  if (too_many) memory.boots = memory.boots_failed = 0;  // it is paused for them; what comes then counts anew
  fail_way(round.memory, round.spec, {p, way, kind, why}, round.now);
}

}  // namespace slipway::engine
