// A simulated Batch pool and its nodes, as data.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "rehearse/site.h"

namespace boost::json {
class object;
}

namespace slipway::rehearse::azure {

enum class Allocation : uint8_t { steady, resizing, stopping };

struct ResizeFault {
  std::string code;
  std::string message;
  std::vector<std::pair<std::string, std::string>> values;
};

struct BatchNode {
  enum class Restart : uint8_t { none, reboot, reimage };
  std::string name;
  model::Market market = model::Market::on_demand;
  Phase phase = Phase::allocating;
  bool scheduling = true;
  Restart restart = Restart::none;  // why it is starting again
};

// By market: dedicated nodes are on demand, low-priority ones are spot.
template <class T>
using PerMarket = std::array<T, 2>;
inline size_t index_of(model::Market market) {
  return market == model::Market::spot ? 1 : 0;
}
inline constexpr std::array<model::Market, 2> both_markets{model::Market::on_demand, model::Market::spot};

struct BatchPool {
  std::string account;
  std::string id;
  std::shared_ptr<boost::json::object> settings;  // as the data plane tells them; without numbers and states
  std::vector<std::string> identities;            // resource ids

  bool deleting = false;
  Allocation allocation = Allocation::steady;
  TimePoint created{};
  TimePoint modified{};
  TimePoint state_since{};
  TimePoint allocation_since{};
  std::string etag;
  PerMarket<uint32_t> target{};
  Duration resize_timeout = std::chrono::minutes(15);
  std::vector<ResizeFault> faults;
  bool autoscale = false;
  std::string formula;
  Duration formula_interval = std::chrono::minutes(15);
  TimePoint formula_ran{};
  std::string formula_results;

  std::map<MachineKey, BatchNode> nodes;  // the allocating ones too, which nobody sees
  std::unordered_map<std::string, MachineKey> by_name;
  PerMarket<uint32_t> current{};  // nodes that are seen
  uint32_t allocating = 0;
  uint32_t leaving = 0;
  uint32_t evicted = 0;

  // Of a resize that goes on.
  TimePoint resize_began{};
  PerMarket<uint32_t> missing{};
  PerMarket<std::optional<ResizeFault>> obstacle;
  Loop::TimerId timer = Loop::TimerId::none;
  PerMarket<std::shared_ptr<const Order>> orders;
};

}  // namespace slipway::rehearse::azure
