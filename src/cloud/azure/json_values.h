// JSON as Azure writes it: members may be missing, null, or new. For .cc files of this room that include Boost.JSON
// themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace boost::json {
class object;
}

namespace slipway::cloud::azure {

// Fails with transient on anything but one JSON object: an answer that was cut off, a proxy's page.
Result<boost::json::object> parse_object(std::string_view text);

// A member's value; the empty one when it is missing or of another type.
std::string text_value(const boost::json::object& object, std::string_view key);
uint32_t count_value(const boost::json::object& object, std::string_view key);  // negative or too large: 0
bool bool_value(const boost::json::object& object, std::string_view key);
const boost::json::object* object_value(const boost::json::object& object, std::string_view key);
// Calls `each` with the objects of an array.
void for_each_object(const boost::json::object& object, std::string_view key,
                     const std::function<void(const boost::json::object&)>& each);

// "2026-03-01T12:00:00.25Z" and the like, UTC; the epoch when it isn't a time.
TimePoint time_value(const boost::json::object& object, std::string_view key);

}  // namespace slipway::cloud::azure
