// Times on the command line.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::cli {

// "500ms", "10s", "2m", "1h"; a bare number means seconds; at most a year. Fails with bad_config.
Result<Duration> parse_duration(std::string_view text);

}  // namespace slipway::cli
