// Runs a script (sim/script.h) in a World without chance faults and tells which states its nodes and jobs went through.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"
#include "sim/script.h"

namespace slipway::sim {

struct ScriptOutcome {
  std::string json;                   // ScriptTrace::to_json()
  std::string text;                   // the same for people: a line a node and a job
  std::vector<std::string> failures;  // waits that were in vain, "line 7: …"; violated invariants
};
ScriptOutcome run_script(const Script& script, uint64_t seed);

// For the command: 0, or 1 when the script fails.
Result<int> simulate_script(const std::filesystem::path& file, uint64_t seed, bool json,
                            const std::function<void(const std::string&)>& print);

}  // namespace slipway::sim
