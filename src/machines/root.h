// Builds a machine's root file system, inside its mount namespace, and moves there for good.
#pragma once

#include "base/result.h"
#include "machines/boot.h"

namespace slipway::machines {

// Afterwards nothing of the box is reachable but what the plan mounts.
Result<void> build_root(const BootPlan& plan);

}  // namespace slipway::machines
