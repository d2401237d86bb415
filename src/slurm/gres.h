// Generic resources of the pools' machines, as gres.conf needs them.
#pragma once

#include <string>

#include "model/cluster.h"

namespace slipway::slurm {

// GresTypes: "gpu,fpga". Empty when no pool has any.
std::string gres_types(const model::Cluster& cluster);

// gres.conf. Empty when no pool has any.
std::string gres_conf(const model::Cluster& cluster);

}  // namespace slipway::slurm
