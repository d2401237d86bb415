#include "cli/table.h"

#include <gtest/gtest.h>

namespace slipway::cli {
namespace {

TEST(Table, AlignsColumns) {
  Table table;
  table.column("NODE");
  table.column("CPUS", Align::right);
  table.column("REASON");
  table.row({"cpu-0001", int64_t{4}, "because"});
  table.row({"x", int64_t{12800}, ""});
  table.row({"only"});
  EXPECT_EQ(
      "NODE       CPUS  REASON\n"
      "cpu-0001      4  because\n"
      "x         12800\n"
      "only\n",
      table.render(Terminal()));
}

TEST(Table, CountsCharactersNotBytes) {
  EXPECT_EQ(5U, display_width("größe"));
  Table table;
  table.column("A");
  table.column("B");
  table.row({"größe", "1"});
  table.row({"abcde", "2"});
  EXPECT_EQ("A      B\ngröße  1\nabcde  2\n", table.render(Terminal()));
}

TEST(Table, LetsNoControlCharactersThrough) {
  Table table;
  table.column("A");
  table.row({"a\nb\033[31m\tc"});
  EXPECT_EQ("A\na?b?[31m?c\n", table.render(Terminal()));
}

TEST(Terminal, PaintsOnlyWherePeopleLook) {
  const Terminal terminal;  // of a test: not a terminal
  EXPECT_FALSE(terminal.coloured());
  EXPECT_EQ("x", terminal.paint(Colour::red, "x"));
}

TEST(LocalTime, ShowsTheDateOnlyWhenItMatters) {
  const TimePoint time{Duration(1'772'366'400'250)};
  EXPECT_EQ(12U, local_time(time, time).size());
  EXPECT_EQ(23U, local_time(time, time + std::chrono::hours(30)).size());
  EXPECT_NE(std::string::npos, local_time(time, time).find(".250"));
}

}  // namespace
}  // namespace slipway::cli
