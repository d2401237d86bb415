#include "slurm/conf_lines.h"

#include <algorithm>
#include <array>

namespace slipway::slurm {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::vector<std::string> words_of(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    std::string_view word = list.substr(0, end);
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
    if (!word.empty()) words.emplace_back(word);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return words;
}

std::string_view name_of(std::string_view word) {
  return word.substr(0, word.find('='));
}

}  // namespace

bool equal_but_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string conf_value(std::string_view value) {
  std::string text;
  bool blanks = false;
  for (char c : value) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
    blanks = blanks || c == ' ';
    if (c == '#' && (text.empty() || text.back() != '\\')) text.push_back('\\');
    text.push_back(c);
  }
  const bool quoted = text.size() > 1 && text.front() == '"' && text.back() == '"';
  return blanks && !quoted ? '"' + text + '"' : text;
}

bool ConfLines::is_list(std::string_view key) {
  constexpr std::array<std::string_view, 10> lists = {"SlurmctldParameters", "SlurmdParameters",
                                                      "SchedulerParameters", "LaunchParameters",
                                                      "PrivateData",         "AuthInfo",
                                                      "GresTypes",           "DebugFlags",
                                                      "PrologFlags",         "CommunicationParameters"};
  return std::any_of(lists.begin(), lists.end(), [&](std::string_view list) { return equal_but_case(list, key); });
}

std::string& ConfLines::at(std::string_view key) {
  for (auto& [known, value] : lines_) {
    if (equal_but_case(known, key)) return value;
  }
  return lines_.emplace_back(std::string(key), std::string()).second;
}

bool ConfLines::has(std::string_view key) const {
  return std::any_of(lines_.begin(), lines_.end(), [&](const auto& line) { return equal_but_case(line.first, key); });
}

void ConfLines::set(std::string_view key, std::string value) {
  at(key) = std::move(value);
}

void ConfLines::merge(std::string_view key, std::string_view words) {
  std::vector<std::string> merged = words_of(at(key));
  for (auto& word : words_of(words)) {
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const std::string& other) {
      return equal_but_case(name_of(other), name_of(word));
    });
    if (same == merged.end()) {
      merged.push_back(std::move(word));
    } else {
      *same = std::move(word);
    }
  }
  std::string list;
  for (const auto& word : merged) list += (list.empty() ? "" : ",") + word;
  at(key) = list;
}

std::string ConfLines::text() const {
  std::string text;
  for (const auto& [key, value] : lines_) text += key + "=" + conf_value(value) + "\n";
  return text;
}

std::string ConfLines::one_line() const {
  std::string line;
  for (const auto& [key, value] : lines_) line += (line.empty() ? "" : " ") + key + "=" + conf_value(value);
  return line;
}

}  // namespace slipway::slurm
