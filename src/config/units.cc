#include "config/units.h"

#include <array>
#include <cmath>
#include <vector>

#include "config/problems.h"
#include "config/words.h"

namespace slipway::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

struct Unit {
  std::string_view name;
  int64_t milliseconds;
};
// From large to small; "ms" comes before "m" is tried (see below).
constexpr std::array<Unit, 5> units = {{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};

// Nine digits of days still fit into 64 bits of milliseconds.
constexpr size_t number_digits_max = 9;

Failure no_duration(std::string_view text, const std::string& why) {
  return fail(ErrorCode::bad_config,
              show(text) + " is not a duration: " + why + "; expected one like 90s, 10m, 1h30m or 2d");
}

Failure no_size(std::string_view text, const std::string& why) {
  return fail(ErrorCode::bad_config,
              show(text) + " is not a size: " + why + "; expected one like 512MiB or 4GiB (1 GiB is 1024 MiB)");
}

Failure no_time(std::string_view text, const std::string& why) {
  return fail(ErrorCode::bad_config,
              show(text) + " is not a time limit: " + why +
                  "; expected Slurm's form (2-00:00:00, 12:00:00, minutes), a duration like 12h, or UNLIMITED");
}

Failure no_share(std::string_view text, const std::string& why) {
  return fail(ErrorCode::bad_config, show(text) + " is not a share: " + why + "; expected one like 5% or 2.5%");
}

Failure no_clock(std::string_view text, const std::string& why) {
  return fail(ErrorCode::bad_config,
              show(text) + " is not a time of day: " + why + "; expected one like 08:00, up to 24:00");
}

Failure no_rate(std::string_view text) {
  return fail(ErrorCode::bad_config,
              show(text) + " is not a rate; expected times per second like 2 or 0.5, with at most three decimals");
}

constexpr unsigned rate_decimals = 3;
constexpr double rate_scale = 1000;
constexpr unsigned share_decimals = 2;
constexpr double share_scale = 10'000;  // of a percent's hundredths in 1

std::string pad(uint64_t number) {
  return (number < 10 ? "0" : "") + std::to_string(number);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == separator) {
      parts.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  return parts;
}

// "2.5" times ten to the power of `decimals`, which is as many as the number may have.
std::optional<uint64_t> parse_decimal(std::string_view text, unsigned decimals) {
  auto parts = split(text, '.');
  if (parts.size() > 2 || parts[0].size() > number_digits_max) return std::nullopt;
  auto number = parse_digits(parts[0]);
  uint64_t scaled = number.value_or(0);
  std::string_view fraction = parts.size() == 2 ? parts[1] : "0";
  auto rest = parse_digits(fraction);
  if (!number || !rest || (parts.size() == 2 && fraction.size() > decimals)) return std::nullopt;
  for (unsigned i = 0; i < decimals; ++i) {
    uint64_t digit = i < fraction.size() ? static_cast<uint64_t>(fraction[i] - '0') : 0;
    scaled = scaled * 10 + digit;
  }
  return scaled;
}

std::string decimal_text(uint64_t scaled, unsigned decimals) {
  std::string digits = std::to_string(scaled);
  if (digits.size() <= decimals) digits.insert(0, decimals + 1 - digits.size(), '0');
  std::string fraction = digits.substr(digits.size() - decimals);
  while (fraction.ends_with('0')) fraction.pop_back();
  digits.resize(digits.size() - decimals);
  return fraction.empty() ? digits : digits + "." + fraction;
}

}  // namespace

std::optional<uint64_t> parse_digits(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  uint64_t number = 0;
  for (char c : text) {
    if (!is_digit(c)) return std::nullopt;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  return number;
}

Result<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return no_duration(text, "it is empty");
  int64_t total = 0;
  size_t next_unit = 0;  // units before this one are used up
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t digits = 0;
    while (digits < rest.size() && is_digit(rest[digits])) ++digits;
    if (digits == 0) return no_duration(text, "a number is missing");
    if (digits > number_digits_max) return no_duration(text, "the number is too large");
    int64_t number = static_cast<int64_t>(*parse_digits(rest.substr(0, digits)));
    rest.remove_prefix(digits);
    size_t letters = 0;
    while (letters < rest.size() && !is_digit(rest[letters])) ++letters;
    std::string_view name = rest.substr(0, letters);
    rest.remove_prefix(letters);
    if (name.empty()) return no_duration(text, "the unit is missing");
    size_t unit = 0;
    while (unit < units.size() && units[unit].name != name) ++unit;
    if (unit == units.size()) return no_duration(text, show(name) + " is no unit (ms, s, m, h and d are)");
    if (unit < next_unit) return no_duration(text, "units go from large to small, each once");
    next_unit = unit + 1;
    total += number * units[unit].milliseconds;
  }
  return Duration(total);
}

std::string duration_text(Duration duration) {
  int64_t left = duration.count();
  if (left <= 0) return "0s";
  std::string out;
  for (const Unit& unit : units) {
    int64_t number = left / unit.milliseconds;
    if (number > 0) out += std::to_string(number) + std::string(unit.name);
    left -= number * unit.milliseconds;
  }
  return out;
}

Result<double> parse_share(std::string_view text) {
  if (!text.ends_with('%')) return no_share(text, "the '%' is missing");
  auto scaled = parse_decimal(text.substr(0, text.size() - 1), share_decimals);
  if (!scaled) return no_share(text, "what is before '%' is no number with at most two decimals");
  return static_cast<double>(*scaled) / share_scale;
}

std::string share_text(double share) {
  return decimal_text(static_cast<uint64_t>(std::llround(share * share_scale)), share_decimals) + "%";
}

Result<double> parse_rate(std::string_view text) {
  auto scaled = parse_decimal(text, rate_decimals);
  if (!scaled) return no_rate(text);
  return static_cast<double>(*scaled) / rate_scale;
}

std::string rate_text(double rate) {
  return decimal_text(static_cast<uint64_t>(std::llround(rate * rate_scale)), rate_decimals);
}

Result<uint16_t> parse_clock(std::string_view text) {
  auto parts = split(text, ':');
  if (parts.size() != 2 || parts[1].size() != 2 || parts[0].empty() || parts[0].size() > 2)
    return no_clock(text, "it is not hours, ':' and two digits of minutes");
  auto hours = parse_digits(parts[0]);
  auto minutes = parse_digits(parts[1]);
  if (!hours || !minutes) return no_clock(text, "it is not made of numbers");
  if (*minutes > 59 || *hours * 60 + *minutes > 24 * 60) return no_clock(text, "a day ends at 24:00");
  return static_cast<uint16_t>(*hours * 60 + *minutes);
}

std::string clock_text(uint16_t minutes) {
  return pad(minutes / 60) + ":" + pad(minutes % 60);
}

Result<uint64_t> parse_memory_mib(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.')) ++end;
  std::string_view number = text.substr(0, end);
  std::string unit = lower(text.substr(end));
  while (unit.starts_with(' ')) unit.erase(0, 1);
  auto parts = split(number, '.');
  auto whole = parse_digits(parts[0]);
  if (!whole || parts.size() > 2 || parts[0].size() > number_digits_max)
    return no_size(text, "the number is missing or malformed");
  if (unit.empty()) return no_size(text, "the unit is missing");
  uint64_t factor = 0;
  if (unit == "m" || unit == "mib") factor = 1;
  if (unit == "g" || unit == "gib") factor = 1024;
  if (unit == "t" || unit == "tib") factor = 1024 * 1024;
  if (unit == "mb" || unit == "gb" || unit == "tb") {
    return no_size(text, show(text.substr(end)) + " can mean 1000s or 1024s");
  }
  if (factor == 0) return no_size(text, show(text.substr(end)) + " is no unit (MiB, GiB and TiB are)");
  uint64_t mib = *whole * factor;
  if (parts.size() == 2) {
    auto decimals = parts[1].size() <= 6 ? parse_digits(parts[1]) : std::nullopt;
    if (!decimals) return no_size(text, "the number is malformed");
    uint64_t scale = 1;
    for (size_t i = 0; i < parts[1].size(); ++i) scale *= 10;
    if (*decimals * factor % scale != 0) return no_size(text, "it is not a whole number of MiB");
    mib += *decimals * factor / scale;
  }
  return mib;
}

Result<SlurmTime> parse_slurm_time(std::string_view text) {
  using std::chrono::seconds;
  if (equal_ignoring_case(text, "UNLIMITED") || equal_ignoring_case(text, "INFINITE"))
    return SlurmTime{"UNLIMITED", std::nullopt};
  if (text.find_first_of("dhms") != std::string_view::npos) {
    auto duration = parse_duration(text);
    if (!duration) return no_time(text, "it is no duration either");
    uint64_t total = static_cast<uint64_t>(duration->count()) / 1000;
    if (duration->count() % 1000 != 0) return no_time(text, "Slurm counts whole seconds");
    std::string days = total >= 86'400 ? std::to_string(total / 86'400) + "-" : "";
    std::string clock = pad(total / 3600 % 24) + ":" + pad(total / 60 % 60) + ":" + pad(total % 60);
    return SlurmTime{days + clock, seconds(total)};
  }
  std::string_view clock = text;
  uint64_t days = 0;
  bool has_days = false;
  if (size_t dash = text.find('-'); dash != std::string_view::npos) {
    auto number = dash <= number_digits_max ? parse_digits(text.substr(0, dash)) : std::nullopt;
    if (!number) return no_time(text, "the days before '-' are no number");
    days = *number;
    has_days = true;
    clock = text.substr(dash + 1);
  }
  std::vector<uint64_t> numbers;
  for (std::string_view part : split(clock, ':')) {
    auto number = part.size() <= number_digits_max ? parse_digits(part) : std::nullopt;
    if (!number) return no_time(text, show(part) + " is no number");
    numbers.push_back(*number);
  }
  if (numbers.size() > 3) return no_time(text, "it has too many parts");
  uint64_t h = 0, m = 0, s = 0;
  if (has_days) {  // D-H, D-H:M, D-H:M:S
    h = numbers[0];
    m = numbers.size() > 1 ? numbers[1] : 0;
    s = numbers.size() > 2 ? numbers[2] : 0;
  } else if (numbers.size() == 3) {  // H:M:S
    h = numbers[0];
    m = numbers[1];
    s = numbers[2];
  } else {  // M, M:S
    m = numbers[0];
    s = numbers.size() > 1 ? numbers[1] : 0;
  }
  bool minutes_lead = !has_days && numbers.size() < 3;
  if (s > 59 || (m > 59 && !minutes_lead)) return no_time(text, "minutes and seconds end at 59");
  if (has_days && h > 23) return no_time(text, "hours beside days end at 23");
  return SlurmTime{std::string(text), seconds(((days * 24 + h) * 60 + m) * 60 + s)};
}

}  // namespace slipway::config
