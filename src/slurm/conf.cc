#include "slurm/conf.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/hostlist.h"
#include "slurm/conf_lines.h"
#include "slurm/gres.h"

namespace slipway::slurm {
namespace {

// Ten years: taking nodes back is the daemon's work, but without a finite SuspendTime slurmctld has no power saving at
// all.
constexpr const char* suspend_time_never = "315360000";
constexpr uint32_t slurm_seconds_max = 65'000;  // ResumeTimeout is 16 bits wide, with special values at the end

bool since(const Version& version, int major, int minor) {
  return version >= Version{major, minor, 0};
}

std::string hook_program(const ConfInputs& inputs, const char* name) {
  return inputs.hook.substr(0, inputs.hook.rfind('/') + 1) + name;
}

std::string pool_hostlist(const model::Pool& pool) {
  std::vector<std::string> names;
  names.reserve(pool.max);
  for (uint32_t i = 1; i <= pool.max; ++i) names.push_back(model::node_name(pool.name, i).str());
  return compress_hostlist(names);
}

// Three boots one after another, for a machine that fails is replaced under the same node name, and a minute for the
// rest.
std::string resume_timeout(const model::Cluster& cluster) {
  Duration longest{0};
  for (const auto& pool : cluster.pools) longest = std::max(longest, pool.boot_timeout);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(3 * longest).count() + 60;
  return std::to_string(std::min<int64_t>(seconds, slurm_seconds_max));
}

void add_identity(ConfLines& conf, const model::Cluster& cluster, const ConfInputs& inputs) {
  conf.set("ClusterName", cluster.name);
  conf.set("SlurmctldHost", inputs.controller_host + "(" + inputs.controller_address + ")");
  conf.set("SlurmUser", "slurm");
  conf.set("AuthType", "auth/munge");
  // A job that lost its node waits for cred_expire + 1 before it may run again; a job's launch must reach all its nodes
  // within it.
  conf.merge("AuthInfo", "cred_expire=60");
}

void add_places(ConfLines& conf, const ConfInputs& inputs) {
  conf.set("StateSaveLocation", inputs.state_folder);
  conf.set("SlurmdSpoolDir", "/var/spool/slurmd");
  conf.set("SlurmctldPidFile", "/run/slurmctld.pid");
  conf.set("SlurmdPidFile", "/run/slurmd.pid");
  conf.set("SlurmctldLogFile", inputs.log_folder + "/slurmctld.log");
  conf.set("SlurmdLogFile", inputs.log_folder + "/slurmd.log");
}

void add_power_saving(ConfLines& conf, const model::Cluster& cluster, const ConfInputs& inputs) {
  conf.set("ResumeProgram", hook_program(inputs, "slipway-resume"));
  conf.set("SuspendProgram", hook_program(inputs, "slipway-suspend"));
  conf.set("ResumeFailProgram", hook_program(inputs, "slipway-resume-fail"));
  conf.set("PrologSlurmctld", hook_program(inputs, "slipway-prolog"));
  conf.set("SuspendTime", suspend_time_never);
  conf.set("SuspendTimeout", "60");
  conf.set("ResumeTimeout", resume_timeout(cluster));
  conf.set("SuspendRate", "0");
  conf.set("ResumeRate", "0");
  conf.set("ReturnToService", "2");
  conf.merge("SlurmctldParameters", "enable_configless,idle_on_node_suspend,power_save_interval=1");
  if (!since(inputs.version, 23, 11)) conf.merge("SlurmctldParameters", "cloud_reg_addrs");
  if (!since(inputs.version, 23, 2)) conf.merge("PrivateData", "cloud");
}

void add_network(ConfLines& conf, const ConfInputs& inputs) {
  // Before 23.11 a node cannot pass messages on to others whose names it cannot resolve: the controller and srun speak
  // to each themselves.
  if (!since(inputs.version, 23, 11)) conf.set("TreeWidth", "65533");
  conf.set("MessageTimeout", "30");
  conf.set("TCPTimeout", "10");
  conf.set("SlurmdTimeout", "120");
  conf.set("BatchStartTimeout", "60");
}

void add_scheduling(ConfLines& conf) {
  conf.set("SchedulerType", "sched/backfill");
  conf.merge("SchedulerParameters", "batch_sched_delay=0,sched_interval=10,sched_min_interval=500000,bf_interval=10");
  conf.set("SelectType", "select/cons_tres");
  conf.set("SelectTypeParameters", "CR_Core_Memory");
}

void add_nodes_behaviour(ConfLines& conf, const model::Cluster& cluster, const ConfInputs& inputs) {
  // What a node offers is what slurm.conf says, though several of them share one box.
  conf.merge("SlurmdParameters", "config_overrides");
  conf.set("ProctrackType", "proctrack/linuxproc");
  conf.set("TaskPlugin", "task/none");
  conf.set("JobAcctGatherType", "jobacct_gather/none");
  conf.set("MpiDefault", "none");
  conf.set("MailProg", "/bin/true");
  // Debian's plugstack.conf includes a pattern that these releases complain about in every command.
  if (since(inputs.version, 23, 11)) conf.merge("DebugFlags", "GLOB_SILENCE");
  const std::string gres = gres_types(cluster);
  if (!gres.empty()) conf.merge("GresTypes", gres);
}

std::string join(const std::vector<std::string>& texts) {
  std::string list;
  for (const auto& text : texts) list += (list.empty() ? "" : ",") + text;
  return list;
}

std::string node_lines(const model::Cluster& cluster) {
  std::string text;
  for (const auto& pool : cluster.pools) {
    if (pool.max == 0) continue;
    ConfLines line;
    line.set("NodeName", pool_hostlist(pool));
    line.set("CPUs", std::to_string(pool.shape.cpus));
    line.set("RealMemory", std::to_string(declared_memory_mib(pool.shape.memory_mib)));
    std::vector<std::string> features = pool.features;
    if (std::find(features.begin(), features.end(), pool.name.str()) == features.end())
      features.push_back(pool.name.str());
    line.set("Feature", join(features));
    if (!pool.shape.gres.empty()) line.set("Gres", join(pool.shape.gres));
    if (pool.weight) line.set("Weight", std::to_string(*pool.weight));
    line.set("State", "CLOUD");
    text += line.one_line() + "\n";
  }
  for (const auto& nodes : cluster.existing) {
    text += "NodeName=" + conf_value(nodes.nodes);
    if (nodes.address) text += " NodeAddr=" + conf_value(*nodes.address);
    // Several keys as the operator wrote them: not one value, so not quoted; but still on one line.
    std::string keys = nodes.slurm;
    std::replace_if(
        keys.begin(), keys.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '#'; }, ' ');
    if (!keys.empty()) text += " " + keys;
    text += "\n";
  }
  return text;
}

const model::Pool* find_pool(const model::Cluster& cluster, const PoolName& name) {
  const auto found =
      std::find_if(cluster.pools.begin(), cluster.pools.end(), [&](const auto& pool) { return pool.name == name; });
  return found == cluster.pools.end() ? nullptr : &*found;
}

// A job that doesn't say what memory it needs gets its share of the leanest pool: without this it would get the whole
// node's.
std::optional<uint64_t> default_memory_per_cpu(const model::Cluster& cluster, const std::vector<PoolName>& pools) {
  std::optional<uint64_t> least;
  for (const auto& name : pools) {
    const model::Pool* const pool = find_pool(cluster, name);
    if (pool == nullptr) continue;
    const uint64_t share = declared_memory_mib(pool->shape.memory_mib) / std::max(1u, pool->shape.cpus);
    least = std::min(least.value_or(std::numeric_limits<uint64_t>::max()), std::max<uint64_t>(share, 1));
  }
  return least;
}

bool says_memory(const model::Partition& partition) {
  return std::any_of(partition.slurm.begin(), partition.slurm.end(), [](const auto& entry) {
    return equal_but_case(entry.first, "DefMemPerCPU") || equal_but_case(entry.first, "DefMemPerNode") ||
           equal_but_case(entry.first, "DefMemPerGPU");
  });
}

std::string partition_line(const model::Cluster& cluster, const model::Partition& partition) {
  ConfLines line;
  line.set("PartitionName", partition.name.str());
  std::vector<std::string> nodes;
  const auto add = [&](const std::string& hostlist) {
    if (std::find(nodes.begin(), nodes.end(), hostlist) == nodes.end()) nodes.push_back(hostlist);
  };
  for (const auto& name : partition.pools) {
    const model::Pool* const pool = find_pool(cluster, name);
    if (pool != nullptr && pool->max > 0) add(pool_hostlist(*pool));
  }
  for (const auto& hostlist : partition.existing) add(hostlist);
  for (const auto& existing : cluster.existing) {
    if (existing.partition == partition.name) add(existing.nodes);
  }
  if (!nodes.empty()) line.set("Nodes", join(nodes));
  if (partition.is_default) line.set("Default", "YES");
  line.set("MaxTime", partition.max_time.value_or("UNLIMITED"));
  if (partition.default_time) line.set("DefaultTime", *partition.default_time);
  if (partition.priority_tier) line.set("PriorityTier", std::to_string(*partition.priority_tier));
  const auto memory = default_memory_per_cpu(cluster, partition.pools);
  if (memory && !says_memory(partition)) line.set("DefMemPerCPU", std::to_string(*memory));
  line.set("State", "UP");
  for (const auto& [key, value] : partition.slurm) line.set(key, value);
  return line.one_line() + "\n";
}

std::string partition_lines(const model::Cluster& cluster) {
  std::string text;
  std::vector<PartitionName> written;
  for (const auto& partition : cluster.partitions) {
    text += partition_line(cluster, partition);
    written.push_back(partition.name);
  }
  // An existing node's partition needs no entry of its own in the file.
  for (const auto& existing : cluster.existing) {
    if (existing.partition.empty() || std::find(written.begin(), written.end(), existing.partition) != written.end())
      continue;
    model::Partition partition;
    partition.name = existing.partition;
    text += partition_line(cluster, partition);
    written.push_back(partition.name);
  }
  return text;
}

}  // namespace

uint64_t declared_memory_mib(uint64_t memory_mib) {
  return std::max<uint64_t>(1, memory_mib / 100 * 95 + memory_mib % 100 * 95 / 100);
}

Conf render_conf(const model::Cluster& cluster, const ConfInputs& inputs) {
  ConfLines conf;
  add_identity(conf, cluster, inputs);
  add_places(conf, inputs);
  add_power_saving(conf, cluster, inputs);
  add_network(conf, inputs);
  add_scheduling(conf);
  add_nodes_behaviour(conf, cluster, inputs);
  for (const auto& [key, value] : cluster.slurm) {
    if (ConfLines::is_list(key)) {
      conf.merge(key, value);
    } else {
      conf.set(key, value);
    }
  }
  Conf result;
  result.slurm_conf = "# Written by Slipway from the cluster file; changes made here are lost.\n" + conf.text() +
                      node_lines(cluster) + partition_lines(cluster);
  result.gres_conf = gres_conf(cluster);
  // slurmd starts a cgroup plugin even when nothing uses it. v1's start asks for no controllers; 24.05 can do without.
  result.cgroup_conf = since(inputs.version, 24, 5) ? "CgroupPlugin=disabled\n" : "CgroupPlugin=cgroup/v1\n";
  return result;
}

std::string cloud_hosts(const model::Cluster& cluster, const std::map<NodeName, std::string>& addresses) {
  std::string text;
  for (const auto& pool : cluster.pools) {
    for (uint32_t i = 1; i <= pool.max; ++i) {
      const NodeName name = model::node_name(pool.name, i);
      const auto known = addresses.find(name);
      text += (known == addresses.end() ? "127.0.0.1" : known->second) + " " + name.str() + "\n";
    }
  }
  return text;
}

}  // namespace slipway::slurm
