// Refuses what is no text before a YAML parser sees it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.h"

namespace slipway::config {

// Finds positions in characters from offsets in bytes, in constant time however long the lines are.
class LineIndex {
 public:
  explicit LineIndex(std::string_view text);
  Position at_byte(size_t offset) const;
  // From a line and a column in bytes, both counted from 0.
  Position at_line_byte(int line, int byte_column) const;
  // The text from there on.
  std::string_view text_from(int line, int byte_column) const;

 private:
  size_t characters_before(size_t offset) const;

  std::string_view text_;
  std::vector<size_t> starts_;
  std::vector<size_t> characters_;  // before each block of the text
};

// Why the text can't be a cluster file: invalid UTF-8, control characters, tabs that indent, a lone carriage return.
// Linear.
struct TextTrouble {
  size_t offset = 0;
  std::string message;
};
std::optional<TextTrouble> check_text(std::string_view text);

// The length in bytes of the UTF-8 character that starts at `offset`; 0 when it isn't valid.
size_t utf8_length(std::string_view text, size_t offset);

}  // namespace slipway::config
