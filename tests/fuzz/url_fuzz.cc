// URLs, request targets and base64 as others write them: read or refused, and what was read says the same when it is
// written again.
#include <cstdint>

#include "base/check.h"
#include "http/base64.h"
#include "http/url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace slipway::http;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto url = parse_url(text)) {
    const std::string host = url->host.find(':') == std::string::npos ? url->host : "[" + url->host + "]";
    const auto again = parse_url(url->scheme + "://" + host + ":" + std::to_string(url->port) + url->target);
    SLIPWAY_CHECK(again && again->host == url->host && again->port == url->port && again->target == url->target);
    SLIPWAY_CHECK(parse_target(url->target).has_value());
  }
  if (const auto target = parse_target(text)) {
    const auto again = parse_target("/?" + encode_query(target->query));
    SLIPWAY_CHECK(again.has_value());
    Query query = target->query;
    std::erase_if(query, [](const auto& pair) { return pair.first.empty() && pair.second.empty(); });
    Query read = again->query;
    std::erase_if(read, [](const auto& pair) { return pair.first.empty() && pair.second.empty(); });
    SLIPWAY_CHECK(query == read);
  }
  SLIPWAY_CHECK(*decode(encode(text)) == text);
  if (const auto bytes = from_base64(text)) SLIPWAY_CHECK(to_base64(*bytes) == text);
  if (const auto bytes = from_base64url(text)) SLIPWAY_CHECK(to_base64url(*bytes) == text);
  return 0;
}
