#include "daemon/act.h"

#include <algorithm>

#include "base/log.h"

namespace slipway::daemon {

namespace {

slurm::NodeChange change_of(engine::Tell tell) {
  switch (tell) {
    case engine::Tell::hold:
    case engine::Tell::hold_resumed:
    case engine::Tell::down:
      return slurm::NodeChange::down;
    case engine::Tell::power_down:
      return slurm::NodeChange::power_down;
    case engine::Tell::power_up:
      return slurm::NodeChange::power_up;
    case engine::Tell::resume:
      return slurm::NodeChange::resume;
    case engine::Tell::drain:
      return slurm::NodeChange::drain;
  }
  return slurm::NodeChange::resume;
}

slurm::JobChange change_of(engine::TellJob tell) {
  switch (tell) {
    case engine::TellJob::signal:
      return slurm::JobChange::signal;
    case engine::TellJob::requeue:
      return slurm::JobChange::requeue;
    case engine::TellJob::comment:
      return slurm::JobChange::comment;
  }
  return slurm::JobChange::comment;
}

// A cluster has one provider and so one account; Spec::accounts is ready for more.
constexpr uint32_t account = 0;

void log_refusal(const std::string& pool, const model::Offer& offer, const Error& error) {
  log_warning("machines_refused", {{"pool", pool},
                                   {"machine", offer.machine},
                                   {"zone", offer.zone},
                                   {"code", to_string(error.code)},
                                   {"why", error.message}});
}

}  // namespace

Act::Act(Seams seams, Events events) : seams_(seams), events_(std::move(events)) {}

void Act::execute(const engine::Plan& plan) {
  // What somebody waits for goes first: names, then machines, then what only tidies up.
  for (const auto& bind : plan.binds) {
    seams_.agents.bind(bind.instance, bind.node);
    seams_.slurm.bind(bind.node, bind.instance, bind.address);
  }
  for (const auto& restart : plan.restarts) seams_.agents.bind(restart.instance, restart.node);
  // Before launches: a daemon that dies in between leaves fewer machines, not more.
  if (!plan.terminations.empty()) terminate(plan.terminations);
  for (const auto& one : plan.withdrawals) withdraw(one);
  for (const auto& one : plan.launches) launch(one);
  for (const auto& tell : plan.tells) {
    slurm::NodeUpdate update;
    update.change = change_of(tell.what);
    update.nodes = tell.nodes;
    update.reason = tell.reason;
    update.jobs_may_restart = tell.jobs_may_restart;
    seams_.slurm.tell(std::move(update));
  }
  for (const auto& tell : plan.job_tells) {
    seams_.slurm.tell(slurm::JobUpdate{change_of(tell.what), tell.jobs, tell.text});
  }
  for (const auto& one : plan.notes) note(one);
}

void Act::launch(const engine::Launch& launch) {
  if (launch.pool >= seams_.cluster.pools.size() || launch.count == 0) return;
  cloud::LaunchRequest request;
  request.pool = seams_.cluster.pools[launch.pool].name;
  request.count = launch.count;
  request.minimum = launch.minimum;
  request.token = launch.token;
  request.market = launch.market;
  request.offers = launch.offers;
  request.placement = launch.placement;
  ++launches_in_flight_;
  seams_.provider_workers.run(
      [provider = &seams_.provider, request] { return provider->launch(request, provider_timeout); },
      [this, launch](Result<cloud::LaunchReceipt> receipt) { launched(launch, receipt); });
}

void Act::launched(const engine::Launch& launch, const Result<cloud::LaunchReceipt>& receipt) {
  --launches_in_flight_;
  const TimePoint now = seams_.clock.now();
  const std::string pool = pool_name(launch.pool);
  if (!receipt) {
    engine::launch_failed(seams_.memory, seams_.spec, launch.token, receipt.error(), now);
    log_refusal(pool, {}, receipt.error());
    return events_.provider_answered();
  }
  std::vector<engine::Refusal> refusals;
  for (const auto& refusal : receipt->refusals) {
    refusals.push_back({refusal.offer, refusal.error});
    log_refusal(pool, refusal.offer, refusal.error);
  }
  if (receipt->accepted == 0 && refusals.empty()) {
    // What gives no reason must not be repeated at once either.
    refusals.push_back({{}, {ErrorCode::transient, "the provider accepted none and gave no reason"}});
  }
  engine::launch_answered(seams_.memory, seams_.spec, launch.token, receipt->accepted, refusals, now);
  if (receipt->accepted > 0) {
    journal::Event event;
    event.kind = "launch_accepted";
    event.pool = pool;
    event.message = std::to_string(receipt->accepted) + " of " + std::to_string(launch.count) + " machines for pool " +
                    pool + (launch.market == model::Market::spot ? " (spot)" : "") + " are on their way";
    record(event);
  }
  events_.provider_answered();
}

void Act::terminate(const std::vector<engine::Terminate>& terminations) {
  std::vector<InstanceId> ids;
  ids.reserve(terminations.size());
  for (const auto& one : terminations) {
    seams_.agents.leave(one.instance, one.reason);
    ids.push_back(one.instance);
  }
  seams_.provider_workers.run(
      [provider = &seams_.provider, ids = std::move(ids)] { return provider->terminate(ids, provider_timeout); },
      [this](Result<std::vector<InstanceId>> refused) {
        // Asked again by the engine as long as the listing shows them.
        if (!refused) {
          if (refused.error().code == ErrorCode::throttled) throttled(refused.error());
          log_warning("termination_refused", {{"why", refused.error().message}});
        } else if (!refused->empty()) {
          log_warning("termination_refused", {{"instances", refused->size()}, {"first", refused->front().str()}});
        }
        events_.provider_answered();
      });
}

void Act::withdraw(const engine::Withdraw& withdraw) {
  if (withdraw.pool >= seams_.cluster.pools.size()) return;
  seams_.provider_workers.run(
      [provider = &seams_.provider, pool = seams_.cluster.pools[withdraw.pool].name, withdraw] {
        return provider->withdraw(pool, withdraw.market, withdraw.count, provider_timeout);
      },
      [this, withdraw](Result<uint32_t> taken) {
        if (!taken) {
          if (taken.error().code == ErrorCode::throttled) throttled(taken.error());
          log_warning("withdrawal_refused", {{"pool", pool_name(withdraw.pool)}, {"why", taken.error().message}});
        }
        engine::withdrawn(seams_.memory, withdraw, taken.value_or(0), seams_.clock.now());
        events_.provider_answered();
      });
}

void Act::heed_troubles(const std::vector<cloud::PoolTrouble>& troubles) {
  const TimePoint now = seams_.clock.now();
  const auto& pools = seams_.cluster.pools;
  for (const auto& trouble : troubles) {
    const auto pool =
        std::find_if(pools.begin(), pools.end(), [&](const model::Pool& one) { return one.name == trouble.pool; });
    log_refusal(trouble.pool.str(), trouble.offer, trouble.error);
    if (pool == pools.end()) continue;
    engine::Trouble told;
    told.pool = static_cast<engine::PoolIndex>(pool - pools.begin());
    told.token = trouble.launch_token;
    told.market = trouble.market;
    told.offer = trouble.offer;
    told.count = trouble.count;
    told.error = trouble.error;
    engine::trouble_reported(seams_.memory, seams_.spec, told, now);
  }
}

bool Act::may_call() {
  return engine::take_call(seams_.memory, seams_.spec, account, seams_.clock.now());
}

void Act::throttled(const Error& error) {
  engine::throttled(seams_.memory, account, error, seams_.clock.now());
}

void Act::note(const engine::Note& note) {
  journal::Event event;
  event.kind = note.kind;
  event.pool = pool_name(note.pool);
  event.node = note.node.str();
  event.instance = note.instance.str();
  event.job = note.job;
  event.message = note.message;
  record(std::move(event));
}

void Act::record(journal::Event event) {
  if (event.at == TimePoint{}) event.at = seams_.clock.now();
  log_info(event.kind,
           {{"pool", event.pool}, {"node", event.node}, {"instance", event.instance}, {"message", event.message}});
  seams_.journal.append(std::move(event));
  events_.recorded();
}

std::string Act::pool_name(engine::PoolIndex pool) const {
  return pool < seams_.cluster.pools.size() ? seams_.cluster.pools[pool].name.str() : std::string();
}

}  // namespace slipway::daemon
