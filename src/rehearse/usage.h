// How much of a simulated cloud is in use, and how much more may be: capacity and quotas. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "rehearse/levers.h"
#include "rehearse/site.h"

namespace slipway::rehearse {

class Usage {
 public:
  void add(const Order& order, uint32_t machines);
  void remove(const Order& order, uint32_t machines);

  // Of `count` machines of the order: how many there is room for; the others are added to `shortfalls`. Quotas are
  // asked before capacity, as clouds do.
  uint32_t room(const Levers& levers, const Order& order, uint32_t count, std::vector<Shortfall>& shortfalls) const;

  // Empty and unset: any.
  uint64_t cores(const std::string& scope, const std::string& family, std::optional<model::Market> market) const;

 private:
  // What levers tell machines apart by. A cloud has few of these, whatever the number of its machines.
  struct Kind {
    std::string group;
    std::string size;  // lower case
    std::string zone;
    model::Market market;
    std::string scope;
    std::string family;
    uint32_t cores;
    auto operator<=>(const Kind&) const = default;
  };
  static Kind kind_of(const Order& order);
  static bool covers(const CapacityLever& lever, const Kind& kind);
  static bool covers(const QuotaLever& lever, const Kind& kind);

  std::map<Kind, uint32_t> machines_;
};

}  // namespace slipway::rehearse
