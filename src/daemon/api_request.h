// A request on the daemon's socket, parsed. The sender is root, but a slip of a script must not hurt: unknown keys and
// wrong types are refused in words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/ids.h"

namespace slipway::daemon {

struct ApiRequest {
  std::string call;
  std::string pool;
  std::string node;
  std::string instance;
  std::string job;  // "12" or "12_7"
  bool all = false;
  bool follow = false;
  bool has_after = false;
  int64_t after = 0;
  uint32_t limit = 1000;
  bool has_limit = false;
};

inline constexpr size_t request_bytes_max = 64 << 10;

// Fails with bad_config: what is wrong with the request, for its author.
Result<ApiRequest> parse_request(std::string_view json);

}  // namespace slipway::daemon
