// JSON as the machine host's files and frames use it. For .cc files of this room that include Boost.JSON themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machines/machine.h"

namespace boost::json {
class object;
}

namespace slipway::machines {

// Fails with bad_config on anything but one JSON object.
Result<boost::json::object> parse_object(std::string_view text);

// A member's value; the empty one when it is missing or of another type: an older program's file lacks newer members.
std::string text_value(const boost::json::object& object, std::string_view key);
int64_t integer_value(const boost::json::object& object, std::string_view key);
uint64_t unsigned_value(const boost::json::object& object, std::string_view key);
bool bool_value(const boost::json::object& object, std::string_view key);
std::vector<std::string> texts_value(const boost::json::object& object, std::string_view key);

// The code of this name; `otherwise` when there is none.
ErrorCode error_code_value(const boost::json::object& object, std::string_view key, ErrorCode otherwise);
// The market of this name; unset for "" and for a name that isn't one's.
std::optional<model::Market> market_value(const boost::json::object& object, std::string_view key);

boost::json::object limit_to_json(const CapacityLimit& limit);
Result<CapacityLimit> limit_from_json(const boost::json::object& object);
boost::json::object machine_to_json(const Machine& machine);
Result<Machine> machine_from_json(const boost::json::object& object);

}  // namespace slipway::machines
