// The machine host: one small process per cluster that makes machines out of namespaces, lists, launches, kills,
// freezes and cuts them off.
//
// It remembers on disk (`<state>/machines/<id>/machine.json`), so that neither its own restart nor the death of a
// daemon or a controller touches a running machine: a restarted host finds each machine again by PID, start time and
// network namespace, and watches it by pidfd.
//
// Crash windows, in the order of a launch:
//   1. killed before machine.json is written: nobody was told of the machine, nothing exists;
//   2. killed after that, before the process starts: the restarted host finds a machine without a process and lists it
//   as gone;
//   3. killed between clone and the record of the PID: the child waits for a byte from the host before it does anything
//   and ends
//      when the pipe closes, so no unrecorded machine can run;
//   4. killed later: the machine runs on, is found again, and its link and address with it.
// Mounts live in the machine's own mount namespace and its link in its network namespace: both vanish with its last
// process. What a machine leaves on the box is its folder (logs) and nothing else.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "machines/machine.h"

namespace slipway::machines {

struct HostOptions {
  std::string cluster;
  std::filesystem::path state;  // the cluster's state folder
  std::string subnet;           // "198.18.0.0/20"; the bridge takes the first address
  std::filesystem::path
      programs;               // folder with slipway-agent and the other programs; mounted read-only at /opt/slipway/bin
  std::vector<Mount> shared;  // mounted on every machine
  Duration terminate_grace{3'000};  // between SIGTERM and SIGKILL
};

// Runs until shutdown is asked for or SIGTERM (which leaves the machines running). Fails when another host has the
// state folder, the subnet is in use on this box, the bridge can't be made, or this process isn't root.
Result<void> run_host(const HostOptions& options);

// Ends every machine and removes bridge and links of a cluster whose host may be dead, from what is on disk alone.
// Idempotent; waits until everything is gone. Used by `slipway down` after asking the host nicely.
Result<void> remove_everything(const std::filesystem::path& state);

// Paths inside the state folder, for everybody who must agree on them.
std::filesystem::path host_socket(const std::filesystem::path& state);  // <state>/host/host.sock
// <state>/host/stop: while it exists, a host that was killed is not started again (remove_everything makes it).
std::filesystem::path host_stop_mark(const std::filesystem::path& state);
std::filesystem::path machine_folder(const std::filesystem::path& state,
                                     const std::string& id);  // <state>/machines/<id>
std::filesystem::path machine_logs(const std::filesystem::path& state,
                                   const std::string& id);  // …/log, mounted at /var/log/slipway

// The first /20 of 198.18.0.0/15 that no interface or route of this box uses; no_capacity when all 32 are taken.
Result<std::string> choose_subnet();

}  // namespace slipway::machines
