// The scale sets of one resource group: those of the cluster file's pools of kind scale_set.
//
// Calls: a look is one list of the group's sets, one list of VMs for each set that has any (paged), and one for each
// operation that runs. The VMs' private addresses aren't in their list; they stand with the network interfaces, of
// which one list (paged) is asked only while a machine's address isn't known yet. A burst is one PATCH, the removal of
// n machines of a set ⌈n/1000⌉ POSTs; nothing is asked per machine.
#pragma once

#include <memory>
#include <vector>

#include "cloud/azure/fleet.h"

namespace slipway::cloud::azure {

// `pools`: of kind scale_set, with one subscription and resource group.
std::unique_ptr<Fleet> make_scale_set_fleet(FleetContext context, std::vector<PoolName> pools);

}  // namespace slipway::cloud::azure
