// Writes Slurm's configuration from a cluster: slurm.conf, gres.conf, cgroup.conf.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/cluster.h"
#include "slurm/adapter.h"

namespace slipway::slurm {

struct ConfInputs {
  Version version;                 // of the slurmctld that will read it
  std::string controller_host;     // host name of the controller, "controller"
  std::string controller_address;  // "198.18.0.2"
  // Absolute path of slipway-hook. In its folder there must be four links to it, which slurmctld runs: slipway-resume,
  // slipway-suspend, slipway-resume-fail, slipway-prolog. slurmctld wants them executable, and not writable for group
  // or others.
  std::string hook;
  std::string state_folder = "/var/spool/slurmctld";
  std::string log_folder = "/var/log/slipway";
};

struct Conf {
  std::string slurm_conf;
  std::string gres_conf;  // empty when no pool has GRES
  std::string cgroup_conf;
};
// What each line is for is in docs/slurm.md. Keys of `cluster.slurm` win over Slipway's own, except that lists
// (SlurmctldParameters, SchedulerParameters, …) are merged word by word. Reserved keys are refused by config/, so that
// none arrives here. Precondition: `cluster` came from config/ without errors.
Conf render_conf(const model::Cluster& cluster, const ConfInputs& inputs);

// Lines for the controller's /etc/hosts: every cloud name resolves at once, so that slurmctld never stalls on a name
// (Debian's slurmctld tries an unknown one for ten seconds). A name in `addresses` gets its address, the others one
// that refuses quickly (127.0.0.1, where no slurmd listens). slurmctld also calls back to the hosts on which srun runs,
// by their host names: those must resolve, too.
std::string cloud_hosts(const model::Cluster& cluster, const std::map<NodeName, std::string>& addresses = {});

// RealMemory for a machine with `memory_mib`: safely below what slurmd will measure, so that nodes aren't drained for
// low memory.
uint64_t declared_memory_mib(uint64_t memory_mib);

}  // namespace slipway::slurm
