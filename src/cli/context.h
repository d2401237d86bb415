// Which cluster a command means, and the ways to it: the daemon's API and the machine host.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/json.h"
#include "cli/options.h"
#include "machines/client.h"
#include "machines/machine.h"

namespace slipway::cli {

struct ClusterRef {
  std::string name;
  std::filesystem::path state;
};

// The cluster named by --cluster, else the only one of this box. Fails with denied for others than root, not_found when
// there is none of that name or several to choose from; the message lists them.
Result<ClusterRef> choose_cluster(const Options& options);

// One request to the cluster's daemon. `call` is the request's name.
Result<Json> ask_daemon(const ClusterRef& cluster, const std::string& call, std::vector<Argument> arguments = {},
                        Duration timeout = Duration(15'000));

machines::Client host_of(const ClusterRef& cluster);

// A machine as people name it: "controller", "login", "login:2", an instance ("i-0000000a"), or a node by Slurm's name.
struct Target {
  enum class Kind { role, instance, node };
  Kind kind = Kind::node;
  std::string name;
  uint32_t number = 1;  // role: counted from 1, in the order of launch
  bool operator==(const Target&) const = default;
};
Result<Target> parse_target(std::string_view text);

// The machine that is meant; a gone one too when it is named by its instance. Fails with not_found, in words.
Result<machines::Machine> find_machine(const ClusterRef& cluster, const Target& target);
// The same among machines already listed, for roles and instances.
Result<machines::Machine> pick_machine(const std::vector<machines::Machine>& all, const Target& target);

}  // namespace slipway::cli
