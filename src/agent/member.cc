#include "agent/member.h"

#include "base/log.h"

namespace slipway::agent {

namespace {

constexpr size_t tail_bytes = 4096;

LinkOptions link_options(const join::BootData& boot, Evidence* evidence) {
  LinkOptions options;
  options.daemon = boot.daemon;
  options.instance = boot.instance;
  options.evidence = evidence;
  // parse_boot_data() refuses a key that is none.
  const std::string& key = evidence != nullptr ? boot.daemon_key : boot.secret;
  (evidence != nullptr ? options.daemon_key : options.secret) = join::parse_key(key).value_or(join::Key{});
  return options;
}

// For `slipway-agent --join`, which waits for it.
void write_status(const std::string& text) {
  (void)put_file(std::filesystem::path(run_folder) / status_file, text + "\n", 0644);
}

bool same_users(const std::vector<model::User>& a, const std::vector<model::User>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const model::User& x, const model::User& y) { return x.name == y.name && x.uid == y.uid; });
}

}  // namespace

Member::Member(Context context)
    : context_(context),
      imds_(is_claimed(context.boot) ? std::make_unique<Imds>(context.boot.imds) : nullptr),
      evidence_(imds_ ? std::make_unique<Evidence>(context.loop, context.clock, *imds_, context.boot.identity)
                      : nullptr),
      munge_(context),
      prep_(context),
      link_(context.loop, context.random, link_options(context.boot, evidence_.get())) {
  link_.on_up([this] {
    link_.send(state_);
    if (notice_) link_.send(*notice_);
  });
  link_.on_message([this](join::FromDaemon message) { received(std::move(message)); });
  if (evidence_) {
    link_.on_down([this](const std::string& why) {
      if (!joined_) write_status(why);
    });
  }
}

void Member::start() {
  link_.start();
}

void Member::report(join::Report report) {
  if (report.phase != state_.phase || report.node != state_.node) {
    log_info("phase", {{"phase", to_string(report.phase)}, {"node", report.node}, {"message", report.message}});
  }
  state_ = std::move(report);
  link_.send(state_);
}

void Member::fail_with(const std::string& message, const std::string& log_file) {
  join::Report failed = state_;
  failed.phase = join::Phase::failed;
  failed.slurmd_started_ms = 0;
  failed.message = message;
  if (!log_file.empty()) {
    if (auto tail = read_tail(log_file, tail_bytes)) failed.log_tail = *tail;
  }
  report(std::move(failed));
}

void Member::notice(join::Notice notice) {
  notice_ = std::move(notice);
  link_.send(*notice_);
}

void Member::received(join::FromDaemon message) {
  if (!std::exchange(joined_, true) && evidence_) write_status(status_joined);
  if (const auto* welcome = std::get_if<join::Welcome>(&message)) {
    link_.heartbeat_every(welcome->heartbeat_every);
    if (welcome_) {
      update(*welcome);
    } else {
      set_up(*welcome);
    }
  } else if (on_message_) {
    on_message_(message);
  }
}

// munged first, since everything waits for it; the rest is written while it starts.
void Member::set_up(const join::Welcome& welcome) {
  welcome_ = welcome;
  munge_.start(welcome.munge_key, [this](Result<void> result) { step_done(result, "munged.log"); });
  auto written = ensure_users("/etc", "/home", welcome.users);
  if (written) written = replace_section("/etc/hosts", "cluster", welcome.hosts);
  if (written) written = use_nameserver("/etc/resolv.conf", welcome.nameserver);
  if (written && on_welcome_) written = on_welcome_(welcome);
  if (!written) {
    step_done(written, "");
    return;
  }
  prep_.run(welcome.prep, [this](Result<void> result) { step_done(result, "prep.log"); });
}

// A daemon that was started again says the same things: nothing here may restart for that.
void Member::update(const join::Welcome& welcome) {
  const join::Welcome old = *welcome_;
  welcome_ = welcome;
  Result<void> written;
  if (!same_users(welcome.users, old.users)) written = ensure_users("/etc", "/home", welcome.users);
  if (written && welcome.hosts != old.hosts) written = replace_section("/etc/hosts", "cluster", welcome.hosts);
  if (written && on_welcome_ && welcome.slurm_conf != old.slurm_conf) written = on_welcome_(welcome);
  if (written && welcome.munge_key != old.munge_key) written = munge_.change_key(welcome.munge_key);
  if (!written) log_error("update_failed", {{"why", written.error().message}});
}

void Member::step_done(const Result<void>& result, const char* log) {
  if (!result) {
    // The first failure is the one that says why.
    if (state_.phase == join::Phase::failed) return;
    log_error("set_up_failed", {{"why", result.error().message}});
    fail_with(result.error().message, *log == '\0' ? "" : std::string(log_folder) + "/" + log);
    return;
  }
  if (--steps_left_ > 0 || state_.phase == join::Phase::failed) return;
  ready_ = true;
  if (on_ready_) on_ready_();
}

void Member::shut_down(Duration patience, std::function<void()> done) {
  link_.stop();
  prep_.cancel();
  munge_.stop(patience, std::move(done));
}

}  // namespace slipway::agent
