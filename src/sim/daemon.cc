// The life of the simulator's daemon: its lease, its end, being frozen.
#include "sim/daemon_rules.h"

namespace slipway::sim {

Daemon::Daemon(World& world, uint32_t number, Random random) : world_(world), number_(number), random_(random) {
  life_ = number;
}

TimePoint Daemon::clock() const {
  return world_.now() + clock_error_;
}

// --- life ---

void Daemon::start() {
  if (running_) return;
  running_ = true;
  life_ += 16;  // never one of another daemon's
  clock_error_ = world_.clock_error;
  if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " starts");
  look_for_lease();
}

void Daemon::look_for_lease() {
  if (!running_ || frozen_ || holds_) return;
  World::Lease& lease = world_.lease;
  const bool mine = lease.holder == number_;
  // Who holds it and runs renews it; what is left of it counts from the last time.
  if (lease.holder != nobody && !mine) {
    const Daemon& other = *world_.daemons[lease.holder];
    const bool renewed = other.running_ && other.holds_ && !other.frozen_;
    if (renewed || world_.now() < lease.renewed_at + World::lease_valid) return;
  }
  lease.holder = number_;
  lease.renewed_at = world_.now();
  epoch_ = ++lease.epoch;
  holds_ = true;
  valid_until_ = TimePoint::max();  // it renews it, unless it is frozen
  begin();
}

bool Daemon::keeps_lease() {
  if (holds_ && world_.lease.epoch == epoch_ && world_.now() < valid_until_) return true;
  if (running_) {
    if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " lost its lease and ends");
    kill(world_.options.daemon.restart);
  }
  return false;
}

void Daemon::begin() {
  view_ = engine::View{};
  view_.utc_offset = world_.options.utc_offset;
  memory_ = engine::Memory{};
  listed_ = false;
  everything_ = true;
  machine_of_.clear();
  instance_of_.clear();
  known_.clear();
  seen_nodes_.clear();
  prologs_.clear();
  commands_.clear();
  command_in_flight_ = false;
  binds_.clear();
  slurm_poller_ = Poller{.timer = slurm_poller_.timer + 1};
  provider_poller_ = Poller{.timer = provider_poller_.timer + 1};
  jobs_wanted_ = false;
  provider_failures_ = 0;
  suspicion_ = 99;
  quick_looks_ = 0;
  launches_in_flight_ = 0;
  ++look_timer_;
  ++round_timer_;
  ++bind_timer_;
  round_due_ = TimePoint::max();
  changed_at_ = clock();
  moment_ = clock();
  slurm_decided_ = TimePoint{};
  provider_decided_ = TimePoint{};
  look_again_ = TimePoint{};
  dirty_ = true;
  between_ = false;
  world_.jobs_changed = true;
  world_.holder_began(number_);
  world_.invariants.daemon_began(number_);
  ask_slurm_now();
  ask_provider_now();
}

void Daemon::kill(Duration back_in) {
  if (!running_) return;
  if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " ends");
  const bool held = holds_ && world_.lease.epoch == epoch_;
  running_ = false;
  holds_ = false;
  frozen_ = false;
  fuse_ = none;
  backlog_.clear();
  ++slurm_poller_.timer;
  ++provider_poller_.timer;
  ++look_timer_;
  ++round_timer_;
  ++bind_timer_;
  ++restarts_;
  world_.invariants.daemon_ended(number_);
  if (held) {
    world_.lease.renewed_at = world_.now() - random_.between(Duration(0), World::lease_renewed_every);
    world_.holder_ended();
  }
  world_.timeline.after(back_in, [this, restart = restarts_] {
    if (restarts_ == restart) start();
  });
}

void Daemon::blow_fuse_in(uint32_t steps, Duration time, bool kills) {
  fuse_ = steps;
  fuse_time_ = time;
  fuse_kills_ = kills;
}

void Daemon::freeze(Duration time) {
  if (!running_ || frozen_) return;
  if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " freezes");
  frozen_ = true;
  if (holds_ && world_.lease.epoch == epoch_) {
    world_.lease.renewed_at = world_.now() - random_.between(Duration(0), World::lease_renewed_every);
    valid_until_ = world_.lease.renewed_at + World::lease_valid - World::lease_margin;
    world_.holder_frozen();
  }
  world_.timeline.after(time, [this, life = life_] {
    if (life == life_) thaw();
  });
}

void Daemon::thaw() {
  if (!running_ || !frozen_) return;
  if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " thaws");
  frozen_ = false;
  if (!holds_) return look_for_lease();
  auto backlog = std::exchange(backlog_, {});
  for (auto& [life, what] : backlog) {
    if (!running_ || !keeps_lease()) return;
    in_this_life(life, std::move(what));
  }
  if (!running_ || !keeps_lease() || frozen_) return;
  valid_until_ = TimePoint::max();
  after_look();
}

void Daemon::in_this_life(uint64_t life, std::function<void()> what) {
  if (!running_ || life != life_) return;
  if (frozen_) {
    backlog_.emplace_back(life, std::move(what));
  } else {
    what();
  }
}

}  // namespace slipway::sim
