// Files with secrets that a cluster file names: the controller can't see the box's, so it gets copies.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "model/cluster.h"

namespace slipway::deploy {

// Copies every key and certificate file of `cluster` (but not a federated token, which its owner renews every hour)
// into `keys_folder` (0600) and makes the cluster name the copy as the controller sees it. Files that are there already
// are left alone. bad_config: one can't be read, or is larger than 64 KiB.
Result<void> bring_secrets(model::Cluster& cluster, const std::filesystem::path& keys_folder);

}  // namespace slipway::deploy
