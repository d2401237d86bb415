#include "daemon/shell.h"

#include <malloc.h>
#include <time.h>

#include <algorithm>

#include "base/log.h"
#include "catalog/catalog.h"
#include "daemon/hosts_file.h"

namespace slipway::daemon {

namespace {

constexpr Duration provider_timeout{30'000};
constexpr Duration identify_timeout{8'000};  // an agent's claim waits for it a little longer
constexpr Duration jobs_fresh{0};            // only what is asked in the same moment is answered together
constexpr Duration jobs_kept{3'000};
constexpr Duration waiters_every{100};
constexpr Duration housekeeping_every{std::chrono::hours(1)};
constexpr Duration provider_back_off_max{10'000};
// After an agent's connection ended: the kernel closes a dying machine's sockets a moment before the provider knows
// that it is gone.
constexpr Duration suspect_again[] = {Duration(60), Duration(200), Duration(600), Duration(1'500)};
// While a job waits for slurmd's that were just started: a look so often, for so many looks.
constexpr Duration quick_look{150};
constexpr int quick_looks_max = 20;
constexpr size_t tables_worth_trimming = 200;
constexpr size_t jobs_waiters_max = 256;

std::string address_part(const std::string& endpoint) {
  return endpoint.substr(0, endpoint.rfind(':'));
}

std::string version_text(const slurm::Version& version) {
  const std::string minor = std::to_string(version.minor);
  return std::to_string(version.major) + "." + (minor.size() < 2 ? "0" : "") + minor + "." +
         std::to_string(version.patch);
}

engine::Spec spec_of(const model::Cluster& cluster, const cloud::Capabilities& provider) {
  engine::Spec spec = engine::make_spec(cluster);
  spec.consistency_delay = provider.consistency_delay;
  spec.launch_delay = provider.launch_delay;
  if (!cluster.launch_window) spec.launch_window = provider.launch_window;
  if (!cluster.api) spec.accounts.assign(1, provider.api);
  for (size_t p = 0; p < cluster.pools.size(); ++p) {
    for (auto& way : spec.pools[p].ways) {
      const catalog::MachineType* type = catalog::find(cluster.pools[p].provider, way.offer.machine);
      if (type == nullptr) continue;
      way.price = way.market == model::Market::spot ? type->usd_spot_per_hour : type->usd_per_hour;
    }
  }
  return spec;
}

Duration utc_offset_at(TimePoint now) {
  const time_t seconds = std::chrono::system_clock::to_time_t(now);
  tm local{};
  localtime_r(&seconds, &local);
  return std::chrono::seconds(local.tm_gmtoff);
}

}  // namespace

struct Shell::NodesAnswer {
  Result<std::vector<engine::NodeView>> nodes;
  TimePoint as_of{};
};

struct Shell::ListingAnswer {
  Result<cloud::Listing> listing;  // its instances are in the other members
  std::vector<engine::InstanceView> instances;
  std::unordered_map<InstanceId, std::string> others;
};

Shell::Shell(Loop& loop, Seams seams, model::Cluster cluster, ShellOptions options)
    : loop_(loop),
      seams_(seams),
      options_(std::move(options)),
      world_{.cluster = std::move(cluster)},
      pools_(world_.cluster),
      welcome_(world_.cluster, options_.munge_key, address_part(options_.listen), options_.slurm_conf),
      slurm_readers_(loop, 1),
      slurm_writers_(loop, 1),
      listers_(loop, 1),
      vouchers_(loop, 2),
      doers_(loop, 2),
      slurm_poller_(loop, seams.clock, [this] { poll_slurm(); }),
      provider_poller_(loop, seams.clock, [this] { poll_provider(); }),
      jobs_poller_(loop, seams.clock, [this] { poll_jobs(); }),
      job_starts_(loop, seams.clock, {}) {
  const cloud::Capabilities capabilities = seams_.provider.capabilities();
  world_.spec = spec_of(world_.cluster, capabilities);
  look_every_ = capabilities.look_every;
  world_.started = seams_.clock.now();
  world_.lease = options_.lease;
  changed_at_ = world_.started;
}

Result<std::unique_ptr<Shell>> Shell::start(Loop& loop, Seams seams, model::Cluster cluster, ShellOptions options) {
  std::unique_ptr<Shell> shell(new Shell(loop, seams, std::move(cluster), std::move(options)));
  Shell* self = shell.get();

  Agents::Options agents;
  agents.door.listen = self->options_.listen;
  agents.master = self->options_.master;
  agents.agent_silence = self->world_.spec.agent_silence;
  Agents::Events events;
  events.changed = [self](const InstanceId& instance) { self->agent_changed(instance); };
  events.lost = [self](const InstanceId& instance) { self->suspect(instance); };
  events.unknown = [self](const InstanceId&) { self->admit_waiting(); };
  events.is_still_meant = [self](const InstanceId& instance, const NodeName& node) {
    return self->is_bound(node, instance);
  };
  // A machine may have joined before any listing showed it: then the provider says "not now", and one is made.
  events.identify = [self](cloud::Evidence evidence, std::function<void(Result<void>)> answer) {
    self->vouchers_.run([provider = &self->seams_.provider,
                         evidence = std::move(evidence)] { return provider->identify(evidence, identify_timeout); },
                        [self, answer = std::move(answer)](Result<void> vouched) {
                          if (!vouched && vouched.error().code == ErrorCode::transient) self->provider_poller_.now();
                          answer(std::move(vouched));
                        });
  };
  events.failed = [self](const InstanceId& instance, const std::string& message, const std::string& log_tail) {
    journal::Event event;
    event.kind = "agent_failed";
    event.instance = instance.str();
    event.message = message;
    if (!log_tail.empty()) event.message += "\n" + log_tail;
    self->act_->record(std::move(event));
  };
  auto opened = Agents::open(loop, seams.clock, std::move(agents), std::move(events));
  if (!opened) return fail(opened.error());
  self->agents_ = std::move(*opened);

  self->writer_ = std::make_unique<SlurmWriter>(
      loop, seams.clock, self->slurm_writers_, seams.slurm, SlurmWriter::Options{},
      SlurmWriter::Events{
          [self](const NodeName& node, const InstanceId& instance) { return self->is_bound(node, instance); },
          [self](const SlurmUpdate& update, const Result<void>& done) { self->written(update, done); }});
  self->act_ =
      std::make_unique<Act>(Act::Seams{loop, seams.clock, self->doers_, seams.provider, *self->agents_, *self->writer_,
                                       seams.journal, self->world_.cluster, self->world_.spec, self->world_.memory},
                            Act::Events{[self] { self->provider_poller_.now(); },
                                        [self] {
                                          if (self->on_event_) self->on_event_();
                                        }});
  self->record("daemon_started", "slipwayd " SLIPWAY_VERSION " looks at both ends");
  self->learn_version();
  self->slurm_poller_.now();
  self->provider_poller_.now();
  self->housekeeping();
  return shell;
}

Shell::~Shell() {
  for (const auto timer :
       {round_timer_, look_timer_, suspect_timer_, jobs_timer_, waiters_timer_, housekeeping_timer_}) {
    loop_.cancel(timer);
  }
}

void Shell::learn_version() {
  slurm_readers_.run([slurm = &seams_.slurm] { return slurm->version(); },
                     [this](Result<slurm::Version> version) {
                       if (version) world_.slurm_version = version_text(*version);
                     });
}

// --- observing Slurm ---

void Shell::on_hint(const Result<slurm::Hint>& hint, std::unique_ptr<Channel> channel) {
  ++hints_;
  if (hint) {
    book_.on_hint(*hint);
  } else {
    log_warning("hint_not_understood", {{"why", hint.error().message}});
  }
  if (hint && hint->kind == slurm::HintKind::job_start && channel) job_starts_.add(std::move(channel), *hint);
  slurm_poller_.now();
}

void Shell::poll_slurm() {
  hints_at_poll_ = hints_;
  slurm_readers_.run(
      [slurm = &seams_.slurm, clock = &seams_.clock, pools = &pools_] {
        NodesAnswer answer;
        answer.as_of = clock->now();
        auto nodes = slurm->nodes();
        if (nodes) {
          answer.nodes = node_views(std::move(*nodes), *pools);
        } else {
          answer.nodes = fail(nodes.error());
        }
        return answer;
      },
      [this](NodesAnswer answer) { slurm_answered(std::move(answer)); });
}

void Shell::slurm_answered(NodesAnswer answer) {
  auto& view = world_.view;
  if (!answer.nodes) {
    if (world_.slurm_error.empty()) {
      record("slurm_unreachable",
             "slurmctld does not answer, nothing is done until it does: " + answer.nodes.error().message);
    }
    world_.slurm_error = answer.nodes.error().message;
    view.slurm_known = false;
    slurm_poller_.finished();
    slurm_poller_.within(options_.slurm_quick);
    return;
  }
  if (!world_.slurm_error.empty()) record("slurm_back", "slurmctld answers again");
  if (!view.slurm_known) view.slurm_since = answer.as_of;
  world_.slurm_error.clear();
  if (world_.slurm_version.empty()) learn_version();
  view.slurm_known = true;
  view.slurm_as_of = answer.as_of;
  view.nodes = std::move(*answer.nodes);
  world_.situations.clear();
  // Before anything else: a job waits for this very answer.
  job_starts_.check(view.nodes, answer.as_of);
  if (quick_looks_ > 0) --quick_looks_;
  if (hints_ == hints_at_poll_) book_.prune(view.nodes);
  if (book_.must_ask(view.nodes)) jobs_poller_.now();
  slurm_poller_.finished();
  round();
  if (view.nodes.size() >= tables_worth_trimming) malloc_trim(0);
}

void Shell::poll_jobs() {
  jobs_asked_at_ = seams_.clock.now();
  slurm_readers_.run([slurm = &seams_.slurm] { return slurm->jobs(); },
                     [this, hint = book_.hints_seen(), at = jobs_asked_at_](Result<std::vector<slurm::Job>> jobs) {
                       jobs_answered(jobs, hint, at);
                     });
}

void Shell::jobs_answered(const Result<std::vector<slurm::Job>>& jobs, uint64_t asked_at_hint, TimePoint asked_at) {
  jobs_poller_.finished();
  if (jobs) {
    world_.jobs = *jobs;
    world_.jobs_error.clear();
    world_.jobs_as_of = seams_.clock.now();
    book_.on_squeue(*jobs, asked_at_hint);
    world_.view.pending = pending_jobs(*jobs, pools_);
    world_.view.jobs_as_of = asked_at;
    ask_round(Duration(0));
  } else {
    world_.jobs_error = jobs.error().message;
  }
  serve_jobs_waiters(true);
  // A long queue isn't kept for nobody.
  loop_.cancel(jobs_timer_);
  jobs_timer_ = loop_.after(jobs_kept, [this] {
    jobs_timer_ = Loop::TimerId::none;
    if (seams_.clock.now() - world_.jobs_as_of < jobs_kept) return;
    std::vector<slurm::Job>().swap(world_.jobs);
    world_.jobs_as_of = TimePoint{};
  });
}

void Shell::with_jobs(Duration patience, std::function<void()> then) {
  const TimePoint now = seams_.clock.now();
  if (world_.jobs_as_of != TimePoint{} && now - world_.jobs_as_of <= jobs_fresh) return then();
  if (jobs_waiters_.size() >= jobs_waiters_max) return then();
  jobs_waiters_.push_back({now + patience, std::move(then)});
  if (waiters_timer_ == Loop::TimerId::none) arm_waiters();
  if (!jobs_poller_.in_flight()) jobs_poller_.now();
}

void Shell::serve_jobs_waiters(bool all) {
  const TimePoint now = seams_.clock.now();
  std::deque<JobsWaiter> served;
  for (auto& waiter : std::exchange(jobs_waiters_, {})) {
    (all || waiter.deadline <= now ? served : jobs_waiters_).push_back(std::move(waiter));
  }
  for (auto& waiter : served) waiter.then();
}

void Shell::arm_waiters() {
  waiters_timer_ = loop_.after(waiters_every, [this] {
    waiters_timer_ = Loop::TimerId::none;
    serve_jobs_waiters(false);
    if (!jobs_waiters_.empty()) arm_waiters();
  });
}

// --- observing the provider ---

void Shell::poll_provider() {
  const TimePoint now = seams_.clock.now();
  if (const TimePoint at = listed_at_ + look_every_; listed_at_ != TimePoint{} && now < at) {
    provider_poller_.finished();
    provider_poller_.within(at - now);
    return;
  }
  if (!act_->may_call()) {
    provider_poller_.finished();
    provider_poller_.within(options_.provider_quick);
    return;
  }
  listed_at_ = now;
  listers_.run(
      [provider = &seams_.provider, pools = &pools_] {
        ListingAnswer answer;
        answer.listing = provider->list(provider_timeout);
        if (!answer.listing) return answer;
        auto& listing = *answer.listing;
        answer.instances = instance_views(listing.instances, *pools);
        for (const auto& instance : listing.instances) {
          if (pools->by_pool(instance.pool) == engine::no_pool && instance.state != model::InstanceState::gone) {
            answer.others.emplace(instance.id, instance.address);
          }
        }
        listing.instances = {};
        return answer;
      },
      [this](ListingAnswer answer) { provider_answered(std::move(answer)); });
}

void Shell::provider_answered(ListingAnswer answer) {
  provider_poller_.finished();
  if (!answer.listing) {
    if (world_.provider_error.empty()) {
      record("provider_unreachable", "machines can't be listed: " + answer.listing.error().message);
    }
    if (answer.listing.error().code == ErrorCode::throttled) act_->throttled(answer.listing.error());
    world_.provider_error = answer.listing.error().message;
    world_.view.instances_complete = false;
    const Duration wait = options_.provider_quick * (1 << std::min(provider_failures_++, 8));
    provider_poller_.within(std::min(answer.listing.error().retry_after.value_or(wait), provider_back_off_max));
    round();
    return;
  }
  provider_failures_ = 0;
  if (!world_.provider_error.empty()) record("provider_back", "machines can be listed again");
  world_.provider_error.clear();

  auto& view = world_.view;
  const auto& listing = *answer.listing;
  act_->heed_troubles(listing.troubles);
  view.instances = std::move(answer.instances);
  view.instances_complete = listing.complete;
  view.instances_as_of = listing.as_of;
  others_ = std::move(answer.others);
  world_.listed |= listing.complete;
  view.on_the_way.clear();
  for (const auto& one : listing.on_the_way)
    view.on_the_way.push_back({pools_.by_pool(one.pool), one.market, one.count});

  std::unordered_set<InstanceId> there;
  std::vector<std::pair<InstanceId, model::InstanceState>> states;
  states.reserve(view.instances.size());
  for (const auto& instance : view.instances) {
    states.emplace_back(instance.id, instance.state);
    if (instance.state == model::InstanceState::gone) {
      agents_->forget(instance.id);
    } else {
      there.insert(instance.id);
    }
  }
  for (const auto& [id, address] : others_) there.insert(id);
  if (listing.complete) agents_->prune(there);
  if (states != last_states_) {
    last_states_ = std::move(states);
    changed_at_ = seams_.clock.now();
  }
  admit_waiting();
  round();
}

void Shell::suspect(const InstanceId& instance) {
  const auto& instances = world_.view.instances;
  const bool should_run = std::any_of(instances.begin(), instances.end(), [&](const engine::InstanceView& one) {
    return one.id == instance && one.state != model::InstanceState::gone && one.state != model::InstanceState::stopping;
  });
  ask_round(options_.gather);
  if (!should_run) return;
  provider_poller_.now();
  suspicion_ = 0;
  look_closer();
}

void Shell::look_closer() {
  loop_.cancel(std::exchange(suspect_timer_, Loop::TimerId::none));
  if (suspicion_ >= std::size(suspect_again)) return;
  suspect_timer_ = loop_.after(suspect_again[suspicion_++], [this] {
    suspect_timer_ = Loop::TimerId::none;
    provider_poller_.now();
    look_closer();
  });
}

// An agent is welcomed once the provider lists it. What a complete listing made after its arrival doesn't show in any
// pool is a login machine.
void Shell::admit_waiting() {
  const auto waiting = agents_->waiting_for_admission();
  if (waiting.empty()) return;
  std::unordered_map<InstanceId, engine::PoolIndex> pool_of;
  for (const auto& instance : world_.view.instances) {
    if (instance.state != model::InstanceState::gone) pool_of.emplace(instance.id, instance.pool);
  }
  const auto lines = logins();
  bool look = false;
  for (const auto& [instance, since] : waiting) {
    const auto listed = pool_of.find(instance);
    if (listed != pool_of.end()) {
      agents_->admit(instance, welcome_.for_compute(world_.cluster.pools[listed->second], lines));
      continue;
    }
    const bool proven_other =
        world_.view.instances_complete && world_.view.instances_as_of >= since + world_.spec.consistency_delay;
    if (!others_.contains(instance) && !proven_other) {
      look = true;
      continue;
    }
    admit_login(instance);
  }
  if (look && provider_failures_ == 0) provider_poller_.now();
}

void Shell::admit_login(const InstanceId& instance) {
  logins_[instance] = agents_->address_of(instance);
  const auto lines = logins();
  // slurmctld calls back to srun by its host's name, and stalls for seconds on one that doesn't resolve.
  if (!options_.hosts_file.empty()) {
    std::string text;
    for (const auto& [name, address] : lines) text += address + " " + name + "\n";
    if (auto written = write_hosts_section(options_.hosts_file, "logins", text); !written) {
      log_warning("hosts_not_written", {{"file", options_.hosts_file.string()}, {"why", written.error().message}});
    }
  }
  const auto welcome = welcome_.for_login(lines);
  if (!welcome) {
    log_warning("login_must_wait", {{"instance", instance.str()}, {"why", welcome.error().message}});
    return;
  }
  agents_->admit(instance, *welcome);
}

// Login machines in the order of their launch, which is that of their ids.
std::vector<HostLine> Shell::logins() const {
  std::map<InstanceId, std::string> machines(logins_.begin(), logins_.end());
  for (const auto& [id, address] : others_) {
    if (!address.empty() && address != address_part(options_.listen)) machines.emplace(id, address);
  }
  std::vector<HostLine> lines;
  for (const auto& [id, address] : machines) lines.emplace_back(login_name(lines.size()), address);
  return lines;
}

NameLookup Shell::names() const {
  const std::string controller = address_part(options_.listen);
  NameLookup lookup;
  lookup.address_of = [this, controller](std::string_view name) -> std::optional<std::string> {
    if (name == "controller") return controller;
    for (const auto& [login, address] : logins()) {
      if (name == login) return address;
    }
    return address_of_node(world_, name, controller);
  };
  lookup.name_of = [this, controller](std::string_view address) -> std::optional<std::string> {
    if (address == controller) return "controller";
    for (const auto& [login, its] : logins()) {
      if (address == its) return login;
    }
    return node_at_address(world_, address);
  };
  return lookup;
}

// --- deciding ---

void Shell::ask_round(Duration within) {
  const TimePoint due = seams_.clock.now() + within;
  if (round_timer_ != Loop::TimerId::none) {
    if (round_due_ <= due) return;
    loop_.cancel(round_timer_);
  }
  round_due_ = due;
  round_timer_ = loop_.after(within, [this] {
    round_timer_ = Loop::TimerId::none;
    round();
  });
}

void Shell::round() {
  auto& view = world_.view;
  if (!view.slurm_known || !world_.listed) {
    provider_poller_.within(options_.provider_slow);
    slurm_poller_.within(options_.slurm_quick);
    return;
  }
  const TimePoint now = seams_.clock.now();
  view.jobs = book_.jobs();
  view.utc_offset = utc_offset_at(now);
  agents_->fill(view.instances);
  auto plan = engine::decide(view, world_.spec, world_.memory, now);
  const bool acted = !plan.binds.empty() || !plan.restarts.empty() || !plan.launches.empty() ||
                     !plan.withdrawals.empty() || !plan.terminations.empty() || !plan.tells.empty() ||
                     !plan.job_tells.empty() || !plan.notes.empty();
  if (options_.may_act && !options_.may_act()) return;
  act_->execute(plan);
  choose_pace(plan, acted);
  look_at_jobs(plan.jobs_wanted);
  world_.situations = std::move(plan.situations);
}

void Shell::look_at_jobs(bool wanted) {
  if (wanted) {
    jobs_poller_.within(std::max(Duration(0), jobs_asked_at_ + options_.jobs_quick - seams_.clock.now()));
    return;
  }
  book_.forget_running();
  world_.view.pending.clear();
}

bool Shell::is_anything_moving() const {
  if (act_->launches_in_flight() > 0 || !world_.memory.launches.empty()) return true;
  if (agents_->connected_count() > 0 && !agents_->waiting_for_admission().empty()) return true;
  return std::any_of(
      world_.view.instances.begin(), world_.view.instances.end(), [](const engine::InstanceView& instance) {
        return instance.state == model::InstanceState::pending || instance.state == model::InstanceState::stopping ||
               (instance.state == model::InstanceState::running &&
                (instance.bound.empty() || instance.evict_at != TimePoint{}));
      });
}

void Shell::choose_pace(const engine::Plan& plan, bool acted) {
  const TimePoint now = seams_.clock.now();
  if (acted) changed_at_ = now;
  const Duration quiet = now - changed_at_;
  const bool between = std::any_of(plan.situations.begin(), plan.situations.end(), is_between);
  if (!job_starts_.empty() && quick_looks_ > 0) slurm_poller_.within(quick_look);
  slurm_poller_.within(between ? unhurried(options_.slurm_quick, options_.slurm_slow, quiet) : options_.slurm_slow);
  const bool provider_busy = between || is_anything_moving() || !world_.view.instances_complete;
  provider_poller_.within(provider_busy ? unhurried(options_.provider_quick, options_.provider_slow, quiet)
                                        : options_.provider_slow);

  loop_.cancel(std::exchange(look_timer_, Loop::TimerId::none));
  // When time alone changes something, what is decided then must rest on a fresh look at Slurm.
  if (plan.look_again > now && plan.look_again - now < options_.slurm_slow) {
    look_timer_ = loop_.after(std::max(plan.look_again - now, Duration(20)), [this] {
      look_timer_ = Loop::TimerId::none;
      slurm_poller_.now();
    });
  }
}

// --- small helpers ---

void Shell::agent_changed(const InstanceId& instance) {
  ask_round(options_.gather);
  if (job_starts_.empty()) return;
  // slurmd registers a moment after its agent says that it runs; a job waits for that.
  const auto serves = agents_->phase_of(instance) == join::Phase::serving;
  if (serves) quick_looks_ = quick_looks_max;
  if (serves) slurm_poller_.within(quick_look);
}

bool Shell::is_bound(const NodeName& node, const InstanceId& instance) const {
  const auto found = world_.memory.nodes.find(node);
  return found != world_.memory.nodes.end() && found->second.bound == instance;
}

void Shell::written(const SlurmUpdate& update, const Result<void>& done) {
  const auto* node = std::get_if<slurm::NodeUpdate>(&update);
  const auto* job = std::get_if<slurm::JobUpdate>(&update);
  if (!done) {
    journal::Event event;
    event.kind = "slurm_update_refused";
    if (node != nullptr && node->nodes.size() == 1) event.node = node->nodes.front().str();
    if (job != nullptr && job->jobs.size() == 1) event.job = job->jobs.front();
    event.message = done.error().message;
    act_->record(std::move(event));
  }
  // Nobody waits for a binding's record, a comment or a signal; the effect of the others is somebody's next step.
  const bool awaited =
      node != nullptr ? node->change != slurm::NodeChange::bind : job->change == slurm::JobChange::requeue;
  if (awaited) slurm_poller_.now();
}

void Shell::record(std::string kind, std::string message) {
  journal::Event event;
  event.kind = std::move(kind);
  event.message = std::move(message);
  act_->record(std::move(event));
}

void Shell::housekeeping() {
  seams_.journal.forget_before(seams_.clock.now() - options_.events_kept);
  housekeeping_timer_ = loop_.after(housekeeping_every, [this] { housekeeping(); });
}

}  // namespace slipway::daemon
