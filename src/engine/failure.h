// What can go wrong between a want and a node, and the one reaction that each kind has. Nothing else decides how long
// to pause, where, or whether to try elsewhere.
//
//   kind             found by                              what pauses            pause           then
//   no_capacity      the provider's answer or listing      that way               5 s to 5 min    next way, next pool
//   quota            the provider                          machine type, market   30 s to 10 min  next way, next pool
//   throttled        the provider                          the account            as it says      the same again
//   denied           the provider                          the pool               30 s to 5 min   next pool; a person
//   must act bad_config       the provider                          the way                1 to 10 min     next way,
//   next pool; a person must act transient        the provider or the network           the way                1 s to 1
//   min    the same again; after 20 s as no_capacity outcome_unknown  no answer                             the
//   way                1 s to 1 min    look, then the same token again boot_failed      the agent's or the provider's
//   word    the way, when over a fifth fails        another machine at once; when paused: next way, next pool
//   never_joined     Spec::Pool::boot_timeout              as boot_failed
//   unhealthy        Slurm or silence                      nothing                                 another machine
//   evicted          the provider's notice or act          nothing                                 another machine,
//   before the old one goes
//
// A pause doubles with every failure in a row, up to its longest. When it is over, one machine is tried (half open);
// its success ends the pause for all, its failure doubles it. So everything recovers by itself.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::engine {

enum class Failure : uint8_t {
  no_capacity,
  quota,
  throttled,
  denied,
  bad_config,
  transient,
  outcome_unknown,
  boot_failed,
  never_joined,
  unhealthy,
  evicted,
};
inline constexpr size_t failure_count = static_cast<size_t>(Failure::evicted) + 1;

enum class Scope : uint8_t {
  nothing,
  way,           // one machine type in one zone, bought in one way
  machine_type,  // in all zones, bought in that way
  pool,
  account,  // every call
};

struct Reaction {
  Scope scope = Scope::nothing;
  Duration first{0};  // pause after the first failure
  Duration longest{0};
  bool elsewhere = false;  // the want goes on to other ways and pools; else it waits
  bool person = false;     // it will hardly recover before somebody acts
};

const Reaction& reaction_to(Failure failure);
std::string_view to_string(Failure failure);
// What an answer of the provider means here.
Failure failure_of(ErrorCode code);
// first, doubled with each failure in a row after the first, at most longest.
Duration pause_after(uint32_t failures, Duration first, Duration longest);

}  // namespace slipway::engine
