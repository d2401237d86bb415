// Columns of text, aligned for people.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace slipway::cli {

struct Cell {
  std::string text;
  Colour colour = Colour::plain;

  Cell(std::string t, Colour c = Colour::plain) : text(std::move(t)), colour(c) {}
  Cell(const char* t) : text(t) {}
  Cell(int64_t number) : text(std::to_string(number)) {}
};

enum class Align { left, right };

class Table {
 public:
  void column(std::string title, Align align = Align::left);
  // As many cells as there are columns; missing ones are empty.
  void row(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  // With a line of titles, two blanks between columns, nothing after the last word of a line. Control characters become
  // '?'.
  std::string render(const Terminal& terminal) const;

 private:
  struct Column {
    std::string title;
    Align align;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// How many columns the UTF-8 text takes, one for each character.
size_t display_width(std::string_view text);

}  // namespace slipway::cli
