// Whatever scontrol or squeue print: no crash, and nothing that isn't there.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "slurm/commands.h"
#include "slurm/node_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  const auto nodes = slipway::slurm::parse_nodes(text);
  if (nodes.size() > lines) std::abort();
  for (const auto& node : nodes) {
    if (node.name.empty()) std::abort();
  }
  const auto jobs = slipway::slurm::parse_jobs(text, "<7>");
  if (jobs.size() > size / 13) std::abort();
  for (const auto& job : jobs) {
    if (job.id == 0) std::abort();
  }
  const auto state = slipway::slurm::parse_node_state(text);
  if (state.flags >= 1u << slipway::model::node_flag_count) std::abort();
  if (slipway::slurm::without_ended_jobs(text).size() > text.size()) std::abort();
  static_cast<void>(slipway::slurm::parse_version(text));
  return 0;
}
