#include "base/clock.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace slipway {

SystemClock::SystemClock()
    : origin_(std::chrono::floor<Duration>(std::chrono::system_clock::now())),
      steady_origin_(std::chrono::steady_clock::now()) {}

TimePoint SystemClock::now() const {
  return origin_ + std::chrono::floor<Duration>(std::chrono::steady_clock::now() - steady_origin_);
}

std::string to_iso8601(TimePoint time) {
  using namespace std::chrono;
  // Four-digit years only: what lies outside is shown as the nearest moment that can be written.
  constexpr TimePoint earliest = sys_days(year(0) / January / 1);
  constexpr TimePoint latest = TimePoint(sys_days(year(10000) / January / 1)) - Duration(1);
  time = std::clamp(time, earliest, latest);
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss<Duration> clock(time - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text;
}

std::string to_short(Duration duration) {
  const int64_t count = duration.count();
  // The magnitude in unsigned arithmetic, because the most negative duration has no positive twin.
  const uint64_t ms = count < 0 ? 0 - static_cast<uint64_t>(count) : static_cast<uint64_t>(count);
  const uint64_t seconds = ms / 1000;
  const uint64_t minutes = seconds / 60;
  const uint64_t hours = minutes / 60;
  auto two = [](uint64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  std::string text = count < 0 ? "-" : "";
  if (ms < 1000) {
    text += std::to_string(ms) + "ms";
  } else if (seconds < 60) {
    text += std::to_string(seconds) + "." + std::to_string(ms % 1000 / 100) + "s";
  } else if (minutes < 60) {
    text += std::to_string(minutes) + "m" + two(seconds % 60) + "s";
  } else if (hours < 24) {
    text += std::to_string(hours) + "h" + two(minutes % 60) + "m";
  } else {
    text += std::to_string(hours / 24) + "d" + two(hours % 24) + "h";
  }
  return text;
}

}  // namespace slipway
