#include <charconv>

#include "base/hostlist.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/duration.h"

namespace slipway::cli {

namespace {

// The instances behind the words of the command line, each of which may be a hostlist.
Result<std::vector<std::string>> instances(const ClusterRef& cluster, const std::vector<std::string>& words) {
  std::vector<std::string> ids;
  for (const std::string& word : words) {
    auto names = expand_hostlist(word, 100'000);
    if (!names) return Failure(names.error());
    for (const std::string& name : *names) {
      auto target = parse_target(name);
      if (!target) return Failure(target.error());
      auto machine = find_machine(cluster, *target);
      if (!machine) return Failure(machine.error());
      ids.push_back(machine->id);
    }
  }
  return ids;
}

Result<void> apply(const machines::Client& host, const Options& options, Duration notice,
                   const std::vector<std::string>& ids) {
  switch (options.verb) {
    case Verb::chaos_kill:
      return host.kill(ids);
    case Verb::chaos_freeze:
      return host.freeze(ids);
    case Verb::chaos_thaw:
      return host.thaw(ids);
    case Verb::chaos_cut_off:
      return host.cut_off(ids);
    case Verb::chaos_evict:
      return host.evict(ids, notice);
    default:
      return host.reconnect(ids);
  }
}

Result<machines::CapacityLimit> limit_of(const Options& options) {
  machines::CapacityLimit limit;
  limit.pool = options.pool;
  limit.machine = options.machine;
  limit.zone = options.zone;
  for (model::Market market : {model::Market::on_demand, model::Market::spot}) {
    if (model::to_string(market) == options.market) limit.market = market;
  }
  for (ErrorCode code : machines::refusal_codes) {
    if (to_string(code) == options.error) limit.error = code;
  }
  if (options.capacity == "unlimited") return limit;
  uint32_t most = 0;
  const char* last = options.capacity.data() + options.capacity.size();
  const auto [end, error] = std::from_chars(options.capacity.data(), last, most);
  if (error != std::errc{} || end != last) {
    return fail(ErrorCode::bad_config,
                "\"" + options.capacity + "\" is no limit; give a number of machines, or unlimited");
  }
  limit.most = most;
  return limit;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto refuse = [&] {
    return fail(ErrorCode::bad_config,
                "\"" + std::string(text) + "\" is not a time; write it like 500ms, 10s, 2m or 1h");
  };
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  constexpr uint64_t hours_max = 24 * 365;
  if (error != std::errc{} || number > hours_max * 3'600'000) return refuse();
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  uint64_t factor = 0;
  if (unit == "ms") factor = 1;
  if (unit == "s" || unit.empty()) factor = 1000;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  if (factor == 0 || number > hours_max * 3'600'000 / factor) return refuse();
  return Duration(number * factor);
}

Result<int> chaos(const Options& options, Terminal& terminal) {
  // Nonsense is refused before a cluster is looked for.
  machines::BootTrouble trouble{options.pool, Duration(0), options.never, options.refuse};
  if (!options.delay.empty()) {
    auto delay = parse_duration(options.delay);
    if (!delay) return Failure(delay.error());
    trouble.delay = *delay;
  }
  Duration notice{0};
  if (options.verb == Verb::chaos_evict) {
    auto parsed = parse_duration(options.notice);
    if (!parsed) return Failure(parsed.error());
    notice = *parsed;
  }
  machines::CapacityLimit limit;
  if (options.verb == Verb::chaos_capacity) {
    auto described = limit_of(options);
    if (!described) return Failure(described.error());
    limit = *described;
  }
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  const machines::Client host = host_of(*cluster);
  const auto finish = [](const Result<void>& done) -> Result<int> {
    if (!done) return Failure(done.error());
    return 0;
  };
  if (options.verb == Verb::chaos_clear) return finish(host.clear_trouble());
  if (options.verb == Verb::chaos_boot) return finish(host.set_boot_trouble(trouble));
  if (options.verb == Verb::chaos_capacity) return finish(host.set_capacity(limit));
  auto ids = instances(*cluster, options.words);
  if (!ids) return Failure(ids.error());
  if (auto done = apply(host, options, notice, *ids); !done) return Failure(done.error());
  std::string text;
  for (const std::string& id : *ids) text += id + "\n";
  terminal.print(text);
  return 0;
}

}  // namespace slipway::cli
