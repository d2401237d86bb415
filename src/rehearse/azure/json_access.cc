#include "rehearse/azure/json_access.h"

#include <boost/json.hpp>

namespace slipway::rehearse::azure {

namespace json = boost::json;

const json::value* at_path(const json::object& object, std::string_view path) {
  const json::object* here = &object;
  while (true) {
    const size_t dot = path.find('.');
    const json::value* value = here->if_contains(path.substr(0, dot));
    if (value == nullptr || value->is_null()) return nullptr;
    if (dot == std::string_view::npos) return value;
    if (!value->is_object()) return nullptr;
    here = &value->get_object();
    path.remove_prefix(dot + 1);
  }
}

std::string text_at(const json::object& object, std::string_view path) {
  const json::value* value = at_path(object, path);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::optional<int64_t> integer_at(const json::object& object, std::string_view path) {
  const json::value* value = at_path(object, path);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  return value->is_uint64() ? static_cast<int64_t>(value->get_uint64()) : static_cast<int64_t>(value->get_double());
}

bool bool_at(const json::object& object, std::string_view path) {
  const json::value* value = at_path(object, path);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object* object_at(const json::object& object, std::string_view path) {
  const json::value* value = at_path(object, path);
  return value != nullptr && value->is_object() ? &value->get_object() : nullptr;
}

void merge_patch(json::object& into, const json::object& patch) {
  for (const auto& [key, value] : patch) {
    if (value.is_null()) {
      into.erase(key);
      continue;
    }
    json::value* old = into.if_contains(key);
    if (old != nullptr && old->is_object() && value.is_object()) {
      merge_patch(old->get_object(), value.get_object());
    } else {
      into[key] = value;
    }
  }
}

}  // namespace slipway::rehearse::azure
