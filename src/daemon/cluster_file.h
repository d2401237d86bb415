// The cluster file, read for a daemon: what is unwise goes to the log, what is wrong is one error for a person.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "model/cluster.h"

namespace slipway::daemon {

// Fails with bad_config; the message holds every problem, one a line.
Result<model::Cluster> load_cluster(const std::filesystem::path& file);

}  // namespace slipway::daemon
