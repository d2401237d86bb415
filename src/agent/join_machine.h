// `slipway-agent --join`: makes a cloud's machine a cluster's. What the cloud runs at each boot (a Batch pool's start
// task, a scale set's custom data) calls it with the cluster's facts in its environment, none of them secret. It writes
// the boot data, starts the agent in the background and waits for it to be welcomed.
//
// It fails only for what another try on this machine can't mend: a wrong environment, an agent that doesn't run, no
// root. A Batch node whose start task failed is thrown away and replaced, and that must not happen to a hundred
// machines because the controller was restarting. So when the daemon can't be reached in time, it ends well, says so,
// and the agent goes on trying; a machine that never joins is the engine's affair (boot_timeout).
//
// Run again while an agent runs, as Batch does at each boot and retry, it starts no second one. Blocking.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "agent/context.h"
#include "agent/imds.h"
#include "base/files.h"
#include "base/result.h"
#include "join/boot_data.h"

namespace slipway::agent {

using Environment = std::map<std::string, std::string>;

// SLIPWAY_CLUSTER, SLIPWAY_POOL, SLIPWAY_DAEMON, SLIPWAY_DAEMON_KEY, SLIPWAY_PROVIDER and SLIPWAY_KIND; optional
// SLIPWAY_IDENTITY and SLIPWAY_IMDS; of a Batch pool's node AZ_BATCH_NODE_ID. A scale set's machine asks the metadata
// service for its name, for up to `patience`. bad_config names the variable that is missing or wrong.
Result<join::BootData> boot_data_of(const Environment& environment, Duration patience);

struct JoinOptions {
  std::filesystem::path run = run_folder;
  std::filesystem::path log = "/var/log/slipway/agent.log";
  std::string agent = "/proc/self/exe";                   // the program to start
  std::filesystem::path systemd = "/run/systemd/system";  // exists where systemd is PID 1
  Duration start_patience{10'000};                        // for the agent to take its lock
  Duration join_patience{60'000};                         // to be welcomed
};
// Returns the exit status, having said on stdout and stderr what happened.
int join_machine(const Environment& environment, const JoinOptions& options = {});

// The lock of the one agent of this machine, held until the descriptor is closed. denied: another agent has it.
Result<Fd> take_lock(const std::filesystem::path& run);

}  // namespace slipway::agent
