#include "rehearse/azure/command_line.h"

namespace slipway::rehearse::azure {

std::vector<std::string> split_command_line(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = '\0';
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      const char next = text[i + 1];
      // Within double quotes only these lose their meaning to a backslash.
      const bool escapes = quote == '\0' || next == '"' || next == '\\' || next == '$' || next == '`';
      if (!escapes) word += c;
      word += next;
      ++i;
      inside = true;
    } else if (quote != '\0') {
      if (c == quote) {
        quote = '\0';
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      inside = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (inside) words.push_back(std::move(word));
      word.clear();
      inside = false;
    } else {
      word += c;
      inside = true;
    }
  }
  if (inside) words.push_back(std::move(word));
  return words;
}

std::string shell_quoted(std::string_view word) {
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string as_shell_command(std::string_view command_line, bool elevated) {
  std::string out = elevated ? "exec" : "exec setpriv --reuid 65534 --regid 65534 --clear-groups";
  for (const std::string& word : split_command_line(command_line)) out += " " + shell_quoted(word);
  return out;
}

}  // namespace slipway::rehearse::azure
