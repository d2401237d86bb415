// The way of a call: budget, latency, faults. What it does is in cloud_effects.cc.
#include "sim/cloud.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/cloud_state.h"

namespace slipway::sim {
namespace {

constexpr Duration window_quiet{1'000};
constexpr Duration window_longest{5'000};

Error unanswered(bool changes) {
  if (changes) return {ErrorCode::outcome_unknown, "the cloud did not answer; the request may have taken effect"};
  return {ErrorCode::transient, "the cloud did not answer"};
}

}  // namespace

Cloud::State::State(Cloud& owner, Timeline& time, Random random, const std::vector<engine::Spec::Pool>& specs,
                    CloudOptions wanted)
    : cloud(owner),
      timeline(time),
      options(wanted),
      stock(wanted.quota, wanted.character == Character::batch),
      latencies(random.fork()),
      faults(random.fork()),
      lifetimes(random.fork()),
      tokens(std::max(1u, wanted.api.burst)),
      tokens_at(time.now()) {
  for (const engine::Spec::Pool& spec : specs) pools.push_back({.name = spec.name});
}

// A ratio of two sums of three uniform numbers: its logarithm is symmetric and bell-shaped (deviation 0.49), and no
// function of the mathematics library, which may differ from machine to machine, is needed.
Duration Cloud::State::draw(const Latency& latency) {
  const auto sum = [&] { return latencies.fraction() + latencies.fraction() + latencies.fraction(); };
  if (latency.median <= Duration(0)) return Duration(0);
  const double above = sum();
  const double below = std::max(sum(), 1e-3);
  const double drawn = static_cast<double>(latency.median.count()) * above / below;
  const auto longest = static_cast<double>(std::max(latency.longest, latency.median).count());
  return Duration(static_cast<int64_t>(std::min(drawn, longest)));
}

std::optional<Duration> Cloud::State::throttle() {
  if (options.api.per_second <= 0) return std::nullopt;
  const double passed = static_cast<double>((timeline.now() - tokens_at).count()) / 1000;
  tokens = std::min(static_cast<double>(std::max(1u, options.api.burst)), tokens + passed * options.api.per_second);
  tokens_at = timeline.now();
  // The sum of many small fractions may miss a whole token by its rounding.
  if (tokens >= 1 - 1e-9) {
    tokens = std::max(0.0, tokens - 1);
    return std::nullopt;
  }
  return Duration(static_cast<int64_t>(std::ceil((1 - tokens) / options.api.per_second * 1000)));
}

template <class T>
void Cloud::State::call(bool changes, std::function<Result<T>()> effect, std::function<void(Result<T>)> answer) {
  const Duration latency = draw(options.call);
  const Duration given_up = std::max({latency, options.call.longest, options.call.median});
  const Duration there(latencies.between(0, latency.count()));
  const bool refused = faults.chance(cloud.faults.refuse_call);
  const bool lost = faults.chance(cloud.faults.lose_reply);
  const auto fail_after = [&](Duration delay, Error error) {
    timeline.after(delay, [answer, error = std::move(error)] { answer(fail(error)); });
  };
  if (!reachable) return fail_after(given_up, {ErrorCode::transient, "the cloud can't be reached"});
  ++calls;
  if (const std::optional<Duration> wait = throttle()) {
    ++throttled;
    return fail_after(latency, {ErrorCode::throttled, "RequestLimitExceeded: asked too often", *wait});
  }
  if (refused) return fail_after(latency, {ErrorCode::transient, "Unavailable: the cloud can't do that now"});
  auto arrive = [=, this, effect = std::move(effect)] {
    const auto give_up = [=, this] { timeline.after(given_up - there, [=] { answer(fail(unanswered(changes))); }); };
    if (!reachable) return give_up();
    Result<T> result = effect();
    if (lost) return give_up();
    timeline.after(latency - there, [=, this, result = std::move(result)]() mutable {
      if (reachable) {
        answer(std::move(result));
      } else {
        answer(fail(unanswered(changes)));
      }
    });
  };
  timeline.after(there, std::move(arrive));
}

Cloud::Cloud(Timeline& timeline, Random random, const std::vector<engine::Spec::Pool>& pools, CloudOptions options)
    : state_(std::make_unique<State>(*this, timeline, random, pools, options)) {}
Cloud::~Cloud() = default;

void Cloud::launch(const cloud::LaunchRequest& request, std::function<void(Result<cloud::LaunchReceipt>)> answer) {
  State* state = state_.get();
  state->call<cloud::LaunchReceipt>(
      true, [state, request] { return state->launch(request); }, std::move(answer));
}

void Cloud::list(std::function<void(Result<cloud::Listing>)> answer) {
  State* state = state_.get();
  const TimePoint asked = state->timeline.now();
  // Troubles go with the answer, so that none is lost with one.
  state->call<cloud::Listing>(
      false, [state, asked]() -> Result<cloud::Listing> { return state->list(asked); },
      [state, answer = std::move(answer)](Result<cloud::Listing> listing) {
        if (listing) {
          listing->troubles = std::exchange(state->troubles, {});
          // What turned out not to come while the answer was under way isn't on its way.
          for (const cloud::PoolTrouble& trouble : listing->troubles) {
            for (cloud::OnTheWay& one : listing->on_the_way) {
              if (one.pool == trouble.pool && one.market == trouble.market)
                one.count -= std::min(one.count, trouble.count);
            }
          }
        }
        answer(std::move(listing));
      });
}

void Cloud::terminate(const std::vector<InstanceId>& instances,
                      std::function<void(Result<std::vector<InstanceId>>)> answer) {
  State* state = state_.get();
  state->call<std::vector<InstanceId>>(
      true, [state, instances] { return state->terminate(instances); }, std::move(answer));
}

void Cloud::withdraw(const PoolName& pool, model::Market market, uint32_t count,
                     std::function<void(Result<uint32_t>)> answer) {
  State* state = state_.get();
  state->call<uint32_t>(
      true, [=]() -> Result<uint32_t> { return state->withdraw(pool, market, count); }, std::move(answer));
}

cloud::Capabilities Cloud::capabilities() const {
  const CloudOptions& options = state_->options;
  const bool local = options.character == Character::local;
  cloud::Capabilities capabilities;
  if (!local) capabilities.consistency_delay = options.consistency;
  if (state_->batch()) capabilities.launch_delay = options.late_error.longest;
  capabilities.terminate_batch_max = options.terminate_max;
  capabilities.names_instances_at_launch = !state_->batch();
  if (!local) capabilities.launch_window = {.quiet = window_quiet, .longest = window_longest};
  capabilities.api = options.api;
  return capabilities;
}

void Cloud::set_capacity(model::Market market, const model::Offer& offer, uint32_t machines) {
  state_->stock.set_capacity(market, offer, machines);
}
void Cloud::set_error(const model::Offer& offer, std::optional<Error> error) {
  state_->stock.set_error(offer, std::move(error));
}
void Cloud::set_reachable(bool reachable) {
  state_->reachable = reachable;
}
void Cloud::kill(uint32_t machine) {
  state_->kill(machine);
}
void Cloud::evict(uint32_t machine, Duration notice) {
  state_->evict(machine, notice);
}

const std::vector<Machine>& Cloud::machines() const {
  return state_->machines;
}
uint32_t Cloud::billed() const {
  return state_->billed;
}
uint64_t Cloud::calls() const {
  return state_->calls;
}
uint64_t Cloud::throttled_calls() const {
  return state_->throttled;
}

}  // namespace slipway::sim
