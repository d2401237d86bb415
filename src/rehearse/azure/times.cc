#include "rehearse/azure/times.h"

#include <array>
#include <charconv>
#include <ctime>

namespace slipway::rehearse::azure {
namespace {

constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

tm utc(TimePoint time) {
  const time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  tm out{};
  gmtime_r(&seconds, &out);
  return out;
}

std::string two(int number) {
  return {static_cast<char>('0' + number / 10 % 10), static_cast<char>('0' + number % 10)};
}

std::string clock_text(const tm& time) {
  return two(time.tm_hour) + ":" + two(time.tm_min) + ":" + two(time.tm_sec);
}

std::optional<int> number(std::string_view text) {
  int out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

}  // namespace

std::string to_rfc1123(TimePoint time) {
  const tm parts = utc(time);
  return std::string(days[static_cast<size_t>(parts.tm_wday)]) + ", " + two(parts.tm_mday) + " " +
         months[static_cast<size_t>(parts.tm_mon)] + " " + std::to_string(parts.tm_year + 1900) + " " +
         clock_text(parts) + " GMT";
}

std::optional<TimePoint> parse_rfc1123(std::string_view text) {
  if (text.size() != 29 || text.substr(25) != " GMT" || text.substr(3, 2) != ", ") return std::nullopt;
  tm parts{};
  const auto day = number(text.substr(5, 2));
  const auto year = number(text.substr(12, 4));
  const auto hour = number(text.substr(17, 2));
  const auto minute = number(text.substr(20, 2));
  const auto second = number(text.substr(23, 2));
  int month = -1;
  for (size_t i = 0; i < months.size(); ++i) {
    if (text.substr(8, 3) == months[i]) month = static_cast<int>(i);
  }
  if (!day || !year || !hour || !minute || !second || month < 0 || *year < 1970) return std::nullopt;
  parts.tm_mday = *day;
  parts.tm_mon = month;
  parts.tm_year = *year - 1900;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  parts.tm_sec = *second;
  return TimePoint(std::chrono::seconds(timegm(&parts)));
}

std::string to_attested_time(TimePoint time) {
  const tm parts = utc(time);
  return two(parts.tm_mon + 1) + "/" + two(parts.tm_mday) + "/" + two(parts.tm_year % 100) + " " + clock_text(parts) +
         " -0000";
}

}  // namespace slipway::rehearse::azure
