#include "daemon/act.h"

#include "base/log.h"

namespace slipway::daemon {

namespace {

slurm::NodeChange change_of(engine::Tell tell) {
  switch (tell) {
    case engine::Tell::down:
      return slurm::NodeChange::down;
    case engine::Tell::power_down:
      return slurm::NodeChange::power_down;
    case engine::Tell::power_up:
      return slurm::NodeChange::power_up;
    case engine::Tell::resume:
      return slurm::NodeChange::resume;
  }
  return slurm::NodeChange::resume;
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
  for (const auto& one : plan.launches) launch(one);
  for (const auto& tell : plan.tells) {
    slurm::NodeUpdate update;
    update.change = change_of(tell.what);
    update.nodes = tell.nodes;
    update.reason = tell.reason;
    update.jobs_may_restart = tell.jobs_may_restart;
    seams_.slurm.tell(std::move(update));
  }
  if (!plan.terminations.empty()) terminate(plan.terminations);
  for (const auto& one : plan.notes) note(one);
}

void Act::launch(const engine::Launch& launch) {
  if (launch.pool >= seams_.cluster.pools.size() || launch.count == 0) return;
  const auto& pool = seams_.cluster.pools[launch.pool];
  cloud::LaunchRequest request;
  request.pool = pool.name;
  request.count = launch.count;
  request.token = launch.token;
  request.market = pool.market;
  ++launches_in_flight_;
  seams_.provider_workers.run(
      [provider = &seams_.provider, request] { return provider->launch(request, provider_timeout); },
      [this, launch](Result<cloud::LaunchReceipt> receipt) { launched(launch, receipt); });
}

void Act::launched(const engine::Launch& launch, const Result<cloud::LaunchReceipt>& receipt) {
  --launches_in_flight_;
  const TimePoint now = seams_.clock.now();
  journal::Event event;
  event.pool = pool_name(launch.pool);
  // A receipt without a machine is a refusal like any other; one that says no reason must not be repeated at once either.
  std::optional<Error> refusal;
  if (!receipt) {
    refusal = receipt.error();
  } else if (receipt->shortfall) {
    refusal = receipt->shortfall;
  } else if (receipt->accepted == 0) {
    refusal = Error{ErrorCode::transient, "the provider accepted none and gave no reason"};
  }
  if (receipt && receipt->accepted > 0) {
    engine::launch_answered(seams_.memory, launch.token, receipt->accepted);
    event.kind = "launch_accepted";
    event.message = std::to_string(receipt->accepted) + " of " + std::to_string(launch.count) + " machines for pool " +
                    event.pool + " are on their way";
    record(event);
  }
  if (refusal) {
    engine::launch_refused(seams_.memory, launch.token, *refusal, now);
    log_warning("launch_refused",
                {{"pool", event.pool}, {"code", to_string(refusal->code)}, {"why", refusal->message}});
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
          log_warning("termination_refused", {{"why", refused.error().message}});
        } else if (!refused->empty()) {
          log_warning("termination_refused", {{"instances", refused->size()}, {"first", refused->front().str()}});
        }
        events_.provider_answered();
      });
}

void Act::heed_troubles(const std::vector<cloud::PoolTrouble>& troubles) {
  const TimePoint now = seams_.clock.now();
  for (const auto& trouble : troubles) {
    log_warning("provider_trouble", {{"pool", trouble.pool.str()},
                                     {"code", to_string(trouble.error.code)},
                                     {"machines", trouble.count},
                                     {"why", trouble.error.message}});
    if (!trouble.launch_token.empty() && seams_.memory.launches.contains(trouble.launch_token)) {
      engine::launch_refused(seams_.memory, trouble.launch_token, trouble.error, now, trouble.count);
      continue;
    }
    for (size_t i = 0; i < seams_.cluster.pools.size(); ++i) {
      if (seams_.cluster.pools[i].name == trouble.pool) {
        engine::pool_refused(seams_.memory, static_cast<engine::PoolIndex>(i), trouble.error, now);
      }
    }
  }
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
