// /etc/passwd and /etc/group, read by ourselves: our programs are static, and a machine's accounts aren't the box's.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slipway::machines {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
  std::string shell;
};

// Lines that are no accounts are skipped.
std::optional<Account> find_account(std::string_view passwd, std::string_view name);
// The groups that list `name` as a member, and `primary`, first, once.
std::vector<gid_t> groups_of(std::string_view group, std::string_view name, gid_t primary);

}  // namespace slipway::machines
