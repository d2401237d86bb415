// What an agent knows when its machine starts. On the local provider the machine host writes it; on a cloud
// `slipway-agent --join` makes it out of its environment and of what the cloud's metadata service says.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/cluster.h"

namespace slipway::join {

inline constexpr const char* boot_data_path = "/run/slipway/boot.json";

struct BootData {
  std::string cluster;
  std::string instance;    // who the machine is, in its provider's words
  std::string role;        // controller | login | compute
  std::string pool;        // compute
  std::string address;     // its own IPv4
  std::string daemon;      // "198.18.0.2:6830"; on the controller, where its daemon listens
  std::string secret;      // 64 hex digits: this machine's own key; nobody else can read it
  std::string provider;    // optional; "azure": the machine proves itself by a claim (join/claim.h) and has no secret
  std::string daemon_key;  // azure; 64 hex digits: the daemon's public key
  std::string identity;    // azure, optional; client id or resource id of the user-assigned identity to prove itself by
  std::string imds;        // azure, optional; "http://169.254.169.254" unless told otherwise
  // Optional; empty: the role's name, for compute machines the one they have until they are bound.
  std::string hostname;
  std::string prep;                // optional; the controller's prep script
  std::vector<model::User> users;  // optional; the controller's, whose agent has no daemon to ask
};

// Unknown keys are ignored: the machine host and later agents add theirs. bad_config names the first key that is
// missing or wrong. A compute or login machine must have instance, daemon and secret, or instead of the secret provider
// and daemon_key; a controller an address and daemon.
Result<BootData> parse_boot_data(std::string_view json);
std::string to_json(const BootData& data);

}  // namespace slipway::join
