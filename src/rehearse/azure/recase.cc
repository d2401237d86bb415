#include "rehearse/azure/recase.h"

#include <boost/json.hpp>

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

struct Property {
  std::string name;
  const Schema* schema = nullptr;
};

Property find_any_case(const Schema& schema, std::string_view name) {
  const Schema& own = schema.resolved();
  for (const auto& [known, property] : own.properties) {
    if (same_text(known, name)) return {known, property.get()};
  }
  for (const auto& part : own.all_of) {
    if (Property found = find_any_case(*part, name); found.schema != nullptr) return found;
  }
  return {};
}

// An image's id is the one name that differs by more than its case.
Property find_renamed(const Schema& schema, std::string_view name) {
  if (Property found = find_any_case(schema, name); found.schema != nullptr) return found;
  if (name == "virtualMachineImageId" && find_any_case(schema, "publisher").schema != nullptr) {
    return find_any_case(schema, "id");
  }
  if (name == "id") return find_any_case(schema, "virtualMachineImageId");
  return {};
}

}  // namespace

json::value recase(const json::value& from, const Schema& schema) {
  const Schema& own = schema.resolved();
  if (from.is_object()) {
    json::object out;
    for (const auto& [key, value] : from.get_object()) {
      if (const Property property = find_renamed(own, key); property.schema != nullptr) {
        out[property.name] = recase(value, *property.schema);
      } else if (own.additional_allowed || (own.properties.empty() && own.all_of.empty())) {
        out[key] = value;
      }
    }
    return out;
  }
  if (from.is_array()) {
    json::array out;
    for (const json::value& one : from.get_array()) out.push_back(own.items ? recase(one, *own.items) : one);
    return out;
  }
  if (from.is_string()) {
    for (const std::string& known : own.allowed) {
      if (same_text(known, std::string_view(from.get_string()))) return json::string(known);
    }
  }
  return from;
}

}  // namespace slipway::rehearse::azure
