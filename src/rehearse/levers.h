// What can be made to go wrong in a simulated cloud, in words that no cloud owns. Read from a JSON file or set through
// the admin API (admin.h); docs/rehearsal.md lists the keys. Everything is off by default.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/offer.h"

namespace slipway::rehearse {

// A random duration, evenly between the two.
struct Span {
  Duration least{0};
  Duration most{0};
};

// At most so many machines at a time, of those that fit everything given.
struct CapacityLever {
  std::string size;  // empty: any; compares without regard to case
  std::string zone;
  std::optional<model::Market> market;
  std::string group;  // a group's name or its end: "cpu"
  uint32_t most = 0;
};

struct QuotaLever {
  std::string scope;   // a Batch account, or a region; empty: any
  std::string family;  // empty: all families together
  std::optional<model::Market> market;
  uint32_t cores = 0;
};

// The next `next` answers to an operation (by its published name; empty: any) that changes something.
struct ReplyLever {
  std::string operation;
  uint32_t next = 0;
  int status = 0;    // 0: the effect happens and the answer is lost; else that answer, without the effect
  std::string code;  // the error's code in the answer
};

struct BootLever {
  std::string group;            // its end; empty: any
  uint32_t never_every = 0;     // each k-th machine never boots: it stays `starting`
  uint32_t unusable_every = 0;  // becomes unusable
  uint32_t start_task_fails_every = 0;
  uint32_t silent_every = 0;  // runs, but its start task isn't run
};

struct Levers {
  std::vector<CapacityLever> capacity;
  std::vector<QuotaLever> quotas;
  std::vector<ReplyLever> replies;
  std::vector<BootLever> boots;
  Span call;                    // of an API call
  Span allocate;                // from the request to machines that exist
  Span boot;                    // from existing to running its start task; on real machines besides what they take
  Span release;                 // from the request to gone
  Duration timed_out_after{0};  // an allocation that lacks machines is told after so long; 0: when allocate is over
  bool time_out = false;        // it is told as timed out, not as failed
  double calls_per_second = 0;  // an account's; 0: no limit
  uint32_t calls_burst = 0;
  Duration retry_after{1'000};
};

Result<Levers> parse_levers(std::string_view json);  // bad_config names the first key that is wrong
std::string to_json(const Levers& levers);

}  // namespace slipway::rehearse
