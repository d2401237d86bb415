// What stories are told with: a small world in virtual time, what its daemons decided, and words for "until".
//
//   Story story(on_ec2({a_pool("cpu", 4)}));
//   story.room(0);
//   const JobId job = story.submit({.nodes = 2});
//   ...
//   story.ends_well();  // every job ends, no machine is left, no invariant was ever violated
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "sim/world.h"

namespace slipway::sim {

using model::Market;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

inline model::Pool a_pool(const std::string& name, uint32_t max) {
  model::Pool pool;
  pool.name = PoolName(name);
  pool.max = max;
  pool.idle_reclaim = minutes(1);
  pool.boot_timeout = minutes(5);
  return pool;
}

// One partition with all pools, in this order.
inline WorldOptions world_of(std::vector<model::Pool> pools) {
  WorldOptions options;
  options.cluster.name = "story";
  model::Partition all;
  all.name = PartitionName("all");
  Duration boot{0};
  for (const auto& pool : pools) {
    all.pools.push_back(pool.name);
    boot = std::max(boot, pool.boot_timeout);
  }
  options.cluster.pools = std::move(pools);
  options.cluster.partitions.push_back(all);
  options.slurm.resume_timeout = 3 * boot + minutes(1);  // as slurm/conf.h writes it
  options.trace = true;
  return options;
}

inline WorldOptions on_ec2(std::vector<model::Pool> pools) {
  WorldOptions options = world_of(std::move(pools));
  options.cloud.character = Character::ec2;
  options.cloud.call = {milliseconds(200), milliseconds(500)};
  options.cloud.boot = {seconds(40), seconds(60)};
  options.cloud.stop = {seconds(15), seconds(30)};
  return options;
}

inline WorldOptions on_batch(std::vector<model::Pool> pools) {
  WorldOptions options = on_ec2(std::move(pools));
  options.cloud.character = Character::batch;
  options.cloud.consistency = seconds(5);
  options.cloud.late_error = {seconds(30), minutes(2)};
  options.cloud.terminate_max = 100;
  return options;
}

class Story {
 public:
  struct Launch {
    TimePoint at{};
    engine::Launch what;
  };
  struct Note {
    TimePoint at{};
    engine::Note what;
  };
  struct Down {  // a node became DOWN
    TimePoint at{};
    uint32_t node = nobody;
    std::string reason;
  };

  explicit Story(WorldOptions options) : world(watched(std::move(options))) {
    world.on_node = [this](uint32_t node) {
      const auto& view = world.slurm.nodes()[node];
      const bool down = view.slurm.base == model::NodeBase::down;
      if (down && !is_down_[node]) downs.push_back({world.now(), node, view.reason});
      is_down_[node] = down;
    };
    is_down_.resize(world.slurm.nodes().size());
  }
  ~Story() {
    const auto& violation = world.invariants.first();
    EXPECT_FALSE(violation) << violation->rule << ": " << violation->text;
    if (std::getenv("SLIPWAY_STORY") != nullptr) {  // all of it
      std::printf("%s\n", world.trace.text().c_str());
    } else if (::testing::Test::HasFailure()) {
      std::printf("%s\n", world.trace.tail(violation ? violation->about : About{}, 120).c_str());
    }
  }
  Story(const Story&) = delete;
  Story& operator=(const Story&) = delete;

  std::vector<Launch> launches;                            // calls that were decided, in order
  std::vector<std::pair<TimePoint, size_t>> terminations;  // calls, and how many machines each named
  std::vector<Note> notes;
  std::vector<Down> downs;
  World world;

  // --- users ---
  JobId submit(const JobRequest& request) { return world.users.submit(request); }
  const Job& job(JobId id) const { return world.slurm.all_jobs().at(id); }
  bool is(JobId id, JobState state) const { return job(id).state == state; }

  // --- levers ---
  void room(uint32_t machines, Market market = Market::on_demand, const model::Offer& offer = {}) {
    world.cloud.set_capacity(market, offer, machines);
    happened();
  }
  void error(std::optional<Error> error, const model::Offer& offer = {}) {
    world.cloud.set_error(offer, std::move(error));
    happened();
  }
  // Something is done to the world from outside.
  void happened() {
    world.invariants.fault();
    ++world.cloud_version;
  }
  void by_hand(uint32_t node, slurm::NodeChange change, const std::string& reason = {}) {
    world.slurm.set_by_hand(node, change, reason);
    world.nodes_changed = true;
    happened();
  }
  Daemon& daemon(uint32_t number = 0) { return *world.daemons[number]; }

  // --- time ---
  void run_for(Duration time) { world.run_for(time); }
  // False: not within that time.
  template <class Predicate>
  bool until(Predicate&& predicate, Duration at_most) {
    const TimePoint end = world.now() + at_most;
    while (!predicate()) {
      if (world.now() >= end || world.invariants.violated()) return false;
      world.run_for(milliseconds(50));
    }
    return true;
  }
  bool until_runs(JobId id, Duration at_most) {
    return until([&] { return is(id, JobState::running) || is(id, JobState::done); }, at_most);
  }
  bool until_done(JobId id, Duration at_most) {
    return until([&] { return is(id, JobState::done); }, at_most);
  }
  // Every job ends, and what was for them goes.
  void ends_well(Duration at_most = hours(2)) {
    EXPECT_TRUE(until([&] { return world.jobs_done(); }, at_most)) << "a job has not ended";
    run_for(minutes(15));
    world.invariants.all_jobs_done();
    world.invariants.nothing_left();
  }

  // --- what there is ---
  const engine::NodeView& node(uint32_t index) const { return world.slurm.nodes()[index]; }
  size_t machines() const { return world.cloud.machines().size(); }  // ever
  uint32_t billed() const { return world.cloud.billed(); }
  const Machine& machine(uint32_t index) const { return world.cloud.machines()[index]; }
  // The machine that has the node's name; `nobody`: none.
  uint32_t machine_of(uint32_t index) const {
    const auto& holders = world.agents.holders_of(index);
    return holders.empty() ? nobody : holders.front();
  }
  bool is_up(uint32_t index) const {
    const model::SlurmNodeState state = node(index).slurm;
    return state.base != model::NodeBase::down && engine::power_of(state) == engine::Power::up &&
           !state.has(model::node_not_responding);
  }
  uint32_t up() const {
    uint32_t count = 0;
    for (uint32_t n = 0; n < world.slurm.nodes().size(); ++n) count += is_up(n) ? 1 : 0;
    return count;
  }
  bool sleeps(uint32_t index) const {
    const model::SlurmNodeState state = node(index).slurm;
    return state.base == model::NodeBase::idle && engine::power_of(state) == engine::Power::down;
  }
  size_t noted(std::string_view kind) const {
    size_t count = 0;
    for (const Note& note : notes) count += note.what.kind == kind ? 1 : 0;
    return count;
  }
  // The first one's time; the epoch: none.
  TimePoint first(std::string_view kind) const {
    for (const Note& note : notes) {
      if (note.what.kind == kind) return note.at;
    }
    return {};
  }

 private:
  WorldOptions watched(WorldOptions options) {
    if (const char* other = std::getenv("SLIPWAY_STORY_SEED")) options.seed += std::strtoull(other, nullptr, 10);
    options.decide = [this](const engine::View& view, const engine::Spec& spec, engine::Memory& memory, TimePoint now) {
      engine::Plan plan = engine::decide(view, spec, memory, now);
      for (const auto& launch : plan.launches) launches.push_back({now, launch});
      for (const auto& note : plan.notes) notes.push_back({now, note});
      if (!plan.terminations.empty()) terminations.emplace_back(now, plan.terminations.size());
      return plan;
    };
    return options;
  }
  std::vector<bool> is_down_;
};

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace slipway::sim
