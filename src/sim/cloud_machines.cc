// The life of machines. All of it is drawn and planned when a machine is made; nothing looks whether something is due.
#include <algorithm>

#include "base/check.h"
#include "sim/cloud_state.h"

namespace slipway::sim {
namespace {

constexpr Duration gone_shown{60'000};
constexpr int64_t hour = 3'600'000;
constexpr int64_t hours_longest = 24 * 7;  // a machine that lives longer lives as long as the simulation

// The lifetime of something that ends in each hour with the same probability.
std::optional<Duration> lifetime(Random& random, double an_hour) {
  if (an_hour <= 0) return std::nullopt;
  for (int64_t h = 0; h < hours_longest; ++h) {
    if (random.chance(an_hour)) return Duration(h * hour + random.between(0, hour - 1));
  }
  return std::nullopt;
}

InstanceId id_of(uint32_t machine) {
  std::string digits = std::to_string(machine + 1);
  if (digits.size() < 8) digits.insert(0, 8 - digits.size(), '0');
  return InstanceId("i-" + digits);
}

}  // namespace

std::string Cloud::State::take_address() {
  if (addresses_used >= options.addresses && !addresses_free.empty()) {
    std::string address = std::move(addresses_free.front());
    addresses_free.pop_front();
    return address;
  }
  const uint32_t n = addresses_used++;
  // From 198.18.0.1, without 0 and 255 at the end.
  const uint32_t net = n / 254;
  return "198." + std::to_string(18 + net / 256) + "." + std::to_string(net % 256) + "." + std::to_string(1 + n % 254);
}

uint32_t Cloud::State::add(engine::PoolIndex pool, const cloud::LaunchRequest& request, const model::Offer& offer) {
  const auto number = static_cast<uint32_t>(machines.size());
  const TimePoint now = timeline.now();
  Machine& m = machines.emplace_back();
  m.instance.id = id_of(number);
  m.instance.pool = pools[pool].name;
  m.instance.launch_token = request.token;
  m.instance.launched_at = now;
  m.instance.market = request.market;
  m.instance.offer = offer;
  m.instance.placement = request.placement;
  if (!batch()) m.instance.address = take_address();
  m.pool = pool;
  const bool at_once = options.character == Character::local;
  m.visible_at = at_once ? now : now + latencies.between(Duration(0), options.consistency);
  const Duration boots_in = draw(options.boot);
  // The cloud calls it running long before its agent can speak.
  m.running_at = now + boots_in / 4;
  const bool never = faults.chance(cloud.faults.never_boots);
  const bool late = faults.chance(cloud.faults.boots_late);
  timeline.at(m.running_at, [this, number] { run(number); });
  if (!never) timeline.after(late ? boots_in * 10 : boots_in, [this, number] { boot(number); });
  listed.push_back(number);
  ++billed;
  if (!request.token.empty()) ++launches[request.token].machines;
  plan_end(number);
  return number;
}

void Cloud::State::plan_end(uint32_t machine) {
  // A fault that was turned off in the meantime doesn't happen.
  if (const auto after = lifetime(lifetimes, cloud.faults.dies)) {
    timeline.after(*after, [this, machine] {
      if (cloud.faults.dies > 0) kill(machine);
    });
  }
  if (machines[machine].instance.market != model::Market::spot) return;
  if (const auto after = lifetime(lifetimes, cloud.faults.evicts)) {
    timeline.after(*after, [this, machine] {
      if (cloud.faults.evicts > 0) evict(machine, cloud.faults.notice);
    });
  }
}

void Cloud::State::run(uint32_t machine) {
  if (!lives(machine)) return;
  model::Instance& instance = machines[machine].instance;
  instance.state = model::InstanceState::running;
  if (instance.address.empty()) instance.address = take_address();
}

void Cloud::State::boot(uint32_t machine) {
  if (!lives(machine)) return;
  Machine& m = machines[machine];
  m.booted = true;
  if (++m.boots == 1 && faults.chance(cloud.faults.boots_twice)) {
    timeline.after(draw(options.boot), [this, machine] { reboot(machine); });
  }
  if (cloud.on_booted) cloud.on_booted(machine);
}

void Cloud::State::reboot(uint32_t machine) {
  if (!lives(machine)) return;
  machines[machine].booted = false;
  timeline.after(draw(options.boot), [this, machine] { boot(machine); });
  if (cloud.on_reboot) cloud.on_reboot(machine);
}

Duration Cloud::State::stop(uint32_t machine) {
  Machine& m = machines[machine];
  m.instance.state = model::InstanceState::stopping;
  const Duration takes = draw(options.stop);
  if (takes <= Duration(0)) {
    end(machine, std::nullopt);
  } else {
    timeline.after(takes, [this, machine] {
      if (exists(machine)) end(machine, std::nullopt);
    });
  }
  return takes;
}

void Cloud::State::kill(uint32_t machine) {
  if (!exists(machine)) return;
  end(machine, Error{ErrorCode::permanent, "the machine " + machines[machine].instance.id.str() + " died"});
}

void Cloud::State::evict(uint32_t machine, Duration notice) {
  if (!lives(machine)) return;
  if (notice <= Duration(0)) return take_back(machine);
  TimePoint& evict_at = machines[machine].instance.evict_at;
  if (evict_at != TimePoint{}) return;  // it has been told
  evict_at = timeline.now() + notice;
  timeline.at(evict_at, [this, machine] {
    if (lives(machine)) take_back(machine);
  });
  if (cloud.on_notice) cloud.on_notice(machine);
}

void Cloud::State::take_back(uint32_t machine) {
  Machine& m = machines[machine];
  m.instance.evict_at = timeline.now();
  if (batch() && options.restore > Duration(0)) {
    restoring.insert(machine);
    timeline.after(options.restore, [this, machine] { restore(machine); });
  }
  end(machine, Error{ErrorCode::no_capacity, "the machine " + m.instance.id.str() + " was evicted"});
}

void Cloud::State::restore(uint32_t machine) {
  if (restoring.erase(machine) == 0) return;
  const Machine& evicted = machines[machine];
  const engine::PoolIndex index = evicted.pool;
  cloud::LaunchRequest request;
  request.pool = evicted.instance.pool;
  request.count = 1;
  request.market = evicted.instance.market;
  request.offers = {evicted.instance.offer};
  request.placement = evicted.instance.placement;
  make(index, request, stock.take(request, 0));
}

void Cloud::State::end(uint32_t machine, std::optional<Error> trouble) {
  SLIPWAY_CHECK(exists(machine));
  Machine& m = machines[machine];
  // Batch forgets a node that it was asked to remove.
  const bool shown = trouble.has_value() || !batch();
  m.instance.state = model::InstanceState::gone;
  m.instance.trouble = std::move(trouble);
  m.ended_at = timeline.now();
  m.vanish_at = shown ? m.ended_at + gone_shown : m.ended_at;
  m.booted = false;
  --billed;
  stock.give_back(m.instance);
  if (!m.instance.address.empty()) addresses_free.push_back(m.instance.address);
  if (const auto launch = launches.find(m.instance.launch_token); launch != launches.end()) {
    if (--launch->second.machines == 0) launches.erase(launch);
  }
  if (cloud.on_ended) cloud.on_ended(machine);
}

}  // namespace slipway::sim
