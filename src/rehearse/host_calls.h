// The blocking half of the host floor: one round of calls to the machine host and of looks into its machines' folders.
// For a worker thread.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "machines/client.h"
#include "rehearse/floor.h"

namespace slipway::rehearse {

using BootId = std::pair<MachineKey, uint32_t>;  // a machine and which boot of it

struct HostRound {
  struct Launch {
    std::string token;  // the same when it is asked again
    std::string pool;
    std::string image;
    std::string address;  // only with one machine: which it should have, if that is free
    std::vector<BootId> boots;
  };
  std::vector<Launch> launches;
  std::vector<std::string> terminate;
  std::vector<std::string> kill;
  std::map<std::string, std::string> recipes;  // by the host's id; the file's text
  std::set<std::string> known;                 // ids that need no look at their note
  std::vector<std::string> statuses;           // ids whose start task may have gone on
};

struct StartTask {
  bool begun = false;
  std::optional<int> status;
};

struct HostAnswer {
  std::vector<Result<machines::LaunchResult>> launches;  // ids are noted
  bool ended = true;                                     // the calls to end machines were answered
  std::set<std::string> given;                           // ids that have their recipe now
  std::optional<std::vector<machines::Machine>> machines;
  std::map<std::string, BootId> notes;  // of vms that aren't `known` and not of this round; none in it: a stray
  std::map<std::string, StartTask> start_tasks;
  std::string trouble;  // the first thing that went wrong
};

HostAnswer run_round(const std::filesystem::path& host_socket, const std::filesystem::path& state,
                     const HostRound& round);

std::string recipe_text(const Recipe& recipe);
StartTask parse_status(std::string_view text);

}  // namespace slipway::rehearse
