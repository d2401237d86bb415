#include "cli/json.h"

#include <boost/json.hpp>
#include <charconv>

namespace slipway::cli {

namespace json = boost::json;

struct Json::Node {
  std::shared_ptr<const json::value> root;  // keeps the whole document alive
  const json::value* value = nullptr;       // null: missing
};

Result<Json> Json::parse(std::string_view text) {
  json::error_code error;
  auto root = std::make_shared<json::value>(json::parse(json::string_view(text.data(), text.size()), error));
  if (error) return fail(ErrorCode::permanent, "malformed JSON: " + error.message());
  auto node = std::make_shared<Node>();
  node->value = root.get();
  node->root = std::move(root);
  return Json(std::move(node));
}

Json Json::at(std::string_view key) const {
  auto node = std::make_shared<Node>();
  node->root = node_->root;
  if (node_->value != nullptr && node_->value->is_object()) {
    node->value = node_->value->get_object().if_contains(json::string_view(key.data(), key.size()));
  }
  return Json(std::move(node));
}

std::vector<Json> Json::items() const {
  std::vector<Json> found;
  if (node_->value == nullptr || !node_->value->is_array()) return found;
  for (const json::value& item : node_->value->get_array()) {
    found.push_back(Json(std::make_shared<Node>(Node{node_->root, &item})));
  }
  return found;
}

bool Json::is_nothing() const {
  return node_->value == nullptr || node_->value->is_null();
}

std::string Json::text() const {
  if (is_nothing()) return "";
  if (node_->value->is_string()) return std::string(node_->value->get_string());
  return json::serialize(*node_->value);
}

int64_t Json::number(std::string_view key) const {
  const Json member = at(key);
  if (member.is_nothing()) return 0;
  const json::value& value = *member.node_->value;
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64()) return value.get_uint64() > INT64_MAX ? INT64_MAX : static_cast<int64_t>(value.get_uint64());
  if (value.is_double() && value.get_double() > -9e18 && value.get_double() < 9e18) {
    return static_cast<int64_t>(value.get_double());
  }
  return 0;
}

bool Json::flag(std::string_view key) const {
  const Json member = at(key);
  return !member.is_nothing() && member.node_->value->is_bool() && member.node_->value->get_bool();
}

std::vector<std::string> Json::strings(std::string_view key) const {
  std::vector<std::string> found;
  for (const Json& item : at(key).items()) found.push_back(item.text());
  return found;
}

std::optional<TimePoint> Json::time(std::string_view key) const {
  const Json member = at(key);
  if (member.is_nothing()) return std::nullopt;
  if (member.node_->value->is_string()) return parse_iso8601(member.text());
  const int64_t milliseconds = number(key);
  // Beyond what a calendar has, adding or formatting would overflow.
  constexpr int64_t latest = 253'402'300'800'000;
  if (milliseconds <= 0 || milliseconds > latest) return std::nullopt;
  return TimePoint(Duration(milliseconds));
}

std::string Json::dump() const {
  return node_->value == nullptr ? "null" : json::serialize(*node_->value);
}

std::string Json::dump_with(const std::vector<Argument>& members) const {
  const std::string own = dump();
  const std::string more = object(members);
  if (own.size() <= 2 || own.front() != '{') return more;
  if (more.size() <= 2) return own;
  return own.substr(0, own.size() - 1) + "," + more.substr(1);
}

std::string quote(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

Argument::Argument(std::string k, std::string_view value) : key(std::move(k)), json(quote(value)) {}

Argument raw(std::string key, std::string text) {
  Argument made(std::move(key), false);
  made.json = std::move(text);
  return made;
}

std::string object(const std::vector<Argument>& members) {
  std::string out = "{";
  for (const Argument& member : members) {
    out += (out.size() > 1 ? "," : "") + quote(member.key) + ":" + member.json;
  }
  return out + "}";
}

std::optional<TimePoint> parse_iso8601(std::string_view text) {
  // Fixed positions: 2026-03-01T12:00:00, then .fraction, then Z.
  const auto number = [&](size_t at, size_t length) -> int {
    if (at + length > text.size()) return -1;
    int value = 0;
    for (size_t i = at; i < at + length; ++i) {
      if (text[i] < '0' || text[i] > '9') return -1;
      value = value * 10 + (text[i] - '0');
    }
    return value;
  };
  const int year = number(0, 4);
  const int month = number(5, 2);
  const int day = number(8, 2);
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 ||
      minute > 59 || second < 0 || second > 60 || text.size() < 20 || text.back() != 'Z') {
    return std::nullopt;
  }
  int milliseconds = 0;
  if (text[19] == '.') {
    int scale = 100;
    for (size_t i = 20; i + 1 < text.size(); ++i, scale /= 10) {
      if (text[i] < '0' || text[i] > '9') return std::nullopt;
      milliseconds += (text[i] - '0') * scale;
    }
  } else if (text.size() != 20) {
    return std::nullopt;
  }
  const std::chrono::sys_days date = std::chrono::year(year) / std::chrono::month(static_cast<unsigned>(month)) /
                                     std::chrono::day(static_cast<unsigned>(day));
  const TimePoint time = TimePoint(date.time_since_epoch()) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                         std::chrono::seconds(second) + Duration(milliseconds);
  if (time == TimePoint{}) return std::nullopt;
  return time;
}

}  // namespace slipway::cli
