// URLs: taking them apart, encoding, queries.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace slipway::http {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // a name or an address, without brackets
  uint16_t port = 0;
  std::string target;  // "/path?query", at least "/"
};
Result<Url> parse_url(std::string_view text);  // bad_config

using Query = std::vector<std::pair<std::string, std::string>>;  // decoded

std::string encode(std::string_view text);     // RFC 3986: all but unreserved characters
std::string encode_query(const Query& query);  // "a=b&c=d"; form encoding is the same but for %20
Result<std::string> decode(std::string_view text, bool plus_is_space = false);
struct Target {
  std::string path;  // decoded, segment by segment: "%2F" stays encoded
  Query query;
};
Result<Target> parse_target(std::string_view target);

}  // namespace slipway::http
