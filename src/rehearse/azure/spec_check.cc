#include "rehearse/azure/spec_check.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;
using Kind = Complaint::Kind;

Complaint complain(Kind kind, std::string name, std::string value, std::string reason) {
  if (value.size() > 200) value.resize(200);
  return {kind, std::move(name), std::move(value), std::move(reason)};
}

std::string list(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

const Schema* find_property(const Schema& schema, std::string_view name) {
  const Schema& own = schema.resolved();
  if (const auto found = own.properties.find(name); found != own.properties.end()) return found->second.get();
  for (const auto& part : own.all_of) {
    if (const Schema* inherited = find_property(*part, name)) return inherited;
  }
  return nullptr;
}

const Schema* open_end(const Schema& schema, bool& open) {
  const Schema& own = schema.resolved();
  open = open || own.additional_allowed;
  if (own.additional) return own.additional.get();
  for (const auto& part : own.all_of) {
    if (const Schema* inherited = open_end(*part, open)) return inherited;
  }
  return nullptr;
}

bool is_bare(const Schema& schema) {  // an object of which nothing is said
  const Schema& own = schema.resolved();
  return own.properties.empty() && own.all_of.empty() && !own.additional;
}

std::optional<Complaint> check_required(const Schema& schema, const json::object& object, const std::string& where) {
  const Schema& own = schema.resolved();
  for (const std::string& name : own.required) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || value->is_null()) {
      const std::string path = where.empty() ? name : where + "." + name;
      return complain(Kind::missing_property, path, "", "a required property was not specified");
    }
  }
  for (const auto& part : own.all_of) {
    if (auto complaint = check_required(*part, object, where)) return complaint;
  }
  return std::nullopt;
}

std::optional<Complaint> check_object(const Schema& schema, const json::object& object, Direction direction,
                                      const std::string& where) {
  if (is_bare(schema)) return std::nullopt;
  bool open = false;
  const Schema* additional = open_end(schema, open);
  for (const auto& [key, value] : object) {
    const std::string path = where.empty() ? std::string(key) : where + "." + std::string(key);
    const Schema* property = find_property(schema, key);
    if (property == nullptr) {
      // OData's own annotations go with every answer.
      if (direction == Direction::answer && key.starts_with("odata.")) continue;
      if (additional != nullptr) {
        if (auto complaint = check_value(*additional, value, direction, path)) return complaint;
        continue;
      }
      if (open) continue;
      return complain(Kind::unknown_property, path, json::serialize(value), "the property is not known");
    }
    if (direction == Direction::request) {
      if (value.is_null()) continue;
      if (property->read_only || property->resolved().read_only) {
        return complain(Kind::read_only_property, path, json::serialize(value), "the property is read-only");
      }
    }
    if (auto complaint = check_value(*property, value, direction, path)) return complaint;
  }
  return direction == Direction::request ? check_required(schema, object, where) : std::nullopt;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "2026-11-22T20:05:05.1234567Z", with or without a fraction, Z or an offset.
bool is_date_time(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':') {
    return false;
  }
  for (const auto& [at, length] : {std::pair<size_t, size_t>{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}}) {
    if (!is_digits(text.substr(at, length))) return false;
  }
  std::string_view rest = text.substr(19);
  if (rest.front() == '.') {
    rest.remove_prefix(1);
    rest.remove_prefix(std::min(rest.find_first_not_of("0123456789"), rest.size()));
  }
  return rest == "Z" || (rest.size() == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':');
}

std::optional<std::string> wrong_text(const Schema& own, std::string_view text) {
  if (!own.allowed.empty()) {
    const bool known =
        std::any_of(own.allowed.begin(), own.allowed.end(), [&](const auto& one) { return same_text(one, text); });
    if (!known) return "must be one of " + list(own.allowed);
  }
  if (own.format == "duration" && !parse_iso_duration(text)) return "must be an ISO 8601 duration";
  if (own.format == "date-time" && !is_date_time(text)) return "must be an ISO 8601 date and time";
  if (own.length_min && text.size() < *own.length_min) {
    return "must have at least " + std::to_string(*own.length_min) + " characters";
  }
  if (own.length_max && text.size() > *own.length_max) {
    return "must have at most " + std::to_string(*own.length_max) + " characters";
  }
  return std::nullopt;
}

std::optional<std::string> out_of_range(const Schema& own, double number) {
  if (own.minimum && number < *own.minimum) return "must be at least " + json::serialize(json::value(*own.minimum));
  if (own.maximum && number > *own.maximum) return "must be at most " + json::serialize(json::value(*own.maximum));
  const double bound = own.format == "int32" ? 2147483647.0 : 9.2e18;
  if (own.type == Schema::Type::integer && std::abs(number) > bound) return "is too large a number";
  return std::nullopt;
}

// A parameter of the query or a header is text: the type is what the text must be.
std::optional<Complaint> check_parameter(const Parameter& parameter, const std::string& value) {
  const Schema& own = parameter.schema;
  const Kind wrong = parameter.in_header ? Kind::invalid_header : Kind::invalid_query;
  if (own.type == Schema::Type::integer) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size()) {
      return complain(wrong, parameter.name, value, "must be a whole number");
    }
    if (auto reason = out_of_range(own, static_cast<double>(number))) {
      return complain(parameter.in_header ? wrong : Kind::out_of_range_query, parameter.name, value, *reason);
    }
    return std::nullopt;
  }
  if (own.type == Schema::Type::boolean) {
    if (same_text(value, "true") || same_text(value, "false")) return std::nullopt;
    return complain(wrong, parameter.name, value, "must be true or false");
  }
  if (auto reason = wrong_text(own, value)) return complain(wrong, parameter.name, value, *reason);
  return std::nullopt;
}

std::optional<Complaint> check_version(const Operation& operation, const http::Query& query) {
  for (const auto& [name, value] : query) {
    if (!same_text(name, "api-version")) continue;
    if (std::find(operation.versions.begin(), operation.versions.end(), value) != operation.versions.end()) {
      return std::nullopt;
    }
    return complain(Kind::bad_version, "api-version", value, "supported are " + list(operation.versions));
  }
  const bool wanted = std::any_of(operation.parameters.begin(), operation.parameters.end(),
                                  [](const Parameter& one) { return one.name == "api-version" && one.required; });
  if (!wanted) return std::nullopt;
  return complain(Kind::no_version, "api-version", "", "the api-version query parameter (?api-version=) is required");
}

std::optional<Complaint> check_query(const Operation& operation, const http::Query& query) {
  for (const auto& [name, value] : query) {
    if (same_text(name, "api-version")) continue;
    const auto known =
        std::find_if(operation.parameters.begin(), operation.parameters.end(),
                     [&key = name](const Parameter& one) { return !one.in_header && same_text(one.name, key); });
    // A next page's address carries the position that the service itself put there.
    if (known == operation.parameters.end()) {
      if (same_text(name, "$skiptoken")) continue;
      return complain(Kind::unknown_query, name, value, "the operation has no such query parameter");
    }
    if (auto complaint = check_parameter(*known, value)) return complaint;
  }
  for (const Parameter& parameter : operation.parameters) {
    if (parameter.in_header || !parameter.required || parameter.name == "api-version") continue;
    const bool given =
        std::any_of(query.begin(), query.end(), [&](const auto& one) { return same_text(one.first, parameter.name); });
    if (!given) return complain(Kind::missing_query, parameter.name, "", "a required query parameter is missing");
  }
  return std::nullopt;
}

std::optional<Complaint> check_headers(const Operation& operation, const http::Headers& headers) {
  for (const Parameter& parameter : operation.parameters) {
    if (!parameter.in_header) continue;
    const std::string value(http::find_header(headers, parameter.name));
    if (value.empty()) {
      if (parameter.required) {
        return complain(Kind::missing_header, parameter.name, "", "a required HTTP header was not specified");
      }
      continue;
    }
    if (auto complaint = check_parameter(parameter, value)) return complaint;
  }
  for (const auto& [name, value] : headers) {
    if (name.size() < 3 || !same_text(std::string_view(name).substr(0, 3), "if-")) continue;
    const bool known =
        std::any_of(operation.parameters.begin(), operation.parameters.end(),
                    [&key = name](const Parameter& one) { return one.in_header && same_text(one.name, key); });
    if (!known) return complain(Kind::unsupported_header, name, value, "the operation doesn't know this condition");
  }
  return std::nullopt;
}

}  // namespace

std::optional<Complaint> check_value(const Schema& schema, const json::value& value, Direction direction,
                                     const std::string& where) {
  const Schema& own = schema.resolved();
  const auto wrong = [&](const std::string& reason) {
    return complain(Kind::invalid_property, where, json::serialize(value), reason);
  };
  switch (own.type) {
    case Schema::Type::any:
      return std::nullopt;
    case Schema::Type::object:
      if (!value.is_object()) return wrong("must be an object");
      return check_object(own, value.get_object(), direction, where);
    case Schema::Type::array: {
      if (!value.is_array()) return wrong("must be an array");
      const json::array& array = value.get_array();
      if (own.length_max && array.size() > *own.length_max) {
        return complain(Kind::out_of_range_property, where, std::to_string(array.size()),
                        "may have at most " + std::to_string(*own.length_max) + " items");
      }
      if (own.length_min && array.size() < *own.length_min) {
        return complain(Kind::out_of_range_property, where, std::to_string(array.size()),
                        "must have at least " + std::to_string(*own.length_min) + " items");
      }
      for (size_t i = 0; own.items && i < array.size(); ++i) {
        if (auto complaint = check_value(*own.items, array[i], direction, where + "[" + std::to_string(i) + "]")) {
          return complaint;
        }
      }
      return std::nullopt;
    }
    case Schema::Type::string: {
      if (!value.is_string()) return wrong("must be a string");
      const auto reason = wrong_text(own, std::string_view(value.get_string()));
      return reason ? std::optional(wrong(*reason)) : std::nullopt;
    }
    case Schema::Type::integer: {
      if (!value.is_int64() && !value.is_uint64()) return wrong("must be a whole number");
      const auto reason = out_of_range(own, value.to_number<double>());
      if (reason) return complain(Kind::out_of_range_property, where, json::serialize(value), *reason);
      return std::nullopt;
    }
    case Schema::Type::number: {
      if (!value.is_number()) return wrong("must be a number");
      const auto reason = out_of_range(own, value.to_number<double>());
      if (reason) return complain(Kind::out_of_range_property, where, json::serialize(value), *reason);
      return std::nullopt;
    }
    case Schema::Type::boolean:
      return value.is_bool() ? std::nullopt : std::optional(wrong("must be true or false"));
  }
  return std::nullopt;
}

std::optional<Complaint> check_request(const Operation& operation, const http::Query& query,
                                       const http::Headers& headers, const json::value* body) {
  if (auto complaint = check_version(operation, query)) return complaint;
  if (auto complaint = check_query(operation, query)) return complaint;
  if (auto complaint = check_headers(operation, headers)) return complaint;
  if (body == nullptr) {
    if (!operation.body_required) return std::nullopt;
    return complain(Kind::missing_body, "body", "", "the operation needs a request body");
  }
  if (!operation.takes_body) return complain(Kind::invalid_property, "body", "", "the operation takes no request body");
  return check_value(operation.body, *body, Direction::request, "");
}

std::optional<double> parse_iso_duration(std::string_view text) {
  if (text.size() < 3 || text.front() != 'P') return std::nullopt;
  text.remove_prefix(1);
  double total = 0;
  bool in_time = false;
  bool any = false;
  while (!text.empty()) {
    if (text.front() == 'T') {
      if (in_time || text.size() == 1) return std::nullopt;
      in_time = true;
      text.remove_prefix(1);
      continue;
    }
    const size_t end = text.find_first_not_of("0123456789.");
    if (end == 0 || end == std::string_view::npos || end > 15) return std::nullopt;
    double number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + end, number);
    if (error != std::errc() || stop != text.data() + end) return std::nullopt;
    double unit = 0;
    switch (text[end]) {
      case 'W':
        unit = in_time ? 0 : 604800;
        break;
      case 'D':
        unit = in_time ? 0 : 86400;
        break;
      case 'H':
        unit = in_time ? 3600 : 0;
        break;
      case 'M':
        unit = in_time ? 60 : 0;
        break;
      case 'S':
        unit = in_time ? 1 : 0;
        break;
      default:
        break;
    }
    if (unit == 0) return std::nullopt;
    total += number * unit;
    any = true;
    text.remove_prefix(end + 1);
  }
  return any ? std::optional(total) : std::nullopt;
}

std::string to_iso_duration(double seconds) {
  auto left = static_cast<int64_t>(std::llround(seconds));
  std::string out = "PT";
  if (left >= 3600) out += std::to_string(left / 3600) + "H";
  left %= 3600;
  if (left >= 60) out += std::to_string(left / 60) + "M";
  left %= 60;
  if (left > 0 || out == "PT") out += std::to_string(left) + "S";
  return out;
}

}  // namespace slipway::rehearse::azure
