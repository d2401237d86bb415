// IPv4 networks as text, "198.18.16.0/20": parsing, overlap, and those that this box already uses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace slipway::deploy {

struct Subnet {
  uint32_t address = 0;  // host byte order; the bits behind the prefix are zero
  int prefix = 0;

  uint64_t size() const { return uint64_t{1} << (32 - prefix); }
  bool operator==(const Subnet&) const = default;
};

// Fails with bad_config, in words, when it isn't a network or its address has bits behind the prefix.
Result<Subnet> parse_subnet(std::string_view text);
std::string to_string(const Subnet& subnet);
bool overlap(const Subnet& a, const Subnet& b);
bool contains(const Subnet& outer, const Subnet& inner);
// The n-th address: host_address(198.18.0.0/20, 2) is "198.18.0.2".
std::string host_address(const Subnet& subnet, uint32_t n);

// Destinations in the text of /proc/net/route, default routes left out.
std::vector<Subnet> parse_routes(std::string_view proc_net_route);
// The networks of this box's interfaces and routes.
std::vector<Subnet> networks_in_use();

}  // namespace slipway::deploy
