#include "config/fields.h"

#include <algorithm>
#include <array>

#include "config/units.h"
#include "config/words.h"

namespace slipway::config {
namespace {

constexpr size_t keys_shown_max = 24;  // a pool's, the most that anything has

// "a list", for messages.
std::string kind_of(const TreeNode& node) {
  switch (node.kind) {
    case NodeKind::nothing:
      return "nothing";
    case NodeKind::scalar:
      return show(node.text);
    case NodeKind::list:
      return "a list";
    case NodeKind::map:
      return "a map";
  }
  return "nothing";
}

std::string at_path(const Field& field) {
  return field.path.empty() ? "" : field.path + ": ";
}

// The same where the whole file may be meant.
std::string subject(const Field& field) {
  return field.path.empty() ? "the file " : field.path + ": ";
}

// Bounds what the sections have to look through.
bool check_size(Problems& problems, const Field& field, size_t size) {
  if (size <= entries_max) return true;
  problems.error(field.at, subject(field) + "has " + std::to_string(size) + " entries; expected at most " +
                               std::to_string(entries_max));
  return false;
}

std::string child_path(const std::string& path, const std::string& key) {
  std::string shown = key.size() > 40 ? key.substr(0, 40) + "…" : key;
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return path.empty() ? shown : path + "." + shown;
}

// Secrets are for files: a cluster file is copied, shown and kept in repositories.
bool looks_like_secret(std::string_view key) {
  static constexpr std::array<std::string_view, 7> words = {
      "secret", "passw", "token", "key", "sas", "credential", "connection_string"};
  const std::string small = lower(key);
  const auto in_it = [&](std::string_view word) { return small.find(word) != std::string::npos; };
  return !in_it("fil") && std::any_of(words.begin(), words.end(), in_it);
}

}  // namespace

MapReader::MapReader(Problems& problems, const Field& map, const Vocabulary& vocabulary)
    : problems_(problems), map_(map) {
  if (map.node->kind != NodeKind::map) {
    problems.error(map.at, subject(map) + "is " + kind_of(*map.node) + "; expected a map with the keys " +
                               enumerate(vocabulary.keys, keys_shown_max));
    return;
  }
  if (!check_size(problems, map, map.node->entries.size())) return;
  usable_ = true;
  for (const Entry& entry : map.node->entries) {
    if (std::find(vocabulary.keys.begin(), vocabulary.keys.end(), entry.key) != vocabulary.keys.end()) continue;
    auto later = std::find_if(vocabulary.later.begin(), vocabulary.later.end(),
                              [&](const LaterKey& l) { return l.key == entry.key; });
    if (later != vocabulary.later.end()) {
      problems.error(entry.at, at_path(map) + show(entry.key) + " " + std::string(later->reason));
      continue;
    }
    if (problems.full()) {
      problems.error(entry.at, "unknown key");  // only counted
      continue;
    }
    auto synonym = std::find_if(vocabulary.synonyms.begin(), vocabulary.synonyms.end(),
                                [&](const Synonym& s) { return equal_ignoring_case(s.written, entry.key); });
    if (!vocabulary.instead_of_secrets.empty() && synonym == vocabulary.synonyms.end() &&
        looks_like_secret(entry.key)) {
      problems.error(entry.at, join({at_path(map), show(entry.key),
                                     " looks like a secret, and a cluster file is no place for one: it is copied, "
                                     "shown and kept with other files; write it to a file of its own that only root "
                                     "can read, and that file's path under ",
                                     vocabulary.instead_of_secrets}));
      continue;
    }
    std::string meant =
        synonym != vocabulary.synonyms.end() ? std::string(synonym->meant) : nearest_word(entry.key, vocabulary.keys);
    std::string hint = meant.empty() ? "; expected one of " + enumerate(vocabulary.keys, keys_shown_max)
                                     : "; did you mean '" + meant + "'?";
    meant_.push_back(std::move(meant));
    problems.error(entry.at, at_path(map) + "unknown key " + show(entry.key) + hint);
  }
}

bool MapReader::has(std::string_view key) const {
  if (!usable_) return false;
  const auto& entries = map_.node->entries;
  return std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.key == key; });
}

bool MapReader::lacks(std::string_view key) const {
  bool meant = std::find(meant_.begin(), meant_.end(), key) != meant_.end();
  return usable_ && !has(key) && !meant && !map_.node->incomplete;
}

std::optional<Field> MapReader::get(std::string_view key) const {
  if (!usable_) return std::nullopt;
  for (const Entry& entry : map_.node->entries) {
    if (entry.key != key) continue;
    Field field{child_path(map_.path, entry.key), entry.value->at, entry.value.get()};
    if (entry.value->kind == NodeKind::nothing) {
      problems_.error(field.at, at_path(field) + "has no value; write one or leave the key out");
      return std::nullopt;
    }
    return field;
  }
  return std::nullopt;
}

std::vector<NamedField> read_named(Problems& problems, const Field& map, std::string_view what) {
  std::vector<NamedField> out;
  if (map.node->kind != NodeKind::map) {
    problems.error(map.at,
                   at_path(map) + "is " + kind_of(*map.node) + "; expected a map from names to " + std::string(what));
    return out;
  }
  if (!check_size(problems, map, map.node->entries.size())) return out;
  for (const Entry& entry : map.node->entries) {
    out.push_back({entry.key, entry.at, {child_path(map.path, entry.key), entry.value->at, entry.value.get()}});
  }
  return out;
}

std::vector<Field> read_list(Problems& problems, const Field& list, std::string_view what) {
  std::vector<Field> out;
  if (list.node->kind != NodeKind::list) {
    problems.error(list.at, at_path(list) + "is " + kind_of(*list.node) + "; expected a list of " + std::string(what) +
                                ", in brackets or each after a '-'");
    return out;
  }
  if (!check_size(problems, list, list.node->items.size())) return out;
  size_t number = 0;
  for (const NodePtr& item : list.node->items) {
    out.push_back({list.path + "[" + std::to_string(++number) + "]", item->at, item.get()});
  }
  return out;
}

std::optional<std::string> read_text(Problems& problems, const Field& field, std::string_view expected) {
  if (field.node->kind != NodeKind::scalar) {
    problems.error(field.at, at_path(field) + "is " + kind_of(*field.node) + "; expected " + std::string(expected));
    return std::nullopt;
  }
  const std::string& text = field.node->text;
  if (text.empty()) {
    problems.error(field.at, at_path(field) + "is empty; expected " + std::string(expected));
    return std::nullopt;
  }
  auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), control)) {
    problems.error(field.at, at_path(field) + show(text) + " has line breaks or control characters; expected " +
                                 std::string(expected) + " in one line");
    return std::nullopt;
  }
  return text;
}

std::optional<uint64_t> read_count(Problems& problems, const Field& field, uint64_t min, uint64_t max) {
  std::string range = "; expected a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  const TreeNode& node = *field.node;
  if (node.kind == NodeKind::scalar && node.quoted && parse_digits(node.text)) {
    problems.error(field.at,
                   at_path(field) + show(node.text) + " is text because of its quotes" + range + "; drop the quotes");
    return std::nullopt;
  }
  auto number = node.kind == NodeKind::scalar && !node.quoted ? parse_digits(node.text) : std::nullopt;
  if (!number) {
    // Digits that are no number here are too many of them.
    bool digits = node.kind == NodeKind::scalar && !node.text.empty() &&
                  node.text.find_first_not_of("0123456789") == std::string::npos;
    std::string what = kind_of(node) + (digits ? " is too large" : " is not a whole number");
    problems.error(field.at, at_path(field) + what + range);
    return std::nullopt;
  }
  if (*number < min || *number > max) {
    problems.error(field.at, at_path(field) + node.text + (*number < min ? " is too small" : " is too large") + range);
    return std::nullopt;
  }
  return number;
}

std::optional<bool> read_bool(Problems& problems, const Field& field) {
  const TreeNode& node = *field.node;
  if (node.kind == NodeKind::scalar && !node.quoted) {
    if (node.text == "true") return true;
    if (node.text == "false") return false;
  }
  problems.error(field.at, at_path(field) + kind_of(node) + " is neither true nor false; expected one of them");
  return std::nullopt;
}

std::optional<Duration> read_duration(Problems& problems, const Field& field, Duration min, Duration max) {
  if (field.node->kind != NodeKind::scalar) {
    problems.error(field.at,
                   at_path(field) + "is " + kind_of(*field.node) + "; expected a duration like 90s, 10m, 1h30m or 2d");
    return std::nullopt;
  }
  auto duration = parse_duration(field.node->text);
  if (!duration) {
    problems.error(field.at, at_path(field) + duration.error().message);
    return std::nullopt;
  }
  if (*duration < min || *duration > max) {
    problems.error(field.at, at_path(field) + show(field.node->text) +
                                 (*duration < min ? " is too short" : " is too long") + "; expected from " +
                                 duration_text(min) + " to " + duration_text(max));
    return std::nullopt;
  }
  return *duration;
}

std::optional<double> read_share(Problems& problems, const Field& field, double min, double max) {
  auto text = read_text(problems, field, "a share like 5%");
  if (!text) return std::nullopt;
  auto share = parse_share(*text);
  if (!share) {
    problems.error(field.at, at_path(field) + share.error().message);
    return std::nullopt;
  }
  if (*share < min || *share > max) {
    problems.error(field.at, at_path(field) + show(*text) + (*share < min ? " is too small" : " is too large") +
                                 "; expected from " + share_text(min) + " to " + share_text(max));
    return std::nullopt;
  }
  return *share;
}

std::optional<size_t> read_choice(Problems& problems, const Field& field, std::string_view what,
                                  std::span<const std::string_view> words) {
  std::string expected = "one of " + enumerate(words);
  auto text = read_text(problems, field, expected);
  if (!text) return std::nullopt;
  auto found = std::find(words.begin(), words.end(), *text);
  if (found != words.end()) return static_cast<size_t>(found - words.begin());
  problems.error(field.at, join({at_path(field), "unknown ", what, " ", show(*text), "; expected ", expected,
                                 problems.full() ? "" : did_you_mean(*text, words)}));
  return std::nullopt;
}

std::vector<Word> read_words(Problems& problems, const Field& field, std::string_view expected) {
  std::vector<Word> out;
  if (field.node->kind == NodeKind::scalar) {
    if (auto text = read_text(problems, field, expected)) out.push_back({*text, field.at});
    return out;
  }
  if (field.node->kind != NodeKind::list) {
    problems.error(field.at, at_path(field) + "is " + kind_of(*field.node) + "; expected " + std::string(expected) +
                                 ", or a list of them");
    return out;
  }
  for (const Field& item : read_list(problems, field, expected)) {
    if (auto text = read_text(problems, item, expected)) out.push_back({*text, item.at});
  }
  return out;
}

}  // namespace slipway::config
