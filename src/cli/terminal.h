// Where a command's text goes: results to stdout, progress and troubles to stderr. Colours only where a person looks.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace slipway::cli {

enum class Colour { plain, green, yellow, red, dim, bold };

class Terminal {
 public:
  // Colours stdout when it is a terminal, unless NO_COLOR is set or TERM is "dumb".
  Terminal();

  void print(std::string_view text);  // to stdout, as it is
  void say(std::string_view text);    // one line to stderr
  // One line to stderr with the time since this object was made: "[  0.4s] starting the controller".
  void progress(std::string_view text);
  Duration elapsed() const;
  std::string paint(Colour colour, std::string_view text) const;
  bool coloured() const { return coloured_; }

 private:
  bool coloured_ = false;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// "12:04:05.250" in the local time zone; with the date in front when it is more than 20 hours before `now`.
std::string local_time(TimePoint time, TimePoint now);

}  // namespace slipway::cli
