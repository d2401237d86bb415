// A cluster as its file describes it, with every default filled in. Plain data; config/ makes it, everybody reads it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/azure.h"
#include "model/ids.h"
#include "model/offer.h"

namespace slipway::model {

enum class ProviderKind : uint8_t { local, azure };  // aws comes with its provider

// What one machine of a pool offers to Slurm.
struct Shape {
  uint32_t cpus = 1;
  uint64_t memory_mib = 1024;       // what the machine has; slurm/ declares a little less
  std::vector<std::string> gres;    // Slurm's words: "gpu:2", "gpu:tesla:1"
};

// How many nodes stay up so that the next job needn't wait: whichever asks for more.
struct WarmLevel {
  uint32_t count = 0;  // nodes that are up, busy or idle
  double share = 0;    // 0 to 1: idle nodes beside the busy ones, as a share of those, rounded up
  bool operator==(const WarmLevel&) const = default;
};

// A level that holds at certain hours of certain days, local time of the controller.
struct WarmHours {
  uint8_t days = 0;      // bit 0 is Monday, bit 6 Sunday
  uint16_t from = 0;     // minute of the day, inclusive
  uint16_t to = 24 * 60; // exclusive; at most `from`: it ends on the next day
  WarmLevel level;
  bool operator==(const WarmHours&) const = default;
};

struct Warm {
  WarmLevel usual;
  std::vector<WarmHours> hours;  // the first that covers the moment holds instead of `usual`
  bool operator==(const Warm&) const = default;
};

// What happens to a job whose machine is about to be taken by the provider.
struct Eviction {
  std::string signal;      // sent to the job's steps and batch script, "USR1"; empty: none
  Duration lead{120'000};  // so long before the end; at once when the notice is shorter
  uint32_t tolerance = 2;  // a job evicted so often runs on demand, where the pool may buy so; 0: never mind
  bool operator==(const Eviction&) const = default;
};

struct Pool {
  PoolName name;
  ProviderKind provider = ProviderKind::local;
  uint32_t max = 0;                 // nodes; Slurm sees <pool>-0001 … <pool>-<max>
  Warm warm;
  Shape shape;
  std::vector<Market> markets{Market::on_demand};  // in order of preference
  std::vector<std::string> machines;  // types in order of preference; empty: one, that of `shape`
  std::vector<std::string> zones;     // in order of preference; empty: the provider's choice
  Placement placement = Placement::none;
  double spares = 0;                // 0 to 1: launched beyond the want where it is large; the first to join win
  Duration billing_period{0};       // an idle machine is kept to the end of what has been paid for; 0: billed by the second
  Eviction eviction;
  std::optional<Duration> idle_reclaim;  // overrides partition and cluster
  Duration boot_timeout{};          // from launch to a joined agent; then the machine is replaced
  std::vector<std::string> features;
  std::optional<uint32_t> weight;
  std::string image;                // local: a folder with a root file system; empty is the box's own root
  std::string prep;                 // text of the script that runs on each machine before slurmd; empty is none
  std::optional<AzurePool> azure;   // provider azure, and only then
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

// Nodes that Slurm asks for one after another are launched together.
struct LaunchWindow {
  Duration quiet{0};    // the launch goes out when no want was added for so long,
  Duration longest{0};  // and at the latest so long after the first. 0 for both: at once
  bool operator==(const LaunchWindow&) const = default;
};

// What the provider's API lets an account ask: a token bucket. Launches, terminations and listings share it.
struct ApiBudget {
  double per_second = 0;  // 0: no limit
  uint32_t burst = 0;
  bool operator==(const ApiBudget&) const = default;
};

struct Cluster {
  std::string name;                 // [a-z][a-z0-9-]{0,31}
  ProviderKind provider = ProviderKind::local;
  std::string subnet;               // local: "198.18.16.0/20"; empty lets `up` choose a free one
  std::optional<AzureCloud> azure;  // set when a pool's provider is azure
  RoleMachines controllers;
  RoleMachines logins;
  std::vector<SharedFolder> storage;
  std::vector<User> users;
  std::vector<Pool> pools;          // in the file's order
  std::vector<Partition> partitions;
  std::vector<ExistingNodes> existing;
  Duration idle_reclaim{};
  std::optional<LaunchWindow> launch_window;  // unset: what suits the provider
  std::optional<ApiBudget> api;
  std::vector<std::string> reclaim_exclude;   // node names (expanded) that are never reclaimed when idle
  std::map<std::string, std::string> slurm;   // passed through to slurm.conf
};

// "cpu-0001": numbers start at 1 and have at least four digits, so that hostlists stay short and raising `max` renames nobody.
NodeName node_name(const PoolName& pool, uint32_t number);
// The idle time after which a node of `pool` is taken back: the pool's own, else the longest of its partitions', else the cluster's.
Duration idle_reclaim_of(const Cluster& cluster, const Pool& pool);

}  // namespace slipway::model
