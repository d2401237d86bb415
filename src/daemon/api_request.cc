#include "daemon/api_request.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <limits>

namespace slipway::daemon {

namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 6> calls = {"status", "nodes", "jobs", "events", "explain", "locate"};
constexpr uint32_t limit_max = 5'000;  // events of one answer: below a megabyte
constexpr size_t name_bytes_max = 255;

Failure wrong(const std::string& what) {
  return fail(ErrorCode::bad_config, "bad request: " + what);
}

std::string key_text(json::string_view key) {
  return std::string(key.data(), std::min<size_t>(key.size(), 64));
}

Result<std::string> text(json::string_view key, const json::value& value) {
  if (const auto* string = value.if_string(); string != nullptr && string->size() <= name_bytes_max) {
    return std::string(string->data(), string->size());
  }
  return wrong("\"" + key_text(key) + "\" must be a name");
}

Result<int64_t> number(json::string_view key, const json::value& value, int64_t max) {
  int64_t found = -1;
  if (value.is_int64()) found = value.get_int64();
  if (value.is_uint64() && value.get_uint64() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    found = static_cast<int64_t>(value.get_uint64());
  }
  if (found < 0 || found > max)
    return wrong("\"" + key_text(key) + "\" must be a number from 0 to " + std::to_string(max));
  return found;
}

Result<bool> flag(json::string_view key, const json::value& value) {
  if (value.is_bool()) return value.get_bool();
  return wrong("\"" + key_text(key) + "\" must be true or false");
}

// Puts a parsed value where it belongs, or passes its failure on.
template <class T, class Into>
Result<void> put(Result<T> parsed, Into& into) {
  if (!parsed) return fail(parsed.error());
  into = static_cast<Into>(std::move(*parsed));
  return {};
}

Result<void> take(ApiRequest& request, json::string_view key, const json::value& value) {
  if (key == "call") return put(text(key, value), request.call);
  if (key == "pool") return put(text(key, value), request.pool);
  if (key == "node") return put(text(key, value), request.node);
  if (key == "instance") return put(text(key, value), request.instance);
  if (key == "all") return put(flag(key, value), request.all);
  if (key == "follow") return put(flag(key, value), request.follow);
  if (key == "after") {
    request.has_after = true;
    return put(number(key, value, std::numeric_limits<int64_t>::max()), request.after);
  }
  if (key == "limit") {
    request.has_limit = true;
    return put(number(key, value, limit_max), request.limit);
  }
  if (key == "job") {
    if (value.is_string()) return put(text(key, value), request.job);
    auto id = number(key, value, std::numeric_limits<JobId>::max());
    if (!id) return fail(id.error());
    request.job = std::to_string(*id);
    return {};
  }
  return wrong("nobody knows the argument \"" + key_text(key) + "\"");
}

}  // namespace

Result<ApiRequest> parse_request(std::string_view text_in) {
  if (text_in.size() > request_bytes_max) return wrong("it is too long");
  json::error_code failed;
  json::parse_options options;
  options.max_depth = 4;
  const auto value = json::parse({text_in.data(), text_in.size()}, failed, {}, options);
  if (failed || !value.is_object()) return wrong("it is not a JSON object");
  ApiRequest request;
  for (const auto& member : value.get_object()) {
    if (auto taken = take(request, member.key(), member.value()); !taken) return fail(taken.error());
  }
  if (std::find(calls.begin(), calls.end(), request.call) == calls.end()) {
    return wrong("\"call\" must be status, nodes, jobs, events, explain or locate");
  }
  return request;
}

}  // namespace slipway::daemon
