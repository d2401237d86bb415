// The machine host's process: started apart from the command that starts it, so that it outlives it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "machines/host.h"

namespace slipway::deploy {

// The command line of the machine host for these options.
std::vector<std::string> host_command(const machines::HostOptions& options);

// Starts the host in a session of its own, its output appended to `log`, and returns when its socket answers. Fails
// with the last lines of its log when it ends before that.
Result<pid_t> start_host(const machines::HostOptions& options, const std::filesystem::path& log,
                         const std::function<bool()>& interrupted);

}  // namespace slipway::deploy
