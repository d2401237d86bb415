// The names of things, each its own type.
#pragma once

#include <cstdint>

#include "base/strong_id.h"

namespace slipway {

using NodeName = StrongId<struct NodeNameTag>;            // Slurm's name for a slot: "cpu-0001"
using InstanceId = StrongId<struct InstanceIdTag>;        // the provider's name for a machine that exists
using PoolName = StrongId<struct PoolNameTag>;            // from the cluster file
using PartitionName = StrongId<struct PartitionNameTag>;  // Slurm's partition
using JobId = uint32_t;                                   // Slurm's job id; array tasks have one each

}  // namespace slipway
