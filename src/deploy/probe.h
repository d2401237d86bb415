// Questions to a cluster that is coming up.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "machines/machine.h"

namespace slipway::deploy {

// Whether the daemon's status (the answer of its API, daemon/api.h) says that it has read Slurm's nodes.
bool status_knows_slurm(std::string_view answer);

// The daemon's answer to {"call": "status"}; not_found while nothing listens.
Result<std::string> ask_status(const std::filesystem::path& api_socket, Duration timeout);

// Runs a program on a machine with its output thrown away; true when it ended with 0 in time.
bool runs_on(const machines::Machine& machine, const std::string& user, const std::vector<std::string>& argv,
             Duration timeout);

// The last lines of those log files in `folder` that exist and aren't empty, each under its name.
std::string log_excerpts(const std::filesystem::path& folder, const std::vector<std::string>& names);

}  // namespace slipway::deploy
