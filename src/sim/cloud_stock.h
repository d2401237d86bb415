// What a simulated cloud has to give: room per offer and market, quota per machine type, errors that were set, and
// where the machines of a placement stand. Nothing is random here; looking anything up costs O(rules).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cloud/provider.h"

namespace slipway::sim {

class Stock {
 public:
  // `batch`: errors have Batch's names instead of EC2's.
  Stock(uint32_t quota, bool batch) : quota_(quota), batch_(batch) {}

  // For each offer that the pattern covers; of several patterns that cover one, the last that was set holds.
  void set_capacity(model::Market market, const model::Offer& pattern, uint32_t machines);
  void set_error(const model::Offer& pattern, std::optional<Error> error);
  // What every launch of this offer fails with, if anything.
  const Error* error_of(const model::Offer& offer) const;

  struct Share {
    model::Offer offer;
    uint32_t count = 0;
  };
  struct Fill {
    std::vector<Share> shares;
    std::vector<cloud::Refusal> refusals;  // of offers that gave less than was asked of them
    uint32_t total = 0;
  };
  // Takes machines for `request`, offer by offer; when fewer than `minimum` can be had, none. Those of one placement
  // are taken from one zone: that of its machines so far, else the first that gives enough.
  Fill take(const cloud::LaunchRequest& request, uint32_t minimum);
  // One machine of a Fill ended.
  void give_back(const model::Instance& instance);

 private:
  struct Capacity {
    model::Market market;
    model::Offer pattern;
    uint32_t machines;
  };
  struct Group {
    std::string zone;
    uint32_t machines = 0;
  };
  uint32_t& used(model::Market market, const model::Offer& offer);
  uint32_t& used_of_quota(model::Market market, const std::string& machine);
  std::pair<uint32_t, Error> room_for(model::Market market, const model::Offer& offer);
  void take_in_order(model::Market market, const std::vector<model::Offer>& offers, uint32_t count, uint32_t minimum,
                     Fill& fill);

  const uint32_t quota_;
  const bool batch_;
  std::vector<Capacity> capacities_;                    // the last that covers an offer holds
  std::vector<std::pair<model::Offer, Error>> errors_;  // likewise
  std::map<std::tuple<model::Market, std::string, std::string>, uint32_t> used_;
  std::map<std::pair<model::Market, std::string>, uint32_t> used_of_quota_;
  std::map<std::string, Group> groups_;  // by placement, those with machines
};

}  // namespace slipway::sim
