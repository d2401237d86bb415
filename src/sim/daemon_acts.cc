// The daemon of the simulator decides, and carries out its plans step by step.
#include "sim/daemon_rules.h"

namespace slipway::sim {

// --- deciding ---

void Daemon::ask_round(Duration within) {
  const TimePoint due = world_.now() + within;
  if (round_due_ <= due) return;
  round_due_ = due;
  world_.timeline.at(due, [this, timer = ++round_timer_] {
    if (timer != round_timer_) return;
    round_due_ = TimePoint::max();
    in_this_life(life_, [this] { round(); });
  });
}

bool Daemon::is_due() const {
  if (dirty_) return true;
  if (look_again_ != TimePoint{} && clock() >= look_again_) return true;
  const auto younger = [&](TimePoint as_of, TimePoint decided) { return as_of > decided && decided < moment_; };
  return younger(view_.slurm_as_of, slurm_decided_) || younger(view_.instances_as_of, provider_decided_);
}

void Daemon::after_look() {
  if (!holds_) return;
  // A tick of the clock ahead is how decide() asks for one more round at once: then none is needless.
  const bool asked_at_once = look_again_ != TimePoint{} && clock() + Duration(1) >= look_again_;
  if (!view_.slurm_known || !listed_) {
    ask_provider_within(world_.options.daemon.provider_slow);
    ask_slurm_within(world_.options.daemon.slurm_quick);
  } else if (is_due()) {
    round();
  } else if (world_.options.daemon.doubt > 0 && random_.chance(world_.options.daemon.doubt) && !asked_at_once) {
    engine::Plan plan = decide();
    world_.invariants.decided(view_, plan, true);
    set_pace();
  } else {
    set_pace();
  }
}

engine::Plan Daemon::decide() {
  ++rounds_;
  if (world_.options.decide) return world_.options.decide(view_, world_.spec, memory_, clock());
  return engine::decide(view_, world_.spec, memory_, clock());
}

void Daemon::round() {
  if (!holds_ || !view_.slurm_known || !listed_) return after_look();
  if (!keeps_lease()) return;
  const TimePoint now = clock();
  const bool caused = dirty_ || (look_again_ != TimePoint{} && now >= look_again_);
  engine::Plan plan = decide();
  world_.invariants.decided(view_, plan, false);
  const bool acted = does_something(plan);
  if (caused || acted) moment_ = now;
  dirty_ = false;
  slurm_decided_ = view_.slurm_as_of;
  provider_decided_ = view_.instances_as_of;
  look_again_ = plan.look_again;
  between_ = std::any_of(plan.situations.begin(), plan.situations.end(), is_between);
  if (acted || !plan.notes.empty()) changed_at_ = now;
  if (plan.jobs_wanted != jobs_wanted_) {
    jobs_wanted_ = plan.jobs_wanted;
    world_.jobs_changed = true;
    if (jobs_wanted_) ask_slurm_now();
  }
  if (world_.trace.on()) tell_notes(plan);
  if (acted) {
    const uint64_t life = life_;
    execute(std::move(plan), 0);
    if (!running_ || life_ != life || frozen_) return;
  }
  set_pace();
  ++look_timer_;
  if (look_again_ > now && look_again_ - now < world_.options.daemon.slurm_slow) {
    // What is decided then must rest on a fresh look at Slurm.
    world_.timeline.after(std::max(look_again_ - now, Duration(20)), [this, timer = look_timer_] {
      if (timer == look_timer_) in_this_life(life_, [this] { ask_slurm_now(); });
    });
  }
}

void Daemon::set_pace() {
  const DaemonOptions& options = world_.options.daemon;
  const Duration quiet = clock() - changed_at_;
  if (!prologs_.empty() && quick_looks_ > 0) {
    something_to_see_ = true;
    ask_slurm_within(quick_look);
  }
  ask_slurm_within(between_ ? unhurried(options.slurm_quick, options.slurm_slow, quiet) : options.slurm_slow);
  const bool busy = between_ || is_anything_moving() || !view_.instances_complete;
  ask_provider_within(busy ? unhurried(options.provider_quick, options.provider_slow, quiet) : options.provider_slow);
}

bool Daemon::is_anything_moving() const {
  if (launches_in_flight_ > 0 || !memory_.launches.empty()) return true;
  return std::any_of(view_.instances.begin(), view_.instances.end(), [](const engine::InstanceView& instance) {
    return instance.state == model::InstanceState::pending || instance.state == model::InstanceState::stopping ||
           (instance.state == model::InstanceState::running && instance.bound.empty());
  });
}

void Daemon::tell_notes(const engine::Plan& plan) {
  for (const engine::Note& note : plan.notes) {
    About about;
    if (!note.node.empty()) about.node = world_.slurm.index_of(note.node);
    if (!note.instance.empty()) about.machine = world_.cloud.index_of(note.instance);
    about.job = note.job;
    world_.tell(about, "decide: " + note.kind + ": " + note.message);
  }
}

// --- acting ---

bool Daemon::step(engine::Plan& plan, size_t position) {
  if (!keeps_lease()) return false;
  if (fuse_ == none) return true;
  if (fuse_-- > 0) return true;
  fuse_ = none;
  world_.invariants.fault();
  if (fuse_kills_) {
    kill(fuse_time_);
    return false;
  }
  // It goes on with this very step after the thaw.
  freeze(fuse_time_);
  auto rest = std::make_shared<engine::Plan>(std::move(plan));
  backlog_.emplace_back(life_, [this, rest, position] { execute(std::move(*rest), position); });
  return false;
}

// What somebody waits for goes first: names, then machines, then what only tidies up.
void Daemon::execute(engine::Plan plan, size_t from) {
  size_t position = 0;
  const auto due = [&] { return position++ >= from; };
  for (const auto& bind : plan.binds) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    const uint32_t node = world_.slurm.index_of(bind.node);
    const uint32_t machine = world_.cloud.index_of(bind.instance);
    if (node == none || machine == none) continue;
    if (world_.trace.on()) {
      world_.tell({.node = node, .machine = machine}, bind.node.str() + " is given to " + bind.instance.str());
    }
    world_.invariants.bind_sent(node, machine);
    send_name(node, machine);
    queue_bind(node, machine, bind.address);
  }
  for (const auto& restart : plan.restarts) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    const uint32_t node = world_.slurm.index_of(restart.node);
    const uint32_t machine = world_.cloud.index_of(restart.instance);
    if (node == none || machine == none) continue;
    send_name(node, machine);
  }
  if (!plan.terminations.empty() && due()) {
    if (!step(plan, position - 1)) return;
    terminate(plan.terminations);
  }
  for (const auto& one : plan.withdrawals) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    withdraw(one);
  }
  for (const auto& one : plan.launches) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    launch(one);
  }
  for (const auto& tell : plan.tells) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    slurm::NodeUpdate update;
    update.change = change_of(tell.what);
    update.nodes = tell.nodes;
    update.reason = tell.reason;
    update.jobs_may_restart = tell.jobs_may_restart;
    queue(std::move(update));
  }
  for (const auto& tell : plan.job_tells) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    slurm::JobUpdate update;
    update.change = change_of(tell.what);
    if (tell.what == engine::TellJob::requeue) {
      for (const JobId job : tell.jobs) world_.invariants.job_moved(job);
    }
    update.jobs = tell.jobs;
    update.text = tell.text;
    queue(std::move(update));
  }
}

void Daemon::launch(const engine::Launch& launch) {
  if (launch.pool >= world_.spec.pools.size() || launch.count == 0) return;
  cloud::LaunchRequest request;
  request.pool = world_.spec.pools[launch.pool].name;
  request.count = launch.count;
  request.minimum = launch.minimum;
  request.token = launch.token;
  request.market = launch.market;
  request.offers = launch.offers;
  request.placement = launch.placement;
  ++launches_in_flight_;
  world_.invariants.launch_sent(launch);
  world_.invariants.call_made();
  if (world_.trace.on()) {
    std::string text = request.pool.str() + ": asks for " + std::to_string(launch.count) + " (" +
                       std::string(to_string(launch.market));
    for (const auto& offer : launch.offers) text += ", " + offer.machine + "/" + offer.zone;
    world_.tell({}, text + ") " + launch.token);
  }
  world_.cloud.launch(request, [this, life = life_, pool = launch.pool, token = launch.token,
                                count = launch.count](Result<cloud::LaunchReceipt> receipt) {
    const bool heard = running_ && life == life_;
    world_.note_new_machines();
    world_.invariants.launch_heard(pool, token, count,
                                   heard && (receipt || receipt.error().code != ErrorCode::outcome_unknown));
    ++world_.cloud_version;
    in_this_life(life,
                 [this, pool, token, count, receipt = std::move(receipt)] { launched(pool, token, count, receipt); });
  });
}

void Daemon::withdraw(const engine::Withdraw& withdraw) {
  const PoolName& pool = world_.spec.pools[withdraw.pool].name;
  world_.invariants.call_made();
  if (world_.trace.on())
    world_.tell({}, pool.str() + ": takes back " + std::to_string(withdraw.count) + " on their way");
  world_.cloud.withdraw(pool, withdraw.market, withdraw.count, [this, life = life_, withdraw](Result<uint32_t> taken) {
    world_.note_new_machines();
    ++world_.cloud_version;
    in_this_life(life, [this, withdraw, taken = std::move(taken)] {
      if (!taken && taken.error().code == ErrorCode::throttled) engine::throttled(memory_, 0, taken.error(), clock());
      engine::withdrawn(memory_, withdraw, taken.value_or(0), clock());
      dirty_ = true;
      ask_provider_now();
    });
  });
}

void Daemon::launched(engine::PoolIndex pool, const std::string& token, uint32_t count,
                      const Result<cloud::LaunchReceipt>& receipt) {
  --launches_in_flight_;
  if (!receipt) {
    if (world_.trace.on()) world_.tell({}, "refused: " + receipt.error().message + " " + token);
    world_.invariants.refusal_heard(pool);
    engine::launch_failed(memory_, world_.spec, token, receipt.error(), clock());
  } else {
    std::vector<engine::Refusal> refusals;
    for (const auto& refusal : receipt->refusals) refusals.push_back({refusal.offer, refusal.error});
    if (receipt->accepted < count || !receipt->refusals.empty()) world_.invariants.refusal_heard(pool);
    // A receipt without a machine is a refusal like any other; one that says no reason must not be repeated at once.
    if (receipt->accepted == 0 && refusals.empty()) {
      engine::launch_failed(memory_, world_.spec, token,
                            Error{ErrorCode::transient, "the provider accepted none and gave no reason"}, clock());
    } else {
      engine::launch_answered(memory_, world_.spec, token, receipt->accepted, refusals, clock());
    }
  }
  dirty_ = true;
  ask_provider_now();
}

void Daemon::terminate(const std::vector<engine::Terminate>& ends) {
  std::vector<InstanceId> ids;
  ids.reserve(ends.size());
  for (const auto& one : ends) {
    const uint32_t machine = world_.cloud.index_of(one.instance);
    if (machine == none) continue;
    known(machine).assigned = none;
    world_.invariants.terminate_sent(machine);
    if (known(machine).connected) {
      world_.timeline.after(
          draw_latency(random_, world_.options.agents.message),
          [agents = &world_.agents, machine, epoch = epoch_, life = life_] { agents->leave(machine, epoch, life); });
    }
    if (world_.trace.on()) {
      world_.tell({.node = world_.agents.machine(machine).node, .machine = machine},
                  one.instance.str() + " shall end: " + one.reason);
    }
    ids.push_back(one.instance);
  }
  world_.invariants.call_made();
  world_.cloud.terminate(ids, [this, life = life_](Result<std::vector<InstanceId>> refused) {
    ++world_.cloud_version;
    const bool throttled = !refused && refused.error().code == ErrorCode::throttled;
    const Error error = throttled ? refused.error() : Error{};
    in_this_life(life, [this, throttled, error] {
      if (throttled) engine::throttled(memory_, 0, error, clock());
      ask_provider_now();
    });
  });
}

void Daemon::queue_bind(uint32_t node, uint32_t machine, const std::string& address) {
  if (address.empty()) return;
  if (binds_.empty()) first_bind_at_ = world_.now();
  binds_[node] = {machine, address};
  world_.timeline.at(std::min(world_.now() + bind_lull, first_bind_at_ + bind_patience), [this, timer = ++bind_timer_] {
    if (timer == bind_timer_) in_this_life(life_, [this] { flush_binds(); });
  });
}

void Daemon::flush_binds() {
  slurm::NodeUpdate update;
  update.change = slurm::NodeChange::bind;
  for (auto& [node, bind] : binds_) {
    const NodeName& name = view_name(node);
    const auto remembered = memory_.nodes.find(name);
    if (remembered == memory_.nodes.end() || remembered->second.bound.str() != world_.machine_name(bind.first))
      continue;
    update.nodes.push_back(name);
    update.addresses.push_back(std::move(bind.second));
    update.hostnames.push_back(name.str());
  }
  binds_.clear();
  if (update.nodes.empty()) return;
  queue(std::move(update));
}

void Daemon::queue(Command command) {
  if (auto* update = std::get_if<slurm::NodeUpdate>(&command)) {
    if (update->nodes.empty()) return;
    if (update->change != slurm::NodeChange::power_up && update->change != slurm::NodeChange::bind) {
      for (const NodeName& name : update->nodes) binds_.erase(world_.slurm.index_of(name));
    }
    const bool waits_already = std::any_of(commands_.begin(), commands_.end(), [&](const Command& other) {
      const auto* one = std::get_if<slurm::NodeUpdate>(&other);
      return one != nullptr && one->change == update->change && one->nodes == update->nodes &&
             one->reason == update->reason;
    });
    if (waits_already) return;
  }
  if (commands_.size() >= commands_max) return;
  commands_.push_back(std::move(command));
  next_command();
}

// One at a time and in order. A command that runs goes on when the daemon dies.
void Daemon::next_command() {
  if (command_in_flight_ || commands_.empty()) return;
  command_in_flight_ = true;
  auto command = std::make_shared<Command>(std::move(commands_.front()));
  commands_.pop_front();
  const bool reached = world_.daemon_reaches_slurm;
  const Duration takes =
      reached ? draw_latency(random_, world_.options.daemon.slurm_command) : world_.options.daemon.slurm_timeout;
  world_.timeline.after(takes, [this, life = life_, command, reached] {
    bool bind = false;
    if (const auto* update = std::get_if<slurm::NodeUpdate>(command.get())) {
      bind = update->change == slurm::NodeChange::bind;
      if (reached) world_.update(*update);
    } else if (reached) {
      (void)world_.slurm.update(std::get<slurm::JobUpdate>(*command));
      world_.jobs_changed = true;
    }
    in_this_life(life, [this, bind] {
      command_in_flight_ = false;
      something_to_see_ = true;
      if (!bind) ask_slurm_now();
      next_command();
    });
  });
}

}  // namespace slipway::sim
