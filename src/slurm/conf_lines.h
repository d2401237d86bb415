// The keys of slurm.conf in the order in which they were first set, without regard to case, as Slurm reads them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace slipway::slurm {

class ConfLines {
 public:
  void set(std::string_view key, std::string value);
  // Adds comma-separated words to a list-valued key. A word "name=value" replaces one of the same name.
  void merge(std::string_view key, std::string_view words);
  // "Key=Value" lines.
  std::string text() const;
  // "Key=Value" on one line, separated by blanks: a node's or a partition's line.
  std::string one_line() const;
  bool has(std::string_view key) const;

  // Keys whose values are lists that Slipway and an operator both contribute to.
  static bool is_list(std::string_view key);

 private:
  std::string& at(std::string_view key);
  std::vector<std::pair<std::string, std::string>> lines_;
};

bool equal_but_case(std::string_view a, std::string_view b);

// As slurm.conf needs it: on one line, '#' escaped, quoted when it holds blanks.
std::string conf_value(std::string_view value);

}  // namespace slipway::slurm
