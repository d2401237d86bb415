// What a provider can be asked for: how a machine is bought, of which type, where.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace slipway::model {

enum class Market : uint8_t {
  on_demand,
  spot,  // cheaper; the provider may take it back
};
inline std::string_view to_string(Market market) {
  return market == Market::spot ? "spot" : "on_demand";
}

struct Offer {
  std::string machine;  // the provider's machine type; empty: the pool has one shape only
  std::string zone;     // empty: the provider chooses
  bool operator==(const Offer&) const = default;
};

// Machines of one group are placed next to each other.
enum class Placement : uint8_t { none, per_pool, per_job };

}  // namespace slipway::model
