#include "engine/budget.h"

#include <algorithm>
#include <cmath>

#include "engine/decide.h"

namespace slipway::engine {
namespace {

// At least two: with one, looks would leave none for what they ask for.
double most_tokens(const model::ApiBudget& budget) {
  return std::max<double>(2, budget.burst);
}

// What was spent before a restart isn't known: a daemon that dies again and again must not spend the burst each time.
double tokens_at_start(const model::ApiBudget& budget) {
  return std::min(most_tokens(budget), 2 + budget.per_second);
}

double tokens_at(const Bucket& bucket, const model::ApiBudget& budget, TimePoint now) {
  const double most = most_tokens(budget);
  if (bucket.at == TimePoint{}) return tokens_at_start(budget);
  const double passed = std::max<double>(0, static_cast<double>((now - bucket.at).count())) / 1000;
  return std::min(most, bucket.tokens + passed * budget.per_second);
}

Bucket& bucket_of(Memory& memory, uint32_t account) {
  if (memory.accounts.size() <= account) memory.accounts.resize(account + 1);
  return memory.accounts[account];
}

}  // namespace

TimePoint next_call(const Memory& memory, const Spec& spec, uint32_t account, TimePoint now) {
  if (account >= memory.accounts.size()) return now;
  const Bucket& bucket = memory.accounts[account];
  TimePoint at = std::max(now, bucket.not_before);
  if (account >= spec.accounts.size() || spec.accounts[account].per_second <= 0) return at;
  const model::ApiBudget& budget = spec.accounts[account];
  const double missing = 1 - tokens_at(bucket, budget, at);
  if (missing > 0) at += Duration(static_cast<int64_t>(std::ceil(missing / budget.per_second * 1000)));
  return at;
}

void start_budgets(Memory& memory, const Spec& spec, TimePoint now) {
  for (uint32_t account = 0; account < spec.accounts.size(); ++account) {
    Bucket& bucket = bucket_of(memory, account);
    if (bucket.at != TimePoint{}) continue;
    bucket.tokens = tokens_at_start(spec.accounts[account]);
    bucket.at = now;
  }
}

namespace {

bool take(Memory& memory, const Spec& spec, uint32_t account, TimePoint now, double left) {
  Bucket& bucket = bucket_of(memory, account);
  if (now < bucket.not_before) return false;
  if (account >= spec.accounts.size() || spec.accounts[account].per_second <= 0) return true;
  start_budgets(memory, spec, now);
  const double tokens = tokens_at(bucket, spec.accounts[account], now);
  // A hair less than one is one, but none that next_call() would wait a millisecond for.
  if (tokens < 1 - 1e-9 + left) return false;
  bucket.tokens = std::max(0.0, tokens - 1);
  bucket.at = now;
  return true;
}

}  // namespace

bool take_action(Memory& memory, const Spec& spec, uint32_t account, TimePoint now) {
  return take(memory, spec, account, now, 0);
}

// A look always leaves a token for what it may ask for.
bool take_call(Memory& memory, const Spec& spec, uint32_t account, TimePoint now) {
  return take(memory, spec, account, now, 1);
}

void throttled(Memory& memory, uint32_t account, const Error& error, TimePoint now) {
  Bucket& bucket = bucket_of(memory, account);
  if (now >= bucket.not_before && bucket.throttled < UINT32_MAX) ++bucket.throttled;
  const Reaction& reaction = reaction_to(Failure::throttled);
  const Duration pause = error.retry_after ? std::clamp(*error.retry_after, Duration(0), Duration(600'000))
                                           : pause_after(bucket.throttled, reaction.first, reaction.longest);
  bucket.not_before = std::max(bucket.not_before, now + pause);
  bucket.tokens = 0;
  bucket.at = now;
}

}  // namespace slipway::engine
