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

// The cluster of a file that must have neither errors nor warnings.
inline model::Cluster parse_clean(std::string_view yaml) {
  Loaded loaded = parse_text(yaml);
  EXPECT_EQ(all_problems(loaded), "") << yaml;
  return loaded.cluster;
}

}  // namespace slipway::config
