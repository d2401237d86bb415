// Whether a daemon has begun to listen, seen from outside: asking by a connection would make slurmd complain about it,
// and reading /proc/net/tcp costs 2 ms of processor time on a big box, for it walks the whole host's table.
#pragma once

#include <sys/types.h>

#include <optional>

namespace slipway::agent {

// Whether `pid` itself holds a listening TCP socket; nothing when the kernel doesn't let us see (older than 5.6, or
// without the right).
std::optional<bool> listens(pid_t pid);

}  // namespace slipway::agent
