#include "cloud/azure/scale_set_fleet.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "cloud/azure/scale_set_calls.h"
#include "cloud/azure/scale_set_keeper.h"
#include "cloud/azure/scale_set_model.h"

namespace slipway::cloud::azure {
namespace {

constexpr Duration address_pause{5'000};  // before the interfaces are asked again for the same machines

const model::Pool& pool_of(const model::Cluster& cluster, const PoolName& name) {
  const auto found = std::find_if(cluster.pools.begin(), cluster.pools.end(),
                                  [&](const model::Pool& pool) { return pool.name == name; });
  SLIPWAY_CHECK(found != cluster.pools.end() && found->azure.has_value());
  return *found;
}

class ScaleSetFleet final : public Fleet {
 public:
  ScaleSetFleet(FleetContext context, std::vector<PoolName> pools)
      : context_(std::move(context)),
        pools_(std::move(pools)),
        calls_(context_.arm, context_.endpoints.arm, azure_of(pools_.front()).subscription,
               azure_of(pools_.front()).resource_group) {
    for (const PoolName& name : pools_) {
      const model::Pool& pool = pool_of(*context_.cluster, name);
      for (ScaleSetSpec& spec : scale_sets_of(*context_.cluster, pool, context_.options))
        keepers_.push_back(std::make_unique<ScaleSetKeeper>(context_, pool, std::move(spec), calls_));
    }
  }

  const std::vector<PoolName>& pools() const override { return pools_; }

  // Compute lets an account list VMs about once in two seconds for long, and faster for a while (its HighCostGet
  // policies, November 2026).
  Capabilities capabilities() const override {
    return {.consistency_delay = scale_set_consistency,
            .launch_delay = Duration(600'000),
            .terminate_batch_max = 1'000,
            .names_instances_at_launch = false,
            .launch_window = {.quiet = Duration(500), .longest = Duration(3'000)},
            .api = {.per_second = 1, .burst = 30}};
  }

  Result<LaunchReceipt> launch(const LaunchRequest& request, Duration timeout) override {
    if (request.count == 0) return LaunchReceipt{};
    ScaleSetKeeper* chosen = nullptr;
    const std::string machine = request.offers.empty() ? std::string() : request.offers.front().machine;
    for (const auto& keeper : keepers_) {
      const ScaleSetSpec& spec = keeper->spec();
      if (spec.pool != request.pool || (!spec.mixed && spec.market != request.market)) continue;
      if (!machine.empty() && lower_case(spec.machine) != lower_case(machine)) continue;
      chosen = keeper.get();
      break;
    }
    if (chosen == nullptr) {
      return fail(ErrorCode::bad_config, "pool " + request.pool.str() + " has no scale set for " + machine + " " +
                                             std::string(model::to_string(request.market)));
    }
    return chosen->launch(request, Deadline(timeout));
  }

  Result<Listing> list(Duration timeout) override {
    const std::lock_guard listing_now(listing_);
    const Deadline deadline(timeout);
    Listing listing;
    listing.as_of = context_.clock.now();
    const auto sets = calls_.sets(deadline);
    if (!sets) return fail(sets.error());
    std::map<std::string, const ScaleSetView*> by_name;
    for (const ScaleSetView& set : *sets) by_name[lower_case(set.name)] = &set;
    for (const auto& keeper : keepers_) {
      const auto found = by_name.find(lower_case(keeper->spec().name));
      keeper->look(found == by_name.end() ? nullptr : found->second, listing, deadline);
    }
    add_addresses(listing, deadline);
    return listing;
  }

  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances, Duration timeout) override {
    const Deadline deadline(timeout);
    std::map<ScaleSetKeeper*, std::vector<std::string>> by_set;
    for (const InstanceId& id : instances) {
      const InstanceParts parts = parts_of(id);
      if (ScaleSetKeeper* keeper = keeper_of(parts)) by_set[keeper].push_back(parts.machine);
    }
    std::vector<InstanceId> refused;
    std::optional<Error> first;
    bool done = by_set.empty();
    for (const auto& [keeper, names] : by_set) {
      const auto left = keeper->remove(names, deadline);
      done = done || left.has_value();
      if (!left && !first) first = left.error();
      for (const std::string& name : left ? *left : names) refused.push_back(instance_id(keeper->spec().pool, name));
    }
    if (!done) return fail(*first);
    return refused;
  }

  // Azure shows each machine that is on its way as a VM within seconds, and then it is terminated by its name. Lowering
  // the capacity instead would let Azure choose, among those that work too.
  Result<uint32_t> withdraw(const PoolName& /*pool*/, model::Market /*market*/, uint32_t /*count*/,
                            Duration /*timeout*/) override {
    return 0;
  }

  MachineFacts machine(const InstanceId& instance) const override {
    const InstanceParts parts = parts_of(instance);
    for (const auto& keeper : keepers_) {
      if (keeper->spec().pool == parts.pool && keeper->has(parts.machine)) return keeper->facts(parts.machine);
    }
    return {};
  }

 private:
  const model::AzurePool& azure_of(const PoolName& name) const { return *pool_of(*context_.cluster, name).azure; }

  // By the listing, else by the name: "<set>_<8 hexadecimal digits>".
  ScaleSetKeeper* keeper_of(const InstanceParts& parts) const {
    const std::string set = lower_case(parts.machine.substr(0, parts.machine.rfind('_')));
    ScaleSetKeeper* named = nullptr;
    for (const auto& keeper : keepers_) {
      if (keeper->spec().pool != parts.pool) continue;
      if (keeper->has(parts.machine)) return keeper.get();
      if (lower_case(keeper->spec().name) == set) named = keeper.get();
    }
    return named;
  }

  void add_addresses(Listing& listing, const Deadline& deadline) {
    std::map<InstanceId, std::string> known;
    std::set<InstanceId> without;
    for (model::Instance& instance : listing.instances) {
      const auto found = addresses_.find(instance.id);
      if (found != addresses_.end()) {
        instance.address = found->second;
        known.insert(*found);
      } else if (instance.state == model::InstanceState::pending || instance.state == model::InstanceState::running) {
        without.insert(instance.id);
      }
    }
    // A listing that isn't complete says nothing about the others.
    if (listing.complete) addresses_ = std::move(known);
    const bool news = !std::includes(asked_for_.begin(), asked_for_.end(), without.begin(), without.end());
    if (without.empty() || (!news && context_.clock.now() < ask_addresses_at_)) return;
    const auto nics = calls_.nics(deadline);
    ask_addresses_at_ = context_.clock.now() + address_pause;
    asked_for_ = without;
    if (!nics) return log_warning("addresses_unread", {{"why", nics.error().message}});
    std::map<std::string, std::string> by_vm;
    for (const NicView& nic : *nics) {
      if (!nic.vm.empty() && !nic.address.empty()) by_vm.emplace(nic.vm, nic.address);
    }
    for (model::Instance& instance : listing.instances) {
      if (!without.contains(instance.id)) continue;
      const auto found = by_vm.find(lower_case(machine(instance.id).resource_id));
      if (found == by_vm.end()) continue;
      instance.address = found->second;
      addresses_[instance.id] = found->second;
    }
  }

  const FleetContext context_;
  const std::vector<PoolName> pools_;
  const ScaleSetCalls calls_;
  std::vector<std::unique_ptr<ScaleSetKeeper>> keepers_;

  std::mutex listing_;                           // one look at a time; of what follows
  std::map<InstanceId, std::string> addresses_;  // a VM keeps its address as long as it isn't deallocated
  std::set<InstanceId> asked_for_;
  TimePoint ask_addresses_at_{};
};

}  // namespace

std::unique_ptr<Fleet> make_scale_set_fleet(FleetContext context, std::vector<PoolName> pools) {
  SLIPWAY_CHECK(!pools.empty());
  return std::make_unique<ScaleSetFleet>(std::move(context), std::move(pools));
}

}  // namespace slipway::cloud::azure
