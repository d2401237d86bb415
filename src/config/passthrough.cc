// Slurm's own keys, passed through to its files. A value must not be able to end its line or begin another key, and
// what slurmctld would stop at is said here, where it has a line number.
#include <set>

#include "config/read.h"
#include "config/reserved.h"

namespace slipway::config {
namespace {

constexpr size_t value_bytes_max = 8192;

bool is_key(std::string_view key) {
  if (key.empty() || key.size() > 64) return false;
  for (char c : key) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && c != '_') return false;
  }
  return !(key[0] >= '0' && key[0] <= '9');
}

std::string value_trouble(std::string_view value) {
  if (value.empty()) return "is empty; expected a value";
  if (value.size() > value_bytes_max)
    return "is longer than " + std::to_string(value_bytes_max) + " bytes; expected a value of slurm.conf";
  for (char c : value) {
    if (c == ' ' || c == '"' || c == '\'' || c == '#' || c == '\\' || static_cast<unsigned char>(c) < 0x20 ||
        c == 0x7f) {
      return show(value) +
             " has blanks, quotes, '#' or '\\', which would end the value in slurm.conf; expected one word";
    }
  }
  return "";
}

struct Line {
  std::string (*reserved)(std::string_view);
  std::string (*known)(std::string_view);
  std::string (*nearest)(std::string_view);
  std::string_view what;
};
constexpr Line global_line{reserved_key_reason, known_slurm_key, nearest_slurm_key, "slurm.conf"};
constexpr Line partition_line{reserved_partition_key_reason, known_partition_key, nearest_partition_key,
                              "a partition's line in slurm.conf"};
constexpr Line node_line{reserved_node_key_reason, known_node_key, nearest_node_key, "a node's line in slurm.conf"};

// The key as Slurm spells it; empty after a report.
std::string check_key(Context& context, const Line& line, std::string_view key, Position at, const std::string& path) {
  if (!is_key(key)) {
    context.problems.error(at, path + ": " + show(key) + " can't be a key of " + std::string(line.what) +
                                   "; expected one of its words, like " +
                                   (line.what == global_line.what ? "MaxJobCount" : "MaxNodes"));
    return "";
  }
  if (std::string reason = line.reserved(key); !reason.empty()) {
    context.problems.error(at, path + ": " + reason);
    return "";
  }
  std::string known = line.known(key);
  if (known.empty()) {
    context.problems.warning(at, path + ": " + show(key) + " is no key of " + std::string(line.what) +
                                     " that Slipway knows (22.05 to 24.11), and Slurm doesn't start with a wrong one" +
                                     (context.problems.full() ? "" : line.nearest(key)));
    return std::string(key);
  }
  return known;
}

void check_words(Context& context, std::string_view key, std::string_view value, Position at, const std::string& path) {
  for (size_t start = 0; start <= value.size();) {
    size_t comma = std::min(value.find(',', start), value.size());
    std::string reason = reserved_value_reason(key, value.substr(start, comma - start));
    if (!reason.empty()) context.problems.error(at, join({path, ": ", reason}));
    start = comma + 1;
  }
}

}  // namespace

std::map<std::string, std::string> read_passthrough(Context& context, const Field& field, SlurmLine which) {
  const Line& line = which == SlurmLine::global ? global_line : partition_line;
  std::map<std::string, std::string> out;
  for (const NamedField& named : read_named(context.problems, field, "values, like {MaxJobCount: 20000}")) {
    std::string key = check_key(context, line, named.name, named.key_at, field.path);
    if (named.field.node->kind == NodeKind::nothing) {
      context.problems.error(named.key_at, named.field.path + ": has no value; write one or leave the key out");
      continue;
    }
    // A list is a value with commas, which is how Slurm writes lists.
    std::string value;
    for (const Word& word : read_words(context.problems, named.field, "a value of slurm.conf")) {
      value += (value.empty() ? "" : ",") + word.text;
    }
    if (value.empty() || key.empty()) continue;
    if (std::string trouble = value_trouble(value); !trouble.empty()) {
      context.problems.error(named.field.at, named.field.path + ": " + trouble);
      continue;
    }
    check_words(context, key, value, named.field.at, named.field.path);
    if (!out.emplace(key, value).second) {
      context.problems.error(named.key_at, field.path + ": " + show(named.name) +
                                               " is there already in another spelling (Slurm's keys ignore case); "
                                               "expected it once");
    }
  }
  return out;
}

std::string read_node_keys(Context& context, const Field& field) {
  auto text = read_text(context.problems, field, "keys of a node's line like \"CPUs=64 RealMemory=250000\"");
  if (!text) return "";
  std::string out;
  std::set<std::string> seen;
  for (size_t start = 0; start < text->size();) {
    size_t end = std::min(text->find(' ', start), text->size());
    std::string_view part = std::string_view(*text).substr(start, end - start);
    start = end + 1;
    if (part.empty()) continue;
    size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      context.problems.error(
          field.at, field.path + ": " + show(part) + " has no '='; expected keys like \"CPUs=64 RealMemory=250000\"");
      continue;
    }
    std::string key = check_key(context, node_line, part.substr(0, equals), field.at, field.path);
    std::string_view value = part.substr(equals + 1);
    if (key.empty()) continue;
    if (std::string trouble = value_trouble(value); !trouble.empty()) {
      context.problems.error(field.at, join({field.path, ".", key, ": ", trouble}));
      continue;
    }
    if (!seen.insert(key).second) {
      context.problems.error(field.at, field.path + ": " + key + " is there twice; expected it once");
      continue;
    }
    if (key == "State" && (value.starts_with("CLOUD") || value.starts_with("FUTURE") || value.starts_with("cloud") ||
                           value.starts_with("future"))) {
      context.problems.error(field.at,
                             field.path + ": State=" + std::string(value) +
                                 " is for nodes that come and go, and existing ones are always on; leave State out");
      continue;
    }
    out += (out.empty() ? "" : " ") + key + "=" + std::string(value);
  }
  return out;
}

}  // namespace slipway::config
