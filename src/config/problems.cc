#include "config/problems.h"

#include <algorithm>
#include <tuple>

namespace slipway::config {
namespace {

constexpr size_t problems_max = 200;
constexpr size_t shown_max = 60;

}  // namespace

void Problems::add(Severity severity, Position at, std::string message) {
  if (severity == Severity::error) ++errors_;
  if (problems_.size() >= problems_max) {
    ++left_out_;
    return;
  }
  problems_.push_back({severity, at.line, at.column, std::move(message)});
}

bool Problems::full() const {
  return problems_.size() >= problems_max;
}

std::vector<Problem> Problems::take() {
  auto key = [](const Problem& p) { return std::tie(p.line, p.column); };
  std::stable_sort(problems_.begin(), problems_.end(),
                   [&](const Problem& a, const Problem& b) { return key(a) < key(b); });
  auto same = [&](const Problem& a, const Problem& b) {
    return key(a) == key(b) && a.severity == b.severity && a.message == b.message;
  };
  problems_.erase(std::unique(problems_.begin(), problems_.end(), same), problems_.end());
  if (left_out_ > 0) {
    problems_.push_back({errors_ > 0 ? Severity::error : Severity::warning, 0, 0,
                         "there are " + std::to_string(left_out_) + " more problems; mend these first"});
  }
  return std::move(problems_);
}

std::string join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (std::string_view part : parts) out += part;
  return out;
}

std::string show(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "'";
  size_t shown = 0;
  for (char c : text) {
    // Cut only between characters: a UTF-8 continuation byte never starts one.
    if (shown >= shown_max && (static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      out += "…";
      break;
    }
    ++shown;
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\\x";
      out += hex[(c >> 4) & 0xf];
      out += hex[c & 0xf];
    } else {
      out += c;
    }
  }
  out += "'";
  return out;
}

}  // namespace slipway::config
