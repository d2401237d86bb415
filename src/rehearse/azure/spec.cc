#include "rehearse/azure/spec.h"

#include <boost/json.hpp>

#include <algorithm>
#include <cctype>

#include "base/check.h"
#include "http/url.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

std::string text(const json::object& from, std::string_view key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::vector<std::string> texts(const json::object& from, std::string_view key) {
  std::vector<std::string> out;
  if (const json::value* list = from.if_contains(key); list != nullptr && list->is_array()) {
    for (const json::value& one : list->get_array()) {
      out.push_back(one.is_string() ? std::string(one.get_string()) : json::serialize(one));
    }
  }
  return out;
}

bool flag(const json::object& from, std::string_view key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

Schema::Type type_of(std::string_view name) {
  if (name == "object") return Schema::Type::object;
  if (name == "array") return Schema::Type::array;
  if (name == "string") return Schema::Type::string;
  if (name == "integer") return Schema::Type::integer;
  if (name == "number") return Schema::Type::number;
  if (name == "boolean") return Schema::Type::boolean;
  return Schema::Type::any;
}

template <class Number>
std::optional<Number> number(const json::object& from, std::string_view key) {
  const json::value* value = from.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return static_cast<Number>(value->to_number<double>());
}

void read_schema(const json::object& from, Schema& out) {
  out.type = type_of(text(from, "type"));
  out.read_only = flag(from, "readOnly");
  out.format = text(from, "format");
  out.allowed = texts(from, "enum");
  out.required = texts(from, "required");
  out.target_name = text(from, "ref");
  out.minimum = number<double>(from, "minimum");
  out.maximum = number<double>(from, "maximum");
  out.length_min = number<size_t>(from, out.type == Schema::Type::array ? "minItems" : "minLength");
  out.length_max = number<size_t>(from, out.type == Schema::Type::array ? "maxItems" : "maxLength");
  const auto nested = [](const json::value& value) {
    auto schema = std::make_unique<Schema>();
    read_schema(value.as_object(), *schema);
    return schema;
  };
  if (const json::value* properties = from.if_contains("properties")) {
    if (out.type == Schema::Type::any) out.type = Schema::Type::object;
    for (const auto& [name, value] : properties->as_object()) out.properties.emplace(name, nested(value));
  }
  if (const json::value* items = from.if_contains("items")) out.items = nested(*items);
  if (const json::value* additional = from.if_contains("additionalProperties")) {
    if (additional->is_object()) out.additional = nested(*additional);
    out.additional_allowed = additional->is_object() || additional->get_bool();
  }
  if (const json::value* parts = from.if_contains("allOf")) {
    if (out.type == Schema::Type::any) out.type = Schema::Type::object;
    for (const json::value& part : parts->as_array()) out.all_of.push_back(nested(part));
  }
}

void link(Schema& schema, const std::map<std::string, std::unique_ptr<Schema>, std::less<>>& definitions) {
  if (!schema.target_name.empty()) {
    const auto found = definitions.find(schema.target_name);
    SLIPWAY_CHECK(found != definitions.end());
    schema.target = found->second.get();
  }
  for (auto& [name, property] : schema.properties) link(*property, definitions);
  if (schema.items) link(*schema.items, definitions);
  if (schema.additional) link(*schema.additional, definitions);
  for (auto& part : schema.all_of) link(*part, definitions);
}

bool is_parameter(std::string_view segment) {
  return !segment.empty() && segment.front() == '{';
}

}  // namespace

bool same_text(std::string_view left, std::string_view right) {
  return left.size() == right.size() && std::equal(left.begin(), left.end(), right.begin(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
         });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::vector<std::string> path_segments(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (!part.empty()) out.emplace_back(part);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return out;
}

Spec::Spec(const char* description) {
  const json::value parsed = json::parse(description);
  const json::object& whole = parsed.as_object();
  for (const auto& [name, value] : whole.at("definitions").as_object()) {
    read_schema(value.as_object(), *definitions_.emplace(name, std::make_unique<Schema>()).first->second);
  }
  const std::vector<std::string> versions = texts(whole, "versions");
  for (const json::value& value : whole.at("operations").as_array()) {
    const json::object& from = value.as_object();
    auto operation = std::make_unique<Operation>();
    operation->id = text(from, "id");
    operation->method = text(from, "method");
    operation->segments = path_segments(text(from, "path"));
    operation->versions = from.contains("versions") ? texts(from, "versions") : versions;
    for (const json::value& one : from.at("parameters").as_array()) {
      Parameter& parameter = operation->parameters.emplace_back();
      parameter.name = text(one.as_object(), "name");
      parameter.in_header = text(one.as_object(), "in") == "header";
      parameter.required = flag(one.as_object(), "required");
      read_schema(one.as_object(), parameter.schema);
    }
    if (const json::value* body = from.if_contains("body")) {
      operation->takes_body = true;
      operation->body_required = flag(body->as_object(), "required");
      read_schema(body->at("schema").as_object(), operation->body);
    }
    for (const auto& [status, schema] : from.at("answers").as_object()) {
      read_schema(schema.as_object(), operation->answers[std::stoi(std::string(status))]);
    }
    operations_.push_back(std::move(operation));
  }
  for (auto& [name, schema] : definitions_) link(*schema, definitions_);
  for (auto& operation : operations_) {
    link(operation->body, definitions_);
    for (auto& [status, schema] : operation->answers) link(schema, definitions_);
  }
}

Spec::~Spec() = default;

Spec::Found Spec::find(std::string_view method, std::string_view path) const {
  const std::vector<std::string> parts = path_segments(path);
  Found best;
  size_t best_literals = 0;
  for (const auto& operation : operations_) {
    if (operation->segments.size() != parts.size()) continue;
    size_t literals = 0;
    bool fits = true;
    for (size_t i = 0; i < parts.size() && fits; ++i) {
      if (is_parameter(operation->segments[i])) continue;
      fits = same_text(operation->segments[i], parts[i]);
      ++literals;
    }
    if (!fits) continue;
    if (operation->method != method) {
      best.other_method = true;
      continue;
    }
    if (best.operation != nullptr && literals <= best_literals) continue;
    best.operation = operation.get();
    best_literals = literals;
  }
  if (best.operation == nullptr) return best;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& segment = best.operation->segments[i];
    if (!is_parameter(segment)) continue;
    best.path[segment.substr(1, segment.size() - 2)] = http::decode(parts[i]).value_or(parts[i]);
  }
  return best;
}

const Schema* Spec::definition(std::string_view name) const {
  const auto found = definitions_.find(name);
  return found == definitions_.end() ? nullptr : found->second.get();
}

}  // namespace slipway::rehearse::azure
