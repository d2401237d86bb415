// One function a command, each in a file of its own: options in, text out. The value is the exit status: 0 done, 1
// refused or failed; a failure's message is printed by the caller.
#pragma once

#include "base/result.h"
#include "cli/options.h"
#include "cli/terminal.h"

namespace slipway::cli {

Result<int> validate(const Options& options, Terminal& terminal);
Result<int> up(const Options& options, Terminal& terminal);
Result<int> rehearse(const Options& options, Terminal& terminal);
Result<int> status(const Options& options, Terminal& terminal);
Result<int> nodes(const Options& options, Terminal& terminal);
Result<int> jobs(const Options& options, Terminal& terminal);
Result<int> events(const Options& options, Terminal& terminal);
Result<int> explain(const Options& options, Terminal& terminal);
Result<int> exec(const Options& options, Terminal& terminal);
Result<int> shell(const Options& options, Terminal& terminal);
Result<int> logs(const Options& options, Terminal& terminal);
Result<int> down(const Options& options, Terminal& terminal);
Result<int> chaos(const Options& options, Terminal& terminal);
Result<int> simulate(const Options& options, Terminal& terminal);
Result<int> doctor_azure(const Options& options, Terminal& terminal);
Result<int> azure_role(const Options& options, Terminal& terminal);

// The completion script for "bash", "zsh" or "fish".
std::string completion_script(const CommandNode& tree, std::string_view shell);

// The whole program.
int run(int argc, char** argv);

}  // namespace slipway::cli
