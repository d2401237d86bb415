// What is done to a Batch pool after a look: it is made, corrected, resized, and nodes are removed.
#include <algorithm>
#include <cctype>
#include <utility>

#include "base/log.h"
#include "cloud/azure/batch_account.h"

namespace slipway::cloud::azure {
namespace {

using Taken = BatchApi::Taken;

constexpr Duration again_after{60'000};  // a pool that can't be made or corrected is tried again
constexpr Duration step_again_after{10'000};
// So many answers in a row may be lost before what was wanted is told as failed; from the second on with pauses.
constexpr uint32_t unsure_max = 3;

}  // namespace

Result<std::string> BatchFleet::node_agent(const BatchOne& one, BatchLook& look) {
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

Result<BatchApi::Taken> BatchFleet::create(const BatchOne& one, const BatchCounts& targets, BatchLook& look) {
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

void BatchFleet::make(BatchOne& one, BatchLook& look) {
  const TimePoint now = look.listing.as_of;
  BatchCounts targets{};
  {
    const std::lock_guard lock(mutex_);
    // One that was just made may not show yet.
    if (one.wish.asked && now - one.wish.asked_at < again_after) return;
    const bool tried = !one.wish.sent.empty();
    if (one.wish.asked || tried) resize_not_taken(one.wish);
    if (tried && one.unsure >= unsure_max) give_up(one, look);
    one.wish.settled.clear();
    if (now < one.mend_not_before || look.throttled) return;
    for (const model::Market market : batch_markets) targets[index_of(market)] = one.wish.waiting(market);
    resize_begins(one.wish, targets, now);
  }
  const auto made = create(one, targets, look);
  if (made && *made == Taken::yes) {
    log_info("pool_made", {{"pool", one.pool().str()}, {"batch_pool", one.settings.id}, {"account", api_.url()}});
    one.unsure = 0;
    return refuse(one, std::nullopt, look);
  }
  if (made || made.error().code == ErrorCode::outcome_unknown) {  // it may be there, with these targets
    if (!made && ++one.unsure > 1) one.mend_not_before = now + step_again_after;
    const std::lock_guard lock(mutex_);
    return resize_unsure(one.wish);
  }
  one.unsure = 0;
  {
    const std::lock_guard lock(mutex_);
    resize_not_taken(one.wish);
  }
  one.mend_not_before = now + again_after;
  cannot(one, "can't be made", made.error(), look);
}

void BatchFleet::give_up(BatchOne& one, BatchLook& look) {
  const Error error{ErrorCode::transient,
                    "the Batch pool " + one.settings.id + " doesn't change, and Azure's answers don't say why"};
  log_warning("changes_unanswered", {{"batch_pool", one.settings.id}, {"times", one.unsure}});
  one.unsure = unsure_max - 1;  // what is wanted now has its try
  drop_wants(one, error, look);
}

void BatchFleet::cannot(BatchOne& one, const char* what, Error error, BatchLook& look) {
  if (error.code == ErrorCode::throttled) look.throttled = error;
  error.message = "the Batch pool " + one.settings.id + " " + what + ": " + error.message;
  refuse(one, std::move(error), look);
}

bool BatchFleet::correct(BatchOne& one, const BatchPoolView& pool, const BatchOwnership& ownership,
                         const std::vector<BatchNodeView>& nodes, BatchLook& look) {
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

void BatchFleet::take(BatchOne& one, const BatchPoolView& pool, const BatchStep& step, BatchLook& look) {
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

void BatchFleet::resize(BatchOne& one, const BatchPoolView& pool, BatchCounts targets, BatchLook& look) {
  {
    const std::lock_guard lock(mutex_);
    if (one.unsure >= unsure_max) return give_up(one, look);
    // Whatever was added or withdrawn since the step was chosen goes with it.
    for (const model::Market market : batch_markets) {
      targets[index_of(market)] = pool.current[index_of(market)] + one.wish.waiting(market);
    }
    resize_begins(one.wish, targets, look.listing.as_of);
  }
  log_info("pool_resizes", {{"batch_pool", pool.id}, {"dedicated", targets[0]}, {"low_priority", targets[1]}});
  const auto done =
      api_.resize(pool.id, pool.etag, batch_resize_body(targets, one.settings.azure().resize_timeout), look.left());
  const bool unsure = !done && done.error().code == ErrorCode::outcome_unknown;
  one.unsure = unsure ? one.unsure + 1 : 0;
  if (done && *done == Taken::yes) return;
  const std::lock_guard lock(mutex_);
  if (unsure) {
    if (one.unsure > 1) one.step_not_before = look.listing.as_of + step_again_after;
    return resize_unsure(one.wish);
  }
  resize_not_taken(one.wish);
  if (done) return;  // somebody was faster
  Error error = done.error();
  if (error.code == ErrorCode::throttled) look.throttled = error;
  error.message = "the Batch pool " + pool.id + " can't be resized: " + error.message;
  log_warning("resize_refused", {{"batch_pool", pool.id}, {"why", error.message}});
  one.step_not_before = look.listing.as_of + step_again_after;
  drop_wants(one, error, look);
}

void BatchFleet::stop(BatchOne& one, const BatchPoolView& pool, const BatchCounts& goal, BatchLook& look) {
  log_info("resize_stopped", {{"batch_pool", pool.id}, {"dedicated", goal[0]}, {"low_priority", goal[1]}});
  const auto done = api_.stop_resize(pool.id, look.left());
  if (done && *done == Taken::yes) {
    const std::lock_guard lock(mutex_);
    return stop_taken(one.wish, goal);
  }
  if (!done) not_done(one, "stopresize", done.error(), look);
}

void BatchFleet::remove(BatchOne& one, const BatchPoolView& pool, const std::vector<std::string>& nodes,
                        BatchLook& look) {
  log_info("nodes_removed", {{"batch_pool", pool.id}, {"count", nodes.size()}, {"first", nodes.front()}});
  const auto done =
      api_.remove_nodes(pool.id, pool.etag, batch_remove_body(nodes, one.settings.azure().resize_timeout), look.left());
  if (done && *done == Taken::yes) {
    const std::lock_guard lock(mutex_);
    return removal_taken(one.wish);
  }
  if (!done) not_done(one, "removenodes", done.error(), look);
}

void BatchFleet::not_done(BatchOne& one, const char* what, const Error& error, BatchLook& look) {
  if (error.code == ErrorCode::throttled) look.throttled = error;
  if (error.code != ErrorCode::outcome_unknown) one.step_not_before = look.listing.as_of + step_again_after;
  log_warning("step_refused", {{"batch_pool", one.settings.id}, {"step", what}, {"why", error.message}});
}

}  // namespace slipway::cloud::azure
