// Programs of ours that outlive the command that starts them.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace slipway::deploy {

// In a session of its own, with only its log open, in the root folder. `words`: the program's whole path, then its
// arguments.
Result<pid_t> start_in_background(std::vector<std::string> words, const std::filesystem::path& log);
// How a child ended, from waitpid()'s status: "ended with status 1".
std::string how_it_ended(int status);

}  // namespace slipway::deploy
