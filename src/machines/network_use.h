// Which subnets this box already uses, by its addresses and routes.
#pragma once

#include "machines/addresses.h"
#include "machines/netlink.h"

namespace slipway::machines {

struct SubnetUse {
  Subnet subnet;          // any prefix
  int link = 0;           // index of the interface; 0 for a route without one
  std::string interface;  // its name, or "a route"
  bool is_address = false;
};
// Addresses and routes of every table, but for default routes.
Result<std::vector<SubnetUse>> subnets_in_use(Netlink& netlink);

// Fails with bad_config, naming the interface and the way out, when anything but `own_link` uses a part of the subnet.
Result<void> check_subnet_free(Netlink& netlink, const Subnet& subnet, int own_link);

}  // namespace slipway::machines
