// Assertions that stay on in release builds. For bugs, never for input.
#pragma once

namespace slipway {

// Prints `condition`, file and line to stderr and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace slipway

#define SLIPWAY_CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::slipway::check_failed(#condition, __FILE__, __LINE__))
