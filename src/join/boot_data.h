// What an agent knows when its machine starts: /run/slipway/boot.json on the local provider, user data on a cloud.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace slipway::join {

inline constexpr const char* boot_data_path = "/run/slipway/boot.json";

struct BootData {
  std::string cluster;
  std::string instance;     // who the machine is, in its provider's words
  std::string role;         // controller | login | compute
  std::string pool;         // compute
  std::string address;      // its own IPv4
  std::string daemon;       // "198.18.0.2:6830"; on the controller, where its daemon listens
  std::string secret;       // 64 hex digits: this machine's own key; nobody else can read it
};

Result<BootData> parse_boot_data(std::string_view json);
std::string to_json(const BootData& data);

}  // namespace slipway::join
