// What a Batch pool is asked next: a pure function of the pool as it was just seen and of what is wanted of it.
//
// A pool takes one change at a time. While it resizes, everything waits; once it is steady, all wants of both markets
// go out as one resize whose targets are what exists plus what is wanted, and nodes are removed a hundred at a time. If
// both wait, they take turns, so that neither starves.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cloud/azure/batch_model.h"
#include "cloud/provider.h"

namespace slipway::cloud::azure {

inline constexpr size_t batch_removal_max = 100;  // nodes of a removal (BatchService: NodeRemoveParameter)

struct BatchWant {
  std::string token;
  model::Market market = model::Market::on_demand;
  uint32_t count = 0;
};

// What is wanted of one Batch pool and isn't there yet. Lost with the process.
struct BatchWish {
  std::vector<BatchWant> wants;  // not sent
  std::vector<BatchWant> sent;   // with the resize that goes on
  // That resize's targets, until a look has shown that it was taken: the answer may have been lost.
  std::optional<BatchCounts> asked;
  TimePoint asked_at{};
  BatchCounts withdrawn{};          // of what is on its way, no longer wanted
  std::optional<BatchCounts> goal;  // the resize was stopped; so many should exist in the end
  std::set<std::string> removals;   // nodes that should go
  bool removed_last = false;        // the last change was a removal
  std::string settled;              // the steady state that settle() has dealt with

  uint32_t waiting(model::Market market) const;
  bool knows(const std::string& token) const;
};

struct BatchStep {
  enum class Kind : uint8_t { none, resize, stop, remove };
  Kind kind = Kind::none;
  BatchCounts targets{};           // resize; stop: what should exist in the end
  std::vector<std::string> nodes;  // remove
};

// A resize that was lacking, or stopped.
struct BatchShortage {
  model::Market market = model::Market::on_demand;
  uint32_t count = 0;
  std::string token;  // when it can only be that launch's
  Error error;
};

// To be called with each look at the pool, before next_step(): finds out what became of the last resize, and brings
// back what a stopped or lost one still owes.
std::vector<BatchShortage> settle(const BatchPoolView& pool, BatchWish& wish, TimePoint now);

// Removals of nodes that have left or are leaving are done; preempted nodes are removed without being asked for.
void update_removals(const std::vector<BatchNodeView>& nodes, BatchWish& wish);

// Precondition: settle() and update_removals() of the same look. The caller sends it with the look's ETag, then says
// so:
BatchStep next_step(const BatchPoolView& pool, const std::vector<BatchNodeView>& nodes, const BatchWish& wish);
void resize_begins(BatchWish& wish, const BatchCounts& targets, TimePoint now);  // before it is sent
void resize_unsure(BatchWish& wish);                                             // its answer was lost
void resize_not_taken(BatchWish& wish);                                          // it certainly had no effect
void stop_taken(BatchWish& wish, const BatchCounts& goal);
void removal_taken(BatchWish& wish);

// Machines that were asked for and don't exist: those of a resize that goes on, and those that wait for one.
BatchCounts on_the_way(const BatchPoolView& pool, const std::vector<BatchNodeView>& nodes, const BatchWish& wish);

// Takes back up to `count` machines, first of those that weren't sent; `coming`: on_the_way() of the last look, which
// becomes less by as many. Returns how many.
uint32_t take_back(BatchWish& wish, model::Market market, uint32_t count, BatchCounts& coming);

}  // namespace slipway::cloud::azure
