#include "cli/bring_up.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "cli/cluster_file.h"
#include "cli/json.h"

namespace slipway::cli {

namespace fs = std::filesystem;

namespace {

std::atomic<bool> interrupted{false};

// Ctrl-C must not leave half a cluster behind: `up` sees the flag and removes what it made.
void note_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
}

}  // namespace

fs::path programs_folder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const fs::path beside = self.parent_path();
  if (::access((beside / "slipway-agent").c_str(), X_OK) == 0) return beside;
  const fs::path library = beside.parent_path() / "lib" / "slipway";
  return fs::exists(library / "slipway-agent", error) ? library : beside;
}

bool was_interrupted() {
  return interrupted.load();
}

Result<model::Cluster> load_for_up(const Options& options, Terminal& terminal) {
  config::Loaded loaded = config::load(options.file);
  say_problems(loaded, options.file, terminal);
  if (!loaded.ok()) return fail(ErrorCode::bad_config, options.file.string() + " can't be used; nothing was done");
  model::Cluster& cluster = loaded.cluster;
  if (!options.subnet.empty()) cluster.subnet = options.subnet;
  if (!options.cluster.empty() && options.cluster != cluster.name) {
    return fail(ErrorCode::bad_config, options.file.string() + " is of cluster " + cluster.name + ", not of " +
                                           options.cluster + "; leave --cluster out, or name it in the file");
  }
  return std::move(cluster);
}

Result<int> bring_up(const model::Cluster& cluster, const Options& options, Terminal& terminal,
                     std::function<Result<void>(model::Cluster&, const deploy::Site&)> before_controller) {
  note_interrupts();
  deploy::UpOptions how;
  how.state_base = fs::absolute(options.state_base);
  how.programs = programs_folder();
  how.progress = [&](std::string_view text) { terminal.progress(text); };
  how.interrupted = was_interrupted;
  how.before_controller = std::move(before_controller);
  if (auto done = deploy::up(cluster, how); !done) return Failure(done.error());

  const fs::path state = how.state_base / cluster.name;
  if (options.json) {
    terminal.print(object({{"cluster", cluster.name},
                           {"state", state.string()},
                           {"milliseconds", int64_t{terminal.elapsed().count()}}}) +
                   "\n");
    return 0;
  }
  terminal.progress("cluster " + cluster.name + " is up");
  terminal.print(
      "  slipway shell           a shell on the login node: sbatch, srun, squeue, sinfo\n"
      "  slipway nodes           nodes that are up or on their way\n"
      "  slipway events -f       what happens, as it happens\n"
      "  slipway down            end it all\n");
  return 0;
}

}  // namespace slipway::cli
