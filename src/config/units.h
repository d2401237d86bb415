// Durations, sizes, shares, times of day and Slurm's times as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::config {

// "90s", "10m", "1h30m", "2d", "250ms": numbers with units from large to small, each unit once. Fails with bad_config
// and a message that says what was expected; so do the others.
Result<Duration> parse_duration(std::string_view text);

// "4GiB", "512MiB", "1.5GiB", "1TiB"; "4G" and "512M" mean the same as with "iB", as they do in Slurm. In MiB, which
// must come out whole.
Result<uint64_t> parse_memory_mib(std::string_view text);

// Slurm's time limit: "30" and "30:00" (minutes), "12:00:00", "2-12", "2-12:30", "2-00:00:00", "UNLIMITED"; or a
// duration as above.
struct SlurmTime {
  std::string text;                            // as slurm.conf wants it: "2-00:00:00", "UNLIMITED"
  std::optional<std::chrono::seconds> length;  // nullopt: unlimited
};
Result<SlurmTime> parse_slurm_time(std::string_view text);

// "1h30m", "10s", "1500ms": what parse_duration reads back exactly.
std::string duration_text(Duration duration);

// "5%", "2.5%": a part of 1 with at most two decimals of a percent, so that share_text gives it back exactly.
Result<double> parse_share(std::string_view text);
std::string share_text(double share);

// "08:00", "24:00": minutes since midnight, to 24 * 60 inclusive.
Result<uint16_t> parse_clock(std::string_view text);
std::string clock_text(uint16_t minutes);

// "2", "0.5": times per second, with at most three decimals, so that rate_text gives it back exactly.
Result<double> parse_rate(std::string_view text);
std::string rate_text(double rate);

// A whole number of at most 18 digits, digits only.
std::optional<uint64_t> parse_digits(std::string_view text);

}  // namespace slipway::config
