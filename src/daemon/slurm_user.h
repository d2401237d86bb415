// What slurm.conf says, and who Slurm's daemons run as, read from files alone: the name service doesn't work in static
// programs.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace slipway::daemon {

// The value of a key of slurm.conf's text that has a line to itself, `fallback` when it is not set there.
std::string slurm_conf_value(std::string_view slurm_conf, std::string_view key, std::string_view fallback);
// The value of SlurmUser in slurm.conf's text; "slurm" when it is not set there.
std::string slurm_user_of(std::string_view slurm_conf);
// By the lines of /etc/passwd; a numeric name is its own uid.
std::optional<uid_t> uid_of(std::string_view passwd, std::string_view user);
// Both together on this machine's files; empty while they can't be read.
std::optional<uid_t> find_slurm_uid(const std::filesystem::path& slurm_conf,
                                    const std::filesystem::path& passwd = "/etc/passwd");

}  // namespace slipway::daemon
