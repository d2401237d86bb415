#include "machines/capacity.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/files.h"
#include "base/log.h"
#include "machines/json_values.h"
#include "machines/record.h"

namespace slipway::machines {
namespace {

namespace json = boost::json;
constexpr size_t limits_bytes_max = 1 << 20;

std::filesystem::path limits_path(const std::filesystem::path& state) {
  return state / "host" / "capacity.json";
}

bool same_machines(const CapacityLimit& a, const CapacityLimit& b) {
  return a.pool == b.pool && a.market == b.market && a.machine == b.machine && a.zone == b.zone;
}

// Every machine that `inner` is about is one of `outer`, too.
bool contains(const CapacityLimit& outer, const CapacityLimit& inner) {
  return (outer.pool.empty() || outer.pool == inner.pool) && (!outer.market || outer.market == inner.market) &&
         (outer.machine.empty() || outer.machine == inner.machine) && (outer.zone.empty() || outer.zone == inner.zone);
}

// The words with which a cloud would say no.
std::string words_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::quota:
      return "the account's quota is used up";
    case ErrorCode::throttled:
      return "too many requests";
    case ErrorCode::denied:
      return "the account has no right";
    case ErrorCode::bad_config:
      return "no such configuration";
    case ErrorCode::transient:
      return "an outage";
    default:
      return "no capacity";
  }
}

// The limit that leaves the least, and what counted for it.
struct Bound {
  const CapacityLimit* limit = nullptr;
  uint64_t used = 0;
};

Error refusal_of(const CapacityLimit& offered, const Bound& bound, uint32_t asked, uint32_t given) {
  // Who asks knows of which pool.
  std::string of = describe({"", offered.market, offered.machine, offered.zone});
  std::string gave = given == 0 ? "" : ", " + std::to_string(given) + " of " + std::to_string(asked) + " given";
  if (!bound.limit) {
    return {ErrorCode::no_capacity, "no capacity for " + of + ": refused on purpose" + gave + " (slipway chaos boot)",
            std::nullopt};
  }
  std::string text = words_of(bound.limit->error) + " for " + of + ": limit " + std::to_string(*bound.limit->most);
  if (!same_machines(*bound.limit, offered)) text += " on " + describe(*bound.limit);
  text += ", " + std::to_string(bound.used) + (bound.used == 1 ? " exists" : " exist") + gave;
  return {bound.limit->error, text + " (slipway chaos capacity)", std::nullopt};
}

}  // namespace

void add_limit(std::vector<CapacityLimit>& limits, const CapacityLimit& limit) {
  std::erase_if(limits, [&](const CapacityLimit& other) {
    return limit.most ? same_machines(limit, other) : contains(limit, other);
  });
  if (limit.most) limits.push_back(limit);
}

bool covers(const CapacityLimit& limit, const std::string& pool, model::Market market, const model::Offer& offer) {
  return contains(limit, {pool, market, offer.machine, offer.zone});
}

std::string describe(const CapacityLimit& scope) {
  std::string text;
  if (scope.market) text += std::string(model::to_string(*scope.market)) + " ";
  text += scope.machine.empty() ? "machines" : scope.machine;
  if (!scope.pool.empty()) text += " of pool " + scope.pool;
  if (!scope.zone.empty()) text += " in zone " + scope.zone;
  return text;
}

Fill fill_offers(const std::string& pool, const LaunchTerms& terms, uint32_t count, const Supply& supply) {
  Fill fill;
  std::vector<model::Offer> offers = terms.offers;
  if (offers.empty()) offers.emplace_back();
  for (const model::Offer& offer : offers) {
    const uint32_t asked = count - fill.given;
    if (asked == 0) break;
    uint32_t room = asked;
    Bound bound;
    for (const CapacityLimit& limit : supply.limits) {
      if (!covers(limit, pool, terms.market, offer)) continue;
      uint64_t used = supply.existing(limit);
      for (const Grant& grant : fill.grants) {
        if (covers(limit, pool, terms.market, grant.offer)) used += grant.count;
      }
      const uint64_t left = used >= *limit.most ? 0 : *limit.most - used;
      if (left >= room) continue;
      room = static_cast<uint32_t>(left);
      bound = {&limit, used};
    }
    room -= supply.refuse(room);
    if (room < asked)
      fill.refusals.push_back({offer, refusal_of({pool, terms.market, offer.machine, offer.zone}, bound, asked, room)});
    if (room > 0) fill.grants.push_back({offer, room});
    fill.given += room;
  }
  return fill;
}

Result<void> save_limits(const std::filesystem::path& state, const std::vector<CapacityLimit>& limits) {
  json::array array;
  for (const CapacityLimit& limit : limits) array.push_back(limit_to_json(limit));
  return write_quickly(limits_path(state), json::serialize(json::object{{"limits", std::move(array)}}), 0600);
}

std::vector<CapacityLimit> load_limits(const std::filesystem::path& state) {
  std::vector<CapacityLimit> limits;
  auto text = read_file(limits_path(state), limits_bytes_max);
  if (!text && text.error().code == ErrorCode::not_found) return limits;
  auto object = text ? parse_object(*text) : Result<json::object>(fail(text.error()));
  const json::value* array = object ? object->if_contains("limits") : nullptr;
  if (!array || !array->is_array()) {
    log_warning("capacity_unreadable", {{"why", object ? "it has no list of limits" : object.error().message}});
    return limits;
  }
  for (const json::value& entry : array->get_array()) {
    auto limit = entry.is_object() ? limit_from_json(entry.get_object())
                                   : Result<CapacityLimit>(fail(ErrorCode::bad_config, "not a JSON object"));
    if (limit) {
      add_limit(limits, *limit);
    } else {
      log_warning("capacity_unreadable", {{"why", limit.error().message}});
    }
  }
  return limits;
}

}  // namespace slipway::machines
