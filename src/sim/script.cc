#include "sim/script.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <set>

namespace slipway::sim {

namespace {

constexpr Duration wait_default{120'000};
constexpr Duration time_max = std::chrono::hours(24);
constexpr uint32_t nodes_max = 100'000;

template <class T>
struct Word {
  std::string_view word;
  T value;
};

constexpr Word<model::Market> markets[] = {{"on_demand", model::Market::on_demand}, {"spot", model::Market::spot}};
constexpr Word<slurm::NodeChange> changes[] = {
    {"down", slurm::NodeChange::down},
    {"resume", slurm::NodeChange::resume},
    {"drain", slurm::NodeChange::drain},
    {"undrain", slurm::NodeChange::undrain},
    {"power_down", slurm::NodeChange::power_down},
    {"power_up", slurm::NodeChange::power_up},
};
constexpr Word<JobState> job_states[] = {
    {"pending", JobState::pending},     {"configuring", JobState::configuring},
    {"running", JobState::running},     {"completing", JobState::completing},
    {"done", JobState::done},           {"failed", JobState::failed},
    {"cancelled", JobState::cancelled},
};
constexpr Word<Duration> units[] = {
    {"ms", Duration(1)}, {"s", Duration(1'000)}, {"m", Duration(60'000)}, {"h", Duration(3'600'000)}};

template <class T, size_t N>
bool look_up(const Word<T> (&words)[N], std::string_view word, T& value) {
  for (const Word<T>& entry : words) {
    if (entry.word == word) {
      value = entry.value;
      return true;
    }
  }
  return false;
}

bool parse_number(std::string_view text, uint32_t& number) {
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && rest == text.data() + text.size();
}

bool parse_time(std::string_view text, Duration& time) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  uint32_t number = 0;
  Duration unit{0};
  if (!parse_number(text.substr(0, digits), number) || !look_up(units, text.substr(digits), unit)) return false;
  if (number > time_max / unit) return false;
  time = unit * number;
  return true;
}

bool is_name(std::string_view word) {
  return !word.empty() && word.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == word.npos;
}

bool is_node_state(std::string_view word) {
  if (word.ends_with("+drain")) word.remove_suffix(std::string_view("+drain").size());
  const size_t slash = word.find('/');
  if (slash == word.npos) return false;
  const std::string_view base = word.substr(0, slash), power = word.substr(slash + 1);
  return (base == "idle" || base == "busy" || base == "down") &&
         (power == "asleep" || power == "booting" || power == "up" || power == "leaving");
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  constexpr std::string_view blank = " \t\r";
  line = line.substr(0, line.find('#'));
  for (size_t at = line.find_first_not_of(blank); at < line.size(); at = line.find_first_not_of(blank, at)) {
    const size_t end = std::min(line.find_first_of(blank, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

class Reader {
 public:
  // A statement; what is wrong with it, or nothing.
  std::string read(const std::vector<std::string_view>& words, uint32_t line) {
    words_ = &words;
    const std::string_view verb = words[0];
    if (verb == "pool") return pool();
    if (verb == "partition") return partition();
    if (verb == "idle_reclaim")
      return words.size() == 2 && parse_time(words[1], script.idle_reclaim) ? "" : "idle_reclaim TIME";
    Step step;
    step.line = line;
    if (words.size() > 1) step.subject = words[1];
    std::string wrong = this->step(verb, step);
    if (wrong.empty()) script.steps.push_back(std::move(step));
    return wrong;
  }

  Script script;

 private:
  size_t count() const { return words_->size(); }
  std::string_view word(size_t at) const { return at < count() ? (*words_)[at] : std::string_view(); }

  std::string pool() {
    constexpr auto form = "pool NAME MAX [MARKET…] [boot_timeout=TIME]";
    ScriptPool pool;
    pool.name = word(1);
    if (!is_name(pool.name) || !parse_number(word(2), pool.max) || pool.max == 0 || pool.max > nodes_max) return form;
    if (has_pool(pool.name)) return "there is a pool \"" + pool.name + "\" already";
    constexpr std::string_view key = "boot_timeout=";
    for (size_t at = 3; at < count(); ++at) {
      model::Market market{};
      if (look_up(markets, word(at), market)) {
        pool.markets.push_back(market);
      } else if (!word(at).starts_with(key) || !parse_time(word(at).substr(key.size()), pool.boot_timeout)) {
        return form;
      }
    }
    if (pool.markets.empty()) pool.markets.push_back(model::Market::on_demand);
    for (uint32_t number = 1; number <= pool.max; ++number) {
      nodes_.insert(model::node_name(PoolName(pool.name), number).str());
    }
    script.pools.push_back(std::move(pool));
    return {};
  }

  std::string partition() {
    if (count() < 3 || !is_name(word(1))) return "partition NAME POOL…";
    ScriptPartition partition{std::string(word(1)), {}};
    for (size_t at = 2; at < count(); ++at) {
      if (!has_pool(word(at))) return no("pool", word(at));
      partition.pools.emplace_back(word(at));
    }
    script.partitions.push_back(std::move(partition));
    return {};
  }

  std::string step(std::string_view verb, Step& step) {
    if (verb == "submit") return submit(step);
    if (verb == "wait") return wait(step);
    if (verb == "capacity") return capacity(step);
    if (verb == "boot") return boot(step);
    if (verb == "set") return set(step);
    if (verb == "sleep") {
      step.verb = Verb::sleep;
      step.subject.clear();
      return count() == 2 && parse_time(word(1), step.time) ? "" : "sleep TIME";
    }
    if (verb == "cancel") {
      step.verb = Verb::cancel;
      if (count() != 2) return "cancel JOB";
      return jobs_.contains(step.subject) ? "" : no("job", step.subject);
    }
    if (verb == "restart_slurmctld") {
      step.verb = Verb::restart_slurmctld;
      step.subject.clear();
      step.hard = word(1) == "kill";
      return count() == 1 || (count() == 2 && step.hard) ? "" : "restart_slurmctld [kill]";
    }
    if (verb == "kill" || verb == "cut_off" || verb == "evict") {
      step.verb = verb == "kill" ? Verb::kill : verb == "evict" ? Verb::evict : Verb::cut_off;
      if (step.verb == Verb::evict ? count() != 3 || !parse_time(word(2), step.time) : count() != 2) {
        return std::string(verb) + " NODE" + (step.verb == Verb::evict ? " TIME" : "");
      }
      return nodes_.contains(step.subject) ? "" : no("node", step.subject);
    }
    return "unknown word \"" + std::string(verb) + "\"";
  }

  std::string submit(Step& step) {
    constexpr auto form = "submit JOB PARTITION NODES TIME [srun] [no_requeue]";
    step.verb = Verb::submit;
    step.partition = word(2);
    if (!parse_number(word(3), step.count) || step.count == 0 || !parse_time(word(4), step.time)) return form;
    for (size_t at = 5; at < count(); ++at) {
      if (word(at) == "srun") {
        step.batch = false;
      } else if (word(at) == "no_requeue") {
        step.requeue = false;
      } else {
        return form;
      }
    }
    const bool known = std::any_of(script.partitions.begin(), script.partitions.end(),
                                   [&](const ScriptPartition& partition) { return partition.name == step.partition; });
    if (!known) return no("partition", step.partition);
    if (!is_name(step.subject)) return "names are made of a-z, 0-9, - and _";
    if (!jobs_.insert(step.subject).second) return "there is a job \"" + step.subject + "\" already";
    return {};
  }

  std::string wait(Step& step) {
    const bool node = word(1) == "node";
    step.verb = node ? Verb::wait_node : Verb::wait_job;
    step.subject = word(2);
    step.state = word(3);
    step.time = wait_default;
    if ((!node && word(1) != "job") || count() < 4 || count() > 5 ||
        (count() == 5 && !parse_time(word(4), step.time))) {
      return "wait node|job NAME STATE [TIME]";
    }
    if (node && !nodes_.contains(step.subject)) return no("node", step.subject);
    if (!node && !jobs_.contains(step.subject)) return no("job", step.subject);
    JobState job{};
    const bool known = node ? is_node_state(step.state) : look_up(job_states, step.state, job);
    return known ? "" : "not a state of a " + std::string(word(1)) + ": \"" + step.state + "\"";
  }

  std::string capacity(Step& step) {
    step.verb = Verb::capacity;
    const bool any = word(3) == "any";
    if (any) step.count = UINT32_MAX;
    if (count() != 4 || !look_up(markets, word(2), step.market) || (!any && !parse_number(word(3), step.count))) {
      return "capacity POOL MARKET N|any";
    }
    return has_pool(step.subject) ? "" : no("pool", step.subject);
  }

  std::string boot(Step& step) {
    const bool delay = word(2) == "delay";
    step.verb = delay ? Verb::boot_delay : Verb::boot_never;
    const bool value = delay ? parse_time(word(3), step.time) : parse_number(word(3), step.count);
    if (count() != 4 || !value || (!delay && word(2) != "never")) return "boot POOL delay TIME, or boot POOL never N";
    return has_pool(step.subject) ? "" : no("pool", step.subject);
  }

  std::string set(Step& step) {
    step.verb = Verb::set;
    if (count() < 3 || !look_up(changes, word(2), step.change)) {
      return "set NODE down|resume|drain|undrain|power_down|power_up [REASON…]";
    }
    for (size_t at = 3; at < count(); ++at) step.reason += (at == 3 ? "" : " ") + std::string(word(at));
    return nodes_.contains(step.subject) ? "" : no("node", step.subject);
  }

  bool has_pool(std::string_view name) const {
    return std::any_of(script.pools.begin(), script.pools.end(),
                       [&](const ScriptPool& pool) { return pool.name == name; });
  }
  static std::string no(std::string_view kind, std::string_view name) {
    return "there is no " + std::string(kind) + " \"" + std::string(name) + "\"";
  }

  const std::vector<std::string_view>* words_ = nullptr;
  std::set<std::string, std::less<>> nodes_, jobs_;
};

}  // namespace

Result<Script> parse_script(std::string_view text) {
  Reader reader;
  std::string wrong;
  uint32_t line = 0;
  while (!text.empty()) {
    const std::string_view statement = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), statement.size() + 1));
    ++line;
    const auto words = words_of(statement);
    if (words.empty()) continue;
    const std::string problem = reader.read(words, line);
    if (problem.empty()) continue;
    wrong += (wrong.empty() ? "line " : "\nline ") + std::to_string(line) + ": " + problem;
  }
  if (wrong.empty() && reader.script.partitions.empty()) wrong = "no partition";
  if (!wrong.empty()) return fail(ErrorCode::bad_config, wrong);
  return std::move(reader.script);
}

std::vector<PartitionSpec> partitions_of(const Script& script) {
  std::vector<PartitionSpec> specs;
  for (const ScriptPartition& partition : script.partitions) {
    PartitionSpec& spec = specs.emplace_back();
    spec.name = partition.name;
    for (const std::string& name : partition.pools) {
      for (engine::PoolIndex pool = 0; pool < script.pools.size(); ++pool) {
        if (script.pools[pool].name == name) spec.pools.push_back(pool);
      }
    }
  }
  return specs;
}

std::string node_word(const model::SlurmNodeState& state) {
  std::string word = "idle";
  if (state.base == model::NodeBase::allocated || state.base == model::NodeBase::mixed) word = "busy";
  if (state.base == model::NodeBase::down) word = "down";
  if (state.has(model::node_powering_down)) {
    word += "/leaving";
  } else if (state.has(model::node_powering_up)) {
    word += "/booting";
  } else if (state.has(model::node_powered_down)) {
    word += "/asleep";
  } else {
    word += "/up";
  }
  return state.has(model::node_drain) ? word + "+drain" : word;
}

std::string_view job_word(JobState state) {
  for (const auto& entry : job_states) {
    if (entry.value == state) return entry.word;
  }
  return {};
}

void ScriptTrace::add(History& history, std::string state, TimePoint now) {
  if (!history.empty() && history.back().state == state) return;
  history.push_back({std::move(state), now});
}

bool ScriptTrace::reached(const Step& wait, TimePoint since) const {
  const auto& histories = wait.verb == Verb::wait_node ? nodes_ : jobs_;
  const auto found = histories.find(wait.subject);
  if (found == histories.end()) return wait.verb == Verb::wait_node && wait.state == "idle/asleep";
  const History& history = found->second;
  for (size_t at = 0; at < history.size(); ++at) {
    const bool counts = at + 1 == history.size() || history[at].since >= since;
    if (counts && history[at].state == wait.state) return true;
  }
  return false;
}

std::string ScriptTrace::to_json(TimePoint end) const {
  std::string json = "{";
  const auto write = [&](const char* kind, const std::map<std::string, History>& histories) {
    json += std::string(json.size() > 1 ? ", \"" : "\"") + kind + "\": {";
    bool first = true;
    for (const auto& [name, history] : histories) {
      json += (first ? "\"" : ", \"") + name + "\": [";
      first = false;
      for (size_t at = 0; at < history.size(); ++at) {
        const TimePoint until = at + 1 < history.size() ? history[at + 1].since : end;
        char seconds[32];
        std::snprintf(seconds, sizeof seconds, "%.3f", static_cast<double>((until - history[at].since).count()) / 1000);
        json += (at == 0 ? "" : ", ") + std::string("{\"state\": \"") + history[at].state +
                "\", \"seconds\": " + seconds + "}";
      }
      json += "]";
    }
    json += "}";
  };
  write("nodes", nodes_);
  write("jobs", jobs_);
  return json + "}";
}

}  // namespace slipway::sim
