// "Did you mean …?"
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace slipway::config {

// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`, letters' case ignored.
// Words over 64 letters count as wholly different.
size_t edit_distance(std::string_view a, std::string_view b);

// The word closest to `word`, or empty when none is close: at most a third of the longer word's letters differ.
std::string nearest_word(std::string_view word, std::span<const std::string> known);
std::string nearest_word(std::string_view word, std::span<const std::string_view> known);

// "; did you mean 'memory'?" or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string> known);
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

// "a, b and c"; after `max` words "a, b and 7 more".
std::string enumerate(std::span<const std::string> words, size_t max = 12);
std::string enumerate(std::span<const std::string_view> words, size_t max = 12);

std::string lower(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace slipway::config
