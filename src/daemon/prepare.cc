// slipwayd --prepare: what slurmctld needs before it starts. Safe to run again at any time: a file that would not
// change isn't touched.
#include <arpa/inet.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"
#include "daemon/cluster_file.h"
#include "daemon/daemon.h"
#include "daemon/hosts_file.h"
#include "slurm/conf.h"

namespace slipway::daemon {

namespace fs = std::filesystem;

namespace {

// The programs' own folder is mounted read-only; slurmctld finds the hook by these links, whose names say what it is
// called for.
constexpr const char* hook_folder = "/usr/local/lib/slipway";
constexpr const char* hook_names[] = {"slipway-hook", "slipway-resume", "slipway-suspend", "slipway-resume-fail",
                                      "slipway-prolog"};

Result<void> write_if_changed(const fs::path& file, const std::string& text) {
  const auto old = read_file(file);
  if (old && *old == text) return {};
  if (auto written = write_file(file, text, 0644); !written) return written;
  log_info("file_written", {{"file", file.string()}});
  return {};
}

Result<void> remove_if_there(const fs::path& file) {
  std::error_code failed;
  fs::remove(file, failed);
  if (failed) return fail(ErrorCode::permanent, "remove " + file.string() + ": " + failed.message());
  return {};
}

Result<void> link_hook(const fs::path& folder) {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length <= 0) return fail_errno("readlink /proc/self/exe");
  const fs::path hook = fs::path(std::string(self, static_cast<size_t>(length))).parent_path() / "slipway-hook";
  if (access(hook.c_str(), X_OK) != 0) return fail_errno("the hook " + hook.string());
  if (auto made = make_folder(folder); !made) return made;
  for (const char* name : hook_names) {
    const fs::path link = folder / name;
    std::error_code failed;
    if (fs::read_symlink(link, failed) == hook && !failed) continue;
    fs::remove(link, failed);
    fs::create_symlink(hook, link, failed);
    if (failed) return fail(ErrorCode::permanent, "link " + link.string() + ": " + failed.message());
  }
  return {};
}

}  // namespace

Result<void> prepare_controller(const PrepareOptions& options) {
  in_addr address{};
  if (inet_pton(AF_INET, options.controller_address.c_str(), &address) != 1) {
    return fail(ErrorCode::bad_config,
                "\"" + options.controller_address + "\" is not a numeric IPv4 address; give the controller's own");
  }
  if (options.controller_host.empty()) return fail(ErrorCode::bad_config, "the controller needs a host name");
  const auto cluster = load_cluster(options.cluster_file);
  if (!cluster) return fail(cluster.error());
  const auto version = slurm::installed_version();
  if (!version) return fail(version.error());
  if (auto linked = link_hook(hook_folder); !linked) return linked;

  slurm::ConfInputs inputs;
  inputs.version = *version;
  inputs.controller_host = options.controller_host;
  inputs.controller_address = options.controller_address;
  inputs.hook = std::string(hook_folder) + "/slipway-hook";
  const auto conf = slurm::render_conf(*cluster, inputs);

  std::error_code ignored;
  if (!fs::is_directory(options.conf_folder, ignored)) {
    if (auto made = make_folder(options.conf_folder); !made) return made;
  }
  // slurm.conf last: a controller that sees it finds the others complete.
  const std::string names =
      options.controller_address + " " + options.controller_host + "\n" + slurm::cloud_hosts(*cluster);
  if (auto done = write_hosts_section(options.hosts_file, "nodes", names); !done) return done;
  const fs::path gres = options.conf_folder / "gres.conf";
  if (auto done = conf.gres_conf.empty() ? remove_if_there(gres) : write_if_changed(gres, conf.gres_conf); !done)
    return done;
  if (auto done = write_if_changed(options.conf_folder / "cgroup.conf", conf.cgroup_conf); !done) return done;
  return write_if_changed(options.conf_folder / "slurm.conf", conf.slurm_conf);
}

}  // namespace slipway::daemon
