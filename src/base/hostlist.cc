#include "base/hostlist.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>

namespace slipway {

namespace {

// Host names end at 255 characters; together with names_max this bounds what an expansion can take.
constexpr size_t name_length_max = 255;
// As many digits as always fit in 64 bits. Longer numbers keep their head as plain text.
constexpr size_t digits_max = 18;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_padded(std::string& out, uint64_t value, size_t width) {
  char digits[20];
  size_t length = 0;
  do {
    digits[length++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  if (length < width) {
    out.append(width - length, '0');
  }
  while (length > 0) {
    out += digits[--length];
  }
}

// --- expanding ---

struct Range {
  uint64_t low = 0;
  uint64_t high = 0;
  size_t width = 0;  // numbers are padded with zeros to this
};

// A name's literal text followed by a bracketed list; the last part of a name has no ranges.
struct Part {
  std::string_view literal;
  std::vector<Range> ranges;
  uint64_t count = 1;  // names that the ranges stand for
};

Failure malformed(std::string_view what, std::string_view where) {
  constexpr size_t shown_max = 60;
  std::string shown(where.substr(0, shown_max));
  if (where.size() > shown_max) {
    shown += "...";
  }
  return fail(ErrorCode::bad_config, "hostlist: " + std::string(what) + ": \"" + shown + "\"");
}

bool parse_number(std::string_view text, uint64_t& value) {
  if (text.empty() || text.size() > digits_max || !std::all_of(text.begin(), text.end(), is_digit)) {
    return false;
  }
  value = 0;
  for (const char c : text) {
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return true;
}

Result<Range> parse_range(std::string_view text) {
  Range range;
  const size_t dash = text.find('-');
  const std::string_view low = text.substr(0, dash);
  const std::string_view high = dash == std::string_view::npos ? low : text.substr(dash + 1);
  if (!parse_number(low, range.low) || !parse_number(high, range.high)) {
    return malformed("not a number or a range of numbers", text);
  }
  if (range.high < range.low) {
    return malformed("range runs backwards", text);
  }
  range.width = low.size();
  return range;
}

// One element of the list, between its commas.
Result<std::vector<Part>> parse_name(std::string_view text, size_t names_max) {
  std::vector<Part> parts;
  std::string_view rest = text;
  while (true) {
    Part part;
    const size_t open = rest.find('[');
    part.literal = rest.substr(0, open);
    if (open == std::string_view::npos) {
      parts.push_back(std::move(part));
      return parts;
    }
    const size_t close = rest.find(']', open);
    std::string_view list = rest.substr(open + 1, close - open - 1);
    part.count = 0;
    while (true) {
      const size_t comma = list.find(',');
      auto range = parse_range(list.substr(0, comma));
      if (!range) {
        return fail(range.error());
      }
      part.count += range->high - range->low + 1;
      if (part.count > names_max) {
        return malformed("more than " + std::to_string(names_max) + " names", text);
      }
      part.ranges.push_back(*range);
      if (comma == std::string_view::npos) {
        break;
      }
      list.remove_prefix(comma + 1);
    }
    rest.remove_prefix(close + 1);
    parts.push_back(std::move(part));
    if (parts.size() > name_length_max) {
      return malformed("name too long", text);
    }
  }
}

void append_names(const std::vector<Part>& parts, size_t at, std::string& name, std::vector<std::string>& names) {
  const Part& part = parts[at];
  const size_t length = name.size();
  name += part.literal;
  if (part.ranges.empty()) {
    names.push_back(name);
  } else {
    const size_t stem = name.size();
    for (const Range& range : part.ranges) {
      for (uint64_t value = range.low; value <= range.high; ++value) {
        name.resize(stem);
        append_padded(name, value, range.width);
        append_names(parts, at + 1, name, names);
      }
    }
  }
  name.resize(length);
}

Result<void> expand_name(std::string_view text, size_t names_max, std::vector<std::string>& names) {
  auto parts = parse_name(text, names_max);
  if (!parts) {
    return fail(parts.error());
  }
  uint64_t count = 1;
  size_t length = 0;
  for (const Part& part : *parts) {
    // Both factors are at most names_max, so that the product fits for every sensible limit; division keeps it safe for
    // any.
    if (part.count > names_max / count) {
      return malformed("more than " + std::to_string(names_max) + " names", text);
    }
    count *= part.count;
    length += part.literal.size();
    size_t longest = 0;
    for (const Range& range : part.ranges) {
      longest = std::max(longest, std::max(range.width, std::to_string(range.high).size()));
    }
    length += longest;
  }
  if (length > name_length_max) {
    return malformed("name too long", text);
  }
  if (count > names_max - names.size()) {
    return malformed("more than " + std::to_string(names_max) + " names", text);
  }
  std::string name;
  append_names(*parts, 0, name, names);
  return {};
}

// --- compressing ---

struct Numbered {
  std::string_view prefix;
  std::string_view digits;  // empty: a name without a number at its end
};

// Only a number at the very end is folded: a suffix after a bracket is more than every release of Slurm reads.
Numbered split_number(std::string_view name) {
  size_t begin = name.size();
  while (begin > 0 && name.size() - begin < digits_max && is_digit(name[begin - 1])) {
    --begin;
  }
  return {name.substr(0, begin), name.substr(begin)};
}

struct Number {
  uint64_t value = 0;
  size_t width = 0;

  bool operator==(const Number&) const = default;
  // Shorter texts first, so that numbers of one padding stay together and can be folded.
  bool operator<(const Number& other) const { return width != other.width ? width < other.width : value < other.value; }
};

Number to_number(std::string_view digits) {
  Number number{0, digits.size()};
  parse_number(digits, number.value);
  return number;
}

size_t text_length(uint64_t value, size_t width) {
  size_t length = 1;
  while (value >= 10) {
    value /= 10;
    ++length;
  }
  return std::max(length, width);
}

// Whether `next`, written as it is, is the number after `last` in a range whose first number has `width` digits.
bool continues(const Number& last, const Number& next, size_t width) {
  return next.value == last.value + 1 && next.width == text_length(next.value, width);
}

void append_range(std::string& out, const Number& first, const Number& last) {
  append_padded(out, first.value, first.width);
  if (!(first == last)) {
    out += '-';
    append_padded(out, last.value, first.width);
  }
}

// `numbers` ascend without duplicates.
void append_numbers(std::string& out, const std::vector<Number>& numbers) {
  const bool brackets = numbers.size() > 1;
  if (brackets) {
    out += '[';
  }
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && continues(numbers[end - 1], numbers[end], numbers[i].width)) {
      ++end;
    }
    if (i > 0) {
      out += ',';
    }
    append_range(out, numbers[i], numbers[end - 1]);
    i = end;
  }
  if (brackets) {
    out += ']';
  }
}

struct Group {
  std::string_view prefix;
  bool plain = false;  // the prefix alone was a name
  std::vector<Number> numbers;
};

}  // namespace

Result<std::vector<std::string>> expand_hostlist(std::string_view text, size_t names_max) {
  std::vector<std::string> names;
  if (text.empty()) {
    return names;
  }
  size_t begin = 0;
  bool inside = false;
  for (size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ',';
    if (i < text.size() && (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)) {
      return malformed("space or control character", text.substr(begin, i - begin));
    }
    if (c == '[' || c == ']') {
      if (inside == (c == '[')) {
        return malformed("unbalanced brackets", text.substr(begin));
      }
      inside = c == '[';
    }
    if (c != ',' || (inside && i < text.size())) {
      continue;
    }
    if (inside) {
      return malformed("unbalanced brackets", text.substr(begin));
    }
    if (i == begin) {
      return malformed("empty name", text);
    }
    if (auto added = expand_name(text.substr(begin, i - begin), names_max, names); !added) {
      return fail(added.error());
    }
    begin = i + 1;
  }
  return names;
}

std::string compress_hostlist(std::span<const std::string> names) {
  std::vector<Group> groups;
  std::unordered_map<std::string_view, size_t> group_of;
  size_t at = 0;
  for (const std::string& name : names) {
    if (name.empty()) {
      continue;
    }
    const Numbered parts = split_number(name);
    // Names come in runs of one prefix; the look at the group before spares most of the hashing.
    if (groups.empty() || groups[at].prefix != parts.prefix) {
      const auto [found, added] = group_of.try_emplace(parts.prefix, groups.size());
      if (added) {
        groups.push_back({parts.prefix, false, {}});
      }
      at = found->second;
    }
    if (parts.digits.empty()) {
      groups[at].plain = true;
    } else {
      groups[at].numbers.push_back(to_number(parts.digits));
    }
  }
  std::string out;
  for (Group& group : groups) {
    if (!std::is_sorted(group.numbers.begin(), group.numbers.end())) {
      std::sort(group.numbers.begin(), group.numbers.end());
    }
    group.numbers.erase(std::unique(group.numbers.begin(), group.numbers.end()), group.numbers.end());
    if (group.plain) {
      out += out.empty() ? "" : ",";
      out += group.prefix;
    }
    if (!group.numbers.empty()) {
      out += out.empty() ? "" : ",";
      out += group.prefix;
      append_numbers(out, group.numbers);
    }
  }
  return out;
}

std::string compress_hostlist_ordered(std::span<const std::string> names) {
  std::string out;
  for (size_t i = 0; i < names.size();) {
    const Numbered parts = split_number(names[i]);
    size_t end = i + 1;
    Number first;
    Number last;
    if (!parts.digits.empty()) {
      first = last = to_number(parts.digits);
      for (; end < names.size(); ++end) {
        const Numbered next = split_number(names[end]);
        if (next.digits.empty() || next.prefix != parts.prefix) {
          break;
        }
        const Number number = to_number(next.digits);
        if (!continues(last, number, first.width)) {
          break;
        }
        last = number;
      }
    }
    if (!names[i].empty()) {
      out += out.empty() ? "" : ",";
      out += parts.prefix;
      if (end - i > 1) {
        out += '[';
        append_range(out, first, last);
        out += ']';
      } else {
        out += parts.digits;
      }
    }
    i = end;
  }
  return out;
}

}  // namespace slipway
