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

// squeue's format for jobs: each field is followed by `mark`, which nobody can guess, because names and comments may
// hold anything, line breaks included. parse_jobs() takes the answer apart. The mark must not begin with a digit.
std::string squeue_format(std::string_view mark);

// The command line for `update`, with `names` for its jobs: an array's number alone would mean all of its tasks.
// Precondition: at least one name, at most jobs_per_command.
std::vector<std::string> job_command(const JobUpdate& update, const std::vector<std::string>& names);
inline constexpr size_t jobs_per_command = 1000;
// What a command said of jobs, without the lines about those that ended, never were, or already wait.
std::string without_ended_jobs(std::string_view message);

// Whether a command's stderr says that slurmctld could not be asked at all, as opposed to its having refused.
bool is_unreachable(std::string_view message);

}  // namespace slipway::slurm
