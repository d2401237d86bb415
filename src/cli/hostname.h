// The host name that a process sees.
#pragma once

#include <sys/types.h>

#include <string>

namespace slipway::cli {

// Empty when the process is gone or may not be looked at. Root only.
std::string hostname_of(pid_t pid);

}  // namespace slipway::cli
