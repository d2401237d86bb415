#include "cloud/azure/json_values.h"

#include <boost/json.hpp>
#include <cstdio>
#include <limits>

namespace slipway::cloud::azure {

namespace json = boost::json;

namespace {

// The civil calendar, proleptic Gregorian.
bool is_date(int year, int month, int day) {
  return std::chrono::year_month_day(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                     std::chrono::day(static_cast<unsigned>(day)))
      .ok();
}

}  // namespace

Result<json::object> parse_object(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) return fail(ErrorCode::transient, "an answer that isn't JSON: " + error.message());
  if (!value.is_object()) return fail(ErrorCode::transient, "an answer that isn't a JSON object");
  return std::move(value.get_object());
}

std::string text_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

uint32_t count_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64()) return 0;
  const int64_t number = value->get_int64();
  return number < 0 || number > std::numeric_limits<int32_t>::max() ? 0 : static_cast<uint32_t>(number);
}

bool bool_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object* object_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

void for_each_object(const json::object& object, std::string_view key,
                     const std::function<void(const json::object&)>& each) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) return;
  for (const json::value& one : value->get_array()) {
    if (one.is_object()) each(one.get_object());
  }
}

TimePoint time_value(const json::object& object, std::string_view key) {
  const std::string text = text_value(object, key);
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  double second = 0;
  if (text.empty() || text.back() != 'Z' || text.size() > 40) return {};
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%lf", &year, &month, &day, &hour, &minute, &second) != 6)
    return {};
  const bool sane = year >= 1970 && is_date(year, month, day) && hour >= 0 && hour < 24 && minute >= 0 && minute < 60 &&
                    second >= 0 && second < 61;
  if (!sane) return {};
  const std::chrono::sys_days date = std::chrono::year(year) / month / day;
  return TimePoint(std::chrono::duration_cast<Duration>(date.time_since_epoch()) + std::chrono::hours(hour) +
                   std::chrono::minutes(minute) + Duration(static_cast<int64_t>(second * 1000)));
}

}  // namespace slipway::cloud::azure
