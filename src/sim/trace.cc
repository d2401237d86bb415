#include "sim/trace.h"

#include <algorithm>
#include <cstdio>

namespace slipway::sim {

namespace {

void append(std::string& text, const TraceLine& line) {
  const int64_t ms = line.at.count();
  char stamp[32];
  std::snprintf(stamp, sizeof stamp, "%4lldm%02lld.%01llds ", static_cast<long long>(ms / 60'000),
                static_cast<long long>(ms / 1'000 % 60), static_cast<long long>(ms / 100 % 10));
  text += stamp;
  text += line.text;
  text += '\n';
}

bool concerns(const About& line, const About& about) {
  const bool anybody = line.node == nobody && line.machine == nobody && line.job == 0;
  return anybody || (about.node != nobody && line.node == about.node) ||
         (about.machine != nobody && line.machine == about.machine) || (about.job != 0 && line.job == about.job);
}

}  // namespace

std::string Trace::text() const {
  std::string text;
  for (const TraceLine& line : lines_) append(text, line);
  return text;
}

std::string Trace::tail(const About& about, size_t count) const {
  const bool everybody = about.node == nobody && about.machine == nobody && about.job == 0;
  std::vector<const TraceLine*> chosen;
  for (auto line = lines_.rbegin(); line != lines_.rend() && chosen.size() < count; ++line) {
    if (everybody || concerns(line->about, about)) chosen.push_back(&*line);
  }
  std::reverse(chosen.begin(), chosen.end());
  std::string text;
  for (const TraceLine* line : chosen) append(text, *line);
  return text;
}

}  // namespace slipway::sim
