// Brings wanted names and machines together: names go to machines that wait for one, what is still missing is launched,
// what is too much goes.
#include <algorithm>
#include <cmath>

#include "engine/budget.h"
#include "engine/round.h"

namespace slipway::engine {
namespace {

// Wants that the same machines can serve.
struct Lot {
  std::string placement;
  bool on_demand = false;         // spot machines won't do
  std::vector<uint32_t> works;    // in the order in which they are served
  size_t fillable = 0;            // of them, in front: what there is suffices for whole jobs
  std::vector<uint32_t> waiting;  // machines that are ready for a name,
  std::vector<uint32_t> coming;   // and on their way
  uint32_t asked = 0;             // launched, not yet visible
  uint32_t extra = 0;             // wanted beyond `works`
  size_t have() const { return waiting.size() + coming.size() + asked; }
};

bool older(const Round& round, uint32_t a, uint32_t b) {
  const InstanceView& first = round.view.instances[a];
  const InstanceView& second = round.view.instances[b];
  if (first.launched_at != second.launched_at) return first.launched_at < second.launched_at;
  return first.id < second.id;
}

// Jobs' nodes in Slurm's order, then the others in the order of the nodes.
void order_wanted(Round& round) {
  std::vector<std::vector<uint32_t>> ordered(round.pools.size());
  const auto take = [&](uint32_t w) {
    Work& work = round.works[w];
    if (!work.queued) return;
    work.queued = false;
    ordered[round.node(work).pool].push_back(w);
  };
  for (const auto& entry : round.job_works) take(entry.work);
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    for (const uint32_t w : round.pools[p].wanted) take(w);
    round.pools[p].wanted = std::move(ordered[p]);
  }
}

size_t nodes_of_job(const Round& round, const Work& work) {
  return work.job_place == nothing ? 1 : round.view.jobs[work.job_place].nodes.size();
}

bool wants_on_demand(const Round& round, PoolIndex p, JobId job) {
  const model::Eviction& eviction = round.spec.pools[p].eviction;
  if (job == 0 || eviction.tolerance == 0) return false;
  const auto memory = round.memory.jobs.find(job);
  return memory != round.memory.jobs.end() && memory->second.evictions >= eviction.tolerance;
}

// Groups are the account's: they must not be another pool's, nor another cluster's.
std::string group_of(const Round& round, PoolIndex p) {
  return round.spec.cluster + "-" + round.spec.pools[p].name.str();
}

// The first lot is everybody's; others are for jobs that are placed together or may not have spot machines.
std::vector<Lot> make_lots(Round& round, PoolIndex p) {
  PoolRound& pool = round.pools[p];
  const Spec::Pool& spec = round.spec.pools[p];
  std::vector<Lot> lots(1);
  if (spec.placement == model::Placement::per_pool) lots[0].placement = group_of(round, p);
  const bool on_demand_matters = !round.memory.jobs.empty() && sells_both(spec);
  const bool per_job = spec.placement == model::Placement::per_job;
  lots[0].extra = pool.replacements;
  if (!on_demand_matters && !per_job) {
    lots[0].works = std::move(pool.wanted);
    lots[0].waiting = std::move(pool.waiting);
    lots[0].coming = std::move(pool.coming);
    lots[0].asked = pool.asked;
    return lots;
  }
  const auto lot_of = [&](const std::string& placement, bool on_demand) -> Lot& {
    for (Lot& lot : lots) {
      if (lot.placement == placement && lot.on_demand == on_demand) return lot;
    }
    Lot& lot = lots.emplace_back();
    lot.placement = placement;
    lot.on_demand = on_demand;
    return lot;
  };
  const std::string general = lots[0].placement;
  for (const uint32_t w : pool.wanted) {
    const Work& work = round.works[w];
    const bool placed = per_job && nodes_of_job(round, work) > 1;
    const std::string placement = placed ? group_of(round, p) + "-job-" + std::to_string(work.job) : general;
    lot_of(placement, on_demand_matters && wants_on_demand(round, p, work.job)).works.push_back(w);
  }
  if (on_demand_matters && pool.replacements_on_demand > 0) {
    lots[0].extra -= pool.replacements_on_demand;
    lot_of(general, true).extra = pool.replacements_on_demand;
  }
  // A machine serves the job that it was placed for; else one that may have only such as it is; else anybody.
  const auto serve = [&](const std::string& placement, model::Market market) -> Lot& {
    Lot* found = nullptr;
    for (Lot& lot : lots) {
      if (lot.on_demand && market != model::Market::on_demand) continue;
      if (!lot.placement.empty() && lot.placement != placement) continue;
      if (lot.have() >= lot.works.size() + lot.extra) continue;
      const bool closer = found == nullptr || (!lot.placement.empty() && found->placement.empty()) ||
                          (lot.placement == found->placement && lot.on_demand && !found->on_demand);
      if (closer) found = &lot;
    }
    return found == nullptr ? lots[0] : *found;
  };
  for (const uint32_t i : pool.waiting) {
    serve(round.view.instances[i].placement, round.view.instances[i].market).waiting.push_back(i);
  }
  for (const uint32_t i : pool.coming) {
    serve(round.view.instances[i].placement, round.view.instances[i].market).coming.push_back(i);
  }
  for (const Asked& asked : pool.asked_for) {
    for (uint32_t k = 0; k < asked.count; ++k) ++serve(asked.placement, asked.market).asked;
  }
  return lots;
}

bool lacks_capacity(const PoolMemory& pool) {
  return std::any_of(pool.ways.begin(), pool.ways.end(),
                     [](const WayMemory& way) { return way.open && way.elsewhere; });
}

// While machines are scarce, only jobs that can have all their nodes get machines; the others come last.
void put_fillable_first(Round& round, PoolIndex p, Lot& lot) {
  size_t left = lot.have();
  lot.fillable = std::min(left, lot.works.size());
  if (left >= lot.works.size() || !lacks_capacity(round.memory.pools[p])) return;
  std::vector<uint32_t> front;
  std::vector<uint32_t> back;
  for (size_t i = 0; i < lot.works.size();) {
    size_t end = i + 1;
    const Work& first = round.works[lot.works[i]];
    if (first.job != 0) {
      while (end < lot.works.size() && round.works[lot.works[end]].job == first.job) ++end;
    }
    const bool fits = end - i <= left;
    if (fits) left -= end - i;
    auto& side = fits ? front : back;
    side.insert(side.end(), lot.works.begin() + static_cast<ptrdiff_t>(i),
                lot.works.begin() + static_cast<ptrdiff_t>(end));
    i = end;
  }
  lot.fillable = front.size();
  lot.works = std::move(front);
  lot.works.insert(lot.works.end(), back.begin(), back.end());
}

void bind(Round& round, uint32_t w, uint32_t i) {
  const InstanceView& instance = round.view.instances[i];
  Work& work = round.works[w];
  NodeMemory& memory = *work.memory;
  work.instance = i;
  work.situation = Situation::booting;
  memory.situation = static_cast<uint8_t>(Situation::booting);
  memory.since = memory.bound_at = memory.bind_sent_at = round.now;
  memory.bound = instance.id;
  memory.seen_at = round.view.instances_as_of;
  memory.instance_hint = i;
  memory.evicting_since = TimePoint{};
  round.seats[i].work = w;
  round.plan.situations[work.node] = Situation::booting;
  round.plan.binds.push_back({round.node(work).name, instance.id, instance.address});
  round.note("node_bound", work, instance.id.str() + " becomes " + round.node(work).name.str());
  round.due(round.now + round.spec.update_patience);
}

void bind_waiting(Round& round, Lot& lot) {
  std::sort(lot.waiting.begin(), lot.waiting.end(), [&](uint32_t a, uint32_t b) {
    const InstanceView& first = round.view.instances[a];
    const InstanceView& second = round.view.instances[b];
    if (first.agent_since != second.agent_since) return first.agent_since < second.agent_since;
    return first.id < second.id;
  });
  const size_t count = std::min(lot.waiting.size(), lot.fillable);
  for (size_t k = 0; k < count; ++k) bind(round, lot.works[k], lot.waiting[k]);
  const auto bound = static_cast<ptrdiff_t>(count);
  lot.works.erase(lot.works.begin(), lot.works.begin() + bound);
  lot.waiting.erase(lot.waiting.begin(), lot.waiting.begin() + bound);
  lot.fillable -= count;
}

bool is_probe(const Round& round, PoolIndex p, uint32_t instance) {
  const std::vector<WayMemory>& ways = round.memory.pools[p].ways;
  return std::any_of(ways.begin(), ways.end(), [&](const WayMemory& way) {
    return !way.probe.empty() && way.probe == round.view.instances[instance].launch_token;
  });
}

// Those that joined stay first, then the older ones; beyond the want, the newest go first.
void shed_surplus(Round& round, PoolIndex p, Lot& lot, size_t wanted) {
  std::sort(lot.coming.begin(), lot.coming.end(), [&](uint32_t a, uint32_t b) {
    const bool first = round.view.instances[a].agent == AgentState::preparing;
    const bool second = round.view.instances[b].agent == AgentState::preparing;
    return first != second ? first : older(round, a, b);
  });
  std::vector<uint32_t> supply = lot.waiting;
  supply.insert(supply.end(), lot.coming.begin(), lot.coming.end());
  const size_t needed = std::min<size_t>(supply.size(), wanted + lot.extra + round.pools[p].maybe_wanted);
  for (size_t k = 0; k < needed; ++k) round.seats[supply[k]].memory->unneeded_since = TimePoint{};
  round.memory.pools[p].unneeded += static_cast<uint32_t>(supply.size() - needed);
  // One that is ready serves others by a name of a held pool; one that may never come does not.
  if (needed < lot.waiting.size()) round.due(round.memory.pools[p].spare_since);
  for (size_t k = needed; k < lot.waiting.size() && round.now >= round.memory.pools[p].spare_since; ++k) {
    round.memory.pools[p].spare += is_probe(round, p, supply[k]) ? 0 : 1;
  }
  for (size_t k = supply.size(); k > needed; --k) {
    if (is_probe(round, p, supply[k - 1])) continue;  // it must be able to prove something first
    unneeded(round, supply[k - 1], "nothing wants it");
  }
}

// Wants that come one after another wait a moment for each other.
bool window_is_over(Round& round, const Lot& lot) {
  const model::LaunchWindow& window = round.spec.launch_window;
  if (window.longest <= Duration(0)) return true;
  TimePoint first = TimePoint::max();
  TimePoint last{};
  for (const uint32_t w : lot.works) {
    const NodeMemory& memory = *round.works[w].memory;
    if (memory.asked) continue;
    first = std::min(first, memory.wanted_since);
    last = std::max(last, memory.wanted_since);
  }
  if (last == TimePoint{}) return true;
  const TimePoint over = std::min(last + window.quiet, first + window.longest);
  if (round.now >= over) return true;
  round.due(over);
  return false;
}

struct Choice {
  std::vector<uint32_t> ways;  // of one market
  size_t probe = SIZE_MAX;     // a way before them whose pause is over
};

Choice choose_ways(Round& round, PoolIndex p, const Lot& lot) {
  const auto& ways = ways_of(round.spec.pools[p]);
  const std::vector<WayMemory>& memory = round.memory.pools[p].ways;
  const bool probing = std::any_of(memory.begin(), memory.end(), [](const auto& way) { return !way.probe.empty(); });
  Choice choice;
  for (uint32_t w = 0; w < ways.size(); ++w) {
    if (lot.on_demand && ways[w].market != model::Market::on_demand) continue;
    if (!choice.ways.empty() && ways[w].market != ways[choice.ways.front()].market) break;
    switch (state_of(memory[w], round.now)) {
      case WayState::closed:
        // After a failure one launch at a time, until a whole one has come.
        if (memory[w].failures > 0 && round.pools[p].unanswered) {
          if (choice.ways.empty() && choice.probe == SIZE_MAX) return choice;
          break;
        }
        choice.ways.push_back(w);
        break;
      case WayState::half_open:
        if (!probing && choice.probe == SIZE_MAX && choice.ways.empty()) choice.probe = w;
        break;
      case WayState::waiting:  // passing: nothing else is tried because of it
        round.due(memory[w].not_before);
        if (choice.ways.empty() && choice.probe == SIZE_MAX) return choice;
        break;
      case WayState::open:
        round.due(memory[w].not_before);
        break;
      case WayState::probing:
        break;
    }
  }
  return choice;
}

// Whether all that the lot misses is for one job of several nodes.
bool is_one_job(const Round& round, const Lot& lot) {
  if (lot.works.size() < 2 || lot.extra > 0) return false;
  const JobId job = round.works[lot.works.front()].job;
  return job != 0 &&
         std::all_of(lot.works.begin(), lot.works.end(), [&](uint32_t w) { return round.works[w].job == job; });
}

void launch_missing(Round& round, PoolIndex p, const Lot& lot) {
  if (!round.view.instances_complete) return;  // what is missing from the listing may be just what is wanted
  const size_t wanted = lot.works.size() + lot.extra;
  if (wanted <= lot.have() || !window_is_over(round, lot)) return;
  const Spec::Pool& spec = round.spec.pools[p];
  const auto& ways = ways_of(spec);
  const size_t missing = wanted - lot.have();
  const auto spares = static_cast<size_t>(std::floor(static_cast<double>(missing) * spec.spares));
  const auto most = spec.max + static_cast<size_t>(std::floor(spec.max * spec.spares));
  const auto room = [&] {
    const size_t present = size_t{round.pools[p].live} + round.pools[p].asked;
    return most > present ? most - present : 0;
  };
  const Choice choice = choose_ways(round, p, lot);
  Launch launch{.pool = p, .placement = lot.placement};
  size_t left = missing;
  if (choice.probe != SIZE_MAX && room() > 0) {
    launch.count = 1;
    launch.market = ways[choice.probe].market;
    launch.offers = {ways[choice.probe].offer};
    if (!send_launch(round, launch, lot.works, {static_cast<uint32_t>(choice.probe)}, true)) return;
    --left;
  }
  if (choice.ways.empty() || left == 0) return;
  launch.count = static_cast<uint32_t>(std::min(left + spares, room()));
  if (launch.count == 0) return;
  // Fewer would only cost money. Where another market may add the rest, they would not.
  const bool whole = is_one_job(round, lot) && !sells_both(spec) && launch.count >= left;
  launch.minimum = whole ? static_cast<uint32_t>(left) : 1;
  launch.market = ways[choice.ways.front()].market;
  launch.offers.clear();
  for (const uint32_t w : choice.ways) launch.offers.push_back(ways[w].offer);
  send_launch(round, std::move(launch), lot.works, choice.ways, false);
}

// Machines that failed before they had a name are charged to the nodes that stay without one.
void charge_nodes(Round& round, PoolIndex p) {
  PoolRound& pool = round.pools[p];
  size_t left = pool.boots_failed;
  for (size_t i = pool.wanted.size(); left > 0 && i > pool.waiting.size(); --i, --left) {
    NodeMemory& node = *round.works[pool.wanted[i - 1]].memory;
    ++node.boots_failed;
    node.last_failure = pool.last_failure;
  }
}

// Gives nodes whose machines keep failing back to Slurm: DOWN with the reason, so that their jobs go elsewhere; they
// recover on the way that every node without a machine takes.
void give_up(Round& round, PoolIndex p) {
  std::erase_if(round.pools[p].wanted, [&](uint32_t w) {
    Work& work = round.works[w];
    NodeMemory& memory = *work.memory;
    if (memory.boots_failed < round.spec.boots_failed_max) return false;
    const std::string why = std::to_string(memory.boots_failed) + " machines failed to boot: " + memory.last_failure;
    const bool first = !memory.recovering;
    memory.recovering = true;
    if (round.tell(work, Tell::down, std::string(our_reason) + why) && first) {
      round.note("node_down", work, round.node(work).name.str() + " is given back to Slurm: " + why);
    }
    return true;
  });
}

void serve_lot(Round& round, PoolIndex p, Lot& lot) {
  put_fillable_first(round, p, lot);
  const bool is_without = is_short(round.memory.pools[p], round.now);
  // What can't be had now isn't worth a machine that waits for the rest.
  size_t worth_keeping = lot.works.size();
  if (is_without && lot.fillable < lot.works.size()) {
    give_back(round, p, {lot.works.begin() + static_cast<ptrdiff_t>(lot.fillable), lot.works.end()});
    worth_keeping = lot.fillable;
  }
  const size_t before = lot.works.size();
  bind_waiting(round, lot);
  const size_t wanted = worth_keeping - (before - lot.works.size());
  const size_t excess = lot.have() - std::min(lot.have(), wanted + lot.extra + round.pools[p].maybe_wanted);
  round.pools[p].excess += static_cast<uint32_t>(std::min<size_t>(excess, lot.asked));
  shed_surplus(round, p, lot, wanted);
  const uint32_t asked = round.pools[p].asked;
  launch_missing(round, p, lot);
  // With what is launched now those that wait may suffice for a whole job: they get their names at once.
  if (round.pools[p].asked > asked && !lot.waiting.empty() && !lot.works.empty()) round.due(round.now + Duration(1));
}

}  // namespace

bool send_launch(Round& round, Launch launch, const std::vector<uint32_t>& works, std::vector<uint32_t> ways,
                 bool probe) {
  const PoolIndex p = launch.pool;
  const uint32_t account = round.spec.pools[p].account;
  if (!take_action(round.memory, round.spec, account, round.now)) {
    round.due(next_call(round.memory, round.spec, account, round.now));
    return false;
  }
  launch.token = launch_token(round, works, launch);
  LaunchMemory& remembered = round.memory.launches[launch.token];
  remembered = {.pool = p, .count = launch.count, .at = round.now, .market = launch.market, .ways = std::move(ways)};
  remembered.placement = launch.placement;
  remembered.probe = probe;
  if (probe) round.memory.pools[p].ways[remembered.ways.front()].probe = launch.token;
  std::string text = std::to_string(launch.count) + (launch.count == 1 ? " machine" : " machines") + " for pool " +
                     round.spec.pools[p].name.str();
  if (ways_of(round.spec.pools[p]).size() > 1) {
    text += ": " + to_text(ways_of(round.spec.pools[p])[remembered.ways.front()]);
    if (remembered.ways.size() > 1) text += " or " + std::to_string(remembered.ways.size() - 1) + " other ways";
  }
  if (probe) text += ", to see whether there is capacity again";
  round.plan.notes.push_back({.kind = "launch_requested", .pool = p, .message = std::move(text)});
  round.memory.pools[p].launched_at = round.now;
  round.pools[p].asked += launch.count;
  round.pools[p].unanswered = true;
  for (const uint32_t w : works) round.works[w].memory->asked = true;
  round.plan.launches.push_back(std::move(launch));
  return true;
}

void bind_and_launch(Round& round) {
  order_wanted(round);
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    charge_nodes(round, p);
    give_up(round, p);
    const uint32_t spare = std::exchange(round.memory.pools[p].spare, 0);
    const uint32_t unneeded = std::exchange(round.memory.pools[p].unneeded, 0);
    std::vector<Lot> lots = make_lots(round, p);
    for (Lot& lot : lots) serve_lot(round, p, lot);
    // Nodes of a held pool are freed or held by them, and one machine is tried when none is left, in the next round.
    const PoolMemory& memory = round.memory.pools[p];
    const bool changed = memory.spare != spare || memory.unneeded != unneeded || is_to_be_judged_anew(round, p);
    if (memory.held && changed) round.due(round.now + Duration(1));
  }
  withdraw_excess(round);
}

}  // namespace slipway::engine
