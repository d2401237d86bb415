// A cloud's cluster file as it stands, against a simulated cloud on this box: real Slurm, real agents, no bill.
#include <sys/wait.h>

#include "base/files.h"
#include "cli/bring_up.h"
#include "cli/commands.h"
#include "config/config.h"
#include "deploy/background.h"
#include "deploy/wait.h"
#include "machines/host.h"
#include "rehearse/server.h"

namespace slipway::cli {

namespace fs = std::filesystem;

namespace {

constexpr Duration cloud_start_max{20'000};
constexpr size_t log_excerpt_bytes = 1500;

// The controller asks the simulated cloud instead of the real one, as an identity that this one knows.
Result<void> redirect(model::Cluster& cluster, const rehearse::Endpoints& where, const deploy::Site& site) {
  const fs::path keys = site.state / "keys";
  const auto ca = read_file(where.ca_file, 64 << 10);
  if (!ca) return fail(ca.error());
  if (auto written = write_file(keys / "rehearsal-ca.pem", *ca, 0600); !written) return written;
  model::AzureCloud& azure = *cluster.azure;
  azure.identity = {};
  azure.endpoints = {.arm = where.arm, .login = where.login, .ca_file = deploy::on_controller("rehearsal-ca.pem")};
  for (model::Pool& pool : cluster.pools) {
    if (!pool.azure || pool.azure->kind != model::AzurePoolKind::batch) continue;
    const std::string& account = pool.azure->account;
    const auto url = where.batch.find(account);
    const auto key = where.batch_keys.find(account);
    if (url == where.batch.end() || key == where.batch_keys.end()) {
      return fail(ErrorCode::permanent, "the simulated cloud made no Batch account " + account);
    }
    pool.azure->account_url = url->second;
    if (pool.azure->batch_key_file.empty()) continue;
    const std::string name = "batch-" + account + ".key";
    if (auto written = write_file(keys / name, key->second, 0600); !written) return written;
    pool.azure->batch_key_file = deploy::on_controller(name);
  }
  return {};
}

Result<void> start_cloud(model::Cluster& cluster, const deploy::Site& site, const Options& options) {
  const fs::path folder = deploy::rehearse_folder(site.state);
  if (auto made = make_folder(folder, 0700); !made) return made;
  const fs::path file = folder / "cluster.yaml";
  if (auto written = write_file(file, config::to_yaml(cluster), 0600); !written) return written;
  if (!options.levers.empty()) {
    const auto levers = read_file(options.levers, 1 << 20);
    if (!levers) return fail(levers.error());
    if (auto written = write_file(folder / "levers.json", *levers, 0600); !written) return written;
  }
  std::vector<std::string> words{(programs_folder() / "slipway-rehearse").string(),
                                 "--cluster",
                                 file.string(),
                                 "--folder",
                                 folder.string(),
                                 "--address",
                                 site.gateway,
                                 "--host-socket",
                                 machines::host_socket(site.state).string(),
                                 "--state",
                                 site.state.string()};
  if (!options.image.empty()) {
    words.emplace_back("--image");
    words.push_back(fs::absolute(options.image).string());
  }
  const fs::path log = folder / "rehearse.log";
  const auto pid = deploy::start_in_background(std::move(words), log);
  if (!pid) return fail(pid.error());
  const fs::path endpoints = folder / "endpoints.json";
  auto there =
      deploy::wait_until("the start of the simulated cloud", cloud_start_max, was_interrupted, [&]() -> Result<bool> {
        int status = 0;
        if (::waitpid(*pid, &status, WNOHANG) == *pid) {
          const auto tail = read_tail(log, log_excerpt_bytes);
          return fail(ErrorCode::permanent,
                      "the simulated cloud " + deploy::how_it_ended(status) + (tail ? ":\n" + *tail : ""));
        }
        return fs::exists(endpoints);
      });
  if (!there) return there;
  const auto where = rehearse::read_endpoints(endpoints);
  if (!where) return fail(where.error());
  return redirect(cluster, *where, site);
}

}  // namespace

Result<int> rehearse(const Options& options, Terminal& terminal) {
  auto cluster = load_for_up(options, terminal);
  if (!cluster) return Failure(cluster.error());
  if (!cluster->azure) {
    return fail(ErrorCode::bad_config, options.file.string() +
                                           " has no pool on a cloud, so there is nothing to "
                                           "rehearse; `slipway up` brings it up on this box");
  }
  return bring_up(*cluster, options, terminal, [&](model::Cluster& made, const deploy::Site& site) {
    terminal.progress("starting the simulated cloud on " + site.gateway);
    return start_cloud(made, site, options);
  });
}

}  // namespace slipway::cli
