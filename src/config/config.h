// The cluster file: YAML in, model::Cluster or every mistake at once out.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/cluster.h"

namespace slipway::config {

enum class Severity { error, warning };

// One thing that is wrong (error) or legal but unwise (warning). Lines and columns count from 1; 0 when the whole file is meant.
struct Problem {
  Severity severity = Severity::error;
  int line = 0;
  int column = 0;
  std::string message;   // what is wrong; what was expected; what to do
};

// "demo.yaml:12:5: error: …"
std::string format(const Problem& problem, std::string_view file);

struct Loaded {
  model::Cluster cluster;            // meaningful only without errors
  std::vector<Problem> problems;     // ordered by line
  bool ok() const;                   // no errors; warnings may be there
};

// Never throws, whatever the text: absurd sizes, depths, aliases and encodings are errors like others.
// `folder`: what relative paths (prep, image) are relative to; their existence is checked only when `check_paths`.
Loaded parse(std::string_view yaml, const std::filesystem::path& folder, bool check_paths);

// Reads the file and parses it; an unreadable file is a Problem too.
Loaded load(const std::filesystem::path& file);

}  // namespace slipway::config
