#include "rehearse/azure/passage.h"

#include <algorithm>

namespace slipway::rehearse::azure {
namespace {

// Half of the call's time passes before it takes effect, half after.
void later(Core& core, Duration delay, std::function<void()> work) {
  if (delay <= Duration(0)) {
    work();
  } else {
    core.loop.after(delay, std::move(work));
  }
}

}  // namespace

void pass_gate(Core& core, const std::string& operation, const std::string& account, bool changes_something,
               Passing passing) {
  const Passage passage = core.gate.pass(core.site.levers(), operation, account, changes_something);
  if (passage.throttled) {
    http::Response refused =
        passing.refuse(429, "TooManyRequests", "Too many requests were sent to the account. Please retry later.");
    const auto seconds =
        std::max<int64_t>(1, std::chrono::ceil<std::chrono::seconds>(core.site.levers().retry_after).count());
    refused.headers.emplace_back("Retry-After", std::to_string(seconds));
    passing.answer(std::move(refused));
    return;
  }
  later(core, passage.delay / 2, [&core, passage, passing = std::move(passing)] {
    http::Response response =
        passage.status != 0
            ? passing.refuse(passage.status, passage.code, "This answer was ordered by a lever of the rehearsal.")
            : passing.act();
    if (passage.lose_answer) return;
    later(core, passage.delay - passage.delay / 2,
          [answer = passing.answer, response = std::move(response)] { answer(response); });
  });
}

}  // namespace slipway::rehearse::azure
