// Everything that the daemon knows, in one place: filled by the shell, read by the API. On the loop's thread only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/decide.h"
#include "model/cluster.h"
#include "slurm/node_table.h"

namespace slipway::daemon {

// Who acts for the cluster, of two daemons or more: this one, or there would be no World (lease.h).
struct LeaseHeld {
  std::string holder;
  uint64_t epoch = 0;  // grows with every change of hands
};

struct World {
  model::Cluster cluster;
  engine::Spec spec;
  engine::View view;
  engine::Memory memory;
  std::vector<engine::Situation> situations;  // parallel to view.nodes, of the last round; empty before it

  TimePoint started{};
  LeaseHeld lease;
  std::string slurm_version;  // "22.05.8"; empty while unknown
  std::string slurm_error;    // of the last poll; empty: it worked
  std::string provider_error;
  bool listed = false;  // a complete listing has been seen

  std::vector<slurm::Job> jobs;  // the last squeue, dropped when nobody asked for a while
  TimePoint jobs_as_of{};
  std::string jobs_error;
};

// The instance that a node is bound to: what agents say first, then what was decided here, then Slurm's NodeAddr. Null:
// none that is listed.
const engine::InstanceView* instance_of(const World& world, const engine::NodeView& node);
// The same for all nodes at once: view.nodes' indices to view.instances' indices, linear.
std::vector<const engine::InstanceView*> instances_of_nodes(const World& world);

// A node's address for programs that ask by name: its machine's, an existing node's own, `asleep` for a node that has
// none now. Nothing: no such node.
std::optional<std::string> address_of_node(const World& world, std::string_view name, const std::string& asleep);
std::optional<std::string> node_at_address(const World& world, std::string_view address);

}  // namespace slipway::daemon
