#include "rehearse/azure/conditions.h"

#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {
namespace {

bool names(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one.size() >= 2 && one.front() == '"' && one.back() == '"') one = one.substr(1, one.size() - 2);
    if (one == "*" || one == etag) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

Condition check_conditions(const http::Headers& headers, std::string_view etag, TimePoint modified) {
  const std::string_view match = http::find_header(headers, "If-Match");
  const std::string_view none_match = http::find_header(headers, "If-None-Match");
  const std::string_view since = http::find_header(headers, "If-Modified-Since");
  const std::string_view not_since = http::find_header(headers, "If-Unmodified-Since");
  if (!match.empty() && !names(match, etag)) return Condition::not_met;
  if (!none_match.empty() && names(none_match, etag)) return Condition::not_met;
  // The header's times have whole seconds.
  const auto whole = std::chrono::floor<std::chrono::seconds>(modified);
  if (!since.empty()) {
    const auto time = parse_rfc1123(since);
    if (!time) return Condition::malformed;
    if (whole <= *time) return Condition::not_met;
  }
  if (!not_since.empty()) {
    const auto time = parse_rfc1123(not_since);
    if (!time) return Condition::malformed;
    if (whole > *time) return Condition::not_met;
  }
  return Condition::met;
}

}  // namespace slipway::rehearse::azure
