// The files that make a machine part of its cluster: users, hosts, keys, folders. Everything is read and written
// directly, since a static program has no name service to ask. Nothing is synced: a machine's root doesn't outlive the
// machine.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/cluster.h"

namespace slipway::agent {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary ones, its own included
};

// From <etc>/passwd and <etc>/group; not_found when there is no such user.
Result<Identity> find_identity(const std::filesystem::path& etc, std::string_view user);

// Makes every user exist with its uid (and a group of the same name and number) in <etc>/passwd, group and shadow,
// password locked, and its home folder in `home`, which may be shared with other machines that do the same right now.
// An ordinary user of that name with another uid takes the new one. bad_config when a name belongs to the system (a uid
// below 1000 that differs).
Result<void> ensure_users(const std::filesystem::path& etc, const std::filesystem::path& home,
                          const std::vector<model::User>& users);

// Puts `lines` into the file's section of that name (between "# slipway <section>" and "# end of slipway <section>"),
// at the top when it is new: the first line that names a host wins. Other lines stay. A file that has these lines
// already is left alone.
Result<void> replace_section(const std::filesystem::path& file, std::string_view section, std::string_view lines);

// Replaces the file in one step (in place where it is a mount), with these rights from its first moment on.
Result<void> put_file(const std::filesystem::path& path, std::string_view text, mode_t mode, uid_t uid = 0,
                      gid_t gid = 0);

// Makes the folder if it is missing and gives it to its owner.
Result<void> give_folder(const std::filesystem::path& path, mode_t mode, uid_t uid, gid_t gid);

// Makes `address` the only name server; empty leaves the file alone. Short patience: the server is on the cluster's own network.
Result<void> use_nameserver(const std::filesystem::path& file, const std::string& address);
// This machine's name, for the kernel and in /etc/hosts. An empty address leaves hosts alone.
Result<void> become_host(const std::string& name, const std::string& address);

}  // namespace slipway::agent
