#include "rehearse/usage.h"

#include <algorithm>

#include "base/check.h"
#include "config/words.h"

namespace slipway::rehearse {
namespace {

using config::equal_ignoring_case;
using config::lower;

void limit_to(uint64_t room, uint32_t& left, ErrorCode code, std::string limit, std::vector<Shortfall>& shortfalls) {
  if (room >= left) return;
  shortfalls.push_back({code, left - static_cast<uint32_t>(room), std::move(limit)});
  left = static_cast<uint32_t>(room);
}

std::string describe(const QuotaLever& lever, uint64_t used) {
  std::string text;
  if (!lever.scope.empty()) text += lever.scope + ", ";
  if (!lever.family.empty()) text += "family " + lever.family + ", ";
  if (lever.market) text += std::string(model::to_string(*lever.market)) + ", ";
  return text + std::to_string(used) + " of " + std::to_string(lever.cores) + " cores";
}

std::string describe(const CapacityLever& lever, uint64_t used) {
  std::string text;
  if (!lever.size.empty()) text += "size " + lever.size + ", ";
  if (!lever.zone.empty()) text += "zone " + lever.zone + ", ";
  if (lever.market) text += std::string(model::to_string(*lever.market)) + ", ";
  if (!lever.group.empty()) text += "group " + lever.group + ", ";
  return text + std::to_string(used) + " of " + std::to_string(lever.most) + " machines";
}

}  // namespace

Usage::Kind Usage::kind_of(const Order& order) {
  return {order.group, lower(order.size), order.zone, order.market, order.quota_scope, order.family, order.cores};
}

bool Usage::covers(const CapacityLever& lever, const Kind& kind) {
  return (lever.size.empty() || lower(lever.size) == kind.size) && (lever.zone.empty() || lever.zone == kind.zone) &&
         (!lever.market || *lever.market == kind.market) && kind.group.ends_with(lever.group);
}

bool Usage::covers(const QuotaLever& lever, const Kind& kind) {
  return (lever.scope.empty() || equal_ignoring_case(lever.scope, kind.scope)) &&
         (lever.family.empty() || equal_ignoring_case(lever.family, kind.family)) &&
         (!lever.market || *lever.market == kind.market);
}

void Usage::add(const Order& order, uint32_t machines) {
  if (machines > 0) machines_[kind_of(order)] += machines;
}

void Usage::remove(const Order& order, uint32_t machines) {
  if (machines == 0) return;
  auto it = machines_.find(kind_of(order));
  SLIPWAY_CHECK(it != machines_.end() && it->second >= machines);
  it->second -= machines;
  if (it->second == 0) machines_.erase(it);
}

uint32_t Usage::room(const Levers& levers, const Order& order, uint32_t count,
                     std::vector<Shortfall>& shortfalls) const {
  const Kind asked = kind_of(order);
  uint32_t left = count;
  for (const QuotaLever& lever : levers.quotas) {
    if (!covers(lever, asked)) continue;
    uint64_t used = 0;
    for (const auto& [kind, machines] : machines_) {
      if (covers(lever, kind)) used += uint64_t{kind.cores} * machines;
    }
    const uint64_t free = lever.cores > used ? lever.cores - used : 0;
    limit_to(free / std::max<uint32_t>(1, order.cores), left, ErrorCode::quota, describe(lever, used), shortfalls);
  }
  for (const CapacityLever& lever : levers.capacity) {
    if (!covers(lever, asked)) continue;
    uint64_t used = 0;
    for (const auto& [kind, machines] : machines_) {
      if (covers(lever, kind)) used += machines;
    }
    const uint64_t free = lever.most > used ? lever.most - used : 0;
    limit_to(free, left, ErrorCode::no_capacity, describe(lever, used), shortfalls);
  }
  return left;
}

uint64_t Usage::cores(const std::string& scope, const std::string& family, std::optional<model::Market> market) const {
  const QuotaLever wanted{scope, family, market, 0};
  uint64_t used = 0;
  for (const auto& [kind, machines] : machines_) {
    if (covers(wanted, kind)) used += uint64_t{kind.cores} * machines;
  }
  return used;
}

}  // namespace slipway::rehearse
