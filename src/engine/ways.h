// The ways of a pool and their breakers: which of them may be asked now, and what a failure does to them. Internal to
// the room.
#pragma once

#include <optional>
#include <string>

#include "engine/memory.h"
#include "engine/view.h"

namespace slipway::engine {

enum class WayState : uint8_t {
  closed,     // ask it
  waiting,    // a passing trouble: the want waits for the pause to end
  open,       // the want goes on to other ways
  half_open,  // the pause is over: one machine decides
  probing,    // that machine was asked for
};
WayState state_of(const WayMemory& way, TimePoint now);

// The pool's ways; one, on demand, when the spec names none.
const std::vector<Spec::Way>& ways_of(const Spec::Pool& pool);
// Index of the way that an instance or an offer is of; the first of the market when the offer says nothing; SIZE_MAX:
// none.
size_t find_way(const Spec::Pool& pool, model::Market market, const model::Offer& offer);
bool sells_both(const Spec::Pool& pool);  // machines of both markets
// "spot m5.large in zone a", "on_demand".
std::string to_text(const Spec::Way& way);

// Makes memory.pools and their ways as many as the spec's.
void fit_memory(Memory& memory, const Spec& spec);

struct Failed {
  PoolIndex pool = no_pool;
  size_t way = 0;
  Failure kind = Failure::transient;
  std::string why;
  std::optional<Duration> retry_after = std::nullopt;
};
// Opens what the reaction's scope says. A failure of what is open already doubles no pause. False: nothing opened.
bool fail_way(Memory& memory, const Spec& spec, const Failed& failed, TimePoint now);
// A probe or a launch on it worked. `whole`: all that was asked for came.
void mend_way(WayMemory& way, bool whole);

// Whether the pool can't get machines now by any way, for reasons that send wants elsewhere.
bool is_short(const PoolMemory& pool, TimePoint now);
// When the first of its pauses ends; epoch: no way is open.
TimePoint first_retry(const PoolMemory& pool);
// "no capacity for spot m5.large in zone a (…)": of the way that failed last; for reasons and comments. One line.
std::string why_short(const PoolMemory& pool, const Spec::Pool& spec);

}  // namespace slipway::engine
