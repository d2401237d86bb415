#include "cloud/azure/batch_fleet.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/log.h"
#include "cloud/azure/batch_api.h"
#include "cloud/azure/batch_plan.h"
#include "cloud/azure/batch_settings.h"

namespace slipway::cloud::azure {
namespace {

using Steady = std::chrono::steady_clock;
using Taken = BatchApi::Taken;

constexpr Duration consistency{1'000};      // between a pool's numbers and its listed nodes
constexpr Duration beyond_resize{120'000};  // from the end of an allocation until it shows
constexpr Duration again_after{60'000};     // a pool that can't be made or corrected is tried again
constexpr Duration step_again_after{10'000};

// One Batch pool.
struct One {
  BatchSettings settings;
  // Guarded by the fleet's mutex:
  BatchWish wish;
  BatchCounts coming{};          // on the way at the last look
  std::optional<Error> refusal;  // why it can't be used
  // Of list() alone:
  bool had_nodes = true;
  TimePoint mend_not_before{};
  TimePoint step_not_before{};
  std::map<std::string, std::string> start_errors;  // what failed start tasks said, by node

  const PoolName& pool() const { return settings.pool->name; }
  model::Offer offer() const { return {settings.pool->machines.empty() ? "" : settings.machine, ""}; }
};

struct Look {
  Listing listing;
  Steady::time_point deadline;
  std::optional<Error> throttled;  // nothing more is asked

  Duration left() const { return std::chrono::duration_cast<Duration>(deadline - Steady::now()); }
};

class BatchFleet final : public Fleet {
 public:
  BatchFleet(FleetContext context, std::shared_ptr<Rest> rest, std::vector<PoolName> pools,
             std::vector<BatchSettings> settings)
      : context_(std::move(context)),
        api_(batch_url(settings.front().azure(), context_.endpoints), std::move(rest)),
        pools_(std::move(pools)) {
    for (BatchSettings& one : settings) {
      all_.emplace_back();
      all_.back().settings = std::move(one);
    }
  }

  const std::vector<PoolName>& pools() const override { return pools_; }

  Capabilities capabilities() const override {
    Capabilities capabilities;
    capabilities.consistency_delay = consistency;
    for (const One& one : all_) {
      capabilities.launch_delay =
          std::max(capabilities.launch_delay, one.settings.azure().resize_timeout + beyond_resize);
    }
    capabilities.terminate_batch_max = batch_removal_max;
    capabilities.names_instances_at_launch = false;
    capabilities.launch_window = {.quiet = Duration(1'000), .longest = Duration(5'000)};
    return capabilities;
  }

  Result<LaunchReceipt> launch(const LaunchRequest& request, Duration /*timeout*/) override {
    const std::lock_guard lock(mutex_);
    if (down_) return fail(*down_);
    for (const One& one : all_) {
      if (one.pool() == request.pool && !request.token.empty() && one.wish.knows(request.token)) {
        return LaunchReceipt{.accepted = request.count, .instances = {}, .refusals = {}};
      }
    }
    LaunchReceipt receipt;
    std::vector<model::Offer> offers = request.offers;
    if (offers.empty()) offers.emplace_back();
    for (const model::Offer& offer : offers) {
      One* one = find(request.pool, offer.machine);
      if (one == nullptr) {
        receipt.refusals.push_back(
            {offer,
             {ErrorCode::bad_config, "pool " + request.pool.str() + " has no machines of type " + offer.machine}});
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

  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances, Duration /*timeout*/) override {
    const std::lock_guard lock(mutex_);
    if (down_) return fail(*down_);
    for (const InstanceId& instance : instances) {
      const InstanceParts parts = parts_of(instance);
      // The next look tells whose it is; the others' forget it.
      for (One& one : all_) {
        if (one.pool() == parts.pool) one.wish.removals.insert(parts.machine);
      }
    }
    return std::vector<InstanceId>();
  }

  Result<uint32_t> withdraw(const PoolName& pool, model::Market market, uint32_t count, Duration /*timeout*/) override {
    const std::lock_guard lock(mutex_);
    uint32_t taken = 0;
    for (auto it = all_.rbegin(); it != all_.rend(); ++it) {  // the least preferred type first
      if (it->pool() == pool) taken += take_back(it->wish, market, count - taken, it->coming);
    }
    return taken;
  }

  Result<Listing> list(Duration timeout) override {
    const std::unique_lock driving(drive_, timeout);
    if (!driving) return fail(ErrorCode::transient, "an earlier look at " + api_.url() + " still goes on");
    Look look;
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
    for (One& one : all_) {
      const auto found = std::find_if(pools->begin(), pools->end(),
                                      [&](const BatchPoolView& pool) { return pool.id == one.settings.id; });
      look_at(one, found == pools->end() ? nullptr : &*found, look);
    }
    if (look.throttled) rest(*look.throttled);
    return std::move(look.listing);
  }

 private:
  One* find(const PoolName& pool, const std::string& machine) {
    const auto it = std::find_if(all_.begin(), all_.end(), [&](const One& one) {
      return one.pool() == pool && (machine.empty() || one.settings.machine == machine);
    });
    return it == all_.end() ? nullptr : &*it;
  }

  // --- what goes wrong ---

  void rest(const Error& error) { quiet_until_ = context_.clock.now() + error.retry_after.value_or(Duration(5'000)); }

  // The account doesn't answer: what was wanted of it is told as failed, so that the engine can want it elsewhere.
  Result<Listing> unreachable(Error error, Look& look) {
    if (error.code == ErrorCode::throttled) rest(error);
    error.message = "Batch account " + api_.url() + ": " + error.message;
    {
      const std::lock_guard lock(mutex_);
      down_ = error;
      for (One& one : all_) drop_wants(one, error, look);
    }
    if (look.listing.troubles.empty()) return fail(std::move(error));
    look.listing.complete = false;
    return std::move(look.listing);
  }

  PoolTrouble trouble_of(const One& one, model::Market market, uint32_t count, std::string token, Error error) const {
    return {.pool = one.pool(),
            .launch_token = std::move(token),
            .market = market,
            .offer = one.offer(),
            .count = count,
            .at = context_.clock.now(),
            .error = std::move(error)};
  }

  // Precondition: mutex_ is held.
  void drop_wants(One& one, const Error& error, Look& look) {
    for (BatchWant& want : one.wish.wants) {
      look.listing.troubles.push_back(trouble_of(one, want.market, want.count, std::move(want.token), error));
    }
    one.wish.wants.clear();
  }

  // Told once, and whenever the reason changes; launches are refused with it meanwhile.
  void refuse(One& one, std::optional<Error> error, Look& look) {
    const std::lock_guard lock(mutex_);
    const bool is_new = error && (!one.refusal || one.refusal->message != error->message);
    const size_t before = look.listing.troubles.size();
    if (error) drop_wants(one, *error, look);
    if (is_new) {
      log_warning("pool_refused",
                  {{"pool", one.pool().str()}, {"batch_pool", one.settings.id}, {"why", error->message}});
      for (const model::Market market : one.settings.pool->markets) {
        const bool told =
            std::any_of(look.listing.troubles.begin() + static_cast<ptrdiff_t>(before), look.listing.troubles.end(),
                        [&](const PoolTrouble& trouble) { return trouble.market == market; });
        if (!told) look.listing.troubles.push_back(trouble_of(one, market, 0, "", *error));
      }
    }
    one.refusal = std::move(error);
  }

  // --- a look ---

  void look_at(One& one, const BatchPoolView* pool, Look& look) {
    if (pool == nullptr) {
      one.had_nodes = false;
      make(one, look);
      return tell_coming(one, {}, {}, look);
    }
    const BatchOwnership ownership = ownership_of(*pool, one.settings);
    if (!ownership.ours) {
      const std::lock_guard lock(mutex_);
      one.wish.removals.clear();
    }
    if (!ownership.refusal.empty()) refuse(one, Error{ErrorCode::bad_config, ownership.refusal}, look);
    if (!ownership.ours) return;

    auto nodes = nodes_of(one, *pool, look);
    if (!nodes) {
      if (nodes.error().code == ErrorCode::throttled) look.throttled = nodes.error();
      log_warning("nodes_not_listed", {{"batch_pool", pool->id}, {"why", nodes.error().message}});
      look.listing.complete = false;
      return;
    }
    one.had_nodes = !nodes->empty();
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

  Result<std::vector<BatchNodeView>> nodes_of(One& one, const BatchPoolView& pool, Look& look) {
    const bool empty = pool.steady() && pool.current == BatchCounts{} && pool.target == BatchCounts{} && !one.had_nodes;
    if (empty) return std::vector<BatchNodeView>();
    auto nodes = api_.nodes(pool.id, false, look.left());
    if (nodes) explain(one, *nodes, look);
    return nodes;
  }

  // What failed start tasks said is asked once for all that failed since, since it would make every listing longer.
  void explain(One& one, std::vector<BatchNodeView>& nodes, Look& look) {
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

  void tell_nodes(const One& one, const std::vector<BatchNodeView>& nodes, Look& look) const {
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

  void tell_coming(One& one, const BatchPoolView& pool, const std::vector<BatchNodeView>& nodes, Look& look) {
    const std::lock_guard lock(mutex_);
    one.coming = on_the_way(pool, nodes, one.wish);
    for (const model::Market market : batch_markets) {
      const uint32_t count = one.coming[index_of(market)];
      if (count > 0) look.listing.on_the_way.push_back({one.pool(), market, count});
    }
  }

  // --- making and correcting pools ---

  Result<std::string> node_agent(const One& one, Look& look) {
    const model::AzurePool& azure = one.settings.azure();
    if (!azure.node_agent.empty()) return azure.node_agent;
    const std::vector<std::string> image = marketplace_image(azure.image);
    if (image.empty()) {
      return fail(ErrorCode::bad_config, "pool " + one.pool().str() +
                                             ": an image by its resource id needs node_agent, as \"batch.node.ubuntu "
                                             "22.04\"; az batch pool supported-images list shows them");
    }
    auto images = api_.images(look.left());
    if (!images) return fail(images.error());
    const auto same = [](const std::string& a, const std::string& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                        [](char x, char y) { return std::tolower(x) == std::tolower(y); });
    };
    const BatchImage* found = nullptr;
    for (const BatchImage& one_of : *images) {
      const bool fits = same(one_of.publisher, image[0]) && same(one_of.offer, image[1]) && same(one_of.sku, image[2]);
      if (fits && (found == nullptr || (one_of.verified && !found->verified))) found = &one_of;
    }
    if (found != nullptr) return found->node_agent;
    return fail(ErrorCode::bad_config, "Batch doesn't offer the image " + azure.image + " of pool " + one.pool().str() +
                                           "; az batch pool supported-images list shows those it does");
  }

  Result<Taken> create(const One& one, const BatchCounts& targets, Look& look) {
    auto agent = node_agent(one, look);
    if (!agent) return fail(agent.error());
    const model::AzurePool& azure = one.settings.azure();
    if (azure.node_identity.empty()) return api_.create(batch_create_body(one.settings, targets, *agent), look.left());
    http::Request request;
    request.method = "PUT";
    request.url = context_.endpoints.arm + "/subscriptions/" + azure.subscription + "/resourceGroups/" +
                  azure.resource_group + "/providers/Microsoft.Batch/batchAccounts/" + azure.account + "/pools/" +
                  one.settings.id + "?api-version=2024-07-01";
    request.headers = {{"Content-Type", "application/json"}, {"If-None-Match", "*"}};
    request.body = arm_create_body(one.settings, targets, *agent);
    return taken_or_not(context_.arm->exchange(request, look.left()));
  }

  // The wants that are there already become its first targets.
  void make(One& one, Look& look) {
    const TimePoint now = look.listing.as_of;
    BatchCounts targets{};
    {
      const std::lock_guard lock(mutex_);
      // One that was just made may not show yet.
      if (one.wish.asked && now - one.wish.asked_at < again_after) return;
      if (one.wish.asked || !one.wish.sent.empty()) resize_not_taken(one.wish);
      one.wish.settled.clear();
      if (now < one.mend_not_before || look.throttled) return;
      for (const model::Market market : batch_markets) targets[index_of(market)] = one.wish.waiting(market);
      resize_begins(one.wish, targets, now);
    }
    const auto made = create(one, targets, look);
    if (made && *made == Taken::yes) {
      log_info("pool_made", {{"pool", one.pool().str()}, {"batch_pool", one.settings.id}, {"account", api_.url()}});
      return refuse(one, std::nullopt, look);
    }
    if (made || made.error().code == ErrorCode::outcome_unknown) {  // it may be there, with these targets
      const std::lock_guard lock(mutex_);
      return resize_unsure(one.wish);
    }
    {
      const std::lock_guard lock(mutex_);
      resize_not_taken(one.wish);
    }
    one.mend_not_before = now + again_after;
    cannot(one, "can't be made", made.error(), look);
  }

  void cannot(One& one, const char* what, Error error, Look& look) {
    if (error.code == ErrorCode::throttled) look.throttled = error;
    error.message = "the Batch pool " + one.settings.id + " " + what + ": " + error.message;
    refuse(one, std::move(error), look);
  }

  // True when the pool isn't what the file asks, or was just changed: no further step with this look.
  bool correct(One& one, const BatchPoolView& pool, const BatchOwnership& ownership,
               const std::vector<BatchNodeView>& nodes, Look& look) {
    const TimePoint now = look.listing.as_of;
    const bool fixed = ownership.fixed_hash == one.settings.fixed_hash;
    const bool live = ownership.live_hash == one.settings.live_hash;
    if (fixed && live) {
      refuse(one, std::nullopt, look);
      return false;
    }
    if (now < one.mend_not_before) return false;
    const bool empty = pool.steady() && nodes.empty() && pool.current == BatchCounts{} && pool.target == BatchCounts{};
    Result<Taken> changed = Taken::yes;
    if (!fixed && empty) {
      // Made anew by the look that finds it gone; its wants wait.
      changed = api_.remove_pool(pool.id, pool.etag, look.left());
    } else if (!live) {
      changed = api_.patch(pool.id, pool.etag, batch_patch_body(one.settings, ownership.fixed_hash), look.left());
    }
    if (!changed && changed.error().code != ErrorCode::outcome_unknown) {
      one.mend_not_before = now + again_after;
      cannot(one, "can't be changed", changed.error(), look);
      return true;
    }
    if (!fixed && !empty) {
      refuse(one,
             Error{ErrorCode::bad_config,
                   "the Batch pool " + pool.id +
                       " has machines of what the cluster file asked earlier (size, image, "
                       "network, mounts, users or identity); new ones come when the last of those has gone"},
             look);
      return !live;  // nodes are still removed
    }
    log_info("pool_changed", {{"pool", one.pool().str()}, {"batch_pool", pool.id}, {"anew", fixed ? "no" : "yes"}});
    return true;
  }

  // --- steps ---

  void take(One& one, const BatchPoolView& pool, const BatchStep& step, Look& look) {
    if (look.listing.as_of < one.step_not_before) return;
    switch (step.kind) {
      case BatchStep::Kind::none:
        return;
      case BatchStep::Kind::resize:
        return resize(one, pool, step.targets, look);
      case BatchStep::Kind::stop:
        return stop(one, pool, step.targets, look);
      case BatchStep::Kind::remove:
        return remove(one, pool, step.nodes, look);
    }
  }

  void resize(One& one, const BatchPoolView& pool, BatchCounts targets, Look& look) {
    {
      const std::lock_guard lock(mutex_);
      // Whatever was added or withdrawn since the step was chosen goes with it.
      for (const model::Market market : batch_markets) {
        targets[index_of(market)] = pool.current[index_of(market)] + one.wish.waiting(market);
      }
      resize_begins(one.wish, targets, look.listing.as_of);
    }
    log_info("pool_resizes", {{"batch_pool", pool.id}, {"dedicated", targets[0]}, {"low_priority", targets[1]}});
    const auto done =
        api_.resize(pool.id, pool.etag, batch_resize_body(targets, one.settings.azure().resize_timeout), look.left());
    if (done && *done == Taken::yes) return;
    const std::lock_guard lock(mutex_);
    if (!done && done.error().code == ErrorCode::outcome_unknown) return resize_unsure(one.wish);
    resize_not_taken(one.wish);
    if (done) return;  // somebody was faster
    Error error = done.error();
    if (error.code == ErrorCode::throttled) look.throttled = error;
    error.message = "the Batch pool " + pool.id + " can't be resized: " + error.message;
    log_warning("resize_refused", {{"batch_pool", pool.id}, {"why", error.message}});
    one.step_not_before = look.listing.as_of + step_again_after;
    drop_wants(one, error, look);
  }

  void stop(One& one, const BatchPoolView& pool, const BatchCounts& goal, Look& look) {
    log_info("resize_stopped", {{"batch_pool", pool.id}, {"dedicated", goal[0]}, {"low_priority", goal[1]}});
    const auto done = api_.stop_resize(pool.id, look.left());
    if (done && *done == Taken::yes) {
      const std::lock_guard lock(mutex_);
      return stop_taken(one.wish, goal);
    }
    if (!done) not_done(one, "stopresize", done.error(), look);
  }

  void remove(One& one, const BatchPoolView& pool, const std::vector<std::string>& nodes, Look& look) {
    log_info("nodes_removed", {{"batch_pool", pool.id}, {"count", nodes.size()}, {"first", nodes.front()}});
    const auto done = api_.remove_nodes(pool.id, pool.etag,
                                        batch_remove_body(nodes, one.settings.azure().resize_timeout), look.left());
    if (done && *done == Taken::yes) {
      const std::lock_guard lock(mutex_);
      return removal_taken(one.wish);
    }
    if (!done) not_done(one, "removenodes", done.error(), look);
  }

  void not_done(One& one, const char* what, const Error& error, Look& look) {
    if (error.code == ErrorCode::throttled) look.throttled = error;
    if (error.code != ErrorCode::outcome_unknown) one.step_not_before = look.listing.as_of + step_again_after;
    log_warning("step_refused", {{"batch_pool", one.settings.id}, {"step", what}, {"why", error.message}});
  }

  const FleetContext context_;
  BatchApi api_;
  const std::vector<PoolName> pools_;

  std::timed_mutex drive_;   // one look at a time
  TimePoint quiet_until_{};  // guarded by drive_

  mutable std::mutex mutex_;   // never held while Azure is asked
  std::vector<One> all_;       // in the file's order
  std::optional<Error> down_;  // the last look failed, so
};

}  // namespace

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
