// Launches that are on their way, what providers answered, and how long to pause after a refusal.
#include <algorithm>
#include <tuple>
#include <utility>

#include "engine/round.h"
#include "engine/ways.h"

namespace slipway::engine {
namespace {

using model::InstanceState;

constexpr Duration answer_patience{600'000};  // the shell answers or refuses every launch; this is against its bugs

uint64_t mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ull + (hash << 6) + (hash >> 2);
  hash ^= hash >> 31;
  hash *= 0xbf58476d1ce4e5b9ull;
  return hash ^ (hash >> 29);
}

uint64_t fnv(std::string_view text, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325ull ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return mix(hash, text.size());
}

std::string hex(uint64_t value) {
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4) text[static_cast<size_t>(i)] = "0123456789abcdef"[value & 15];
  return text;
}

// Instances whose provider can't tell their launch are taken to be of the pool's oldest launch that still misses some.
// What counts is when we saw them first: the provider's clock is another one.
void credit_untokened(Round& round) {
  const std::vector<uint32_t>& untokened = round.untokened;
  if (untokened.empty()) return;
  std::vector<std::pair<const std::string*, LaunchMemory*>> open;
  for (auto& [token, launch] : round.memory.launches) open.emplace_back(&token, &launch);
  std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) {
    return std::tie(a.second->at, *a.first) < std::tie(b.second->at, *b.first);
  });
  const auto credit = [&](uint32_t i, bool anew) {
    const InstanceView& instance = round.view.instances[i];
    InstanceMemory& memory = *round.seats[i].memory;
    if (anew == !memory.credited_to.empty()) return;
    for (auto& [token, launch] : open) {
      if (anew ? launch->pool != instance.pool || launch->market != instance.market ||
                     launch->visible >= launch->count || memory.first_seen <= launch->at
               : *token != memory.credited_to) {
        continue;
      }
      ++launch->visible;
      memory.credited_to = *token;
      return;
    }
  };
  for (const uint32_t i : untokened) {
    Seat& seat = round.seats[i];
    if (seat.memory == nullptr) seat.memory = &round.memory.instances[round.view.instances[i].id];
    seat.memory->place = i;
    if (seat.memory->first_seen == TimePoint{}) seat.memory->first_seen = round.now;
    credit(i, false);
  }
  for (const uint32_t i : untokened) credit(i, true);
}

void count_visible(Round& round) {
  for (auto& [token, launch] : round.memory.launches) launch.visible = 0;
  const std::string* last_token = nullptr;
  LaunchMemory* last = nullptr;
  for (uint32_t i = 0; i < round.view.instances.size(); ++i) {
    const InstanceView& instance = round.view.instances[i];
    if (instance.launch_token.empty()) continue;
    if (last_token == nullptr || *last_token != instance.launch_token) {
      const auto it = round.memory.launches.find(instance.launch_token);
      last = it == round.memory.launches.end() ? nullptr : &it->second;
      last_token = &instance.launch_token;
    }
    if (last != nullptr) ++last->visible;
  }
}

// True when the launch needn't be remembered any longer.
bool settled(Round& round, LaunchMemory& launch) {
  if (!round.known_pool(launch.pool)) return true;
  if (launch.visible >= launch.count) {
    std::vector<WayMemory>& ways = round.memory.pools[launch.pool].ways;
    for (const uint32_t w : launch.ways) {
      if (!launch.refused && !launch.probe && w < ways.size() && !ways[w].open) mend_way(ways[w], true);
    }
    return true;
  }
  round.pools[launch.pool].unanswered |= !launch.answered;
  if (launch.answered && launch.answered_at == TimePoint{}) launch.answered_at = round.now;
  const Duration patience = launch.answered
                                ? round.spec.launch_delay + round.spec.consistency_delay + round.spec.update_patience
                                : answer_patience;
  const TimePoint over_at = (launch.answered ? launch.answered_at : launch.at) + patience;
  // An old or partial listing proves nothing about what it doesn't show.
  const bool looked = round.view.instances_complete && round.view.instances_as_of >= over_at;
  if (round.now < over_at || (launch.answered && !looked)) {
    round.pools[launch.pool].asked += launch.count - launch.visible;
    round.pools[launch.pool].asked_for.push_back({launch.placement, launch.market, launch.count - launch.visible});
    round.due(over_at);
    return false;
  }
  if (launch.answered && !launch.outcome_unknown) ++round.memory.pools[launch.pool].launches;
  Note note{.kind = "launch_lost", .pool = launch.pool};
  note.message = std::to_string(launch.count - launch.visible) + " of " + std::to_string(launch.count) +
                 " machines that were asked for never showed up";
  round.plan.notes.push_back(std::move(note));
  return true;
}

bool is_of_boots(Failure kind) {
  return kind == Failure::boot_failed || kind == Failure::never_joined;
}

// Whether a probe's machine shows that its way works again: it runs; after failed boots, its agent is ready.
bool proves(const InstanceView& instance, Failure kind) {
  const bool ready = instance.agent == AgentState::waiting || instance.agent == AgentState::starting ||
                     instance.agent == AgentState::serving;
  if (is_of_boots(kind)) return ready;
  return ready || instance.agent == AgentState::preparing || instance.state == InstanceState::running;
}

std::string_view token_of(const Round& round, uint32_t i) {
  const InstanceView& instance = round.view.instances[i];
  if (!instance.launch_token.empty()) return instance.launch_token;
  return round.seats[i].memory == nullptr ? std::string_view{} : round.seats[i].memory->credited_to;
}

void settle_probe(Round& round, PoolIndex p, size_t w) {
  WayMemory& way = round.memory.pools[p].ways[w];
  const auto launch = round.memory.launches.find(way.probe);
  bool seen = false;
  bool alive = false;
  for (uint32_t i = 0; i < round.view.instances.size(); ++i) {
    const InstanceView& instance = round.view.instances[i];
    if (token_of(round, i) != way.probe) continue;
    seen = true;
    alive |= is_live(instance);
    if (is_live(instance) && proves(instance, way.kind)) {
      mend_way(way, false);
      return;
    }
  }
  if (launch != round.memory.launches.end() || alive) return;
  if (seen) {
    way.probe.clear();  // it ended for another reason; whatever was wrong with it has been charged already
  } else if (round.view.instances_complete) {
    fail_way(round.memory, round.spec, {p, w, way.kind, "the machine that tried it never came"}, round.now);
  }
}

void settle_probes(Round& round) {
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    for (size_t w = 0; w < round.memory.pools[p].ways.size(); ++w) {
      if (!round.memory.pools[p].ways[w].probe.empty()) settle_probe(round, p, w);
    }
  }
}

// Order-independent sum of the hashes of all the pool's listed instances; made for all pools when the first one
// launches.
uint64_t ids_of(Round& round, PoolIndex pool) {
  if (!round.ids_summed) {
    for (const InstanceView& instance : round.view.instances) {
      if (round.known_pool(instance.pool)) round.pools[instance.pool].ids += std::hash<InstanceId>{}(instance.id);
    }
    round.ids_summed = true;
  }
  return round.pools[pool].ids;
}

}  // namespace

void settle_launches(Round& round) {
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    PoolMemory& pool = round.memory.pools[p];
    for (std::string& text : pool.unnoted) {
      round.plan.notes.push_back({.kind = "launch_refused", .pool = p, .message = std::move(text)});
    }
    pool.unnoted.clear();
  }
  if (!round.memory.launches.empty()) count_visible(round);
  credit_untokened(round);
  adopt_launches(round);
  for (auto it = round.memory.launches.begin(); it != round.memory.launches.end();) {
    it = settled(round, it->second) ? round.memory.launches.erase(it) : std::next(it);
  }
  settle_probes(round);
}

std::string launch_token(Round& round, const std::vector<uint32_t>& wanted, const Launch& launch) {
  const std::string& name = round.spec.pools[launch.pool].name.str();
  uint64_t names = 0;  // sums: the order in which nodes are listed or served doesn't matter
  for (const uint32_t w : wanted) {
    const NodeView& node = round.node(round.works[w]);
    names += fnv(node.name.str(), static_cast<uint64_t>(node.last_busy.time_since_epoch().count()));
  }
  uint64_t what = fnv(launch.placement, static_cast<uint64_t>(launch.market));
  for (const model::Offer& offer : launch.offers) what = mix(what, mix(fnv(offer.machine, 3), fnv(offer.zone, 4)));
  const uint64_t ids = ids_of(round, launch.pool);
  for (uint64_t attempt = round.memory.pools[launch.pool].launches;; ++attempt) {
    uint64_t low = fnv(round.spec.cluster, 1);
    low = mix(low, fnv(name, 2));
    low = mix(low, names);
    low = mix(low, ids);
    low = mix(low, launch.count);
    low = mix(low, what);
    low = mix(low, attempt);
    const std::string token = "slw-" + hex(low) + hex(mix(low ^ names, ids + attempt));
    // One that is still on its way can't stand for this launch too.
    if (!round.memory.launches.contains(token)) return token;
  }
}

namespace {

std::string next_attempt(const WayMemory& way, TimePoint now) {
  return way.not_before > now ? "; it is tried again in " + to_short(way.not_before - now) : "";
}

// One refusal that concerns the ways of a launch (or all of a pool's, when `asked` is empty).
void refuse(Memory& memory, const Spec& spec, PoolIndex pool, model::Market market, const std::vector<uint32_t>& asked,
            const Refusal& refusal, TimePoint now) {
  if (pool >= spec.pools.size() || pool >= memory.pools.size()) return;
  const Failure kind = failure_of(refusal.error.code);
  if (reaction_to(kind).scope == Scope::account) throttled(memory, spec.pools[pool].account, refusal.error, now);
  PoolMemory& remembered = memory.pools[pool];
  const auto& ways = ways_of(spec.pools[pool]);
  bool noted = false;
  for (size_t w = 0; w < ways.size() && w < remembered.ways.size(); ++w) {
    if (ways[w].market != market) continue;
    if (!asked.empty() && std::find(asked.begin(), asked.end(), w) == asked.end()) continue;
    // Every way that fits what is named: a scale set that spans zones can't tell which of them was short.
    const bool named = !refusal.offer.machine.empty() || !refusal.offer.zone.empty();
    const auto differ = [](const std::string& a, const std::string& b) { return !a.empty() && !b.empty() && a != b; };
    if (differ(refusal.offer.machine, ways[w].offer.machine) || differ(refusal.offer.zone, ways[w].offer.zone))
      continue;
    // A probe that was only throttled is tried anew.
    if (reaction_to(kind).scope == Scope::account) remembered.ways[w].probe.clear();
    fail_way(memory, spec, {pool, w, kind, refusal.error.message, refusal.error.retry_after}, now);
    if (std::exchange(noted, true)) continue;
    std::string text =
        "the provider refused " + (named || ways.size() == 1 ? to_text(ways[w]) : "all that was asked for");
    text += " (" + std::string(to_string(refusal.error.code));
    if (!refusal.error.message.empty()) text += ": " + refusal.error.message;
    remembered.unnoted.push_back(text + ")" + next_attempt(remembered.ways[w], now));
  }
}

}  // namespace

void launch_answered(Memory& memory, const Spec& spec, std::string_view token, uint32_t accepted,
                     const std::vector<Refusal>& refusals, TimePoint now) {
  const auto it = memory.launches.find(std::string(token));
  if (it == memory.launches.end()) return;
  fit_memory(memory, spec);
  LaunchMemory& launch = it->second;
  const LaunchMemory asked = launch;
  launch.answered = true;
  launch.outcome_unknown = false;
  launch.refused |= !refusals.empty() || accepted < launch.count;
  launch.count = std::min(launch.count, accepted);
  if (launch.count == 0) memory.launches.erase(it);
  if (asked.pool >= spec.pools.size()) return;
  const uint32_t account = spec.pools[asked.pool].account;
  const bool slowed = std::any_of(refusals.begin(), refusals.end(),
                                  [](const Refusal& refusal) { return refusal.error.code == ErrorCode::throttled; });
  if (account < memory.accounts.size() && !slowed) memory.accounts[account].throttled = 0;
  for (const Refusal& refusal : refusals) refuse(memory, spec, asked.pool, asked.market, asked.ways, refusal, now);
  if (accepted < asked.count && refusals.empty()) {
    // It must not be repeated at once for ever.
    const Refusal silent{{}, {ErrorCode::transient, "fewer machines than asked for and no reason given"}};
    refuse(memory, spec, asked.pool, asked.market, asked.ways, silent, now);
  }
}

void launch_failed(Memory& memory, const Spec& spec, std::string_view token, const Error& error, TimePoint now) {
  const auto it = memory.launches.find(std::string(token));
  if (it == memory.launches.end()) return;
  fit_memory(memory, spec);
  const LaunchMemory asked = it->second;
  if (error.code == ErrorCode::outcome_unknown) {
    it->second.answered = true;  // it may have happened: it counts until patience with the listings ends
    it->second.outcome_unknown = true;
  } else {
    memory.launches.erase(it);
  }
  refuse(memory, spec, asked.pool, asked.market, asked.ways, {{}, error}, now);
}

void trouble_reported(Memory& memory, const Spec& spec, const Trouble& trouble, TimePoint now) {
  if (trouble.pool >= spec.pools.size()) return;
  fit_memory(memory, spec);
  LaunchMemory* launch = nullptr;
  std::string token = trouble.token;
  if (const auto it = memory.launches.find(token); it != memory.launches.end()) launch = &it->second;
  if (token.empty()) {  // the oldest one that still misses machines
    for (auto& [name, one] : memory.launches) {
      if (one.pool != trouble.pool || one.market != trouble.market || one.visible >= one.count) continue;
      if (launch != nullptr && std::tie(launch->at, token) <= std::tie(one.at, name)) continue;
      launch = &one;
      token = name;
    }
  }
  const std::vector<uint32_t> ways = launch == nullptr ? std::vector<uint32_t>{} : launch->ways;
  if (launch != nullptr) {
    launch->refused = true;
    const uint32_t missing = launch->count - std::min(launch->count, launch->visible);
    launch->count -= trouble.count == 0 ? missing : std::min(missing, trouble.count);
    if (launch->count == 0) memory.launches.erase(token);
  }
  refuse(memory, spec, trouble.pool, trouble.market, ways, {trouble.offer, trouble.error}, now);
}

}  // namespace slipway::engine
