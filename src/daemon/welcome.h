// What an agent is given when it joins: keys, users, hosts, and what its role needs. On the loop's thread.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "join/messages.h"
#include "model/cluster.h"

namespace slipway::daemon {

// A login machine: its host name and address.
using HostLine = std::pair<std::string, std::string>;

class WelcomeMaker {
 public:
  // `controller_address`: without a port.
  WelcomeMaker(const model::Cluster& cluster, std::string munge_key, std::string controller_address,
               std::filesystem::path slurm_conf);

  join::Welcome for_compute(const model::Pool& pool, const std::vector<HostLine>& logins) const;
  // Reads slurm.conf anew, for it may have changed; a file that can't be read is the caller's reason to wait.
  Result<join::Welcome> for_login(const std::vector<HostLine>& logins) const;

 private:
  join::Welcome common(const std::vector<HostLine>& logins) const;

  const model::Cluster& cluster_;
  const std::string munge_key_;
  const std::string controller_address_;
  const std::filesystem::path slurm_conf_;
};

// Host names of the login machines in the order of their launch: "login", "login2", … as `slipway up` gives them.
std::string login_name(size_t index);

}  // namespace slipway::daemon
