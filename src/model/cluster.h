// A cluster as its file describes it, with every default filled in. Plain data; config/ makes it, everybody reads it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/ids.h"

namespace slipway::model {

enum class ProviderKind { local };  // aws and azure come with their providers

enum class Market { on_demand, spot, spot_then_on_demand };

// What one machine of a pool offers to Slurm.
struct Shape {
  uint32_t cpus = 1;
  uint64_t memory_mib = 1024;       // what the machine has; slurm/ declares a little less
  std::vector<std::string> gres;    // Slurm's words: "gpu:2", "gpu:tesla:1"
};

struct Pool {
  PoolName name;
  ProviderKind provider = ProviderKind::local;
  uint32_t max = 0;                 // nodes; Slurm sees <pool>-0001 … <pool>-<max>
  uint32_t warm = 0;                // this many nodes stay up, busy or idle: never reclaimed below it
  Shape shape;
  Market market = Market::on_demand;
  std::optional<Duration> idle_reclaim;  // overrides partition and cluster
  Duration boot_timeout{};          // from launch to a joined agent; then the machine is replaced
  std::vector<std::string> features;
  std::optional<uint32_t> weight;
  std::string image;                // local: a folder with a root file system; empty is the box's own root
  std::string prep;                 // text of the script that runs on each machine before slurmd; empty is none
};

struct Partition {
  PartitionName name;
  std::vector<PoolName> pools;
  std::vector<std::string> existing;     // hostlists of `existing` nodes in it
  bool is_default = false;
  std::optional<std::string> max_time;       // Slurm's time format, or "UNLIMITED"
  std::optional<std::string> default_time;
  std::optional<uint32_t> priority_tier;
  std::optional<Duration> idle_reclaim;
  std::map<std::string, std::string> slurm;  // other keys of slurm.conf's partition line, by Slurm's own names
};

// Nodes that Slipway doesn't manage: always on, written to slurm.conf as they are.
struct ExistingNodes {
  std::string nodes;                // hostlist
  std::string slurm;                // "CPUs=64 RealMemory=250000"
  PartitionName partition;
  std::optional<std::string> address;  // hostlist of addresses, when names don't resolve
};

struct RoleMachines {               // controllers or logins
  uint32_t count = 1;
  std::string image;
  std::string prep;
};

struct SharedFolder {               // on the local provider: a folder of the box, mounted on every machine
  std::string name;
  std::string mount;                // absolute path on the machines
};

struct User {
  std::string name;
  uint32_t uid = 0;                 // also the gid
};

// An idle_reclaim that never comes: ten years, which can be added to any TimePoint.
inline constexpr Duration idle_reclaim_never = std::chrono::hours(24 * 3650);

struct Cluster {
  std::string name;                 // [a-z][a-z0-9-]{0,31}
  ProviderKind provider = ProviderKind::local;
  std::string subnet;               // local: "198.18.16.0/20"; empty lets `up` choose a free one
  RoleMachines controllers;
  RoleMachines logins;
  std::vector<SharedFolder> storage;
  std::vector<User> users;
  std::vector<Pool> pools;          // in the file's order
  std::vector<Partition> partitions;
  std::vector<ExistingNodes> existing;
  Duration idle_reclaim{};
  std::vector<std::string> reclaim_exclude;   // node names (expanded) that are never reclaimed when idle
  std::map<std::string, std::string> slurm;   // passed through to slurm.conf
};

// "cpu-0001": numbers start at 1 and have at least four digits, so that hostlists stay short and raising `max` renames nobody.
NodeName node_name(const PoolName& pool, uint32_t number);
// The idle time after which a node of `pool` is taken back: the pool's own, else the longest of its partitions', else the cluster's.
Duration idle_reclaim_of(const Cluster& cluster, const Pool& pool);

}  // namespace slipway::model
