#include "rehearse/azure/scale_sets.h"

#include <boost/json.hpp>

#include <algorithm>

#include "catalog/catalog.h"
#include "http/base64.h"
#include "rehearse/azure/command_line.h"
#include "rehearse/azure/json_access.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr Duration tick_period = std::chrono::seconds(1);

std::vector<std::string> zones_of(const json::object& model) {
  std::vector<std::string> out;
  if (const json::value* zones = at_path(model, "zones"); zones != nullptr && zones->is_array()) {
    for (const json::value& zone : zones->get_array()) {
      if (zone.is_string()) out.emplace_back(zone.get_string());
    }
  }
  if (out.empty()) out.emplace_back();
  return out;
}

}  // namespace

std::string ScaleSet::id() const {
  return "/subscriptions/" + subscription + "/resourceGroups/" + resource_group +
         "/providers/Microsoft.Compute/virtualMachineScaleSets/" + name;
}

std::string ScaleSet::region() const {
  return text_at(*model, "location");
}

std::string ScaleSet::size() const {
  return text_at(*model, "sku.name");
}

uint32_t on_demand_share(const json::object& model, uint32_t capacity) {
  if (text_at(model, "properties.virtualMachineProfile.priority") != "Spot") return capacity;
  const json::object* mix = object_at(model, "properties.priorityMixPolicy");
  if (mix == nullptr) return 0;
  const auto base = static_cast<uint32_t>(integer_at(*mix, "baseRegularPriorityCount").value_or(0));
  const auto percent = static_cast<uint32_t>(integer_at(*mix, "regularPriorityPercentageAboveBase").value_or(0));
  if (capacity <= base) return capacity;
  return base + (capacity - base) * percent / 100;
}

ScaleSets::ScaleSets(Core& core, Operations& operations) : core_(core), operations_(operations) {
  core_.site.watch([this, watching = Watching(alive_)](const Machine& machine, bool exists) {
    if (!watching.expired()) machine_changed(machine, exists);
  });
}

ScaleSets::~ScaleSets() {
  for (auto& [group, set] : sets_) core_.loop.cancel(set->timer);
}

std::string ScaleSets::group_of(const ScaleSet& set) const {
  return "vmss/" + set.subscription + "/" + set.resource_group + "/" + set.name;
}

ScaleSet* ScaleSets::of_group(const std::string& group) {
  const auto found = sets_.find(lower(group));
  return found == sets_.end() ? nullptr : found->second.get();
}

ScaleSet* ScaleSets::find(std::string_view subscription, std::string_view resource_group, std::string_view name) {
  return of_group("vmss/" + std::string(subscription) + "/" + std::string(resource_group) + "/" + std::string(name));
}

std::vector<ScaleSet*> ScaleSets::all(std::string_view subscription, std::string_view resource_group) {
  std::vector<ScaleSet*> out;
  for (auto& [group, set] : sets_) {
    if (!same_text(set->subscription, subscription)) continue;
    if (resource_group.empty() || same_text(set->resource_group, resource_group)) out.push_back(set.get());
  }
  return out;
}

ScaleSets::FoundVm ScaleSets::find_vm(std::string_view subscription, std::string_view resource_group,
                                      std::string_view name) {
  const std::string small = lower(name);
  for (ScaleSet* set : all(subscription, resource_group)) {
    if (const auto found = set->by_name.find(small); found != set->by_name.end()) return {set, found->second};
  }
  return {};
}

ScaleSet& ScaleSets::add(std::string subscription, std::string resource_group, std::string name,
                         std::shared_ptr<json::object> model) {
  auto set = std::make_unique<ScaleSet>();
  set->subscription = std::move(subscription);
  set->resource_group = std::move(resource_group);
  set->name = std::move(name);
  set->model = std::move(model);
  set->unique_id = core_.uuid();
  set->created = core_.clock.now();
  changed(*set);
  ScaleSet& added = *set;
  sets_[lower(group_of(added))] = std::move(set);
  return added;
}

void ScaleSets::changed(ScaleSet& set) {
  set.etag = core_.etag();
  set.modified = core_.clock.now();
  set.orders.clear();  // they hold the size
}

std::shared_ptr<const Order> ScaleSets::order(ScaleSet& set, model::Market market, const std::string& zone) {
  std::shared_ptr<const Order>& kept = set.orders[{market, zone}];
  if (kept != nullptr) return kept;
  auto made = std::make_shared<Order>();
  made->group = group_of(set);
  made->size = set.size();
  made->zone = zone;
  made->market = market;
  made->quota_scope = set.region();
  if (const auto* type = catalog::find(model::ProviderKind::azure, made->size)) {
    made->family = type->family;
    made->cores = std::max(1U, type->cores);
  }
  made->name = [prefix = set.name + "_", seed = set.unique_id](MachineKey key) {
    return prefix + Core::uuid_of(seed + std::to_string(key)).substr(0, 8);
  };
  made->recipe = [this, watching = Watching(alive_)](const Machine& machine) {
    return watching.expired() ? Recipe{} : recipe(machine);
  };
  kept = made;
  return kept;
}

// Custom data is cloud-init's: a text that begins with "#!" is a script that it runs at the first boot, as root.
Recipe ScaleSets::recipe(const Machine& machine) {
  Recipe out{.image = core_.world.machine_image, .command = "", .environment = {}};
  const ScaleSet* set = of_group(machine.order->group);
  if (set == nullptr) return out;
  const std::string encoded = text_at(*set->model, "properties.virtualMachineProfile.osProfile.customData");
  const auto script = http::from_base64(encoded);
  if (!script || !script->starts_with("#!")) return out;
  const std::string file = "/run/slipway-custom-data";
  out.command = "umask 077; printf %s " + shell_quoted(encoded) + " | base64 -d > " + file + " && chmod 700 " + file +
                " && exec " + file;
  return out;
}

std::string ScaleSets::over_quota(const ScaleSet& set, uint32_t capacity) const {
  const auto* type = catalog::find(model::ProviderKind::azure, set.size());
  if (type == nullptr || capacity <= set.capacity) return {};
  const uint32_t regular = on_demand_share(*set.model, capacity) - on_demand_share(*set.model, set.capacity);
  const uint32_t spot = capacity - set.capacity - regular;
  for (const QuotaLever& lever : core_.site.levers().quotas) {
    if (!lever.scope.empty() && !same_text(lever.scope, set.region())) continue;
    if (!lever.family.empty() && !same_text(lever.family, type->family)) continue;
    const bool for_spot = !lever.market || *lever.market == model::Market::spot;
    const bool for_regular = !lever.market || *lever.market == model::Market::on_demand;
    const uint64_t more = (for_regular ? regular : 0) + (for_spot ? spot : 0);
    const uint64_t used = core_.site.cores_used(lever.scope.empty() ? "" : set.region(),
                                                lever.family.empty() ? "" : type->family, lever.market);
    const uint64_t needed = used + more * type->cores;
    if (more == 0 || needed <= lever.cores) continue;
    const bool low = lever.market == model::Market::spot;
    const std::string what = low                    ? "LowPriorityCores"
                             : lever.family.empty() ? "Total Regional Cores"
                                                    : type->family + " Cores";
    return "Operation could not be completed as it results in exceeding approved " + what +
           " quota. Additional details - Deployment Model: Resource Manager, Location: " + set.region() +
           ", Current Limit: " + std::to_string(lever.cores) + ", Current Usage: " + std::to_string(used) +
           ", Additional Required: " + std::to_string(more * type->cores) +
           ", (Minimum) New Limit Required: " + std::to_string(needed) + ".";
  }
  return {};
}

void ScaleSets::take(ScaleSet& set, model::Market market, uint32_t count) {
  if (count == 0) return;
  const std::vector<std::string> zones = zones_of(*set.model);
  std::map<std::string, uint32_t> there;
  for (const auto& [key, vm] : set.vms) {
    if (const Machine* machine = core_.site.find(key)) ++there[machine->order->zone];
  }
  // Best-effort balance: to the emptiest zone first, and what one zone lacks from the others.
  std::map<std::string, uint32_t> asked;
  for (uint32_t i = 0; i < count; ++i) {
    const auto emptiest = std::min_element(
        zones.begin(), zones.end(), [&](const auto& left, const auto& right) { return there[left] < there[right]; });
    ++asked[*emptiest];
    ++there[*emptiest];
  }
  uint32_t lacking = 0;
  std::optional<Shortfall> obstacle;
  const auto take_from = [&](const std::string& zone, uint32_t number) {
    const Grant grant = core_.site.take(order(set, market, zone), number);
    for (const MachineKey key : grant.machines) set.vms[key] = {};
    set.allocating += static_cast<uint32_t>(grant.machines.size());
    if (!grant.shortfalls.empty()) obstacle = grant.shortfalls.front();
    return number - std::min(number, static_cast<uint32_t>(grant.machines.size()));
  };
  std::vector<std::string> lacks;
  for (const auto& [zone, number] : asked) {
    if (const uint32_t left = take_from(zone, number); left > 0) {
      lacking += left;
      lacks.push_back(zone);
    }
  }
  for (const std::string& zone : zones) {
    if (lacking == 0) break;
    if (std::find(lacks.begin(), lacks.end(), zone) == lacks.end()) lacking = take_from(zone, lacking);
  }
  if (lacking == 0) return;
  set.missing += lacking;
  set.obstacle = obstacle;
  set.zonal = !zones.front().empty();
}

std::string ScaleSets::scale(ScaleSet& set, uint32_t capacity) {
  operations_.cancel(set.operation, "OperationPreempted", "The operation was preempted by a later one.");
  set.operation = operations_.begin(set.subscription, set.region());
  set.operation_began = core_.clock.now();
  set.provisioning = "Updating";
  set.missing = 0;
  set.obstacle.reset();
  const uint32_t regular_wanted = on_demand_share(*set.model, capacity);
  uint32_t regular = 0;
  uint32_t spot = 0;
  std::vector<MachineKey> surplus;
  // From the newest: what a smaller capacity has no room for goes.
  for (auto& [key, vm] : set.vms) {
    const Machine* machine = core_.site.find(key);
    if (vm.phase == Phase::leaving) vm.subtracted = true;
    if (machine == nullptr || vm.phase == Phase::leaving) continue;
    const bool is_spot = machine->order->market == model::Market::spot;
    uint32_t& number = is_spot ? spot : regular;
    const uint32_t wanted = is_spot ? capacity - regular_wanted : regular_wanted;
    if (number < wanted) {
      ++number;
    } else {
      surplus.push_back(key);
      vm.subtracted = true;
    }
  }
  set.capacity = capacity;
  for (const MachineKey key : surplus) {
    if (ScaleVm& vm = set.vms.at(key); vm.phase != Phase::allocating) set_phase(set, key, vm, Phase::leaving);
  }
  if (!surplus.empty()) core_.site.release(surplus);
  take(set, model::Market::on_demand, regular_wanted - regular);
  take(set, model::Market::spot, capacity - regular_wanted - spot);
  changed(set);
  tick(set);
  return set.operation;
}

void ScaleSets::set_phase(ScaleSet& set, MachineKey key, ScaleVm& vm, Phase phase) {
  if (vm.phase == phase) return;
  if (vm.phase == Phase::allocating) {
    --set.allocating;
    if (const Machine* machine = core_.site.find(key)) vm.name = machine->name;
    set.by_name[lower(vm.name)] = key;
  }
  vm.phase = phase;
}

void ScaleSets::erase_vm(ScaleSet& set, MachineKey key) {
  const auto found = set.vms.find(key);
  const ScaleVm vm = found->second;
  set.vms.erase(found);
  if (vm.phase == Phase::allocating) --set.allocating;
  set.by_name.erase(lower(vm.name));
  // Capacity is the number of VMs that belong to the set, and of those that it still lacks.
  if (!vm.subtracted && vm.phase != Phase::allocating && set.capacity > 0) --set.capacity;
  if (vm.waits_for.empty()) return;
  const bool more = std::any_of(set.vms.begin(), set.vms.end(),
                                [&](const auto& one) { return one.second.waits_for == vm.waits_for; });
  if (!more) operations_.succeed(vm.waits_for);
}

void ScaleSets::machine_changed(const Machine& machine, bool exists) {
  ScaleSet* set = machine.order == nullptr ? nullptr : of_group(machine.order->group);
  if (set == nullptr) return;
  const auto found = set->vms.find(machine.key);
  if (found == set->vms.end()) return;
  if (!exists) {
    erase_vm(*set, machine.key);
  } else {
    ScaleVm& vm = found->second;
    const Phase before = vm.phase;
    set_phase(*set, machine.key, vm, machine.phase);
    if (machine.phase == Phase::evicted && before != Phase::evicted) {
      const bool asked_for = !vm.waits_for.empty();
      if (asked_for) operations_.succeed(std::exchange(vm.waits_for, ""));
      const std::string policy = text_at(*set->model, "properties.virtualMachineProfile.evictionPolicy");
      // Deallocated on request: it stays. Evicted: as the set says; Deallocate is Azure's default.
      const bool spot = machine.order->market == model::Market::spot;
      if (policy == "Delete" && spot && !asked_for) core_.site.release({machine.key}, true);
    }
  }
  if (set->deleting && set->vms.empty()) {
    operations_.succeed(set->delete_operation);
    core_.loop.cancel(set->timer);
    sets_.erase(lower(group_of(*set)));
    return;
  }
  settle(*set);
}

void ScaleSets::tick(ScaleSet& set) {
  core_.loop.cancel(set.timer);
  const Duration elapsed = core_.clock.now() - set.operation_began;
  set.timer = core_.loop.after(elapsed < Duration(1) ? Duration(1) : tick_period, [this, group = group_of(set)] {
    ScaleSet* again = of_group(group);
    if (again == nullptr) return;
    again->timer = Loop::TimerId::none;
    settle(*again);
    if (operations_.running(again->operation)) tick(*again);
  });
}

void ScaleSets::settle(ScaleSet& set) {
  if (!operations_.running(set.operation)) return;
  const Duration elapsed = core_.clock.now() - set.operation_began;
  if (set.allocating > 0 || elapsed < Duration(1)) return;
  if (set.missing == 0) {
    set.provisioning = "Succeeded";
    operations_.succeed(set.operation);
    return;
  }
  const Levers& levers = core_.site.levers();
  const Duration patience = levers.timed_out_after > Duration(0) ? levers.timed_out_after : levers.allocate.most;
  if (elapsed < patience) return;
  set.provisioning = "Failed";
  const std::string limit = set.obstacle ? " (" + set.obstacle->limit + ")" : "";
  if (set.obstacle && set.obstacle->code == ErrorCode::quota) {
    operations_.fail(set.operation, "QuotaExceeded",
                     "Operation could not be completed as it results in exceeding approved quota" + limit + ".");
  } else if (set.zonal) {
    operations_.fail(set.operation, "ZonalAllocationFailed",
                     "Allocation failed. We do not have sufficient capacity for the requested VM size in this zone" +
                         limit +
                         ". Read more about improving likelihood of allocation success at "
                         "https://aka.ms/allocation-guidance");
  } else {
    operations_.fail(set.operation, "AllocationFailed",
                     "Allocation failed. We do not have sufficient capacity for the requested VM size in this region" +
                         limit +
                         ". Read more about improving likelihood of allocation success at "
                         "https://aka.ms/allocation-guidance");
  }
}

std::string ScaleSets::remove_vms(ScaleSet& set, const std::vector<MachineKey>& vms) {
  const std::string operation = operations_.begin(set.subscription, set.region());
  for (const MachineKey key : vms) {
    ScaleVm& vm = set.vms.at(key);
    if (!vm.subtracted && set.capacity > 0) --set.capacity;
    vm.subtracted = true;
    set_phase(set, key, vm, Phase::leaving);
    vm.waits_for = operation;
  }
  set.etag = core_.etag();
  core_.site.release(vms);
  return operation;
}

std::string ScaleSets::deallocate(ScaleSet& set, MachineKey key) {
  const std::string operation = operations_.begin(set.subscription, set.region());
  ScaleVm& vm = set.vms.at(key);
  if (vm.phase == Phase::evicted) {
    operations_.succeed(operation);
    return operation;
  }
  vm.waits_for = operation;
  core_.site.evict({key}, Duration(0));
  return operation;
}

std::string ScaleSets::remove(ScaleSet& set) {
  set.deleting = true;
  set.provisioning = "Deleting";
  set.delete_operation = operations_.begin(set.subscription, set.region());
  std::vector<MachineKey> all;
  for (auto& [key, vm] : set.vms) all.push_back(key);
  for (const MachineKey key : all) {
    if (ScaleVm& vm = set.vms.at(key); vm.phase != Phase::allocating) set_phase(set, key, vm, Phase::leaving);
  }
  if (!all.empty()) {
    core_.site.release(all);
  } else {
    core_.loop.after(Duration(1), [this, group = group_of(set), operation = set.delete_operation] {
      ScaleSet* gone = of_group(group);
      if (gone == nullptr || !gone->deleting || !gone->vms.empty()) return;
      core_.loop.cancel(gone->timer);
      operations_.succeed(operation);
      sets_.erase(lower(group));
    });
  }
  return set.delete_operation;
}

}  // namespace slipway::rehearse::azure
