// The cluster file: YAML in, model::Cluster or every mistake at once out. docs/cluster-file.md describes the language.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/cluster.h"

namespace slipway::config {

enum class Severity { error, warning };

// One thing that is wrong (error) or legal but unwise (warning). Lines and columns count from 1, columns in characters;
// 0 when the whole file is meant.
struct Problem {
  Severity severity = Severity::error;
  int line = 0;
  int column = 0;
  std::string message;  // what is wrong; what was expected; what to do
};

// "demo.yaml:12:5: error: …"
std::string format(const Problem& problem, std::string_view file);

struct Loaded {
  model::Cluster cluster;         // meaningful only without errors
  std::vector<Problem> problems;  // ordered by line
  bool ok() const;                // no errors; warnings may be there
};

// Never throws, whatever the text: absurd sizes, depths, aliases and encodings are errors like others.
// `folder`: what relative paths (prep, image) are relative to. With `check_paths` a missing script or image is an
// error; without it nothing is looked up but scripts that happen to be there (so a file made by to_yaml reads the same
// on every machine).
Loaded parse(std::string_view yaml, const std::filesystem::path& folder, bool check_paths);

// Reads the file and parses it; an unreadable file is a Problem too. A controller, which has no images, loads without
// `check_paths`.
Loaded load(const std::filesystem::path& file, bool check_paths = true);

// The cluster as a cluster file that needs no other file: every default written out, prep scripts inline, image paths
// absolute. parse(to_yaml(c)) gives c again, and to_yaml of that the same text. This is what a
// controller gets to read.
std::string to_yaml(const model::Cluster& cluster);

}  // namespace slipway::config
