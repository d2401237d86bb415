// Typed access to the tree: each function gives the value or reports, with its position, why there is none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.h"
#include "config/tree.h"

namespace slipway::config {

// A value and where it stands: "pools.cpu.max" and its position.
struct Field {
  std::string path;
  Position at;
  const TreeNode* node = nullptr;
};

// A key of the language that this release doesn't have for this provider; `reason` continues "'KEY' …".
struct LaterKey {
  std::string_view key;
  std::string_view reason;
};
// What people write when they mean one of our keys.
struct Synonym {
  std::string_view written;
  std::string_view meant;
};
struct Vocabulary {
  std::span<const std::string_view> keys;
  std::span<const LaterKey> later{};
  std::span<const Synonym> synonyms{};
  // Where people may write a secret: what they write instead, "'secret_file'". Such keys are refused with the reason.
  std::string_view instead_of_secrets{};
};

// As many things of a kind as a file may hold: pools, partitions, users, keys …
inline constexpr size_t entries_max = 1000;

// A map with known keys. Reports what isn't a map and every key that isn't known, at once.
class MapReader {
 public:
  MapReader(Problems& problems, const Field& map, const Vocabulary& vocabulary);
  // The key's value; nullopt when it is absent or empty, and empty is reported.
  std::optional<Field> get(std::string_view key) const;
  bool has(std::string_view key) const;
  // Whether to say that the key is missing: it isn't there, and not as a misspelled one either, which was reported.
  bool lacks(std::string_view key) const;
  bool usable() const { return usable_; }
  const Field& field() const { return map_; }

 private:
  Problems& problems_;
  Field map_;
  bool usable_ = false;
  std::vector<std::string> meant_;  // keys that unknown ones were taken for
};

// The entries of a map whose keys are names that the file chooses, in its order, each `at` its value's place and
// `key_at` its key's.
struct NamedField {
  std::string name;
  Position key_at;
  Field field;
};
std::vector<NamedField> read_named(Problems& problems, const Field& map, std::string_view what);
// The items of a list. A single value where a list is meant is an error that shows how to write it.
std::vector<Field> read_list(Problems& problems, const Field& list, std::string_view what);

// Text in one line, not empty. Numbers and the like are text too.
std::optional<std::string> read_text(Problems& problems, const Field& field, std::string_view expected);
// A whole number from `min` to `max`; quoted numbers are text and refused.
std::optional<uint64_t> read_count(Problems& problems, const Field& field, uint64_t min, uint64_t max);
std::optional<bool> read_bool(Problems& problems, const Field& field);
std::optional<Duration> read_duration(Problems& problems, const Field& field, Duration min, Duration max);
// A share like 5%, from `min` to `max`, both parts of 1.
std::optional<double> read_share(Problems& problems, const Field& field, double min, double max);
// Which of `words` it is; `what` is what they are, "market".
std::optional<size_t> read_choice(Problems& problems, const Field& field, std::string_view what,
                                  std::span<const std::string_view> words);
// One text or a list of texts, each with its own position.
struct Word {
  std::string text;
  Position at;
};
std::vector<Word> read_words(Problems& problems, const Field& field, std::string_view expected);

}  // namespace slipway::config
