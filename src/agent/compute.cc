// A compute machine: a member that waits for a name and then runs slurmd under it.
#include <algorithm>

#include "agent/context.h"
#include "agent/listening.h"
#include "agent/maintenance.h"
#include "agent/member.h"
#include "agent/supervisor.h"
#include "base/log.h"

namespace slipway::agent {

namespace {

constexpr const char* spool_folder = "/var/spool/slurmd";
constexpr Duration slurmd_patience{1'200};
constexpr Duration munged_patience{400};
// A slurmd that can't reach slurmctld ends after 9 s or more, so only one that is broken itself dies five times in this
// way.
constexpr ServiceOptions slurmd_options{.quick_death = Duration(5'000), .give_up_after = 5};
// slurmd and every slurmstepd would load hwloc's plugins for X11, OpenCL and libxml2 and use none: half of the
// processor time of their start.
constexpr const char* no_hwloc_plugins = "HWLOC_PLUGINS_PATH=/nonexistent";
constexpr Duration look_first{10};
constexpr Duration look_last{500};
// Where the kernel doesn't tell whether it listens, a slurmd that has lived so long is taken to serve.
constexpr Duration serving_unseen{2'000};

class Compute final : public Role {
 public:
  explicit Compute(Context context)
      : context_(context),
        member_(context),
        slurmd_(context.loop, context.clock, context.processes, "slurmd", slurmd_options) {
    member_.on_welcome([this](const join::Welcome&) { return prepare(); });
    member_.on_ready([this] { ready(); });
    member_.on_message([this](const join::FromDaemon& message) { received(message); });
    slurmd_.on_started([this](pid_t, TimePoint at) { slurmd_started(at); });
    slurmd_.on_died([this](const std::string& why, bool gave_up) { slurmd_died(why, gave_up); });
  }
  ~Compute() override { context_.loop.cancel(look_timer_); }

  void start() override {
    if (!context_.boot.hostname.empty()) (void)become_host(context_.boot.hostname, context_.boot.address);
    member_.start();
    if (member_.imds() == nullptr) return;
    maintenance_ = std::make_unique<Maintenance>(context_.loop, context_.clock, *member_.imds());
    maintenance_->on_notice([this](const join::Notice& notice) { member_.notice(notice); });
    maintenance_->start();
  }

  void shut_down(std::function<void()> done) override {
    member_.hush();
    context_.loop.cancel(look_timer_);
    if (maintenance_) maintenance_->stop();
    slurmd_.stop(slurmd_patience, [this, done] { member_.shut_down(munged_patience, done); });
  }

 private:
  Result<void> prepare() {
    auto slurmd = need_program("slurmd", "slurmd");
    if (!slurmd) return fail(slurmd.error());
    slurmd_path_ = *slurmd;
    return give_folder(spool_folder, 0755, 0, 0);
  }

  void ready() {
    if (node_.empty()) {
      member_.report({.phase = join::Phase::waiting});
    } else {
      start_slurmd();
    }
  }

  void received(const join::FromDaemon& message) {
    if (const auto* bind = std::get_if<join::Bind>(&message)) {
      bind_to(bind->node);
    } else if (const auto* leave = std::get_if<join::Leave>(&message)) {
      log_info("leave", {{"reason", leave->reason}});
      if (maintenance_) maintenance_->let_go();
      leave_cluster();
    }
  }

  void bind_to(const std::string& node) {
    log_info("bind", {{"node", node}, {"before", node_}});
    if (!member_.ready()) {
      join::Report report = member_.state();
      // A machine whose set-up failed can't become anything; it says so again.
      if (report.phase != join::Phase::failed) report.node = node_ = node;
      member_.report(std::move(report));
      return;
    }
    node_ = node;
    // The same name again means that Slurm has ignored this slurmd's registration: it must register anew, as after a
    // boot.
    slurmd_.stop(slurmd_patience, [this] {
      if (!node_.empty()) start_slurmd();
    });
    context_.loop.cancel(look_timer_);
    member_.report({.phase = join::Phase::starting, .node = node_});
  }

  void leave_cluster() {
    node_.clear();
    context_.loop.cancel(look_timer_);
    if (!member_.ready()) return;
    slurmd_.stop(slurmd_patience, [this] {
      if (node_.empty()) member_.report({.phase = join::Phase::waiting});
    });
  }

  void start_slurmd() {
    if (auto named = become_host(node_, context_.boot.address); !named) {
      join::Report report = member_.state();
      report.node = node_;
      member_.report(std::move(report));
      member_.fail_with("can't take the name " + node_ + ": " + named.error().message, "");
      return;
    }
    // -b: whatever the box's uptime, this machine was booted for this name now.
    slurmd_.start({.argv = {slurmd_path_, "-D", "-b", "-N", node_, "--conf-server", member_.welcome().conf_server},
                   .environment = {no_hwloc_plugins},
                   .run_as = {},
                   .log = log_path(),
                   .lock_memory = true});
  }

  void slurmd_started(TimePoint at) {
    started_at_ = at;
    step_ = look_first;
    context_.loop.cancel(look_timer_);
    look_timer_ = context_.loop.after(step_, [this] { look(); });
    member_.report({.phase = join::Phase::starting, .node = node_, .message = trouble_});
  }

  // slurmd serves once it listens. The steps grow, so that a thousand machines that start together don't spend the box
  // on looking.
  void look() {
    look_timer_ = Loop::TimerId::none;
    if (slurmd_.pid() == 0) return;
    const bool old_enough = context_.clock.now() - started_at_ >= serving_unseen;
    if (listens(slurmd_.pid()).value_or(old_enough)) {
      trouble_.clear();
      member_.report({.phase = join::Phase::serving,
                      .node = node_,
                      .slurmd_started_ms = static_cast<uint64_t>(started_at_.time_since_epoch().count())});
      return;
    }
    step_ = std::min(step_ * 2, look_last);
    look_timer_ = context_.loop.after(step_, [this] { look(); });
  }

  void slurmd_died(const std::string& why, bool gave_up) {
    context_.loop.cancel(look_timer_);
    trouble_ = "slurmd " + why;
    if (gave_up) {
      member_.fail_with(trouble_ + ", " + std::to_string(slurmd_options.give_up_after) + " times", log_path());
      trouble_.clear();
    } else {
      member_.report({.phase = join::Phase::starting, .node = node_, .message = trouble_ + " and is started again"});
    }
  }

  // What slurmd prints. Its own log (slurmd.log) begins only once it has read its configuration.
  static std::string log_path() { return std::string(log_folder) + "/slurmd.out"; }

  Context context_;
  Member member_;
  Service slurmd_;
  std::unique_ptr<Maintenance> maintenance_;  // where the cloud announces it
  std::string slurmd_path_;
  std::string node_;     // the name it shall have; empty: none
  std::string trouble_;  // how the last slurmd ended, until one serves again
  TimePoint started_at_{};
  Duration step_{0};
  Loop::TimerId look_timer_ = Loop::TimerId::none;
};

}  // namespace

std::unique_ptr<Role> make_compute(Context context) {
  return std::make_unique<Compute>(context);
}

}  // namespace slipway::agent
