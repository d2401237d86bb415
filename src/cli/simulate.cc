#include "sim/simulate.h"

#include <algorithm>
#include <thread>

#include "cli/commands.h"

namespace slipway::cli {

Result<int> simulate(const Options& options, Terminal& terminal) {
  sim::SimulateOptions simulated;
  simulated.seed = options.seed;
  simulated.seeds = options.seeds;
  simulated.minutes = options.minutes;
  simulated.nodes = options.node_count;
  simulated.trace = options.trace;
  simulated.json = options.json;
  simulated.progress = options.progress;
  simulated.cluster = options.file;
  simulated.script = options.script;
  // One seed's trace is read in order; many seeds take what processors there are.
  if (options.seeds > 1 && !options.trace) simulated.workers = std::max(1u, std::thread::hardware_concurrency());
  return sim::simulate(simulated, [&terminal](const std::string& text) { terminal.print(text); });
}

}  // namespace slipway::cli
