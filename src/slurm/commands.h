// The command lines that Adapter runs, and how their answers are read: pure functions, apart so that they can be tested
// without Slurm.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "slurm/adapter.h"

namespace slipway::slurm {

// The kernel's limit for one argument is 128 KiB with its final NUL (MAX_ARG_STRLEN).
inline constexpr size_t argument_max = 128 * 1024 - 1;

// The `scontrol update` command lines for `update`: one, or as many as `limit` per argument makes necessary. Empty for
// no nodes. Precondition for bind: as many addresses and hostnames as nodes.
std::vector<std::vector<std::string>> update_commands(const NodeUpdate& update, size_t limit = argument_max);

// A part of an update: nodes [first, first + count), with their addresses and hostnames.
NodeUpdate slice(const NodeUpdate& update, size_t first, size_t count);

// squeue's format: every line begins with `mark`, because a job's name may hold line breaks and so pretend to be
// another job.
std::string squeue_format(std::string_view mark);
// The lines that begin with `mark`, without it; other lines are the rest of a name and are dropped.
std::string marked_lines(std::string_view text, std::string_view mark);

// Whether a command's stderr says that slurmctld could not be asked at all, as opposed to its having refused.
bool is_unreachable(std::string_view message);

}  // namespace slipway::slurm
