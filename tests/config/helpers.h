// What the tests of the cluster file share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "config/config.h"

namespace slipway::config {

// Parsed without a look at the disk.
inline Loaded parse_text(std::string_view yaml) {
  return parse(yaml, "/nonexistent", false);
}

inline std::string all_problems(const Loaded& loaded) {
  std::string out;
  for (const Problem& problem : loaded.problems) out += format(problem, "file") + "\n";
  return out;
}

// A file with one mistake, its place, and a part of what is said about it.
struct Case {
  const char* yaml;
  int line;
  int column;
  const char* message;
};

inline void expect_only_problem(const Case& c, Severity severity) {
  Loaded loaded = parse_text(c.yaml);
  ASSERT_EQ(loaded.problems.size(), 1u) << c.yaml << "\n" << all_problems(loaded);
  const Problem& problem = loaded.problems[0];
  EXPECT_EQ(problem.severity, severity) << c.yaml;
  EXPECT_EQ(problem.line, c.line) << c.yaml << "\n" << all_problems(loaded);
  EXPECT_EQ(problem.column, c.column) << c.yaml << "\n" << all_problems(loaded);
  EXPECT_NE(problem.message.find(c.message), std::string::npos) << c.yaml << "\n" << all_problems(loaded);
}

// The cluster of a file that must have neither errors nor warnings.
inline model::Cluster parse_clean(std::string_view yaml) {
  Loaded loaded = parse_text(yaml);
  EXPECT_EQ(all_problems(loaded), "") << yaml;
  return loaded.cluster;
}

}  // namespace slipway::config
