// What goes wrong, and when: each kind by itself at random moments, until everything is healed.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cloud.h"
#include "sim/timeline.h"

namespace slipway::sim {

class World;

// Mean number an hour of each kind; 0: never.
struct FaultRates {
  double kill_daemon = 0;   // at any moment
  double kill_in_plan = 0;  // between two steps of a plan
  double freeze_daemon = 0;
  double kill_slurm = 0;  // loses what wasn't saved
  double stop_slurm = 0;  // and starts again, having saved
  double fail_over = 0;
  double cut_agent = 0;    // one machine from the daemon
  double cut_slurmd = 0;   // one machine from slurmctld
  double cut_machine = 0;  // one machine from everybody
  double cut_daemon_slurm = 0;
  double cut_daemon_cloud = 0;
  double cut_agents = 0;   // all of them from the daemon
  double step_clock = 0;   // of the controller's box
  double shortage = 0;     // an offer has little or no room for a while
  double offer_error = 0;  // launches of an offer fail with some error
  double kill_machine = 0;
  double evict = 0;
  double admin = 0;           // sets a node DOWN, DRAIN or RESUME by hand
  Duration longest{120'000};  // of what has a duration
};

class Faults {
 public:
  Faults(World& world, Random random) : world_(world), random_(random) {}
  void begin(const FaultRates& rates, const CloudFaults& cloud);
  // Everything works again, and what people set by hand they take back.
  void heal();
  bool active() const { return active_; }
  TimePoint last_at() const { return last_at_; }  // of the last fault's begin or end
  uint64_t count() const { return count_; }

 private:
  enum class Kind : uint8_t;
  void plan(Kind kind);
  void strike(Kind kind);
  void later(Duration delay, std::function<void()> what);  // unless it was healed meanwhile
  void happened(const char* what, uint32_t machine = UINT32_MAX, uint32_t node = UINT32_MAX);
  uint32_t any_machine();
  Duration any_time();

  World& world_;
  Random random_;
  FaultRates rates_;
  bool active_ = false;
  uint64_t era_ = 0;
  uint64_t count_ = 0;
  TimePoint last_at_{};
  std::vector<uint32_t> by_hand_;  // nodes
};

}  // namespace slipway::sim
