#include "agent/supervisor.h"

#include <signal.h>

#include <algorithm>

#include "base/log.h"

namespace slipway::agent {

Service::Service(Loop& loop, const Clock& clock, Processes& processes, std::string name, ServiceOptions options)
    : loop_(loop),
      clock_(clock),
      processes_(processes),
      name_(std::move(name)),
      options_(options),
      pause_(options.pause_min) {}

Service::~Service() {
  loop_.cancel(restart_timer_);
  loop_.cancel(kill_timer_);
  if (pid_ > 0) processes_.forget(pid_);
}

void Service::start(Program program) {
  program_ = std::move(program);
  if (wanted_) return;
  wanted_ = true;
  pause_ = options_.pause_min;
  quick_deaths_ = 0;
  // One that is still on its way out is started again when it is gone.
  if (pid_ == 0) launch();
}

void Service::stop(Duration patience, std::function<void()> done) {
  wanted_ = false;
  loop_.cancel(restart_timer_);
  restart_timer_ = Loop::TimerId::none;
  if (pid_ == 0) {
    if (done) loop_.post(std::move(done));
    return;
  }
  if (done) on_stopped_.push_back(std::move(done));
  if (kill_timer_ != Loop::TimerId::none) return;
  (void)::kill(pid_, SIGTERM);
  kill_timer_ = loop_.after(patience, [this] {
    if (pid_ > 0) {
      log_warning("service_killed", {{"service", name_}, {"pid", pid_}});
      (void)::kill(-pid_, SIGKILL);
    }
  });
}

void Service::launch() {
  restart_timer_ = Loop::TimerId::none;
  started_ = clock_.now();
  auto pid = processes_.spawn(program_, [this](int status) { exited(status); });
  if (!pid) {
    died("could not be started: " + pid.error().message, Duration(0));
    return;
  }
  pid_ = *pid;
  log_info("service_started", {{"service", name_}, {"pid", pid_}});
  if (on_started_) on_started_(pid_, started_);
}

void Service::exited(int status) {
  pid_ = 0;
  const bool was_told_to = kill_timer_ != Loop::TimerId::none;
  loop_.cancel(kill_timer_);
  kill_timer_ = Loop::TimerId::none;
  if (was_told_to) {
    log_info("service_stopped", {{"service", name_}, {"how", describe_exit(status)}});
    finish_stop();
    if (wanted_ && pid_ == 0) launch();
    return;
  }
  died(describe_exit(status), std::chrono::duration_cast<Duration>(clock_.now() - started_));
}

void Service::died(const std::string& why, Duration ran) {
  if (ran >= options_.healthy_after) pause_ = options_.pause_min;
  quick_deaths_ = ran < options_.quick_death ? quick_deaths_ + 1 : 0;
  const bool gives_up = options_.give_up_after > 0 && quick_deaths_ >= options_.give_up_after;
  log_warning(
      "service_died",
      {{"service", name_}, {"how", why}, {"ran", to_short(ran)}, {"restart", gives_up ? "never" : to_short(pause_)}});
  if (gives_up) {
    wanted_ = false;
  } else {
    restart_timer_ = loop_.after(pause_, [this] { launch(); });
    pause_ = std::min(pause_ * 2, options_.pause_max);
  }
  if (on_died_) on_died_(why, gives_up);
}

void Service::finish_stop() {
  std::vector<std::function<void()>> callbacks;
  callbacks.swap(on_stopped_);
  for (auto& callback : callbacks) callback();
}

}  // namespace slipway::agent
