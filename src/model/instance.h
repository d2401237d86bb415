// A machine that exists, as its provider tells it.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "model/ids.h"
#include "model/offer.h"

namespace slipway::model {

enum class InstanceState {
  pending,   // accepted, not running yet
  running,   // the provider says it runs; says nothing about the software on it
  stopping,  // on its way out; may still be billed
  gone,      // the provider says that it ended; it will vanish from listings
};

struct Instance {
  InstanceId id;
  PoolName pool;                  // from our tag
  std::string launch_token;       // of the launch that made it; empty when the provider can't tell
  InstanceState state = InstanceState::pending;
  std::string address;            // IPv4; empty while unknown
  TimePoint launched_at{};
  Market market = Market::on_demand;
  Offer offer;
  std::string placement;          // the group it was launched into; empty: none
  TimePoint evict_at{};           // the provider will take it then; epoch: no notice
  std::optional<Error> trouble;   // what the provider says is wrong with it, e.g. a failed boot
};

}  // namespace slipway::model
