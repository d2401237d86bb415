// The end of a text.
#pragma once

#include <string_view>

namespace slipway::cli {

// The last `lines` lines (at least one); a line's missing newline at the end doesn't matter.
std::string_view last_lines(std::string_view text, size_t lines);

}  // namespace slipway::cli
