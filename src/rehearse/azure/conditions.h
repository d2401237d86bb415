// Conditional requests of RFC 9110: If-Match and its siblings against a thing's etag and time.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "http/message.h"

namespace slipway::rehearse::azure {

enum class Condition : uint8_t { met, not_met, malformed };
// `etag` without quotes; a client may send it with or without them.
Condition check_conditions(const http::Headers& headers, std::string_view etag, TimePoint modified);

}  // namespace slipway::rehearse::azure
