#include "config/reserved.h"

#include <span>

#include "config/slurm_keys.h"
#include "config/words.h"

namespace slipway::config {
namespace {

struct Reserved {
  std::string_view key;
  std::string_view reason;  // continues "KEY …"
};

// Grouped by what would break.
constexpr Reserved reserved_keys[] = {
    // Power saving is the seam between slurmctld and Slipway.
    {"SuspendProgram", "is how slurmctld tells Slipway that a node may go; use 'idle_reclaim' to say when"},
    {"ResumeProgram",
     "is how slurmctld tells Slipway that a node is wanted; run what a node needs by the pool's 'prep'"},
    {"ResumeFailProgram", "is how slurmctld tells Slipway that a node didn't come; leave it out"},
    {"SuspendTime", "would make slurmctld take nodes back behind Slipway's back; use 'idle_reclaim'"},
    {"SuspendTimeout", "is kept in step with how long Slipway takes to end a machine; leave it out"},
    {"ResumeTimeout", "is computed from the pools' boot timeouts; use 'boot_timeout'"},
    {"SuspendRate", "would hold nodes back that Slipway paces itself; leave it out"},
    {"ResumeRate", "would hold nodes back that Slipway paces itself; leave it out"},
    {"SuspendExcNodes",
     "keeps nodes from being taken back, which Slipway decides; use 'reclaim_exclude' or the pool's 'warm'"},
    {"SuspendExcParts",
     "keeps nodes from being taken back, which Slipway decides; use 'idle_reclaim: never' in the partition"},
    {"SuspendExcStates", "keeps nodes from being taken back, which Slipway decides; use 'reclaim_exclude'"},
    {"RebootProgram", "would reboot machines that Slipway replaces instead; leave it out"},
    // Who is in the cluster.
    {"ClusterName", "is written from 'cluster'; change it there"},
    {"SlurmctldHost", "is written from 'controllers'; leave it out"},
    {"SlurmctldAddr", "is written from 'controllers'; leave it out"},
    {"ControlMachine", "is the old name of SlurmctldHost, which is written from 'controllers'; leave it out"},
    {"ControlAddr", "is the old name of SlurmctldAddr, which is written from 'controllers'; leave it out"},
    {"BackupController", "is written from 'controllers'; leave it out"},
    {"BackupAddr", "is written from 'controllers'; leave it out"},
    {"NodeName", "begins a node's line, which is written from 'pools' and 'existing'; describe the nodes there"},
    {"PartitionName", "begins a partition's line, which is written from 'partitions'; describe it there"},
    {"NodeSet",
     "begins a line of its own with several keys, which can't be passed through; name the pools in 'partitions'"},
    {"DownNodes",
     "begins a line of its own with several keys, which can't be passed through; use scontrol when the cluster runs"},
    {"FrontendName", "belongs to front-end systems, which Slipway doesn't build; leave it out"},
    {"FrontendAddr", "belongs to front-end systems, which Slipway doesn't build; leave it out"},
    {"MaxNodeCount",
     "is for nodes that join without being declared; Slipway declares every node, so change the pool's 'max'"},
    {"Include", "names a file that the nodes wouldn't get; write the keys here"},
    // How the daemons trust and reach each other.
    {"AuthType", "must be munge, whose key Slipway makes and hands out; leave it out"},
    {"CredType", "must be munge, whose key Slipway makes and hands out; leave it out"},
    {"JobCredentialPrivateKey", "belongs to a credential plugin that isn't used (munge is); leave it out"},
    {"JobCredentialPublicCertificate", "belongs to a credential plugin that isn't used (munge is); leave it out"},
    {"TLSType", "needs certificates that Slipway doesn't hand out; leave it out"},
    {"TLSParameters", "needs certificates that Slipway doesn't hand out; leave it out"},
    {"CertmgrType", "needs certificates that Slipway doesn't hand out; leave it out"},
    {"CertmgrParameters", "needs certificates that Slipway doesn't hand out; leave it out"},
    {"SlurmUser", "must be the account that owns the controller's state and may talk to Slipway; leave it out"},
    {"SlurmdUser", "must be root, so that slurmd can start jobs as their users; leave it out"},
    {"SlurmctldPort", "is known to every machine beforehand; leave it out"},
    {"SlurmdPort", "is known to every machine beforehand; leave it out"},
    {"TreeWidth",
     "makes slurmctld reach every node directly, because nodes can't resolve each other's names; leave it out"},
    {"ReturnToService", "must be 2, so that a replaced machine may serve under its node's name; leave it out"},
    {"PluginDir", "belongs to the Slurm that is installed on the machines; leave it out"},
    // Where things are on the machines.
    {"StateSaveLocation", "is a folder that Slipway keeps for the controller; leave it out"},
    {"SlurmdSpoolDir", "is a folder that Slipway makes on every machine; leave it out"},
    {"SlurmctldPidFile", "is watched by the machine's agent; leave it out"},
    {"SlurmdPidFile", "is watched by the machine's agent; leave it out"},
    {"SlurmctldLogFile", "is where 'slipway logs' looks; leave it out"},
    {"SlurmdLogFile", "is where 'slipway logs' looks and what a failed machine reports; leave it out"},
    // How nodes are measured and jobs confined.
    {"SelectType", "must be select/cons_tres, so that jobs get cores and memory; tune SelectTypeParameters"},
    {"ProctrackType",
     "is chosen for what the machines can do (on one box they have no cgroups of their own); leave it out"},
    {"TaskPlugin", "is chosen for what the machines can do (on one box they share its cores); leave it out"},
    {"JobContainerType", "needs a job_container.conf, which isn't passed through; leave it out"},
    {"CoreSpecPlugin", "needs cores of a machine's own, which nodes on one box don't have; leave it out"},
    // Later: the accounting database.
    {"AccountingStorageType",
     "needs an accounting database, which isn't available with provider local yet; leave it out"},
    {"AccountingStorageHost",
     "needs an accounting database, which isn't available with provider local yet; leave it out"},
    {"AccountingStorageBackupHost",
     "needs an accounting database, which isn't available with provider local yet; leave it out"},
    {"AccountingStorageExternalHost",
     "needs an accounting database, which isn't available with provider local yet; leave it out"},
    {"AccountingStoragePort",
     "needs an accounting database, which isn't available with provider local yet; leave it out"},
    {"AccountingStorageUser",
     "needs an accounting database, which isn't available with provider local yet; leave it out"},
    {"AccountingStoragePass",
     "needs an accounting database, which isn't available with provider local yet; leave it out"},
    {"AccountingStorageEnforce",
     "stops slurmctld at its start without an accounting database, which isn't available with provider local yet; "
     "leave it out"},
};

constexpr Reserved reserved_partition_keys[] = {
    {"PartitionName", "is the partition's name in this file; change it there"},
    {"Nodes", "is written from the partition's 'pools' and from 'existing'; change them"},
    {"Default", "is written from 'default'; use that"},
    {"MaxTime", "is written from 'max_time'; use that"},
    {"DefaultTime", "is written from 'default_time'; use that"},
    {"PriorityTier", "is written from 'priority_tier'; use that"},
    {"Priority", "is the old name that also sets PriorityTier; use 'priority_tier', or PriorityJobFactor"},
    {"SuspendTime", "would make slurmctld take nodes back behind Slipway's back; use the partition's 'idle_reclaim'"},
    {"SuspendTimeout", "is kept in step with how long Slipway takes to end a machine; leave it out"},
    {"ResumeTimeout", "is computed from the pools' boot timeouts; use 'boot_timeout'"},
    {"PowerDownOnIdle",
     "would make slurmctld take nodes back behind Slipway's back; use the partition's 'idle_reclaim'"},
    {"QOS", "needs an accounting database, which isn't available with provider local yet; leave it out"},
};

constexpr Reserved reserved_node_keys[] = {
    {"NodeName", "is written from 'nodes'; change it there"},
    {"NodeHostname", "is written from 'nodes'; change it there"},
    {"NodeAddr", "is written from 'address'; use that"},
};

// A word matches when it is equal or, if the entry ends in '=', begins with it.
struct ReservedWord {
  std::string_view key;
  std::string_view word;
  std::string_view reason;  // continues "WORD in KEY …"
};
constexpr ReservedWord reserved_words[] = {
    {"SlurmctldParameters", "cloud_dns", "expects node names in a DNS, and there is none; leave it out"},
    {"SlurmctldParameters",
     "power_save_interval=", "slows slurmctld's calls to Slipway, which gathers them itself; leave it out"},
    {"SlurmctldParameters",
     "power_save_min_interval=", "slows slurmctld's calls to Slipway, which gathers them itself; leave it out"},
    {"AuthInfo", "socket=", "moves munge's socket, which the machine's agent starts; leave it out"},
    {"JobAcctGatherType", "jobacct_gather/cgroup",
     "needs cgroups, which machines on one box don't have; use jobacct_gather/linux"},
    {"CommunicationParameters", "EnableIPv6", "asks for IPv6, and the machines have IPv4 addresses; leave it out"},
    {"CommunicationParameters", "DisableIPv4", "asks for IPv6, and the machines have IPv4 addresses; leave it out"},
};

std::string find(std::span<const Reserved> table, std::string_view key) {
  for (const Reserved& entry : table) {
    if (equal_ignoring_case(entry.key, key)) return std::string(entry.key) + " " + std::string(entry.reason);
  }
  return "";
}

std::string canonical(std::span<const std::string_view> keys, std::string_view key) {
  for (std::string_view known : keys) {
    if (equal_ignoring_case(known, key)) return std::string(known);
  }
  return "";
}

}  // namespace

std::string reserved_key_reason(std::string_view key) {
  return find(reserved_keys, key);
}
std::string reserved_partition_key_reason(std::string_view key) {
  return find(reserved_partition_keys, key);
}
std::string reserved_node_key_reason(std::string_view key) {
  return find(reserved_node_keys, key);
}

std::string reserved_value_reason(std::string_view key, std::string_view word) {
  for (const ReservedWord& entry : reserved_words) {
    if (!equal_ignoring_case(entry.key, key)) continue;
    bool prefix = entry.word.ends_with('=');
    bool hit = prefix ? equal_ignoring_case(word.substr(0, entry.word.size()), entry.word)
                      : equal_ignoring_case(word, entry.word);
    if (hit) return "'" + std::string(word) + "' in " + std::string(entry.key) + " " + std::string(entry.reason);
  }
  return "";
}

std::string known_slurm_key(std::string_view key) {
  return canonical(slurm_conf_keys(), key);
}
std::string known_partition_key(std::string_view key) {
  return canonical(partition_line_keys(), key);
}
std::string known_node_key(std::string_view key) {
  return canonical(node_line_keys(), key);
}
std::string nearest_slurm_key(std::string_view key) {
  return did_you_mean(key, slurm_conf_keys());
}
std::string nearest_partition_key(std::string_view key) {
  return did_you_mean(key, partition_line_keys());
}
std::string nearest_node_key(std::string_view key) {
  return did_you_mean(key, node_line_keys());
}

}  // namespace slipway::config
