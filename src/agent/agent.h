// The agent: PID 1 of a machine on the local provider (a service on a cloud). Sets the machine up for its role,
// supervises the role's daemons, reaps every orphan, and ends them in order on SIGTERM.
//
//   compute      join → munge key, users, hosts, prep script → munged → wait for a name → slurmd → serve; says each
//   step to the daemon login        join → munge key, users, hosts, slurm.conf → munged → serve controller   users,
//   hosts, keys from its own folder → munged → `slipwayd --prepare` → slurmctld and slipwayd, both restarted when they
//   die
//
// It reconnects for ever (0.1 s to 5 s, with jitter): a dead daemon or controller stops nothing that runs here. Logs go
// to /var/log/slipway/<daemon>.log.
#pragma once

#include "base/result.h"
#include "join/boot_data.h"

namespace slipway::agent {

// Returns the exit status for main().
int run_agent(const join::BootData& boot);

}  // namespace slipway::agent
