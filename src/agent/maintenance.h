// What the cloud is about to do with this machine (Azure's Scheduled Events): watched, told to the daemon, and
// acknowledged when nothing of a job runs here any more, so that the cloud needn't wait.
//
// An event is acknowledged only if it concerns this machine alone, for an acknowledgement counts for all that it names;
// and not before half of its time has passed, for a job may be on its way, unless the daemon has let the machine go.
// On the loop's thread; the metadata service is asked on a worker.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "agent/imds.h"
#include "base/clock.h"
#include "base/loop.h"
#include "join/messages.h"

namespace slipway::agent {

struct MaintenanceOptions {
  Duration every{2'000};       // of Preempt's 30 s of notice
  Duration pause_max{30'000};  // between questions that fail
  Duration timeout{5'000};
  std::string proc = "/proc";
};

// Whether a step of some job runs on this machine: a slurmstepd other than the one that only holds slurmd's cgroup.
bool runs_job(const std::string& proc);

class Maintenance {
 public:
  Maintenance(Loop& loop, const Clock& clock, Imds& imds, MaintenanceOptions options = {});
  ~Maintenance();
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

  // The next of the events that end the machine, else the next freeze, else `none`: when first known, and when it
  // changes.
  void on_notice(std::function<void(const join::Notice&)> callback) { on_notice_ = std::move(callback); }
  void start();
  void stop();
  // The daemon has told the machine to leave: it sends no more jobs.
  void let_go();

 private:
  struct Seen {
    EventKind kind = EventKind::other;
    TimePoint first_seen{};
    TimePoint at{};
    bool started = false;
    bool ours_alone = false;
    bool let_go = false;  // by the daemon, since
    bool acknowledged = false;
  };
  struct Look {
    std::string name;
    Result<ScheduledEvents> events;
    bool runs_job = false;
  };

  void ask();
  void looked(Look look);
  void remember(const ScheduledEvents& events);
  void tell();
  void acknowledge();
  Look look(std::string name) const;

  Loop& loop_;
  const Clock& clock_;
  Imds& imds_;
  const MaintenanceOptions options_;
  std::function<void(const join::Notice&)> on_notice_;
  std::string name_;  // the machine's; empty: not known yet
  std::map<std::string, Seen> seen_;
  std::optional<join::Notice> told_;
  Duration pause_;
  bool complained_ = false;  // one log line an outage
  bool stopped_ = false;
  Loop::TimerId timer_ = Loop::TimerId::none;
  Workers workers_;  // last: it waits for what runs
};

}  // namespace slipway::agent
