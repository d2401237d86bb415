// What a pool asks of its provider, and how the provider may be asked.
#include <algorithm>
#include <array>
#include <set>

#include "config/names.h"
#include "config/read.h"
#include "config/units.h"
#include "config/words.h"

namespace slipway::config {
namespace {

using model::Market;

constexpr size_t offers_max = 16;  // types, and zones; their product, twice, is what the engine keeps an eye on
constexpr double spares_max = 0.5;
constexpr Duration billing_period_max = std::chrono::hours(24 * 31);
constexpr Duration lead_max = std::chrono::hours(1);
constexpr uint64_t tolerance_max = 1000;
constexpr Duration launch_window_max = std::chrono::minutes(1);
constexpr double rate_max = 10'000;
constexpr uint64_t burst_max = 1'000'000;

constexpr std::array<std::string_view, 3> markets = {"on_demand", "spot", "spot_then_on_demand"};
constexpr std::array<std::string_view, 3> placements = {"none", "per_pool", "per_job"};

// Those that a job can catch and that don't stop it; scancel knows them all.
constexpr std::array<std::string_view, 10> signals = {"USR1", "USR2", "TERM", "INT",  "HUP",
                                                      "QUIT", "CONT", "URG",  "ALRM", "ABRT"};

std::vector<Word> read_names(Context& context, const Field& field, std::string_view what, std::string_view example) {
  std::vector<Word> out;
  std::set<std::string> seen;
  for (const Word& word : read_words(context.problems, field, join({"a ", what, " like ", example}))) {
    if (auto trouble = offer_trouble(word.text, what); !trouble.empty()) {
      context.problems.error(word.at, field.path + ": " + trouble);
    } else if (!seen.insert(word.text).second) {
      context.problems.error(
          word.at, join({field.path, ": the ", what, " ", show(word.text), " is named twice; expected each once"}));
    } else {
      out.push_back(word);
    }
  }
  if (field.node->kind == NodeKind::list && field.node->items.empty()) {
    context.problems.error(field.at, join({field.path, ": is empty; expected at least one ", what, " like ", example,
                                           ", or leave it out"}));
  }
  if (out.size() > offers_max) {
    context.problems.error(field.at, field.path + ": has " + std::to_string(out.size()) +
                                         " entries; expected at most " + std::to_string(offers_max));
  }
  return out;
}

std::vector<std::string> texts(const std::vector<Word>& words) {
  std::vector<std::string> out;
  for (const Word& word : words) out.push_back(word.text);
  return out;
}

std::string read_signal(Context& context, const Field& field) {
  auto text = read_text(context.problems, field, "a signal's name like USR1");
  if (!text) return "";
  if (std::find(signals.begin(), signals.end(), *text) != signals.end()) return *text;
  std::string bare = lower(*text);
  if (bare.starts_with("sig")) bare.erase(0, 3);
  if (bare == "kill" || bare == "stop") {
    context.problems.error(field.at, field.path + ": " + show(*text) +
                                         " can't be caught, so no job could save its work; expected one like USR1");
    return "";
  }
  context.problems.error(field.at, field.path + ": unknown signal " + show(*text) + "; expected one of " +
                                       enumerate(signals) + did_you_mean(bare, signals));
  return "";
}

void read_eviction(Context& context, const Field& field, PoolDraft& draft) {
  static constexpr std::array<std::string_view, 3> keys = {"signal", "lead", "tolerance"};
  static constexpr std::array<Synonym, 5> synonyms = {
      {{"notice", "lead"}, {"lead_time", "lead"}, {"before", "lead"}, {"count", "tolerance"}, {"max", "tolerance"}}};
  model::Eviction& eviction = draft.pool.eviction;
  MapReader map(context.problems, field, {keys, {}, synonyms});
  if (auto signal = map.get("signal")) eviction.signal = read_signal(context, *signal);
  if (auto lead = map.get("lead")) {
    if (auto time = read_duration(context.problems, *lead, std::chrono::seconds(1), lead_max)) eviction.lead = *time;
    if (map.lacks("signal")) {
      context.problems.warning(lead->at, lead->path +
                                             ": without 'signal' jobs are told nothing, so there is nothing to be "
                                             "early with; add, for example, signal: USR1");
    }
  }
  if (auto tolerance = map.get("tolerance")) {
    draft.tolerance_at = tolerance->at;
    if (auto number = read_count(context.problems, *tolerance, 0, tolerance_max))
      eviction.tolerance = static_cast<uint32_t>(*number);
  }
}

std::optional<double> read_rate(Context& context, const Field& field) {
  auto text = read_text(context.problems, field, "calls per second like 2 or 0.5");
  if (!text) return std::nullopt;
  auto rate = parse_rate(*text);
  if (!rate) {
    context.problems.error(field.at, field.path + ": " + rate.error().message);
    return std::nullopt;
  }
  if (*rate <= 0 || *rate > rate_max) {
    context.problems.error(field.at, field.path + ": " + *text + (*rate <= 0 ? " is too small" : " is too large") +
                                         "; expected from 0.001 to " + rate_text(rate_max) +
                                         " calls per second; leave 'api' out for no limit");
    return std::nullopt;
  }
  return *rate;
}

}  // namespace

void read_offers(Context& context, const MapReader& map, PoolDraft& draft) {
  Problems& problems = context.problems;
  model::Pool& pool = draft.pool;
  const bool azure = pool.provider == model::ProviderKind::azure;
  if (auto machines = map.get("machines")) {
    draft.machines_at = machines->at;
    draft.machine_words = read_names(context, *machines, "machine type", azure ? "Standard_D2s_v5" : "c7i.8xlarge");
    pool.machines = texts(draft.machine_words);
  }
  if (auto zones = map.get("zones")) {
    draft.zones_at = zones->at;
    pool.zones = texts(read_names(context, *zones, "zone", azure ? "1" : "us-east-1a"));
  }
  if (auto market = map.get("market")) {
    draft.market_at = market->at;
    auto choice = read_choice(problems, *market, "market", markets);
    if (choice == 1) pool.markets = {Market::spot};
    if (choice == 2) pool.markets = {Market::spot, Market::on_demand};
  }
  if (auto placement = map.get("placement")) {
    draft.placement_at = placement->at;
    if (auto choice = read_choice(problems, *placement, "placement", placements))
      pool.placement = static_cast<model::Placement>(*choice);
  }
  if (auto spares = map.get("spares")) {
    draft.spares_at = spares->at;
    pool.spares = read_share(problems, *spares, 0, spares_max).value_or(0);
  }
  if (auto period = map.get("billing_period")) {
    draft.billing_at = period->at;
    if (auto time = read_duration(problems, *period, std::chrono::seconds(1), billing_period_max))
      pool.billing_period = *time;
  }
  if (auto eviction = map.get("eviction")) read_eviction(context, *eviction, draft);
}

model::LaunchWindow read_launch_window(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 2> keys = {"quiet", "longest"};
  static constexpr std::array<Synonym, 3> synonyms = {{{"max", "longest"}, {"limit", "longest"}, {"idle", "quiet"}}};
  constexpr std::string_view example = "for example launch_window: {quiet: 1s, longest: 5s}";
  model::LaunchWindow window;
  MapReader map(context.problems, field, {keys, {}, synonyms});
  for (std::string_view key : keys) {
    if (map.lacks(key))
      context.problems.error(field.at, join({field.path, ": '", key, "' is missing; expected both keys, ", example}));
  }
  auto quiet = map.get("quiet");
  auto longest = map.get("longest");
  std::optional<Duration> quiet_time, longest_time;
  if (quiet) quiet_time = read_duration(context.problems, *quiet, Duration(0), launch_window_max);
  if (longest) longest_time = read_duration(context.problems, *longest, Duration(0), launch_window_max);
  if (!quiet_time || !longest_time) return window;
  if (*longest_time < *quiet_time) {
    context.problems.error(longest->at, longest->path + ": " + duration_text(*longest_time) +
                                            " is shorter than 'quiet', " + duration_text(*quiet_time) +
                                            ", which then means nothing; expected at least that, " +
                                            std::string(example));
  }
  return {*quiet_time, *longest_time};
}

std::optional<model::ApiBudget> read_api(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 2> keys = {"per_second", "burst"};
  static constexpr std::array<Synonym, 3> synonyms = {
      {{"rate", "per_second"}, {"calls_per_second", "per_second"}, {"bucket", "burst"}}};
  model::ApiBudget budget;
  MapReader map(context.problems, field, {keys, {}, synonyms});
  for (std::string_view key : keys) {
    if (map.lacks(key)) {
      context.problems.error(field.at,
                             join({field.path, ": '", key,
                                   "' is missing; expected both keys, for example api: {per_second: 2, burst: 100}"}));
    }
  }
  if (auto rate = map.get("per_second")) budget.per_second = read_rate(context, *rate).value_or(0);
  if (auto burst = map.get("burst")) {
    if (auto number = read_count(context.problems, *burst, 1, burst_max)) budget.burst = static_cast<uint32_t>(*number);
  }
  if (!map.usable()) return std::nullopt;
  return budget;
}

}  // namespace slipway::config
