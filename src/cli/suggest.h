// The word that was probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace slipway::cli {

// The candidate with the fewest single-letter changes from `word`; empty when none is close.
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace slipway::cli
