// A Batch task's command line: Batch starts the program itself, without a shell, so nothing is expanded.
// https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables#command-line-expansion-of-environment-variables
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace slipway::rehearse::azure {

// Words between blanks; single and double quotes keep blanks, a backslash the next character (but in single quotes).
std::vector<std::string> split_command_line(std::string_view text);
// The same program for /bin/sh -c, with each word quoted; as nobody when the task isn't elevated.
std::string as_shell_command(std::string_view command_line, bool elevated);
std::string shell_quoted(std::string_view word);

}  // namespace slipway::rehearse::azure
