#include "daemon/cluster_file.h"

#include "base/log.h"
#include "config/config.h"

namespace slipway::daemon {

Result<model::Cluster> load_cluster(const std::filesystem::path& file) {
  auto loaded = config::load(file, false);  // images are folders of the box, not of the controller
  std::string errors;
  for (const auto& problem : loaded.problems) {
    const std::string line = config::format(problem, file.string());
    if (problem.severity == config::Severity::error) {
      errors += (errors.empty() ? "" : "\n") + line;
    } else {
      log_warning("cluster_file_warning", {{"problem", line}});
    }
  }
  if (!loaded.ok()) return fail(ErrorCode::bad_config, errors);
  return std::move(loaded.cluster);
}

}  // namespace slipway::daemon
