// The daemon of the simulator looks at Slurm and at the provider.
#include "sim/daemon_rules.h"

namespace slipway::sim {

// --- looking at Slurm ---

void Daemon::on_hint(const slurm::Hint& hint) {
  in_this_life(life_, [this, hint] {
    if (!holds_) return;
    if (hint.kind == slurm::HintKind::job_start) {
      std::erase_if(prologs_, [&](const Waiting& one) { return one.job == hint.job; });
      prologs_.push_back({hint.job, hint.nodes, clock()});
      something_to_see_ = true;
    }
    ask_slurm_now();
  });
}

void Daemon::on_prolog_closed(JobId job) {
  in_this_life(life_, [this, job] { std::erase_if(prologs_, [job](const Waiting& one) { return one.job == job; }); });
}

void Daemon::ask_slurm_now() {
  if (!holds_) return;
  Poller& poller = slurm_poller_;
  if (poller.in_flight) {
    poller.again = true;
    return;
  }
  ++poller.timer;
  poller.due = TimePoint::max();
  poller.in_flight = true;
  ask_slurm();
}

void Daemon::ask_slurm_within(Duration delay) {
  Poller& poller = slurm_poller_;
  const TimePoint at = world_.now() + delay;
  if (poller.due <= at) return;
  poller.due = at;
  world_.timeline.at(at, [this, timer = ++poller.timer] {
    if (timer == slurm_poller_.timer) in_this_life(life_, [this] { ask_slurm_now(); });
  });
}

void Daemon::slurm_finished() {
  slurm_poller_.in_flight = false;
  if (std::exchange(slurm_poller_.again, false)) ask_slurm_now();
}

void Daemon::ask_slurm() {
  const bool reached = world_.daemon_reaches_slurm;
  if (!reached || !world_.slurm.answers()) {
    const Duration patience =
        reached ? draw_latency(random_, world_.options.daemon.slurm_command) : world_.options.daemon.slurm_timeout;
    world_.timeline.after(patience, [this, life = life_] {
      in_this_life(life, [this] {
        view_.slurm_known = false;
        everything_ = true;
        slurm_finished();
        ask_slurm_within(world_.options.daemon.slurm_quick);
      });
    });
    return;
  }
  const TimePoint as_of = clock();
  if (!everything_ && !world_.nodes_changed && !world_.jobs_changed && !something_to_see_) {
    view_.slurm_as_of = as_of;
    if (jobs_wanted_) view_.jobs_as_of = as_of;
    slurm_finished();
    after_look();
    return;
  }
  something_to_see_ = false;
  seen_nodes_.clear();
  const auto changed = world_.take_changed_nodes();
  world_.nodes_changed = false;
  const auto& nodes = world_.slurm.nodes();
  if (everything_) {
    for (uint32_t i = 0; i < nodes.size(); ++i) seen_nodes_.emplace_back(i, nodes[i]);
  } else {
    for (const uint32_t i : changed) seen_nodes_.emplace_back(i, nodes[i]);
  }
  world_.timeline.after(draw_latency(random_, world_.options.daemon.slurm_command),
                        [this, life = life_, as_of] { in_this_life(life, [this, as_of] { slurm_answered(as_of); }); });
}

void Daemon::slurm_answered(TimePoint as_of) {
  const bool all = view_.nodes.size() != world_.slurm.nodes().size();
  if (all) view_.nodes.resize(world_.slurm.nodes().size());
  if (everything_) everything_ = false;
  if (!seen_nodes_.empty() || !view_.slurm_known) dirty_ = true;
  for (auto& [index, node] : seen_nodes_) view_.nodes[index] = std::move(node);
  seen_nodes_.clear();
  if (!view_.slurm_known) view_.slurm_since = as_of;
  view_.slurm_known = true;
  view_.slurm_as_of = as_of;
  if (std::exchange(world_.jobs_changed, false)) copy_jobs();
  if (jobs_wanted_) view_.jobs_as_of = as_of;
  check_prologs();
  if (quick_looks_ > 0) --quick_looks_;
  const uint64_t life = life_;
  slurm_finished();
  if (running_ && life == life_) after_look();
}

void Daemon::copy_jobs() {
  dirty_ = true;
  if (!jobs_wanted_) {
    view_.jobs = world_.slurm.starting_jobs();
    view_.pending.clear();
    return;
  }
  view_.jobs = world_.slurm.jobs();
  view_.pending = world_.slurm.pending();
}

// Says "go" to the jobs whose nodes are ready in a look that began after their prolog.
void Daemon::check_prologs() {
  std::erase_if(prologs_, [&](const Waiting& one) {
    if (view_.slurm_as_of < one.since) {
      something_to_see_ = true;  // this look proves nothing for it
      return false;
    }
    for (const NodeName& name : one.nodes) {
      const uint32_t node = world_.slurm.index_of(name);
      if (node < view_.nodes.size() && !ends_waiting(view_.nodes[node].slurm)) return false;
    }
    world_.timeline.after(hook_word, [world = &world_, job = one.job] { world->prolog_ends(job); });
    return true;
  });
}

// --- looking at the provider ---

void Daemon::ask_provider_now() {
  if (!holds_) return;
  Poller& poller = provider_poller_;
  if (poller.in_flight) {
    poller.again = true;
    return;
  }
  ++poller.timer;
  poller.due = TimePoint::max();
  poller.in_flight = true;
  ask_provider();
}

void Daemon::ask_provider_within(Duration delay) {
  Poller& poller = provider_poller_;
  const TimePoint at = world_.now() + delay;
  if (poller.due <= at) return;
  poller.due = at;
  world_.timeline.at(at, [this, timer = ++poller.timer] {
    if (timer == provider_poller_.timer) in_this_life(life_, [this] { ask_provider_now(); });
  });
}

void Daemon::provider_finished() {
  provider_poller_.in_flight = false;
  if (std::exchange(provider_poller_.again, false)) ask_provider_now();
}

void Daemon::ask_provider() {
  const TimePoint asked = clock();
  if (world_.options.skip_looks && listed_ && view_.instances_complete && listed_version_ == world_.cloud_version) {
    view_.instances_as_of = asked;
    provider_finished();
    after_look();
    return;
  }
  if (!engine::take_call(memory_, world_.spec, 0, asked)) {
    provider_poller_.in_flight = false;
    provider_poller_.again = false;
    ask_provider_within(no_budget);
    return;
  }
  world_.invariants.call_made();
  world_.cloud.list([this, life = life_, asked, version = world_.cloud_version](Result<cloud::Listing> listing) {
    in_this_life(life, [this, asked, version, listing = std::move(listing)]() mutable {
      provider_answered(asked, version, std::move(listing));
    });
  });
}

void Daemon::provider_answered(TimePoint asked, uint64_t version, Result<cloud::Listing> listing) {
  const DaemonOptions& options = world_.options.daemon;
  if (!listing) {
    if (listing.error().code == ErrorCode::throttled) engine::throttled(memory_, 0, listing.error(), clock());
    dirty_ |= view_.instances_complete;
    view_.instances_complete = false;
    const Duration wait = options.provider_quick * (1 << std::min(provider_failures_++, 8));
    provider_finished();
    ask_provider_within(std::min(listing.error().retry_after.value_or(wait), provider_back_off_max));
    after_look();
    return;
  }
  provider_failures_ = 0;
  heed_troubles(listing->troubles);
  listed_version_ = version;
  auto& now = listing->instances;
  bool same_as_before = now.size() == view_.instances.size() && listing->complete == view_.instances_complete;
  for (size_t i = 0; same_as_before && i < now.size(); ++i) same_as_before = same(view_.instances[i], now[i]);
  // What it is true of, by the clock of who asked.
  view_.instances_as_of = asked;
  view_.instances_complete = listing->complete;
  listed_ |= listing->complete;
  view_.on_the_way.clear();
  for (const cloud::OnTheWay& one : listing->on_the_way) {
    for (engine::PoolIndex p = 0; p < world_.spec.pools.size(); ++p) {
      if (world_.spec.pools[p].name == one.pool) view_.on_the_way.push_back({p, one.market, one.count});
    }
  }
  if (!view_.on_the_way.empty()) dirty_ = true;
  if (!same_as_before) {
    dirty_ = true;
    changed_at_ = clock();
    take_instances(now);
  }
  for (size_t i = 0; i < machine_of_.size(); ++i) {
    if (machine_of_[i] < known_.size() && known_[machine_of_[i]].connected && !known_[machine_of_[i]].welcomed) {
      admit(machine_of_[i]);
    }
  }
  provider_finished();
  after_look();
}

void Daemon::take_instances(std::vector<model::Instance>& now) {
  world_.note_new_machines();
  view_.instances.clear();
  machine_of_.clear();
  std::fill(instance_of_.begin(), instance_of_.end(), none);
  for (model::Instance& instance : now) {
    const uint32_t machine = world_.cloud.index_of(instance.id);
    engine::InstanceView& view = view_.instances.emplace_back();
    view.id = std::move(instance.id);
    view.pool = world_.cloud.machines()[machine].pool;
    view.state = instance.state;
    view.address = std::move(instance.address);
    view.launch_token = std::move(instance.launch_token);
    view.launched_at = instance.launched_at;
    view.market = instance.market;
    view.offer = std::move(instance.offer);
    view.placement = std::move(instance.placement);
    view.evict_at = instance.evict_at;
    view.trouble = instance.trouble.has_value();
    if (instance.trouble) view.message = instance.trouble->message;
    Known& agent = known(machine);
    if (view.state == model::InstanceState::gone) agent = Known{};
    machine_of_.push_back(machine);
    instance_of_[machine] = static_cast<uint32_t>(machine_of_.size() - 1);
    see_agent(machine);
  }
}

void Daemon::heed_troubles(const std::vector<cloud::PoolTrouble>& troubles) {
  for (const cloud::PoolTrouble& trouble : troubles) {
    engine::Trouble heard;
    for (engine::PoolIndex p = 0; p < world_.spec.pools.size(); ++p) {
      if (world_.spec.pools[p].name == trouble.pool) heard.pool = p;
    }
    heard.token = trouble.launch_token;
    heard.market = trouble.market;
    heard.offer = trouble.offer;
    heard.count = trouble.count;
    heard.error = trouble.error;
    if (world_.trace.on()) {
      world_.tell({}, trouble.pool.str() + " in trouble: " + trouble.error.message + ", " +
                          std::to_string(trouble.count) + " machines " + trouble.launch_token);
    }
    engine::trouble_reported(memory_, world_.spec, heard, clock());
    world_.invariants.refusal_heard(heard.pool);
    dirty_ = true;
  }
}

}  // namespace slipway::sim
