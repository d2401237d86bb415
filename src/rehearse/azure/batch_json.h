// Batch pools and nodes as the data plane tells them.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "rehearse/azure/batch_pools.h"

namespace boost::json {
class object;
class value;
}  // namespace boost::json

namespace slipway::rehearse::azure {

// The properties that $select names; empty: all. Only the first level is selected: "startTask/commandLine" selects it
// all.
class Select {
 public:
  explicit Select(std::string_view text);
  bool has(std::string_view name) const { return names_.empty() || names_.contains(std::string(name)); }
  const std::set<std::string>& names() const { return names_; }
  void add(std::string name) { names_.insert(std::move(name)); }

 private:
  std::set<std::string> names_;
};

std::string_view to_string(Allocation allocation);
// As Batch names it: "idle", "waitingforstarttask", …
std::string_view node_state(const BatchPool& pool, const BatchNode& node);

boost::json::object pool_json(Core& core, const BatchPool& pool, const Select& select);
boost::json::object node_json(Core& core, const BatchPool& pool, MachineKey key, const BatchNode& node,
                              const Select& select);
boost::json::object node_counts_json(const BatchPool& pool);
boost::json::value autoscale_run_json(const BatchPool& pool);

}  // namespace slipway::rehearse::azure
