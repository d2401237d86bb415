#include "cloud/azure/batch_fleet.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cloud/azure/batch_account.h"

namespace slipway::cloud::azure {
namespace {

using Steady = std::chrono::steady_clock;

constexpr Duration consistency{1'000};      // between a pool's numbers and its listed nodes
constexpr Duration beyond_resize{120'000};  // from the end of an allocation until it shows

}  // namespace

Capabilities BatchFleet::capabilities() const {
  Capabilities capabilities;
  capabilities.consistency_delay = consistency;
  for (const BatchOne& one : all_) {
    capabilities.launch_delay =
        std::max(capabilities.launch_delay, one.settings.azure().resize_timeout + beyond_resize);
  }
  capabilities.terminate_batch_max = batch_removal_max;
  capabilities.names_instances_at_launch = false;
  capabilities.launch_window = {.quiet = Duration(1'000), .longest = Duration(5'000)};
  return capabilities;
}

Result<LaunchReceipt> BatchFleet::launch(const LaunchRequest& request, Duration /*timeout*/) {
  const std::lock_guard lock(mutex_);
  if (down_) return fail(*down_);
  for (const BatchOne& one : all_) {
    if (one.pool() == request.pool && !request.token.empty() && one.wish.knows(request.token)) {
      return LaunchReceipt{.accepted = request.count, .instances = {}, .refusals = {}};
    }
  }
  LaunchReceipt receipt;
  std::vector<model::Offer> offers = request.offers;
  if (offers.empty()) offers.emplace_back();
  for (const model::Offer& offer : offers) {
    BatchOne* one = find(request.pool, offer.machine);
    if (one == nullptr) {
      receipt.refusals.push_back(
          {offer, {ErrorCode::bad_config, "pool " + request.pool.str() + " has no machines of type " + offer.machine}});
    } else if (!offer.zone.empty()) {
      receipt.refusals.push_back(
          {offer, {ErrorCode::bad_config, "Batch chooses the zones of its pools itself; leave zones out"}});
    } else if (one->refusal) {
      receipt.refusals.push_back({offer, *one->refusal});
    } else {
      one->wish.wants.push_back({request.token, request.market, request.count});
      receipt.accepted = request.count;
      return receipt;
    }
  }
  return receipt;
}

Result<std::vector<InstanceId>> BatchFleet::terminate(const std::vector<InstanceId>& instances, Duration /*timeout*/) {
  const std::lock_guard lock(mutex_);
  if (down_) return fail(*down_);
  for (const InstanceId& instance : instances) {
    const InstanceParts parts = parts_of(instance);
    // The next look tells whose it is; the others' forget it.
    for (BatchOne& one : all_) {
      if (one.pool() == parts.pool) one.wish.removals.insert(parts.machine);
    }
  }
  return std::vector<InstanceId>();
}

Result<uint32_t> BatchFleet::withdraw(const PoolName& pool, model::Market market, uint32_t count,
                                      Duration /*timeout*/) {
  const std::lock_guard lock(mutex_);
  uint32_t taken = 0;
  for (auto it = all_.rbegin(); it != all_.rend(); ++it) {  // the least preferred type first
    if (it->pool() == pool) taken += take_back(it->wish, market, count - taken, it->coming);
  }
  return taken;
}

Result<Listing> BatchFleet::list(Duration timeout) {
  const std::unique_lock driving(drive_, timeout);
  if (!driving) return fail(ErrorCode::transient, "an earlier look at " + api_.url() + " still goes on");
  BatchLook look;
  look.deadline = Steady::now() + timeout;
  look.listing.as_of = context_.clock.now();
  if (look.listing.as_of < quiet_until_) {
    return fail(Error{ErrorCode::throttled, "Batch account " + api_.url() + " asked for a pause",
                      quiet_until_ - look.listing.as_of});
  }
  auto pools = api_.pools(look.left());
  if (!pools) return unreachable(pools.error(), look);
  {
    const std::lock_guard lock(mutex_);
    down_.reset();
  }
  for (BatchOne& one : all_) {
    const auto found = std::find_if(pools->begin(), pools->end(),
                                    [&](const BatchPoolView& pool) { return pool.id == one.settings.id; });
    look_at(one, found == pools->end() ? nullptr : &*found, look);
  }
  if (look.throttled) rest(*look.throttled);
  return std::move(look.listing);
}

BatchOne* BatchFleet::find(const PoolName& pool, const std::string& machine) {
  const auto it = std::find_if(all_.begin(), all_.end(), [&](const BatchOne& one) {
    return one.pool() == pool && (machine.empty() || one.settings.machine == machine);
  });
  return it == all_.end() ? nullptr : &*it;
}

Result<Listing> BatchFleet::unreachable(Error error, BatchLook& look) {
  if (error.code == ErrorCode::throttled) rest(error);
  error.message = "Batch account " + api_.url() + ": " + error.message;
  {
    const std::lock_guard lock(mutex_);
    down_ = error;
    for (BatchOne& one : all_) drop_wants(one, error, look);
  }
  if (look.listing.troubles.empty()) return fail(std::move(error));
  look.listing.complete = false;
  return std::move(look.listing);
}

PoolTrouble BatchFleet::trouble_of(const BatchOne& one, model::Market market, uint32_t count, std::string token,
                                   Error error) const {
  return {.pool = one.pool(),
          .launch_token = std::move(token),
          .market = market,
          .offer = one.offer(),
          .count = count,
          .at = context_.clock.now(),
          .error = std::move(error)};
}

void BatchFleet::drop_wants(BatchOne& one, const Error& error, BatchLook& look) {
  for (BatchWant& want : one.wish.wants) {
    look.listing.troubles.push_back(trouble_of(one, want.market, want.count, std::move(want.token), error));
  }
  one.wish.wants.clear();
}

void BatchFleet::refuse(BatchOne& one, std::optional<Error> error, BatchLook& look) {
  const std::lock_guard lock(mutex_);
  const bool is_new = error && (!one.refusal || one.refusal->message != error->message);
  const size_t before = look.listing.troubles.size();
  if (error) drop_wants(one, *error, look);
  if (is_new) {
    log_warning("pool_refused", {{"pool", one.pool().str()}, {"batch_pool", one.settings.id}, {"why", error->message}});
    for (const model::Market market : one.settings.pool->markets) {
      const bool told =
          std::any_of(look.listing.troubles.begin() + static_cast<ptrdiff_t>(before), look.listing.troubles.end(),
                      [&](const PoolTrouble& trouble) { return trouble.market == market; });
      if (!told) look.listing.troubles.push_back(trouble_of(one, market, 0, "", *error));
    }
  }
  one.refusal = std::move(error);
}

void BatchFleet::look_at(BatchOne& one, const BatchPoolView* pool, BatchLook& look) {
  if (pool == nullptr) {
    if (std::exchange(one.knows_nodes, false)) {  // one listing alone doesn't prove that machines are gone
      log_warning("pool_not_listed", {{"batch_pool", one.settings.id}});
      look.listing.complete = false;
      return;
    }
    one.had_nodes = false;
    make(one, look);
    return tell_coming(one, {}, {}, look);
  }
  const BatchOwnership ownership = ownership_of(*pool, one.settings);
  if (!ownership.ours) {
    const std::lock_guard lock(mutex_);
    one.wish.removals.clear();
    resize_not_taken(one.wish);  // what was to come with the pool is told as refused
  }
  if (!ownership.refusal.empty()) refuse(one, Error{ErrorCode::bad_config, ownership.refusal}, look);
  if (!ownership.ours) {
    // Its nodes go on running, whoever changed its owner.
    if (one.knows_nodes) look.listing.complete = false;
    return;
  }
  if (!pool->counted) {
    log_warning("pool_not_counted", {{"batch_pool", pool->id}});
    look.listing.complete = false;
    return;
  }

  auto nodes = nodes_of(one, *pool, look);
  if (!nodes) {
    if (nodes.error().code == ErrorCode::throttled) look.throttled = nodes.error();
    log_warning("nodes_not_listed", {{"batch_pool", pool->id}, {"why", nodes.error().message}});
    look.listing.complete = false;
    return;
  }
  one.had_nodes = one.knows_nodes = !nodes->empty();
  if (!pool->steady()) one.unsure = 0;
  BatchStep step;
  {
    const std::lock_guard lock(mutex_);
    for (BatchShortage& shortage : settle(*pool, one.wish, look.listing.as_of)) {
      log_warning("resize_lacking", {{"batch_pool", pool->id},
                                     {"market", model::to_string(shortage.market)},
                                     {"missing", shortage.count},
                                     {"why", shortage.error.message}});
      look.listing.troubles.push_back(
          trouble_of(one, shortage.market, shortage.count, std::move(shortage.token), std::move(shortage.error)));
    }
    update_removals(*nodes, one.wish);
    step = next_step(*pool, *nodes, one.wish);
  }
  if (ownership.refusal.empty() && pool->active && !look.throttled && !correct(one, *pool, ownership, *nodes, look)) {
    take(one, *pool, step, look);
  }
  tell_nodes(one, *nodes, look);
  tell_coming(one, *pool, *nodes, look);
}

Result<std::vector<BatchNodeView>> BatchFleet::nodes_of(BatchOne& one, const BatchPoolView& pool, BatchLook& look) {
  const bool empty = pool.steady() && pool.current == BatchCounts{} && pool.target == BatchCounts{} && !one.had_nodes;
  if (empty) return std::vector<BatchNodeView>();
  auto nodes = api_.nodes(pool.id, false, look.left());
  if (nodes) explain(one, *nodes, look);
  return nodes;
}

void BatchFleet::explain(BatchOne& one, std::vector<BatchNodeView>& nodes, BatchLook& look) {
  const auto failed = [](const BatchNodeView& node) { return node.state == "starttaskfailed"; };
  const bool unexplained = std::any_of(nodes.begin(), nodes.end(), [&](const BatchNodeView& node) {
    return failed(node) && !one.start_errors.contains(node.id);
  });
  if (unexplained) {
    auto told = api_.nodes(one.settings.id, true, look.left());
    for (const BatchNodeView& node : nodes) {
      if (failed(node)) one.start_errors.emplace(node.id, "");
    }
    if (told) {
      for (BatchNodeView& node : *told) one.start_errors[node.id] = std::move(node.error);
    }
  }
  std::map<std::string, std::string> kept;
  for (BatchNodeView& node : nodes) {
    if (!failed(node)) continue;
    node.error = one.start_errors[node.id];
    kept.emplace(node.id, node.error);
  }
  one.start_errors = std::move(kept);
}

void BatchFleet::tell_nodes(const BatchOne& one, const std::vector<BatchNodeView>& nodes, BatchLook& look) const {
  const std::lock_guard lock(mutex_);
  for (const BatchNodeView& node : nodes) {
    model::Instance instance;
    instance.id = instance_id(one.pool(), node.id);
    instance.pool = one.pool();
    instance.address = node.address;
    instance.launched_at = node.allocated_at;
    instance.market = node.market;
    instance.offer = one.offer();
    // The whole pool is the group: its nodes are placed close to each other.
    if (one.settings.pool->placement == model::Placement::per_pool) {
      instance.placement = context_.cluster->name + "-" + one.pool().str();
    }
    describe(node, instance);
    if (instance.state != model::InstanceState::gone && one.wish.removals.contains(node.id)) {
      instance.state = model::InstanceState::stopping;
    }
    look.listing.instances.push_back(std::move(instance));
  }
}

void BatchFleet::tell_coming(BatchOne& one, const BatchPoolView& pool, const std::vector<BatchNodeView>& nodes,
                             BatchLook& look) {
  const std::lock_guard lock(mutex_);
  one.coming = on_the_way(pool, nodes, one.wish);
  for (const model::Market market : batch_markets) {
    const uint32_t count = one.coming[index_of(market)];
    if (count > 0) look.listing.on_the_way.push_back({one.pool(), market, count});
  }
}

Result<std::unique_ptr<Fleet>> make_batch_fleet(const FleetContext& context, std::shared_ptr<Rest> rest,
                                                std::vector<PoolName> pools) {
  std::vector<BatchSettings> all;
  for (const model::Pool& pool : context.cluster->pools) {
    if (std::find(pools.begin(), pools.end(), pool.name) == pools.end()) continue;
    if (pool.machines.empty()) {
      return fail(ErrorCode::bad_config, "pool " + pool.name.str() + " names no machine type, as Standard_D4s_v5");
    }
    for (const std::string& machine : pool.machines) {
      auto settings = batch_settings(context.cluster, pool, machine, context.options);
      if (!settings) return fail(settings.error());
      all.push_back(std::move(*settings));
    }
  }
  if (all.empty()) return fail(ErrorCode::bad_config, "a Batch account without pools");
  return std::unique_ptr<Fleet>(
      std::make_unique<BatchFleet>(context, std::move(rest), std::move(pools), std::move(all)));
}

}  // namespace slipway::cloud::azure
