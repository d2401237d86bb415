// The observing half of the loop, as far as it is pure: what Slurm and the provider said becomes engine::View. No I/O,
// no clock.
//
// node_views() and instance_views() run on the workers that polled, so that the loop's thread only swaps finished
// tables in.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cloud/provider.h"
#include "engine/situation.h"
#include "engine/view.h"
#include "slurm/hook_protocol.h"
#include "slurm/node_table.h"

namespace slipway::daemon {

// Which pool a name belongs to. Immutable: shared by all threads.
class PoolMap {
 public:
  explicit PoolMap(const model::Cluster& cluster);
  engine::PoolIndex by_pool(const PoolName& pool) const;
  // Those of one partition or of several ("a,b"), in order, each once. Empty when Slipway has none there.
  std::vector<engine::PoolIndex> by_partitions(std::string_view partitions) const;
  // no_pool for names that model::node_name() never makes, such as those of existing nodes.
  engine::PoolIndex by_node(const NodeName& node) const;

 private:
  struct Entry {
    PoolName name;
    uint32_t max = 0;
  };
  std::vector<Entry> pools_;
  std::unordered_map<std::string, engine::PoolIndex> index_;
  std::unordered_map<std::string, std::vector<engine::PoolIndex>> partitions_;
};

std::vector<engine::NodeView> node_views(std::vector<slurm::Node> nodes, const PoolMap& pools);
// In the listing's order. Only instances of pools: controllers and logins are nobody's node.
std::vector<engine::InstanceView> instance_views(const std::vector<model::Instance>& instances, const PoolMap& pools);

// The jobs that wait for nodes of ours to be free or usable, in squeue's order; not those that wait for a time, another
// job, a limit or a person.
std::vector<engine::PendingJob> pending_jobs(const std::vector<slurm::Job>& jobs, const PoolMap& pools);

// Whether a node is between states, so that somebody waits for the next look.
bool is_between(engine::Situation situation);

// The jobs that have nodes, in Slurm's order: those that wait for them to boot, put together from resume hints and from
// squeue, and those that run, as squeue last said.
class JobBook {
 public:
  void on_hint(const slurm::Hint& hint);
  // `asked_at_hint`: hints_seen() when squeue was asked; what hints said since then is kept behind what squeue says.
  void on_squeue(const std::vector<slurm::Job>& jobs, uint64_t asked_at_hint);
  uint64_t hints_seen() const { return hints_seen_; }

  void forget_running() { running_.clear(); }
  // Drops jobs that wait and none of whose nodes is on its way up any more. `nodes` must be younger than the last hint.
  void prune(const std::vector<engine::NodeView>& nodes);
  std::vector<engine::JobView> jobs() const;
  // Whether a node powers up without a job in this book and squeue has not been asked about it yet; marks them as
  // asked.
  bool must_ask(const std::vector<engine::NodeView>& nodes);

 private:
  struct Entry {
    engine::JobView job;
    uint64_t hint = 0;  // number of the last hint that named it; 0: from squeue
  };
  std::vector<Entry> entries_;
  std::vector<engine::JobView> running_;
  std::unordered_set<NodeName> asked_;
  uint64_t hints_seen_ = 0;
};

}  // namespace slipway::daemon
