// slipwayd: observe → decide → act, as one loop. Lives on the controller machine beside slurmctld, run and restarted by
// its agent.
//
// One thread owns View, Memory and the loop. scontrol, squeue and provider calls run on workers and come back as
// messages; SQL has its own writer. Rounds are triggered by hints, agents' reports, finished actions, and time
// (Plan::look_again, and the polls: quick while nodes are between states, slow while all is quiet). Several triggers at
// once make one round.
//
// Crash windows: whatever is lost with the process is found again at both ends. A launch that was accepted is in the
// provider's list (or its token makes the repetition harmless); a binding is known to the agent, which reconnects and
// says so, and to Slurm (NodeAddr); a half-done termination is an instance that nothing wants; an update of Slurm that
// did not happen is a state that still asks for it.
//
// Of two daemons one acts: whoever has the lease beside slurmctld's state (lease.h). The other one opens no socket
// until it has it; one that loses it ends at once, and its agent starts it anew as the one that stands by.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace slipway::daemon {

struct DaemonOptions {
  std::filesystem::path cluster_file;  // /etc/slipway/cluster.yaml
  std::filesystem::path run_folder;    // /run/slipway: hook.sock (SlurmUser and root), api.sock (root)
  std::filesystem::path data_folder;   // /var/lib/slipway/data: events.db
  std::filesystem::path keys_folder;   // /etc/slipway/keys: munge.key, master.key (hex)
  std::filesystem::path host_socket;   // local provider: /run/slipway-host/host.sock
  std::string listen;                  // for agents: "198.18.0.2:6830"
  std::string slurm_conf;              // "/etc/slurm/slurm.conf"
  std::filesystem::path hosts_file;    // the controller's, for the names of login machines; empty: left alone
};

// Runs until SIGTERM or SIGINT. Fails only at the start: unreadable cluster file or keys, address in use.
Result<void> run_daemon(const DaemonOptions& options);

// Writes slurm.conf, gres.conf, cgroup.conf and hosts for the Slurm that is installed here; the agent calls it
// (slipwayd --prepare) before it starts slurmctld.
struct PrepareOptions {
  std::filesystem::path cluster_file;
  std::filesystem::path conf_folder;  // /etc/slurm
  std::filesystem::path hosts_file;   // /etc/hosts: its Slipway section is replaced
  std::string controller_host;
  std::string controller_address;
};
Result<void> prepare_controller(const PrepareOptions& options);

}  // namespace slipway::daemon
