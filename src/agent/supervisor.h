// One daemon that shall run: started, and started again when it dies, each time a little later, until it is told to
// stop.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "agent/processes.h"
#include "base/clock.h"
#include "base/loop.h"

namespace slipway::agent {

struct ServiceOptions {
  Duration pause_min{200};  // before the first restart; doubles
  Duration pause_max{10'000};
  Duration healthy_after{30'000};  // a daemon that ran so long starts afresh: shortest pause, no deaths counted
  Duration quick_death{5'000};     // one that died sooner counts as a quick death
  unsigned give_up_after = 0;      // quick deaths in a row; 0: never
};

// On the loop's thread. Destroying it leaves the process alone.
class Service {
 public:
  Service(Loop& loop, const Clock& clock, Processes& processes, std::string name, ServiceOptions options = {});
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Called after every start, with the time of it.
  void on_started(std::function<void(pid_t, TimePoint)> callback) { on_started_ = std::move(callback); }
  // Called when it died without being told to; `why` is for a person. `gave_up`: there will be no restart.
  void on_died(std::function<void(const std::string& why, bool gave_up)> callback) { on_died_ = std::move(callback); }

  // Starts it, now; counts from zero. Running already: nothing happens.
  void start(Program program);
  // SIGTERM now, SIGKILL to its process group after `patience`; `done` follows when it is gone (at once when it doesn't
  // run). No restart follows. A second stop shortens nothing and adds its `done`.
  void stop(Duration patience, std::function<void()> done);

  pid_t pid() const { return pid_; }  // 0 when it doesn't run now
  bool wanted() const { return wanted_; }
  const Program& program() const { return program_; }

 private:
  void launch();
  void exited(int status);
  void died(const std::string& why, Duration ran);
  void finish_stop();

  Loop& loop_;
  const Clock& clock_;
  Processes& processes_;
  std::string name_;
  ServiceOptions options_;
  Program program_;
  std::function<void(pid_t, TimePoint)> on_started_;
  std::function<void(const std::string&, bool)> on_died_;
  std::vector<std::function<void()>> on_stopped_;

  bool wanted_ = false;
  pid_t pid_ = 0;
  TimePoint started_{};
  Duration pause_;
  unsigned quick_deaths_ = 0;
  Loop::TimerId restart_timer_ = Loop::TimerId::none;
  Loop::TimerId kill_timer_ = Loop::TimerId::none;
};

}  // namespace slipway::agent
