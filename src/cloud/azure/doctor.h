// Looks at everything in Azure that a cluster file counts on, as the identity that the file names, before any money is
// spent. Asks only, changes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/cluster.h"

namespace slipway::cloud::azure {

enum class Verdict : uint8_t {
  ok,
  warning,  // the cluster works, but not as large as the file says, or not for ever
  problem,  // what the file says can't work
  unknown,  // couldn't be looked at
};
std::string_view to_string(Verdict verdict);

struct Finding {
  std::string what;  // "pool cpu: subnet"
  Verdict verdict = Verdict::unknown;
  std::string sentence;
  std::string way_out;  // empty when ok
};

// Blocks. `timeout`: for all questions together; what isn't answered by then is unknown.
std::vector<Finding> examine(const model::Cluster& cluster, const Clock& clock, Duration timeout);

// Whether nothing is a problem.
bool is_healthy(const std::vector<Finding>& findings);

}  // namespace slipway::cloud::azure
