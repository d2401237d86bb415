// The token bucket of an account's API. Internal to the room but for take_call() and throttled() (decide.h).
#pragma once

#include "engine/memory.h"
#include "engine/view.h"

namespace slipway::engine {

// The buckets begin to fill.
void start_budgets(Memory& memory, const Spec& spec, TimePoint now);
// Takes a token for a launch or for terminations; false: not now.
bool take_action(Memory& memory, const Spec& spec, uint32_t account, TimePoint now);
// When a launch or a termination may be made: `now` or earlier if at once.
TimePoint next_call(const Memory& memory, const Spec& spec, uint32_t account, TimePoint now);

}  // namespace slipway::engine
