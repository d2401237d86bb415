// What `up` and `rehearse` share.
#pragma once

#include <filesystem>

#include "cli/options.h"
#include "cli/terminal.h"
#include "deploy/deploy.h"

namespace slipway::cli {

// The folder of Slipway's other programs: beside this one, or where a package puts what isn't for people to call.
std::filesystem::path programs_folder();

// Says every problem; bad_config when it can't be used.
Result<model::Cluster> load_for_up(const Options& options, Terminal& terminal);

// Ctrl-C removes what was made. `before_controller`: as deploy::UpOptions has it.
Result<int> bring_up(const model::Cluster& cluster, const Options& options, Terminal& terminal,
                     std::function<Result<void>(model::Cluster&, const deploy::Site&)> before_controller);
// For whoever waits in between.
bool was_interrupted();

}  // namespace slipway::cli
