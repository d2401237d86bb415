// Reads one JSON object that somebody else wrote: every field has a type and a bound, and the first thing that is wrong
// is remembered, so that a decoder is a list of fields and one check at the end. Internal to this room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/cluster.h"

namespace slipway::join {

enum class Utf8 { strict, any_bytes };

class JsonReader {
 public:
  // bad_config when `text` is over `bytes_max`, isn't JSON, or isn't an object.
  static Result<JsonReader> parse(std::string_view text, size_t bytes_max, Utf8 utf8 = Utf8::strict);
  JsonReader(JsonReader&&) noexcept;
  JsonReader& operator=(JsonReader&&) noexcept;
  ~JsonReader();

  // A missing key gives the empty value or `fallback`; a value of another type or over its bound is a problem.
  std::string text(std::string_view key, size_t bytes_max);
  uint64_t number(std::string_view key, uint64_t max, uint64_t fallback = 0);
  std::vector<model::User> users(std::string_view key, size_t count_max);
  bool has(std::string_view key) const;
  size_t size() const;  // number of keys

  void problem(std::string what);  // the first one is kept
  Result<void> status() const;     // bad_config with the first problem

 private:
  struct Impl;
  explicit JsonReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A name that is safe as a host name, a hosts line and an argument: 1 to `bytes_max` of [A-Za-z0-9._-], not starting
// with '-' or '.'.
bool is_plain_name(std::string_view text, size_t bytes_max);
// A machine's: a plain name, or "<pool>/<machine>" of two. At most `instance_bytes_max` (join/handshake.h).
bool is_instance_id(std::string_view text);
// "198.18.0.2:6830": dotted IPv4 and a port from 1 to 65535.
bool is_ipv4_and_port(std::string_view text);
bool is_ipv4(std::string_view text);

// The text as JSON, in quotes. Bytes that aren't UTF-8 stay as they are.
std::string json_quoted(std::string_view text);
std::string users_to_json(const std::vector<model::User>& users);
// Bytes that aren't UTF-8 become '?': a log's tail may be anything.
std::string to_utf8(std::string_view text);

}  // namespace slipway::join
