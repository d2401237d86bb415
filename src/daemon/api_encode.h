// The API's answers as JSON text, from what the daemon knows. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "daemon/world.h"
#include "journal/journal.h"

namespace slipway::daemon {

std::string answer_ok(std::string_view result_json);
std::string answer_error(const Error& error);

std::string encode_status(const World& world, uint64_t rss_kib);
// `pool`: empty for all; not_found when there is no such pool. `all`: sleeping nodes too.
Result<std::string> encode_nodes(const World& world, std::string_view pool, bool all);
std::string encode_jobs(const World& world);
std::string encode_events(const std::vector<journal::Event>& events);
Result<std::string> explain_node_json(const World& world, TimePoint now, const NodeName& node);
// `job`: "12" or "12_7"; fails with not_found when squeue doesn't list it.
Result<std::string> explain_job_json(const World& world, TimePoint now, std::string_view job);
Result<std::string> encode_location(const World& world, const NodeName& node);

// "IDLE+POWERED_DOWN": Slurm's own words, without CLOUD, which every node of a pool is.
std::string state_words(model::SlurmNodeState state);
// What isn't UTF-8 becomes '?': reasons and messages come from anywhere, JSON readers are strict.
std::string clean_utf8(std::string_view text);

// Memory in use by this process, from /proc/self; 0 when it can't be read.
uint64_t own_rss_kib();

}  // namespace slipway::daemon
