#include "config/text_check.h"

#include <algorithm>

namespace slipway::config {
namespace {

constexpr size_t block_bytes = 64;

// Continuation bytes of UTF-8 never start a character.
bool starts_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

std::string hex_byte(char c) {
  static constexpr char hex[] = "0123456789abcdef";
  return std::string("0x") + hex[(c >> 4) & 0xf] + hex[c & 0xf];
}

}  // namespace

LineIndex::LineIndex(std::string_view text) : text_(text) {
  starts_.push_back(0);
  size_t characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i % block_bytes == 0) characters_.push_back(characters);
    if (starts_character(text[i])) ++characters;
    if (text[i] == '\n') starts_.push_back(i + 1);
  }
  characters_.push_back(characters);
}

size_t LineIndex::characters_before(size_t offset) const {
  size_t block = offset / block_bytes;
  size_t characters = characters_[block];
  for (size_t i = block * block_bytes; i < offset; ++i) characters += starts_character(text_[i]) ? 1 : 0;
  return characters;
}

Position LineIndex::at_byte(size_t offset) const {
  auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
  size_t line = static_cast<size_t>(next - starts_.begin()) - 1;
  return at_line_byte(static_cast<int>(line), static_cast<int>(offset - starts_[line]));
}

Position LineIndex::at_line_byte(int line, int byte_column) const {
  if (line < 0) return {};
  if (static_cast<size_t>(line) >= starts_.size()) line = static_cast<int>(starts_.size()) - 1;
  size_t start = starts_[static_cast<size_t>(line)];
  size_t end = std::min(text_.size(), start + static_cast<size_t>(std::max(byte_column, 0)));
  return {line + 1, static_cast<int>(characters_before(end) - characters_before(start)) + 1};
}

std::string_view LineIndex::text_from(int line, int byte_column) const {
  if (line < 0 || static_cast<size_t>(line) >= starts_.size()) return {};
  size_t start = starts_[static_cast<size_t>(line)] + static_cast<size_t>(std::max(byte_column, 0));
  return text_.substr(std::min(start, text_.size()));
}

size_t utf8_length(std::string_view text, size_t offset) {
  auto byte = [&](size_t i) { return offset + i < text.size() ? static_cast<unsigned char>(text[offset + i]) : 0u; };
  auto continues = [&](size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!continues(1) || !continues(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;   // overlong
    if (first == 0xed && byte(1) >= 0xa0) return 0;  // surrogates
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) >= 0x90) return 0;  // above U+10FFFF
    return 4;
  }
  return 0;
}

std::optional<TextTrouble> check_text(std::string_view text) {
  bool indenting = true;  // only spaces and tabs since the line's start
  std::optional<size_t> tab;
  for (size_t i = 0; i < text.size();) {
    char c = text[i];
    size_t length = utf8_length(text, i);
    if (length == 0) {
      return TextTrouble{i, "byte " + hex_byte(c) + " is not valid UTF-8; expected a text file; save it as UTF-8"};
    }
    if (c == '\n' || (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n')) {
      indenting = true;
      tab.reset();
      i += c == '\n' ? 1 : 2;
      continue;
    }
    if (c == '\t') {
      if (indenting && !tab) tab = i;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return TextTrouble{
          i, "control character " + hex_byte(c) + "; expected a text file without control characters; remove it"};
    } else if (c != ' ') {
      // Only a tab before something else indents; blank lines may hold what they like.
      if (indenting && tab) return TextTrouble{*tab, "a tab indents this line; YAML expects spaces; replace the tab"};
      indenting = false;
    }
    i += length;
  }
  return std::nullopt;
}

}  // namespace slipway::config
