// One daemon process around engine::decide(): the shell of src/daemon/ in virtual time. Hints, polls and reports make
// rounds; a round's Plan is executed step by step, and the process may be killed between any two steps. All it knows
// dies with it. Only the holder of the lease looks and acts.
//
// A look that shows nothing new makes no round, unless time alone changes something (Plan::look_again) or the last
// round was decided on looks older than what made it. decide() promises that it would do nothing then;
// DaemonOptions::doubt makes the round anyway, and the invariants see to it that its plan is empty.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "cloud/provider.h"
#include "engine/decide.h"
#include "sim/agents.h"
#include "sim/timeline.h"
#include "slurm/adapter.h"
#include "slurm/hook_protocol.h"

namespace slipway::sim {

class World;

// The seam between daemon and engine: deliberate bugs are put in here.
using Decide = std::function<engine::Plan(const engine::View&, const engine::Spec&, engine::Memory&, TimePoint)>;

struct DaemonOptions {
  Duration slurm_quick{1'000};  // the paces of src/daemon/shell.h
  Duration slurm_slow{10'000};
  Duration provider_quick{500};
  Duration provider_slow{5'000};
  Duration gather{4};
  Latency slurm_command{Duration(30), Duration(400)};  // scontrol, squeue
  Duration slurm_timeout{20'000};                      // when slurmctld can't be reached
  Duration restart{2'000};                             // its agent starts it again so soon
  double doubt = 0;                                    // how often a needless round is made to see that it does nothing
};

class Daemon {
 public:
  Daemon(World& world, uint32_t number, Random random);

  void start();  // the process; it looks for the lease
  void look_for_lease();
  // SIGKILL, and the restart after `back_in`. Messages and calls on their way arrive at nobody.
  void kill(Duration back_in);
  // It is killed, or frozen, when it has executed so many more steps of plans; back after `time`.
  void blow_fuse_in(uint32_t steps, Duration time, bool kills);
  void freeze(Duration time);  // SIGSTOP; what arrives meanwhile is heeded afterwards
  void disarm_fuse() { fuse_ = UINT32_MAX; }
  bool running() const { return running_; }
  bool frozen() const { return frozen_; }
  bool holds_lease() const { return holds_; }
  uint32_t number() const { return number_; }
  uint64_t life() const { return life_; }    // another one with each start
  uint64_t epoch() const { return epoch_; }  // of the lease that it holds

  void on_hint(const slurm::Hint& hint);
  void on_prolog_closed(JobId job);
  void on_report(uint32_t machine, const AgentReport& report);
  void on_connect(uint32_t machine);
  void on_connection_lost(uint32_t machine);  // it ended by itself
  void on_silence(uint32_t machine);          // nothing was heard for Spec::agent_silence

  const engine::View& view() const { return view_; }
  const engine::Memory& memory() const { return memory_; }
  uint64_t rounds() const { return rounds_; }
  uint64_t restarts() const { return restarts_; }
  // What it believes the time to be.
  TimePoint clock() const;

 private:
  struct Poller {  // as src/daemon/poller.h: one question at a time, one more behind it if somebody asked meanwhile
    bool in_flight = false;
    bool again = false;
    TimePoint due = TimePoint::max();
    uint32_t timer = 0;
  };
  struct Known {  // of an agent
    AgentReport said;
    TimePoint since{};
    bool connected = false;
    bool welcomed = false;
    bool heard = false;
    bool silent = false;
    uint32_t assigned = UINT32_MAX;
  };
  struct Waiting {  // a job's prolog
    JobId job = 0;
    std::vector<NodeName> nodes;
    TimePoint since{};
  };
  using Command = std::variant<slurm::NodeUpdate, slurm::JobUpdate>;

  // Runs now, or after the thaw; not at all in another life.
  void in_this_life(uint64_t life, std::function<void()> what);
  bool keeps_lease();  // false: it has been lost, and the process ended
  void begin();
  void thaw();

  void ask_slurm_now();
  void ask_slurm_within(Duration delay);
  void ask_slurm();
  void slurm_answered(TimePoint as_of);
  void slurm_finished();
  void copy_jobs();
  void check_prologs();
  void ask_provider_now();
  void ask_provider_within(Duration delay);
  void ask_provider();
  void provider_answered(TimePoint asked, uint64_t version, Result<cloud::Listing> listing);
  void provider_finished();
  void take_instances(std::vector<model::Instance>& now);
  void heed_troubles(const std::vector<cloud::PoolTrouble>& troubles);
  void withdraw(const engine::Withdraw& withdraw);
  void see_agent(uint32_t machine);
  const NodeName& view_name(uint32_t node) const;
  void send_name(uint32_t node, uint32_t machine);
  void suspect(uint32_t machine);
  void look_closer();
  void admit(uint32_t machine);

  void ask_round(Duration within);
  bool is_due() const;
  void after_look();
  engine::Plan decide();
  void round();
  void set_pace();
  bool is_anything_moving() const;
  void tell_notes(const engine::Plan& plan);
  // Before each step of a plan; false: killed, frozen or fenced.
  bool step(engine::Plan& plan, size_t position);
  void execute(engine::Plan plan, size_t from);
  void launch(const engine::Launch& launch);
  void terminate(const std::vector<engine::Terminate>& ends);
  void launched(engine::PoolIndex pool, const std::string& token, uint32_t count,
                const Result<cloud::LaunchReceipt>& receipt);
  void queue(Command command);
  void queue_bind(uint32_t node, uint32_t machine, const std::string& address);
  void flush_binds();
  void next_command();
  Known& known(uint32_t machine);

  World& world_;
  const uint32_t number_;
  Random random_;
  bool running_ = false;
  bool frozen_ = false;
  bool holds_ = false;
  uint64_t life_ = 0;
  uint64_t epoch_ = 0;
  uint64_t restarts_ = 0;
  uint64_t rounds_ = 0;
  TimePoint valid_until_{};  // of the lease, as far as it knows
  Duration clock_error_{0};
  std::vector<std::pair<uint64_t, std::function<void()>>> backlog_;  // of a frozen one, with the life it was for
  uint32_t fuse_ = UINT32_MAX;                                       // steps until it is killed or frozen
  Duration fuse_time_{0};
  bool fuse_kills_ = true;

  engine::View view_;
  engine::Memory memory_;
  bool listed_ = false;
  bool everything_ = true;                                         // the next answer of Slurm is taken whole
  std::vector<uint32_t> machine_of_;                               // parallel to view_.instances
  std::vector<uint32_t> instance_of_;                              // by machine
  std::vector<Known> known_;                                       // by machine
  std::vector<std::pair<uint32_t, engine::NodeView>> seen_nodes_;  // of the look in flight
  bool jobs_wanted_ = false;
  bool something_to_see_ = false;  // the next look is taken even if nothing changed
  bool dirty_ = true;              // the view changed since the last round
  bool between_ = false;           // a node is between states
  std::deque<Waiting> prologs_;

  Poller slurm_poller_;
  Poller provider_poller_;
  uint64_t listed_version_ = 0;
  int provider_failures_ = 0;
  size_t suspicion_ = 99;
  int quick_looks_ = 0;
  uint32_t launches_in_flight_ = 0;
  TimePoint changed_at_{};  // when anything last moved
  TimePoint
      moment_{};  // the last round that had a cause: until a look of each kind is younger, each new one is decided upon
  TimePoint slurm_decided_{};  // as_of of the last round's looks
  TimePoint provider_decided_{};
  TimePoint look_again_{};
  uint32_t look_timer_ = 0;
  TimePoint round_due_ = TimePoint::max();
  uint32_t round_timer_ = 0;

  std::deque<Command> commands_;
  bool command_in_flight_ = false;
  std::map<uint32_t, std::pair<uint32_t, std::string>> binds_;  // by node: machine and address
  TimePoint first_bind_at_{};
  uint32_t bind_timer_ = 0;
};

}  // namespace slipway::sim
