// Batch pools and nodes as Batch tells them, and what is read out of its answers. Pure: anything may be sent, fields
// may be missing or new.
//
// Batch service API 2024-07-01.20.0.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/instance.h"

namespace slipway::cloud::azure {

// Machines by market: dedicated nodes are on demand, low-priority (spot) nodes are spot.
using BatchCounts = std::array<uint32_t, 2>;
constexpr size_t index_of(model::Market market) {
  return market == model::Market::spot ? 1 : 0;
}
constexpr std::array<model::Market, 2> batch_markets{model::Market::on_demand, model::Market::spot};

struct BatchResizeError {
  std::string code;
  std::string message;
};

struct BatchPoolView {
  std::string id;
  std::string etag;
  bool active = true;                 // false: it is being deleted
  std::string allocation = "steady";  // "resizing", "stopping"
  std::string allocation_since;       // opaque; changes with `allocation`
  bool autoscale = false;
  bool counted = true;    // false: the numbers below couldn't be read
  BatchCounts current{};  // preempted nodes count
  BatchCounts target{};
  std::vector<BatchResizeError> resize_errors;  // of the last resize; only while steady
  std::map<std::string, std::string> metadata;

  bool steady() const { return allocation == "steady"; }
};

struct BatchNodeView {
  std::string id;
  std::string state;  // Batch's word
  std::string address;
  model::Market market = model::Market::on_demand;
  TimePoint allocated_at{};
  std::string error;  // what Batch says is wrong with it

  bool leaving() const { return state == "leavingpool"; }
};

template <class Item>
struct BatchPage {
  std::vector<Item> items;
  std::string next;  // URL; empty: this was the last
};
Result<BatchPage<BatchPoolView>> parse_batch_pools(std::string_view body);
Result<BatchPage<BatchNodeView>> parse_batch_nodes(std::string_view body);

struct BatchImage {
  std::string publisher;
  std::string offer;
  std::string sku;
  std::string node_agent;
  bool verified = false;
};
Result<BatchPage<BatchImage>> parse_batch_images(std::string_view body);

// What is selected of pools and nodes in listings: what the above read, and no more.
inline constexpr std::string_view batch_pool_select =
    "id,eTag,state,allocationState,allocationStateTransitionTime,enableAutoScale,currentDedicatedNodes,"
    "currentLowPriorityNodes,targetDedicatedNodes,targetLowPriorityNodes,resizeErrors,metadata";
inline constexpr std::string_view batch_node_select = "id,state,ipAddress,isDedicated,allocationTime,errors";
inline constexpr std::string_view batch_failed_node_select =
    "id,state,ipAddress,isDedicated,allocationTime,errors,startTaskInfo";

// What the node is to the engine: state, and trouble where Batch knows of one. Preempted nodes are gone, with trouble.
void describe(const BatchNodeView& node, model::Instance& instance);

}  // namespace slipway::cloud::azure
