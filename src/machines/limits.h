// Limits of the box that a thousand machines exceed: raised while a cluster needs it, put back when the last such
// cluster ends.
//
//   net.ipv4.neigh.default.gc_thresh1..3   one table of neighbours for all namespaces of the box; when it is full,
//   packets are dropped kernel.pid_max                         often 32768, and a machine runs a handful of daemons
//   with a dozen threads
//
// The values before are remembered in <state>/host/limits.json. A second cluster that finds the limits raised takes the
// values before from the first one's file, so that whichever ends last puts them back.
#pragma once

#include <cstddef>
#include <filesystem>

#include "base/result.h"

namespace slipway::machines {

inline constexpr size_t limits_needed_above = 100;  // machines; a box's usual limits carry so many

// Raises what is too low for so many machines; never lowers. A limit that can't be raised is logged: a smaller cluster
// works without.
void raise_limits(const std::filesystem::path& state, size_t machines);
// Puts back what raise_limits() changed, unless somebody else changed it since or another cluster on this box still
// needs it.
void restore_limits(const std::filesystem::path& state);

// This process's own limit of open files, to the most that is allowed: two descriptors a machine.
void raise_own_limits();

}  // namespace slipway::machines
