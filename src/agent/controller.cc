// The controller machine: munged, slurmctld and slipwayd, from what the deployment put into /etc/slipway. It asks
// nobody: it is who others ask.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "agent/context.h"
#include "agent/munge.h"
#include "agent/prep.h"
#include "agent/supervisor.h"
#include "base/log.h"

namespace slipway::agent {

namespace {

constexpr const char* cluster_file = "/etc/slipway/cluster.yaml";
constexpr const char* munge_key_file = "/etc/slipway/keys/munge.key";
constexpr const char* daemon_program = "/opt/slipway/bin/slipwayd";
constexpr const char* state_folder = "/var/spool/slurmctld";
constexpr Duration slurmctld_patience{1'000};
constexpr Duration slipwayd_patience{300};
constexpr Duration munged_patience{300};
constexpr Duration retry_min{200};
constexpr Duration retry_max{10'000};

class Controller final : public Role {
 public:
  explicit Controller(Context context)
      : context_(context),
        munge_(context),
        prep_(context),
        slurmctld_(context.loop, context.clock, context.processes, "slurmctld"),
        slipwayd_(context.loop, context.clock, context.processes, "slipwayd") {}

  ~Controller() override { context_.loop.cancel(retry_timer_); }

  void start() override {
    if (auto ready = set_up(); !ready) give_up(ready.error().message);
  }

  void shut_down(std::function<void()> done) override {
    ending_ = true;
    prep_.cancel();
    context_.loop.cancel(retry_timer_);
    // slurmctld saves its state while the others are still there to talk to.
    slurmctld_.stop(slurmctld_patience, [this, done] {
      slipwayd_.stop(slipwayd_patience, [this, done] { munge_.stop(munged_patience, done); });
    });
  }

 private:
  Result<void> set_up() {
    const std::string name = context_.boot.hostname.empty() ? "controller" : context_.boot.hostname;
    if (auto r = become_host(name, context_.boot.address); !r) return r;
    if (auto r = ensure_users("/etc", "/home", context_.boot.users); !r) return r;
    auto slurmctld = need_program("slurmctld", "slurmctld");
    if (!slurmctld) return fail(slurmctld.error());
    slurmctld_path_ = *slurmctld;
    auto slurm = find_identity("/etc", "slurm");
    if (!slurm) {
      return fail(ErrorCode::not_found,
                  "no user slurm on this machine; install the Debian package slurmctld in its image");
    }
    if (auto r = give_folder(state_folder, 0700, slurm->uid, slurm->gid); !r) return r;
    if (auto r = give_folder(log_folder, 0775, 0, slurm->gid); !r) return r;
    if (auto r = give_folder("/etc/slurm", 0755, 0, 0); !r) return r;
    if (auto r = use_nameserver("/etc/resolv.conf", context_.boot.address); !r) return r;
    if (auto r = give_folder(run_folder, 0755, 0, 0); !r) return r;
    // slurmctld opens this file as its own user, after root has opened it for its output.
    const Fd log(open(log_of("slurmctld").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!log || fchown(log.get(), slurm->uid, slurm->gid) != 0) return fail_errno("chown " + log_of("slurmctld"));
    auto key = read_file(munge_key_file, 4096);
    if (!key) return fail(key.error());

    munge_.start(*key, [this](Result<void> result) { step_done(result, "munged"); });
    prep_.run(context_.boot.prep, [this](Result<void> result) { step_done(result, "prep"); });
    prepare();
    return {};
  }

  // Slurm's configuration comes from the daemon's own code, which knows the cluster file; it runs again until it
  // succeeds, since a person may be repairing what it complains about.
  void prepare() {
    Program program;
    program.argv = {daemon_program,
                    "--prepare",
                    "--cluster",
                    cluster_file,
                    "--conf",
                    "/etc/slurm",
                    "--hosts",
                    "/etc/hosts",
                    "--controller-host",
                    context_.boot.hostname.empty() ? "controller" : context_.boot.hostname,
                    "--controller-address",
                    context_.boot.address};
    program.log = log_of("slipwayd");
    auto pid = context_.processes.spawn(program, [this](int status) {
      if (status == 0) return step_done({}, "slipwayd");
      try_again("slipwayd --prepare " + describe_exit(status) + "; slipwayd.log says why");
    });
    if (!pid) try_again(pid.error().message);
  }

  void try_again(const std::string& why) {
    log_error("prepare_failed", {{"why", why}, {"again_in", to_short(retry_)}});
    if (ending_) return;
    retry_timer_ = context_.loop.after(retry_, [this] { prepare(); });
    retry_ = std::min(retry_ * 2, retry_max);
  }

  void step_done(const Result<void>& result, const std::string& log) {
    if (!result) {
      give_up(result.error().message + " (" + log_of(log) + ")");
      return;
    }
    if (--steps_left_ > 0 || ending_) return;
    log_info("phase", {{"phase", "serving"}});
    slurmctld_.start({.argv = {slurmctld_path_, "-D"}, .environment = {}, .run_as = {}, .log = output_of("slurmctld")});
    slipwayd_.start({.argv = {daemon_program, "--listen", context_.boot.daemon},
                     .environment = {},
                     .run_as = {},
                     .log = log_of("slipwayd")});
  }

  // There is nobody to report to: whoever brought this machine up reads the agent's log.
  void give_up(const std::string& why) { log_error("controller_failed", {{"why", why}}); }

  // slurmctld writes its own log; what it prints is the same again, and all there is when it fails before it has a log.
  static std::string output_of(const std::string& program) { return std::string(log_folder) + "/" + program + ".out"; }
  static std::string log_of(const std::string& program) { return std::string(log_folder) + "/" + program + ".log"; }

  Context context_;
  Munge munge_;
  Prep prep_;
  Service slurmctld_;
  Service slipwayd_;
  std::string slurmctld_path_;
  int steps_left_ = 3;  // munged, the prep script, Slurm's configuration
  bool ending_ = false;
  Duration retry_ = retry_min;
  Loop::TimerId retry_timer_ = Loop::TimerId::none;
};

}  // namespace

std::unique_ptr<Role> make_controller(Context context) {
  return std::make_unique<Controller>(context);
}

}  // namespace slipway::agent
