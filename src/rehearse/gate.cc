#include "rehearse/gate.h"

#include <algorithm>

namespace slipway::rehearse {

Gate::Gate(const Clock& clock, uint64_t seed) : clock_(clock), random_(seed) {}

Passage Gate::pass(Levers& levers, const std::string& operation, const std::string& account, bool changes_something) {
  ++calls_[operation];
  Passage passage;
  const auto least = levers.call.least.count();
  const auto most = std::max(least, levers.call.most.count());
  passage.delay = Duration(std::uniform_int_distribution<int64_t>(least, most)(random_));
  if (levers.calls_per_second > 0) {
    Bucket& bucket = buckets_[account];
    const double full = std::max<double>(1, levers.calls_burst);
    const TimePoint now = clock_.now();
    const double passed = static_cast<double>((now - bucket.at).count()) / 1000;
    bucket.tokens = bucket.at == TimePoint{} ? full : std::min(full, bucket.tokens + passed * levers.calls_per_second);
    bucket.at = now;
    if (bucket.tokens < 1) {
      passage.throttled = true;
      return passage;
    }
    bucket.tokens -= 1;
  }
  if (!changes_something) return passage;
  for (ReplyLever& lever : levers.replies) {
    if (lever.next == 0 || (!lever.operation.empty() && lever.operation != operation)) continue;
    --lever.next;
    passage.lose_answer = lever.status == 0;
    passage.status = lever.status;
    passage.code = lever.code;
    break;
  }
  return passage;
}

}  // namespace slipway::rehearse
