// Everything that can be known to stand in the way of `up` before anything is made, found all at once.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "deploy/subnet.h"
#include "model/cluster.h"

namespace slipway::deploy {

inline constexpr uint64_t disk_free_min_mib = 200;
inline constexpr uint64_t memory_free_min_mib = 256;

// What the checks look at; tests give a box of their own.
struct Box {
  std::filesystem::path root = "/";
  uid_t uid = 0;
  uint64_t memory_available_mib = 0;
  std::vector<Subnet> networks;                                                        // in use
  std::function<Result<uint64_t>(const std::filesystem::path& folder)> disk_free_mib;  // of the folder's file system
  std::function<bool(const std::filesystem::path& state)> host_answers;                // a machine host runs there
};
Box this_box();

struct PreflightInputs {
  std::filesystem::path state;     // of this cluster
  std::filesystem::path programs;  // folder of slipway-agent and the others
};

// One sentence for each obstacle, with the way out; empty when nothing stands in the way.
std::vector<std::string> preflight(const model::Cluster& cluster, const PreflightInputs& inputs, const Box& box);

// The addresses that the cluster needs at its largest: every pool full, controllers, logins, bridge, network and
// broadcast.
uint64_t addresses_needed(const model::Cluster& cluster);

}  // namespace slipway::deploy
