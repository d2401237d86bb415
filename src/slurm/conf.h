// Writes Slurm's configuration from a cluster: slurm.conf, gres.conf, cgroup.conf.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/cluster.h"
#include "slurm/adapter.h"

namespace slipway::slurm {

struct ConfInputs {
  Version version;                       // of the slurmctld that will read it
  std::string controller_host;           // host name of the controller, "controller"
  std::string controller_address;        // "198.18.0.2"
  std::string hook;                      // absolute path of slipway-hook; argv[0] of the three programs is a link to it in that folder:
                                         // slipway-resume, slipway-suspend, slipway-resume-fail
  std::string state_folder = "/var/spool/slurmctld";
  std::string log_folder = "/var/log/slipway";
};

struct Conf {
  std::string slurm_conf;
  std::string gres_conf;                 // empty when no pool has GRES
  std::string cgroup_conf;
};
// Precondition: `cluster` came from config/ without errors.
Conf render_conf(const model::Cluster& cluster, const ConfInputs& inputs);

// Lines for the controller's /etc/hosts: every cloud name resolves at once, to an address that refuses quickly (127.0.0.1, where no slurmd
// listens), so that slurmctld never stalls on a name (reference: Debian's retry-getaddrinfo patch waits 10 s a name).
std::string cloud_hosts(const model::Cluster& cluster);

// RealMemory for a machine with `memory_mib`: safely below what slurmd will measure, so that nodes aren't drained for low memory.
uint64_t declared_memory_mib(uint64_t memory_mib);

// Whether the cluster file may pass `key` through to slurm.conf; the reason when Slipway itself needs it ("SuspendProgram is how Slipway …").
std::string reserved_key_reason(std::string_view key);

}  // namespace slipway::slurm
