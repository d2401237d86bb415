// IPv4 addresses of a cluster: its subnet, who has which address, and the Ethernet address that follows from it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/result.h"

namespace slipway::machines {

using Ipv4 = uint32_t;  // host byte order
using Mac = std::array<uint8_t, 6>;

Result<Ipv4> parse_ipv4(std::string_view text);  // "198.18.0.5"; bad_config on anything else
std::string ipv4_text(Ipv4 address);

struct Subnet {
  Ipv4 network = 0;
  int prefix = 20;

  Ipv4 mask() const { return prefix == 0 ? 0 : ~Ipv4{0} << (32 - prefix); }
  bool contains(Ipv4 address) const { return (address & mask()) == network; }
  bool overlaps(const Subnet& other) const {
    return prefix <= other.prefix ? contains(other.network) : other.contains(network);
  }
  Ipv4 gateway() const { return network + 1; }  // the bridge's own
  Ipv4 broadcast() const { return network | ~mask(); }
  bool operator==(const Subnet&) const = default;
};

// "198.18.0.0/20"; the prefix is 16 to 29 and no bit is set behind it.
Result<Subnet> parse_subnet(std::string_view text);
std::string subnet_text(const Subnet& subnet);

// Follows from the address alone, so that anybody on the box can write a neighbour entry for a machine that he has
// never seen.
Mac mac_of(Ipv4 address);

// Who has which address. Hands out the address after the one handed out last, so that one that became free rests for as
// long as the subnet allows: Slurm's daemons cache addresses, and a machine that answers on a dead one's address is
// worse than none.
class AddressPool {
 public:
  AddressPool(const Subnet& subnet, Ipv4 cursor);

  std::optional<Ipv4> take();
  bool take_this(Ipv4 address);  // false: outside, reserved or taken
  void give_back(Ipv4 address);
  size_t available() const;
  Ipv4 cursor() const { return cursor_; }  // the address handed out last; kept on disk over restarts

 private:
  Subnet subnet_;
  Ipv4 cursor_;
  std::unordered_set<Ipv4> taken_;
};

}  // namespace slipway::machines
