#include "daemon/welcome.h"

#include "base/files.h"

namespace slipway::daemon {

WelcomeMaker::WelcomeMaker(const model::Cluster& cluster, std::string munge_key, std::string controller_address,
                           std::filesystem::path slurm_conf)
    : cluster_(cluster),
      munge_key_(std::move(munge_key)),
      controller_address_(std::move(controller_address)),
      slurm_conf_(std::move(slurm_conf)) {}

join::Welcome WelcomeMaker::common(const std::vector<HostLine>& logins) const {
  join::Welcome welcome;
  welcome.munge_key = munge_key_;
  welcome.users = cluster_.users;
  welcome.conf_server = controller_address_ + ":6817";
  welcome.nameserver = controller_address_;
  welcome.hosts = controller_address_ + " controller\n";
  for (const auto& [name, address] : logins) welcome.hosts += address + " " + name + "\n";
  return welcome;
}

join::Welcome WelcomeMaker::for_compute(const model::Pool& pool, const std::vector<HostLine>& logins) const {
  join::Welcome welcome = common(logins);
  welcome.prep = pool.prep;
  return welcome;
}

Result<join::Welcome> WelcomeMaker::for_login(const std::vector<HostLine>& logins) const {
  auto text = read_file(slurm_conf_);
  if (!text) return fail(text.error());
  join::Welcome welcome = common(logins);
  welcome.slurm_conf = std::move(*text);
  welcome.prep = cluster_.logins.prep;
  return welcome;
}

std::string login_name(size_t index) {
  return index == 0 ? "login" : "login" + std::to_string(index + 1);
}

}  // namespace slipway::daemon
