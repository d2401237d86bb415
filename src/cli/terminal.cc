#include "cli/terminal.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace slipway::cli {

namespace {

const char* code_of(Colour colour) {
  switch (colour) {
    case Colour::green:
      return "\033[32m";
    case Colour::yellow:
      return "\033[33m";
    case Colour::red:
      return "\033[31m";
    case Colour::dim:
      return "\033[2m";
    case Colour::bold:
      return "\033[1m";
    case Colour::plain:
      break;
  }
  return "";
}

}  // namespace

Terminal::Terminal() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  coloured_ = ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0') && term != nullptr &&
              std::string_view(term) != "dumb";
}

void Terminal::print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Terminal::say(std::string_view text) {
  const std::string line = std::string(text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void Terminal::progress(std::string_view text) {
  std::array<char, 32> stamp;
  const double seconds = static_cast<double>(elapsed().count()) / 1000;
  std::snprintf(stamp.data(), stamp.size(), "[%5.1fs] ", seconds);
  say(stamp.data() + std::string(text));
}

Duration Terminal::elapsed() const {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begin_);
}

std::string Terminal::paint(Colour colour, std::string_view text) const {
  if (!coloured_ || colour == Colour::plain) return std::string(text);
  return code_of(colour) + std::string(text) + "\033[0m";
}

std::string local_time(TimePoint time, TimePoint now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return to_iso8601(time);
  const bool recent = now - time < std::chrono::hours(20) && time - now < std::chrono::hours(1);
  std::array<char, 64> text;
  const size_t length = std::strftime(text.data(), text.size(), recent ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &parts);
  std::array<char, 8> milliseconds;
  std::snprintf(milliseconds.data(), milliseconds.size(), ".%03d",
                static_cast<int>((time.time_since_epoch().count() % 1000 + 1000) % 1000));
  return std::string(text.data(), length) + milliseconds.data();
}

}  // namespace slipway::cli
