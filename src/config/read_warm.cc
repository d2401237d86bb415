// A pool's `warm`: how much of it stays up, and when.
#include <algorithm>
#include <array>
#include <bitset>
#include <utility>

#include "config/read.h"
#include "config/units.h"
#include "config/words.h"

namespace slipway::config {
namespace {

constexpr uint16_t day_minutes = 24 * 60;
constexpr uint64_t warm_max = 100'000;  // as many as a pool's max
constexpr size_t hours_max = 64;
constexpr std::string_view level_expected = "a count like 2, a share like 10%, or both like [2, 10%]";
constexpr std::string_view days_expected = "days like mon-fri, or a list like [mon, sat-sun]";

constexpr std::array<std::string_view, 7> day_names = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr std::array<Synonym, 14> day_synonyms = {{{"monday", "mon"},
                                                   {"tuesday", "tue"},
                                                   {"tues", "tue"},
                                                   {"wednesday", "wed"},
                                                   {"thursday", "thu"},
                                                   {"thurs", "thu"},
                                                   {"friday", "fri"},
                                                   {"saturday", "sat"},
                                                   {"sunday", "sun"},
                                                   {"weekday", "mon-fri"},
                                                   {"weekdays", "mon-fri"},
                                                   {"weekend", "sat-sun"},
                                                   {"weekends", "sat-sun"},
                                                   {"daily", "mon-sun"}}};

using Week = std::bitset<7 * day_minutes>;

// One count or one share; which of them was given is in `has_count` and `has_share`.
struct LevelReader {
  Context& context;
  uint32_t max;
  model::WarmLevel level{};
  bool has_count = false;
  bool has_share = false;

  void read(const Field& field) {
    Problems& problems = context.problems;
    const TreeNode& node = *field.node;
    if (node.kind == NodeKind::scalar && node.text.ends_with('%')) {
      if (std::exchange(has_share, true)) return twice(field);
      level.share = read_share(problems, field, 0, 1).value_or(0);
      return;
    }
    bool is_number = node.kind == NodeKind::scalar && node.text.find_first_not_of("0123456789") == std::string::npos;
    if (!is_number || node.text.empty()) {
      if (auto text = read_text(problems, field, level_expected)) {
        problems.error(field.at, join({field.path, ": ", show(*text), " is neither a count nor a share; expected ",
                                       level_expected}));
      }
      return;
    }
    if (std::exchange(has_count, true)) return twice(field);
    auto number = read_count(problems, field, 0, warm_max);
    if (number && max > 0 && *number > max) {
      problems.error(field.at, field.path + ": " + std::to_string(*number) + " is more than the pool's max of " +
                                   std::to_string(max) + "; expected at most that; lower 'warm' or raise 'max'");
    } else if (number) {
      level.count = static_cast<uint32_t>(*number);
    }
  }

  void twice(const Field& field) {
    context.problems.error(field.at, join({field.path, ": is a second one of its kind; expected ", level_expected}));
  }
};

model::WarmLevel read_level(Context& context, const Field& field, uint32_t max) {
  LevelReader reader{context, max};
  if (field.node->kind != NodeKind::list) {
    reader.read(field);
    return reader.level;
  }
  if (field.node->items.empty())
    context.problems.error(field.at, join({field.path, ": is empty; expected ", level_expected}));
  for (const Field& item : read_list(context.problems, field, "a count and a share")) reader.read(item);
  return reader.level;
}

std::optional<size_t> day_of(std::string_view text) {
  auto found = std::find(day_names.begin(), day_names.end(), text);
  if (found == day_names.end()) return std::nullopt;
  return static_cast<size_t>(found - day_names.begin());
}

std::string day_hint(std::string_view text) {
  for (const Synonym& synonym : day_synonyms) {
    if (equal_ignoring_case(synonym.written, text)) return join({"; did you mean '", synonym.meant, "'?"});
  }
  return did_you_mean(text, day_names);
}

// The days of "mon" or "fri-mon"; 0 after a report.
uint8_t read_day_range(Context& context, const Word& word, const std::string& path) {
  size_t dash = std::min(word.text.find('-'), word.text.size());
  std::string_view names[2] = {std::string_view(word.text).substr(0, dash), word.text};
  if (dash < word.text.size()) names[1].remove_prefix(dash + 1);
  std::optional<size_t> ends[2];
  for (int i = 0; i < 2; ++i) {
    ends[i] = day_of(names[i]);
    if (ends[i]) continue;
    context.problems.error(word.at, join({path, ": unknown day ", show(names[i]), "; expected one of ",
                                          enumerate(day_names), context.problems.full() ? "" : day_hint(names[i])}));
    return 0;
  }
  uint8_t days = 0;
  for (size_t day = *ends[0];; day = (day + 1) % 7) {
    days |= static_cast<uint8_t>(1u << day);
    if (day == *ends[1]) return days;
  }
}

std::optional<uint8_t> read_days(Context& context, const Field& field) {
  auto words = read_words(context.problems, field, days_expected);
  if (field.node->kind == NodeKind::list && field.node->items.empty())
    context.problems.error(field.at, join({field.path, ": is empty; expected ", days_expected}));
  uint8_t days = 0;
  bool refused = words.empty();
  for (const Word& word : words) {
    uint8_t more = read_day_range(context, word, field.path);
    refused = refused || more == 0;
    if ((days & more) != 0) {
      context.problems.error(word.at, field.path + ": " + show(word.text) + " names a day twice; expected each once");
    }
    days |= more;
  }
  if (refused) return std::nullopt;
  return days;
}

std::optional<uint16_t> read_clock(Context& context, const Field& field) {
  auto text = read_text(context.problems, field, "a time of day like 08:00");
  if (!text) return std::nullopt;
  auto minutes = parse_clock(*text);
  if (!minutes) {
    context.problems.error(field.at, field.path + ": " + minutes.error().message);
    return std::nullopt;
  }
  return *minutes;
}

Week minutes_of(const model::WarmHours& hours) {
  Week week;
  size_t length = hours.to > hours.from ? hours.to - hours.from : hours.to + day_minutes - hours.from;
  for (size_t day = 0; day < 7; ++day) {
    if ((hours.days & (1u << day)) == 0) continue;
    for (size_t i = 0; i < length; ++i) week.set((day * day_minutes + hours.from + i) % week.size());
  }
  return week;
}

// One entry of `hours`; nullopt after a report.
std::optional<model::WarmHours> read_entry(Context& context, const Field& field, uint32_t max) {
  static constexpr std::array<std::string_view, 4> keys = {"days", "from", "to", "warm"};
  static constexpr std::array<Synonym, 9> synonyms = {{{"day", "days"},
                                                       {"start", "from"},
                                                       {"begin", "from"},
                                                       {"end", "to"},
                                                       {"until", "to"},
                                                       {"till", "to"},
                                                       {"level", "warm"},
                                                       {"count", "warm"},
                                                       {"share", "warm"}}};
  Problems& problems = context.problems;
  MapReader map(problems, field, {keys, {}, synonyms});
  if (!map.usable()) return std::nullopt;
  model::WarmHours hours;
  bool whole = true;  // every part of it was read
  if (auto warm = map.get("warm")) {
    hours.level = read_level(context, *warm, max);
  } else if (map.lacks("warm")) {
    problems.error(field.at, join({field.path, ": 'warm' is missing; expected ", level_expected}));
  }
  hours.days = 0x7f;
  if (auto days = map.get("days")) {
    auto read = read_days(context, *days);
    whole = whole && read;
    hours.days = read.value_or(0);
  }
  hours.to = day_minutes;
  auto read_time = [&](std::string_view key, uint16_t& time) {
    auto at = map.get(key);
    if (!at) return;
    auto read = read_clock(context, *at);
    whole = whole && read;
    time = read.value_or(0);
  };
  read_time("from", hours.from);
  read_time("to", hours.to);
  if (!whole) return std::nullopt;
  if (hours.from == hours.to) {
    problems.error(field.at, field.path + ": 'from' and 'to' are both " + clock_text(hours.to) +
                                 "; expected two times, or neither for the whole day");
    return std::nullopt;
  }
  if (hours.from == day_minutes) {
    problems.error(field.at, field.path + ": a day is over at 24:00; write from: 00:00, and the next day");
    return std::nullopt;
  }
  return hours;
}

std::vector<model::WarmHours> read_hours(Context& context, const Field& field, uint32_t max) {
  Problems& problems = context.problems;
  std::vector<model::WarmHours> out;
  auto items = read_list(problems, field, "entries like {days: mon-fri, from: 08:00, to: 18:00, warm: 10}");
  if (items.size() > hours_max) {
    problems.error(field.at, field.path + ": has " + std::to_string(items.size()) + " entries; expected at most " +
                                 std::to_string(hours_max));
    return out;
  }
  Week covered;
  for (const Field& item : items) {
    auto hours = read_entry(context, item, max);
    if (!hours) continue;
    Week own = minutes_of(*hours);
    if (own.all()) {
      problems.error(item.at, item.path + ": is the whole week; write its 'warm' as 'usual', or add days or times");
    } else if ((own & ~covered).none()) {
      problems.warning(item.at, item.path +
                                    ": never holds, for the entries before it cover all its time and the first counts; "
                                    "put it before them or drop it");
    }
    covered |= own;
    out.push_back(*hours);
  }
  return out;
}

}  // namespace

model::Warm read_warm(Context& context, const Field& field, uint32_t max) {
  static constexpr std::array<std::string_view, 2> keys = {"usual", "hours"};
  static constexpr std::array<Synonym, 5> synonyms = {
      {{"default", "usual"}, {"otherwise", "usual"}, {"base", "usual"}, {"calendar", "hours"}, {"schedule", "hours"}}};
  model::Warm warm;
  Field usual = field;
  if (field.node->kind == NodeKind::map) {
    MapReader map(context.problems, field, {keys, {}, synonyms});
    if (map.lacks("usual") && map.lacks("hours")) {
      context.problems.error(field.at, field.path + ": says nothing; expected 'usual', 'hours' or both");
    }
    if (auto hours = map.get("hours")) warm.hours = read_hours(context, *hours, max);
    auto given = map.get("usual");
    if (!given) return warm;
    usual = *given;
  }
  warm.usual = read_level(context, usual, max);
  if (max > 0 && warm.usual.count == max) {
    context.problems.warning(usual.at, usual.path + ": all " + std::to_string(max) +
                                           " nodes are kept ready, so the pool never shrinks and idle_reclaim means "
                                           "nothing for it; lower 'warm' if it should");
  }
  return warm;
}

}  // namespace slipway::config
