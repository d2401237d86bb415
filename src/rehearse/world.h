// What must exist in the simulated Azure before Slipway does anything: what the cluster file speaks of.
#pragma once

#include "model/cluster.h"
#include "rehearse/azure/face.h"
#include "rehearse/kept.h"

namespace slipway::rehearse {

// Account keys come from `kept`, which gets those that are new.
AzureWorld world_of(const model::Cluster& cluster, Kept& kept);

}  // namespace slipway::rehearse
