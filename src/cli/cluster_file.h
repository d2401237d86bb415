// What the commands that read a cluster file share.
#pragma once

#include <filesystem>
#include <string>

#include "cli/terminal.h"
#include "config/config.h"

namespace slipway::cli {

// Every error and warning, one a line, to stderr; when there are errors, how many.
void say_problems(const config::Loaded& loaded, const std::filesystem::path& file, Terminal& terminal);

// {"ok": …, "cluster": …, "problems": [{"severity", "line", "column", "message"}]}
std::string problems_json(const config::Loaded& loaded);

}  // namespace slipway::cli
