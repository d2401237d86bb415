#include "cli/table.h"

namespace slipway::cli {

namespace {

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

size_t display_width(std::string_view text) {
  size_t width = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++width;  // not a continuation byte
  }
  return width;
}

void Table::column(std::string title, Align align) {
  columns_.push_back({std::move(title), align});
}

void Table::row(std::vector<Cell> cells) {
  cells.resize(columns_.size(), Cell(""));
  for (Cell& cell : cells) cell.text = printable(std::move(cell.text));
  rows_.push_back(std::move(cells));
}

std::string Table::render(const Terminal& terminal) const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i].text));
  }
  std::string out;
  const auto line = [&](const auto& cell_at) {
    std::string text;
    std::string gap;  // kept back until something follows it
    for (size_t i = 0; i < columns_.size(); ++i) {
      const Cell cell = cell_at(i);
      const std::string fill(widths[i] - display_width(cell.text), ' ');
      if (columns_[i].align == Align::right) gap += fill;
      if (!cell.text.empty()) {
        text += gap + terminal.paint(cell.colour, cell.text);
        gap.clear();
      }
      if (columns_[i].align == Align::left) gap += fill;
      gap += "  ";
    }
    out += text + "\n";
  };
  line([&](size_t i) { return Cell(columns_[i].title, Colour::bold); });
  for (const auto& row : rows_) line([&](size_t i) { return row[i]; });
  return out;
}

}  // namespace slipway::cli
