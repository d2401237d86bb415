#include "cloud/azure/batch_plan.h"

#include <algorithm>
#include <utility>

#include "cloud/azure/rest.h"

namespace slipway::cloud::azure {
namespace {

// A resize that was accepted and still doesn't show after so long is taken for lost.
constexpr Duration patience{60'000};

uint32_t minus(uint32_t a, uint32_t b) {
  return a > b ? a - b : 0;
}

uint32_t sum(const std::vector<BatchWant>& wants, model::Market market) {
  uint32_t total = 0;
  for (const BatchWant& want : wants) total += want.market == market ? want.count : 0;
  return total;
}

bool fits(const BatchResizeError& error, model::Market market) {
  const bool spot = error.code.find("LowPriority") != std::string::npos || error.code.find("Spot") != std::string::npos;
  const bool dedicated = error.code == "AccountCoreQuotaReached" || error.code == "AccountVMSeriesCoreQuotaReached";
  return market == model::Market::spot ? !dedicated : !spot;
}

bool was_stopped(const BatchResizeError& error) {
  return error.code == "ResizeStopped";
}

Error error_for(const std::vector<BatchResizeError>& errors, model::Market market) {
  const BatchResizeError* found = nullptr;
  for (const BatchResizeError& error : errors) {
    if (was_stopped(error)) continue;
    if (found == nullptr || (fits(error, market) && !fits(*found, market))) found = &error;
  }
  if (found == nullptr) return {ErrorCode::transient, "the pool's resize was stopped before all machines had come"};
  return {error_code_of(found->code, found->message), azure_error_text(found->code, found->message)};
}

// The oldest launches get what there is; what a stopped resize still owes is owed to the others.
void bring_back(BatchWish& wish, model::Market market, uint32_t missing) {
  std::vector<BatchWant> back;
  for (auto it = wish.sent.rbegin(); it != wish.sent.rend() && missing > 0; ++it) {
    if (it->market != market) continue;
    const uint32_t count = std::min(missing, it->count);
    back.push_back({it->token, market, count});
    missing -= count;
  }
  if (missing > 0) back.push_back({"", market, missing});
  wish.wants.insert(wish.wants.begin(), back.rbegin(), back.rend());
}

std::string identity_of(const BatchPoolView& pool) {
  return pool.etag + "|" + pool.allocation_since;
}

uint32_t staying(const std::vector<BatchNodeView>& nodes, model::Market market) {
  return static_cast<uint32_t>(std::count_if(
      nodes.begin(), nodes.end(), [&](const BatchNodeView& node) { return node.market == market && !node.leaving(); }));
}

}  // namespace

uint32_t BatchWish::waiting(model::Market market) const {
  return sum(wants, market);
}

bool BatchWish::knows(const std::string& token) const {
  const auto is_it = [&](const BatchWant& want) { return want.token == token; };
  return std::any_of(wants.begin(), wants.end(), is_it) || std::any_of(sent.begin(), sent.end(), is_it);
}

std::vector<BatchShortage> settle(const BatchPoolView& pool, BatchWish& wish, TimePoint now) {
  if (wish.asked) {
    // The targets may be what they were already when it was sent: only a pool that has changed shows that it was taken.
    const bool changed = identity_of(pool) != wish.settled;
    const bool taken = !pool.steady() || (changed && pool.target == *wish.asked);
    if (!taken && !changed && now - wish.asked_at < patience) return {};
    if (!taken) resize_not_taken(wish);
    wish.asked.reset();
  }
  if (!pool.steady() || identity_of(pool) == wish.settled) return {};
  wish.settled = identity_of(pool);

  std::vector<BatchShortage> shortages;
  for (const model::Market market : batch_markets) {
    const size_t m = index_of(market);
    if (wish.goal) {
      bring_back(wish, market, minus((*wish.goal)[m], pool.current[m]));
      continue;
    }
    const uint32_t missing = minus(pool.target[m], pool.current[m]);
    if (missing == 0) continue;
    BatchShortage shortage{market, missing, "", error_for(pool.resize_errors, market)};
    const auto is_its = [&](const BatchWant& want) { return want.market == market; };
    if (std::count_if(wish.sent.begin(), wish.sent.end(), is_its) == 1) {
      shortage.token = std::find_if(wish.sent.begin(), wish.sent.end(), is_its)->token;
    }
    shortages.push_back(std::move(shortage));
  }
  wish.goal.reset();
  wish.withdrawn = {};
  wish.sent.clear();
  return shortages;
}

void update_removals(const std::vector<BatchNodeView>& nodes, BatchWish& wish) {
  std::set<std::string> left;
  for (const BatchNodeView& node : nodes) {
    if (node.leaving()) continue;
    if (node.state == "preempted" || wish.removals.contains(node.id)) left.insert(node.id);
  }
  wish.removals = std::move(left);
}

BatchStep next_step(const BatchPoolView& pool, const std::vector<BatchNodeView>& nodes, const BatchWish& wish) {
  BatchStep step;
  if (!pool.active || pool.autoscale || wish.asked) return step;
  if (pool.allocation == "resizing") {
    bool unwanted = false;
    for (const model::Market market : batch_markets) {
      const size_t m = index_of(market);
      const uint32_t coming = minus(pool.target[m], staying(nodes, market));
      const uint32_t spared = std::min(wish.withdrawn[m], coming);
      step.targets[m] = pool.target[m] - spared;
      unwanted |= spared > 0;
    }
    if (unwanted) step.kind = BatchStep::Kind::stop;
    return step;
  }
  if (!pool.steady()) return step;

  bool resizes = false;
  for (const model::Market market : batch_markets) {
    const size_t m = index_of(market);
    step.targets[m] = pool.current[m] + wish.waiting(market);
    // A target that is still above what exists after a failed resize is put down: Batch might come back to it.
    resizes |= wish.waiting(market) > 0 || pool.target[m] > pool.current[m];
  }
  if (!wish.removals.empty() && (!resizes || !wish.removed_last)) {
    step.kind = BatchStep::Kind::remove;
    for (const std::string& node : wish.removals) {
      if (step.nodes.size() == batch_removal_max) break;
      step.nodes.push_back(node);
    }
  } else if (resizes) {
    step.kind = BatchStep::Kind::resize;
  }
  return step;
}

void resize_begins(BatchWish& wish, const BatchCounts& targets, TimePoint now) {
  wish.sent.insert(wish.sent.end(), wish.wants.begin(), wish.wants.end());
  wish.wants.clear();
  wish.asked = targets;
  wish.asked_at = now;
  wish.withdrawn = {};
  wish.removed_last = false;
}

void resize_unsure(BatchWish& wish) {
  wish.asked_at = {};  // the next look decides; should the request arrive later still, its ETag is too old
}

void resize_not_taken(BatchWish& wish) {
  wish.wants.insert(wish.wants.begin(), wish.sent.begin(), wish.sent.end());
  wish.sent.clear();
  wish.asked.reset();
}

void stop_taken(BatchWish& wish, const BatchCounts& goal) {
  wish.goal = goal;
  wish.withdrawn = {};
}

void removal_taken(BatchWish& wish) {
  wish.removed_last = true;
}

BatchCounts on_the_way(const BatchPoolView& pool, const std::vector<BatchNodeView>& nodes, const BatchWish& wish) {
  BatchCounts counts{};
  for (const model::Market market : batch_markets) {
    const size_t m = index_of(market);
    uint32_t target = pool.steady() ? 0 : pool.target[m];
    if (wish.asked) target = (*wish.asked)[m];
    if (wish.goal) target = (*wish.goal)[m];
    counts[m] = minus(target, staying(nodes, market) + wish.withdrawn[m]) + wish.waiting(market);
  }
  return counts;
}

uint32_t take_back(BatchWish& wish, model::Market market, uint32_t count, BatchCounts& coming) {
  const size_t m = index_of(market);
  const uint32_t waited = wish.waiting(market);
  const uint32_t unsent = std::min(count, waited);
  uint32_t left = unsent;
  for (auto it = wish.wants.rbegin(); it != wish.wants.rend() && left > 0; ++it) {
    if (it->market != market) continue;
    const uint32_t taken = std::min(left, it->count);
    it->count -= taken;
    left -= taken;
  }
  std::erase_if(wish.wants, [](const BatchWant& want) { return want.count == 0; });
  const uint32_t sent = std::min(count - unsent, minus(coming[m], waited));
  wish.withdrawn[m] += sent;
  coming[m] = minus(coming[m], unsent + sent);
  return unsent + sent;
}

}  // namespace slipway::cloud::azure
