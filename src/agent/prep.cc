#include "agent/prep.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"

namespace slipway::agent {

namespace {

// "#!/usr/bin/python3 -u" gives {"/usr/bin/python3", "-u"}, as the kernel would take it apart; anything else is for the
// shell. The kernel isn't asked to, because /run may be mounted noexec.
std::vector<std::string> interpreter_of(const std::string& script) {
  if (!script.starts_with("#!")) return {"/bin/sh"};
  std::string line = script.substr(2, script.find('\n') - 2);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) line.pop_back();
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos) return {"/bin/sh"};
  line = line.substr(begin);
  const size_t space = line.find_first_of(" \t");
  if (space == std::string::npos) return {line};
  return {line.substr(0, space), line.substr(line.find_first_not_of(" \t", space))};
}

}  // namespace

Prep::~Prep() {
  cancel();
}

std::string Prep::log_path() {
  return std::string(log_folder) + "/prep.log";
}

void Prep::run(const std::string& script, std::function<void(Result<void>)> done) {
  if (script.empty()) {
    done({});
    return;
  }
  const std::string path = std::string(run_folder) + "/prep";
  if (auto folder = give_folder(run_folder, 0755, 0, 0); !folder) return done(std::move(folder));
  if (auto written = put_file(path, script, 0700); !written) return done(std::move(written));
  Program program;
  program.argv = interpreter_of(script);
  program.argv.push_back(path);
  program.environment = {"SLIPWAY_CLUSTER=" + context_.boot.cluster, "SLIPWAY_ROLE=" + context_.boot.role,
                         "SLIPWAY_POOL=" + context_.boot.pool, "SLIPWAY_INSTANCE=" + context_.boot.instance,
                         "SLIPWAY_ADDRESS=" + context_.boot.address};
  program.log = log_path();
  timed_out_ = false;
  const TimePoint started = context_.clock.now();
  auto pid = context_.processes.spawn(program, [this, started, done](int status) {
    context_.loop.cancel(timer_);
    pid_ = 0;
    const auto took = std::chrono::duration_cast<Duration>(context_.clock.now() - started);
    log_info("prep_ended", {{"how", describe_exit(status)}, {"took", to_short(took)}});
    if (timed_out_) return done(fail(ErrorCode::permanent, "the prep script ran longer than " + to_short(timeout_)));
    if (status != 0) return done(fail(ErrorCode::permanent, "the prep script " + describe_exit(status)));
    done({});
  });
  if (!pid) return done(fail(pid.error()));
  pid_ = *pid;
  timer_ = context_.loop.after(timeout_, [this] {
    timed_out_ = true;
    (void)::kill(-pid_, SIGKILL);
  });
}

void Prep::cancel() {
  context_.loop.cancel(timer_);
  if (pid_ == 0) return;
  context_.processes.forget(pid_);
  (void)::kill(-pid_, SIGKILL);
  pid_ = 0;
}

}  // namespace slipway::agent
