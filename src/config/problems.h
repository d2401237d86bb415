// Collects what is wrong with a cluster file while it is read, so that everything is reported at once.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace slipway::config {

struct Position {
  int line = 0;  // from 1; 0 is the whole file
  int column = 0;
};

class Problems {
 public:
  void error(Position at, std::string message) { add(Severity::error, at, std::move(message)); }
  void warning(Position at, std::string message) { add(Severity::warning, at, std::move(message)); }
  bool has_errors() const { return errors_ > 0; }
  // More won't be shown, so that nobody need think about good advice.
  bool full() const;
  // Ordered by line and column, without repetitions (an alias can lead to the same place twice). A hopeless file gives
  // its first mistakes and a line that says that there are more.
  std::vector<Problem> take();

 private:
  void add(Severity severity, Position at, std::string message);
  std::vector<Problem> problems_;
  size_t errors_ = 0;
  size_t left_out_ = 0;
};

// The parts, one after the other.
std::string join(std::initializer_list<std::string_view> parts);

// The text in single quotes as a message may show it: shortened, control characters escaped.
std::string show(std::string_view text);

}  // namespace slipway::config
