// The daemon's JSON, read tolerantly: what is missing or of another type reads as nothing, so that an older command and
// a newer daemon (or the reverse) understand each other as far as possible.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::cli {

class Json {
 public:
  // Fails with permanent on malformed text.
  static Result<Json> parse(std::string_view text);

  Json at(std::string_view key) const;  // nothing when missing
  std::vector<Json> items() const;      // of an array; else empty
  bool is_nothing() const;              // null or missing
  std::string text() const;             // strings as they are, numbers and flags in words, nothing as ""
  std::string text(std::string_view key) const { return at(key).text(); }
  int64_t number(std::string_view key) const;
  bool flag(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key) const;
  // Milliseconds since the epoch, or "2026-03-01T12:00:00.250Z"; nothing for zero and for what isn't a time.
  std::optional<TimePoint> time(std::string_view key) const;
  std::string dump() const;                                                  // on one line
  std::string dump_with(const std::vector<struct Argument>& members) const;  // an object, with more members

 private:
  struct Node;
  explicit Json(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;
};

// One member of a request.
struct Argument {
  std::string key;
  std::string json;  // of the value
  Argument(std::string k, std::string_view value);
  Argument(std::string k, const char* value) : Argument(std::move(k), std::string_view(value)) {}
  Argument(std::string k, bool value) : key(std::move(k)), json(value ? "true" : "false") {}
  Argument(std::string k, int64_t value) : key(std::move(k)), json(std::to_string(value)) {}
};
std::string quote(std::string_view text);  // a JSON string
std::string object(const std::vector<Argument>& members);
Argument raw(std::string key, std::string json);  // a member whose JSON is ready

// "2026-03-01T12:00:00.250Z", fraction optional.
std::optional<TimePoint> parse_iso8601(std::string_view text);

}  // namespace slipway::cli
