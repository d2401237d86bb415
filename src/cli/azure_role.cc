#include "cli/cluster_file.h"
#include "cli/commands.h"
#include "cloud/azure/role.h"

namespace slipway::cli {

Result<int> azure_role(const Options& options, Terminal& terminal) {
  config::Loaded loaded;
  if (!options.file.empty()) {
    loaded = config::load(options.file);
    say_problems(loaded, options.file, terminal);
    if (!loaded.ok()) return 1;
    if (!loaded.cluster.azure) {
      return fail(ErrorCode::bad_config, options.file.string() + " has no pool whose provider is azure");
    }
  }
  // Always JSON: it is made to be read by `az`.
  terminal.print(cloud::azure::role_definition(options.file.empty() ? nullptr : &loaded.cluster) + "\n");
  if (!options.json && options.file.empty()) {
    terminal.say("Put your subscription's id into AssignableScopes, or name a cluster file.");
  }
  return 0;
}

}  // namespace slipway::cli
