// Flexible scale sets and their VMs: made, scaled, emptied, deleted. A rise of the capacity takes what there is; what
// is lacking fails the operation later, and the capacity stays above the number of VMs.
//
// No HTTP here; those who call have checked. On the loop's thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "rehearse/azure/core.h"
#include "rehearse/azure/operations.h"

namespace boost::json {
class array;
class object;
}  // namespace boost::json

namespace slipway::rehearse::azure {

struct ScaleVm {
  std::string name;
  Phase phase = Phase::allocating;
  std::string waits_for;    // the operation that ends when it is gone or evicted
  bool subtracted = false;  // it is going, and the set's capacity doesn't count it any more
};

struct ScaleSet {
  std::string subscription;
  std::string resource_group;
  std::string name;
  std::shared_ptr<boost::json::object>
      model;  // as it was put, without read-only properties; sku.capacity is the wanted
  std::string etag;
  std::string unique_id;
  TimePoint created{};
  TimePoint modified{};
  uint32_t capacity = 0;
  bool deleting = false;
  std::string provisioning = "Succeeded";
  std::string delete_operation;

  std::map<MachineKey, ScaleVm> vms;                    // the allocating ones too, which nobody sees
  std::unordered_map<std::string, MachineKey> by_name;  // lower case
  uint32_t allocating = 0;

  // Of a capacity change that goes on.
  std::string operation;
  TimePoint operation_began{};
  uint32_t missing = 0;
  std::optional<Shortfall> obstacle;
  bool zonal = false;  // the obstacle is one zone's
  Loop::TimerId timer = Loop::TimerId::none;
  std::map<std::pair<model::Market, std::string>, std::shared_ptr<const Order>> orders;  // by market and zone

  std::string id() const;  // the resource id
  std::string region() const;
  std::string size() const;
};

class ScaleSets {
 public:
  ScaleSets(Core& core, Operations& operations);
  ~ScaleSets();
  ScaleSets(const ScaleSets&) = delete;
  ScaleSets& operator=(const ScaleSets&) = delete;

  ScaleSet* find(std::string_view subscription, std::string_view resource_group, std::string_view name);
  ScaleSet* of_group(const std::string& group);
  std::vector<ScaleSet*> all(std::string_view subscription, std::string_view resource_group);  // empty: any
  struct FoundVm {
    ScaleSet* set = nullptr;
    MachineKey key = 0;
  };
  FoundVm find_vm(std::string_view subscription, std::string_view resource_group, std::string_view name);

  ScaleSet& add(std::string subscription, std::string resource_group, std::string name,
                std::shared_ptr<boost::json::object> model);
  void changed(ScaleSet& set);
  // How many VMs of the set a rise to `capacity` would need beyond its family's quota: why, or empty.
  std::string over_quota(const ScaleSet& set, uint32_t capacity) const;
  // Each returns the operation's id. An earlier capacity change that still goes on is preempted.
  std::string scale(ScaleSet& set, uint32_t capacity);
  std::string remove_vms(ScaleSet& set, const std::vector<MachineKey>& vms);
  std::string deallocate(ScaleSet& set, MachineKey vm);
  std::string remove(ScaleSet& set);

  boost::json::array save() const;
  Result<void> load(const boost::json::array& saved);
  std::shared_ptr<const Order> order_of(const Order& saved);

 private:
  void machine_changed(const Machine& machine, bool exists);
  void set_phase(ScaleSet& set, MachineKey key, ScaleVm& vm, Phase phase);
  void erase_vm(ScaleSet& set, MachineKey key);
  void take(ScaleSet& set, model::Market market, uint32_t count);
  std::shared_ptr<const Order> order(ScaleSet& set, model::Market market, const std::string& zone);
  Recipe recipe(const Machine& machine);
  void settle(ScaleSet& set);
  void tick(ScaleSet& set);
  void adopt(ScaleSet& set);
  std::string group_of(const ScaleSet& set) const;

  Core& core_;
  Operations& operations_;
  std::map<std::string, std::unique_ptr<ScaleSet>> sets_;  // by group, in lower case
  Alive alive_ = std::make_shared<char>();
};

// Of `capacity` machines, how many are on demand: by the priority mix, else all or none by the profile's priority.
uint32_t on_demand_share(const boost::json::object& model, uint32_t capacity);

}  // namespace slipway::rehearse::azure
