// Takes a cluster away, for whoever holds its lock: `down`, and an `up` that failed.
#pragma once

#include <filesystem>

#include "deploy/deploy.h"

namespace slipway::deploy {

// Asks the machine host to end everything; what it leaves, or all of it when the host is dead, is removed from its
// records on disk; then the state folder goes. Idempotent.
Result<void> remove_cluster(const std::filesystem::path& state, bool keep_data, const Progress& progress);

}  // namespace slipway::deploy
