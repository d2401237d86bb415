#include "engine/failure.h"

#include <algorithm>
#include <array>

namespace slipway::engine {
namespace {

constexpr Duration seconds(int64_t count) {
  return Duration(count * 1000);
}

constexpr std::array<Reaction, failure_count> reactions = [] {
  std::array<Reaction, failure_count> table{};
  const auto set = [&](Failure failure, Reaction reaction) { table[static_cast<size_t>(failure)] = reaction; };
  set(Failure::no_capacity, {Scope::way, seconds(5), seconds(300), true, false});
  set(Failure::quota, {Scope::machine_type, seconds(30), seconds(600), true, true});
  set(Failure::throttled, {Scope::account, seconds(1), seconds(60), false, false});
  set(Failure::denied, {Scope::pool, seconds(30), seconds(300), true, true});
  set(Failure::bad_config, {Scope::way, seconds(60), seconds(600), true, true});
  set(Failure::transient, {Scope::way, seconds(1), seconds(60), false, false});
  set(Failure::outcome_unknown, {Scope::way, seconds(1), seconds(60), false, false});
  set(Failure::boot_failed, {Scope::way, seconds(5), seconds(300), true, false});
  set(Failure::never_joined, {Scope::way, seconds(5), seconds(300), true, false});
  set(Failure::unhealthy, {Scope::nothing, {}, {}, false, false});
  set(Failure::evicted, {Scope::nothing, {}, {}, false, false});
  return table;
}();

}  // namespace

const Reaction& reaction_to(Failure failure) {
  return reactions[static_cast<size_t>(failure)];
}

std::string_view to_string(Failure failure) {
  switch (failure) {
    case Failure::no_capacity:
      return "no_capacity";
    case Failure::quota:
      return "quota";
    case Failure::throttled:
      return "throttled";
    case Failure::denied:
      return "denied";
    case Failure::bad_config:
      return "bad_config";
    case Failure::transient:
      return "transient";
    case Failure::outcome_unknown:
      return "outcome_unknown";
    case Failure::boot_failed:
      return "boot_failed";
    case Failure::never_joined:
      return "never_joined";
    case Failure::unhealthy:
      return "unhealthy";
    case Failure::evicted:
      return "evicted";
  }
  return "transient";
}

Failure failure_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::no_capacity:
      return Failure::no_capacity;
    case ErrorCode::quota:
      return Failure::quota;
    case ErrorCode::throttled:
      return Failure::throttled;
    case ErrorCode::denied:
      return Failure::denied;
    case ErrorCode::bad_config:
    case ErrorCode::permanent:
    case ErrorCode::not_found:  // what a launch refers to: an image, a subnet
      return Failure::bad_config;
    case ErrorCode::outcome_unknown:
      return Failure::outcome_unknown;
    case ErrorCode::transient:
      break;
  }
  return Failure::transient;
}

Duration pause_after(uint32_t failures, Duration first, Duration longest) {
  if (failures == 0) return Duration(0);
  const uint32_t doublings = std::min<uint32_t>(failures - 1, 20);
  return std::min(longest, first * (int64_t{1} << doublings));
}

}  // namespace slipway::engine
