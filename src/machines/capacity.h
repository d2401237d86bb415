// What this box's pretended cloud gives of a launch: offer by offer, within the limits of `slipway chaos`. Pure, but
// for the file that keeps the limits over a restart of the machine host: <state>/host/capacity.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "machines/client.h"
#include "machines/machine.h"

namespace slipway::machines {

// A limit replaces the one on the same machines. Without a number it ends that one and every one on fewer of them.
void add_limit(std::vector<CapacityLimit>& limits, const CapacityLimit& limit);

bool covers(const CapacityLimit& limit, const std::string& pool, model::Market market, const model::Offer& offer);

// What a person reads of a launch or of a limit: "spot m.large of pool cpu in zone a", "machines".
std::string describe(const CapacityLimit& scope);

struct Grant {
  model::Offer offer;
  uint32_t count = 0;
};

struct Fill {
  std::vector<Grant> grants;  // none empty, in the order of the offers
  std::vector<Refusal> refusals;
  uint32_t given = 0;
};

struct Supply {
  std::vector<CapacityLimit> limits;
  std::function<uint32_t(const CapacityLimit&)> existing;  // machines that count for a limit before this launch
  std::function<uint32_t(uint32_t)> refuse;  // how many of so many are refused whatever the limits say; asked once each
};

// Asks each offer for what the earlier ones didn't give; no offers: the empty one for all.
Fill fill_offers(const std::string& pool, const LaunchTerms& terms, uint32_t count, const Supply& supply);

Result<void> save_limits(const std::filesystem::path& state, const std::vector<CapacityLimit>& limits);
// None when there is no such file; an unreadable one is logged.
std::vector<CapacityLimit> load_limits(const std::filesystem::path& state);

}  // namespace slipway::machines
