// Looking into JSON that was checked before: by a path of names, with the empty value where nothing is.
// For .cc files that include Boost.JSON themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace boost::json {
class object;
class value;
}  // namespace boost::json

namespace slipway::rehearse::azure {

// "properties.sku.capacity"; null: nothing there, or null.
const boost::json::value* at_path(const boost::json::object& object, std::string_view path);
std::string text_at(const boost::json::object& object, std::string_view path);
std::optional<int64_t> integer_at(const boost::json::object& object, std::string_view path);
bool bool_at(const boost::json::object& object, std::string_view path);
const boost::json::object* object_at(const boost::json::object& object, std::string_view path);

// Later objects win; nested objects are merged, null removes (RFC 7396).
void merge_patch(boost::json::object& into, const boost::json::object& patch);

}  // namespace slipway::rehearse::azure
