#include "sim/cloud_stock.h"

#include <algorithm>

#include "base/check.h"

namespace slipway::sim {
namespace {

bool covers(const model::Offer& pattern, const model::Offer& offer) {
  return (pattern.machine.empty() || pattern.machine == offer.machine) &&
         (pattern.zone.empty() || pattern.zone == offer.zone);
}

std::string in_words(model::Market market, const model::Offer& offer) {
  std::string text(to_string(market));
  text += offer.machine.empty() ? " machines" : " " + offer.machine;
  if (!offer.zone.empty()) text += " in " + offer.zone;
  return text;
}

}  // namespace

void Stock::set_capacity(model::Market market, const model::Offer& pattern, uint32_t machines) {
  // What this one covers can't hold any more.
  std::erase_if(capacities_, [&](const Capacity& c) { return c.market == market && covers(pattern, c.pattern); });
  capacities_.push_back({market, pattern, machines});
}

void Stock::set_error(const model::Offer& pattern, std::optional<Error> error) {
  std::erase_if(errors_, [&](const auto& e) { return covers(pattern, e.first); });
  if (error) errors_.emplace_back(pattern, std::move(*error));
}

const Error* Stock::error_of(const model::Offer& offer) const {
  const auto it = std::find_if(errors_.rbegin(), errors_.rend(), [&](const auto& e) { return covers(e.first, offer); });
  return it == errors_.rend() ? nullptr : &it->second;
}

uint32_t& Stock::used(model::Market market, const model::Offer& offer) {
  return used_[{market, offer.machine, offer.zone}];
}

uint32_t& Stock::used_of_quota(model::Market market, const std::string& machine) {
  return used_of_quota_[{market, machine}];
}

// How many more, and what is said to those who want more than that.
std::pair<uint32_t, Error> Stock::room_for(model::Market market, const model::Offer& offer) {
  if (const Error* error = error_of(offer)) return {0, *error};
  uint32_t capacity = UINT32_MAX;
  const auto it = std::find_if(capacities_.rbegin(), capacities_.rend(),
                               [&](const Capacity& c) { return c.market == market && covers(c.pattern, offer); });
  if (it != capacities_.rend() && it->machines != UINT32_MAX) {
    capacity = it->machines - std::min(it->machines, used(market, offer));
  }
  uint32_t quota = UINT32_MAX;
  if (quota_ != UINT32_MAX) quota = quota_ - std::min(quota_, used_of_quota(market, offer.machine));
  const bool spot = market == model::Market::spot;
  if (quota <= capacity && quota != UINT32_MAX) {
    const char* code = batch_ ? (spot ? "AccountSpotCoreQuotaReached" : "AccountCoreQuotaReached")
                              : (spot ? "MaxSpotInstanceCountExceeded" : "VcpuLimitExceeded");
    return {quota, Error{ErrorCode::quota, std::string(code) + ": no more " + in_words(market, offer)}};
  }
  const char* code = batch_ ? "AllocationFailed" : "InsufficientInstanceCapacity";
  return {capacity, Error{ErrorCode::no_capacity, std::string(code) + ": no room for " + in_words(market, offer)}};
}

void Stock::take_in_order(model::Market market, const std::vector<model::Offer>& offers, uint32_t count,
                          uint32_t minimum, Fill& fill) {
  const size_t first = fill.shares.size();
  uint32_t missing = count;
  for (const model::Offer& offer : offers) {
    if (missing == 0) break;
    auto [room, error] = room_for(market, offer);
    const uint32_t given = std::min(room, missing);
    if (given < missing) fill.refusals.push_back({offer, std::move(error)});
    if (given == 0) continue;
    used(market, offer) += given;
    used_of_quota(market, offer.machine) += given;
    fill.shares.push_back({offer, given});
    missing -= given;
  }
  const uint32_t taken = count - missing;
  if (taken >= std::min(minimum, count)) {
    fill.total += taken;
    return;
  }
  for (size_t s = first; s < fill.shares.size(); ++s) {
    used(market, fill.shares[s].offer) -= fill.shares[s].count;
    used_of_quota(market, fill.shares[s].offer.machine) -= fill.shares[s].count;
  }
  fill.shares.resize(first);
}

Stock::Fill Stock::take(const cloud::LaunchRequest& request, uint32_t minimum) {
  Fill fill;
  std::vector<model::Offer> offers = request.offers;
  if (offers.empty()) offers.emplace_back();
  if (request.placement.empty()) {
    take_in_order(request.market, offers, request.count, minimum, fill);
    return fill;
  }
  std::vector<std::string> zones;
  const auto group = groups_.find(request.placement);
  if (group != groups_.end()) {
    zones.push_back(group->second.zone);
  } else {
    for (const model::Offer& offer : offers) {
      if (std::find(zones.begin(), zones.end(), offer.zone) == zones.end()) zones.push_back(offer.zone);
    }
  }
  bool asked = false;
  for (const std::string& zone : zones) {
    std::vector<model::Offer> there;
    std::copy_if(offers.begin(), offers.end(), std::back_inserter(there),
                 [&](const auto& o) { return o.zone == zone; });
    if (there.empty()) continue;
    asked = true;
    take_in_order(request.market, there, request.count, std::max(1u, minimum), fill);
    if (fill.total == 0) continue;
    groups_[request.placement].zone = zone;
    groups_[request.placement].machines += fill.total;
    return fill;
  }
  if (!asked) {
    const Error error{ErrorCode::no_capacity, "the machines of placement " + request.placement + " are in " + zones[0]};
    for (const model::Offer& offer : offers) fill.refusals.push_back({offer, error});
  }
  return fill;
}

void Stock::give_back(const model::Instance& instance) {
  uint32_t& of_offer = used(instance.market, instance.offer);
  uint32_t& of_quota = used_of_quota(instance.market, instance.offer.machine);
  SLIPWAY_CHECK(of_offer > 0 && of_quota > 0);
  --of_offer;
  --of_quota;
  if (instance.placement.empty()) return;
  const auto group = groups_.find(instance.placement);
  SLIPWAY_CHECK(group != groups_.end() && group->second.machines > 0);
  if (--group->second.machines == 0) groups_.erase(group);
}

}  // namespace slipway::sim
