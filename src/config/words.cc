#include "config/words.h"

#include <algorithm>
#include <array>

namespace slipway::config {
namespace {

// Nobody's typo of a key is longer; bounds the quadratic work on absurd input.
constexpr size_t word_max = 64;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

template <class Words>
std::string nearest(std::string_view word, const Words& known) {
  if (word.empty() || word.size() > word_max) return "";
  std::string best;
  size_t best_distance = word_max;
  for (const auto& candidate : known) {
    std::string_view other = candidate;
    if (other.size() > word_max) continue;
    size_t longer = std::max(word.size(), other.size());
    size_t allowed = std::max<size_t>(1, longer / 3);
    size_t distance = edit_distance(word, other);
    // "mem" for "memory": short for it, though much is missing.
    bool starts_alike =
        word.size() >= 3 && other.size() > word.size() && equal_ignoring_case(word, other.substr(0, word.size()));
    if (distance > allowed && !starts_alike) continue;
    if (distance >= longer) continue;  // nothing in common
    if (distance < best_distance) {
      best = other;
      best_distance = distance;
    }
  }
  return best;
}

template <class Words>
std::string list(const Words& words, size_t max) {
  std::string out;
  size_t shown = words.size() > max ? max : words.size();
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) out += i + 1 == words.size() ? " and " : ", ";
    out += words[i];
  }
  if (shown < words.size()) out += " and " + std::to_string(words.size() - shown) + " more";
  return out;
}

std::string question(const std::string& word) {
  return word.empty() ? "" : "; did you mean '" + word + "'?";
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  if (a.size() > word_max || b.size() > word_max) return std::max(a.size(), b.size());
  using Row = std::array<size_t, word_max + 1>;
  Row before{}, last{}, row{};
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t cost = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
      bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

std::string nearest_word(std::string_view word, std::span<const std::string> known) {
  return nearest(word, known);
}
std::string nearest_word(std::string_view word, std::span<const std::string_view> known) {
  return nearest(word, known);
}
std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  return question(nearest(word, known));
}
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  return question(nearest(word, known));
}
std::string enumerate(std::span<const std::string> words, size_t max) {
  return list(words, max);
}
std::string enumerate(std::span<const std::string_view> words, size_t max) {
  return list(words, max);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace slipway::config
