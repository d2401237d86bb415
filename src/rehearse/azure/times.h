// Times as Azure's APIs write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace slipway::rehearse::azure {

std::string to_rfc1123(TimePoint time);  // "Sun, 22 Nov 2026 20:05:05 GMT"
std::optional<TimePoint> parse_rfc1123(std::string_view text);
std::string to_attested_time(TimePoint time);  // "11/22/26 20:05:05 -0000"

}  // namespace slipway::rehearse::azure
