// The acting half of the loop: executes a Plan. Launches go out one call each, terminations as one call for all, withdrawals one call each, names
// go to the agents at once and to Slurm behind them, updates of nodes, then of jobs to Slurm in the plan's order, notes
// into the journal and the log. Results come back as messages and are fed to the engine's memory; whoever needs to see
// their effect is told to look again. On the loop's thread.
#pragma once

#include <functional>

#include "base/clock.h"
#include "base/loop.h"
#include "cloud/provider.h"
#include "daemon/agents.h"
#include "daemon/slurm_writer.h"
#include "engine/decide.h"
#include "journal/journal.h"

namespace slipway::daemon {

class Act {
 public:
  struct Seams {
    Loop& loop;
    const Clock& clock;
    Workers& provider_workers;
    cloud::Provider& provider;
    Agents& agents;
    SlurmWriter& slurm;
    journal::Journal& journal;
    const model::Cluster& cluster;
    const engine::Spec& spec;
    engine::Memory& memory;
  };
  struct Events {
    std::function<void()> provider_answered;  // a launch or a termination: its effect should show in the next listing
    std::function<void()> recorded;           // an event went to the journal
  };
  static constexpr Duration provider_timeout{30'000};

  Act(Seams seams, Events events);

  void execute(const engine::Plan& plan);
  // Feeds what the provider says about earlier launches to the engine's memory.
  void heed_troubles(const std::vector<cloud::PoolTrouble>& troubles);
  // For calls of the provider that no plan asks for (listings): whether the account's budget allows one now, and what
  // to do when one was throttled.
  bool may_call();
  void throttled(const Error& error);
  void record(journal::Event event);
  // Launches whose answer hasn't come.
  size_t launches_in_flight() const { return launches_in_flight_; }

 private:
  void launch(const engine::Launch& launch);
  void launched(const engine::Launch& launch, const Result<cloud::LaunchReceipt>& receipt);
  void terminate(const std::vector<engine::Terminate>& terminations);
  void withdraw(const engine::Withdraw& withdraw);
  void note(const engine::Note& note);
  std::string pool_name(engine::PoolIndex pool) const;

  Seams seams_;
  Events events_;
  size_t launches_in_flight_ = 0;
};

}  // namespace slipway::daemon
