// Pools that can't get machines. Their jobs go back to Slurm, their sleeping nodes are held DOWN with the reason, so
// that Slurm looks elsewhere and nothing is tried again and again; when the pause is over, one machine is tried for
// those who wait. And what jobs are told.
#include <algorithm>
#include <utility>

#include "engine/budget.h"
#include "engine/round.h"

namespace slipway::engine {
namespace {

constexpr std::string_view hold_words = "slipway: held, ";  // our_reason and what tells holds from losses
constexpr Duration told_for{std::chrono::hours(72)};
constexpr Duration jobs_patience{30'000};  // Slurm may not tell; the nodes can't be held for that
constexpr Duration look_at_told{30'000};   // whether what they were told still holds
constexpr size_t jobs_told_max = 1000;     // in one round

std::string clock_time(TimePoint time) {
  return to_iso8601(time).substr(11, 8) + " UTC";
}

// For people who ask why their job waits.
std::string comment_of(const Round& round, PoolIndex p) {
  const PoolMemory& memory = round.memory.pools[p];
  return std::string(our_reason) + "no machine for pool " + round.spec.pools[p].name.str() +
         " now: " + why_short(memory, round.spec.pools[p]) + "; next attempt at " + clock_time(first_retry(memory));
}

void tell_comment(Round& round, JobId job, std::string text) {
  for (TellJobs& tell : round.plan.job_tells) {
    if (tell.what != TellJob::comment || tell.text != text) continue;
    tell.jobs.push_back(job);
    return;
  }
  round.plan.job_tells.push_back({TellJob::comment, {job}, std::move(text)});
}

void comment(Round& round, JobId job, const std::string& text) {
  JobMemory& memory = round.memory.jobs[job];
  memory.seen_at = round.now;
  // Of several pools that it waits for, the first one is told: their texts would take turns for ever.
  if (!text.empty() && std::exchange(memory.told_in, round.memory.round) == round.memory.round) return;
  if (memory.told == text && !text.empty()) return;
  memory.told = text;
  tell_comment(round, job, text);
}

// DOWN is enough: it takes the job away, and the node isn't picked before the pool opens. POWER_DOWN would bring it
// back to sleep, where Slurm picks it at once for the same job.
bool hold(Round& round, Work& work) {
  NodeMemory& memory = *work.memory;
  const TimePoint again = memory.told_at + round.spec.update_patience;
  if (memory.told_at != TimePoint{} && round.now < again) {
    round.due(again);
    return false;
  }
  memory.told_at = round.now;
  memory.held = true;
  round.due(round.now + round.spec.update_patience);
  round.tells_of(Tell::down, hold_reason(round, round.node(work).pool), true).nodes.push_back(round.node(work).name);
  return true;
}

// Whether Slurm starts the work's job elsewhere when it loses the node. Unknown as long as nobody has looked.
bool may_be_given_back(Round& round, const Work& work) {
  if (work.job_place != nothing && round.view.jobs[work.job_place].requeueable) return true;
  const bool looked = round.view.jobs_as_of > std::max(work.memory->wanted_since, round.memory.first_round);
  if (!looked) round.plan.jobs_wanted = true;
  return looked && work.job == 0;  // nobody's: woken by hand or to be kept warm
}

bool is_open_again(const PoolMemory& pool, TimePoint now) {
  return std::any_of(pool.ways.begin(), pool.ways.end(), [&](const WayMemory& way) {
    const WayState state = state_of(way, now);
    return state == WayState::closed || state == WayState::waiting;
  });
}

bool somebody_waits(const Round& round, PoolIndex p) {
  return std::any_of(round.view.pending.begin(), round.view.pending.end(), [&](const PendingJob& job) {
    return std::find(job.pools.begin(), job.pools.end(), p) != job.pools.end();
  });
}

bool is_probing(const PoolMemory& pool) {
  return std::any_of(pool.ways.begin(), pool.ways.end(), [](const WayMemory& way) { return !way.probe.empty(); });
}

bool is_full(const Round& round, PoolIndex p) {
  return round.pools[p].live + round.pools[p].asked >= round.spec.pools[p].max;
}

void try_one(Round& round, PoolIndex p) {
  const auto& ways = ways_of(round.spec.pools[p]);
  const std::vector<WayMemory>& memory = round.memory.pools[p].ways;
  if (!round.view.instances_complete) return;
  if (is_probing(round.memory.pools[p])) return;
  round.pools[p].found_full = is_full(round, p);
  if (round.pools[p].found_full) return;
  for (uint32_t w = 0; w < ways.size(); ++w) {
    if (state_of(memory[w], round.now) != WayState::half_open) continue;
    Launch launch{.pool = p, .count = 1, .market = ways[w].market, .offers = {ways[w].offer}};
    send_launch(round, std::move(launch), {}, {w}, true);
    return;
  }
}

void end_hold(Round& round, PoolIndex p, const char* why) {
  PoolMemory& memory = round.memory.pools[p];
  memory.held = false;
  round.plan.notes.push_back(
      {.kind = "pool_open", .pool = p, .message = "pool " + round.spec.pools[p].name.str() + " is open again: " + why});
}

void begin_hold(Round& round, PoolIndex p) {
  PoolMemory& memory = round.memory.pools[p];
  memory.held = true;
  memory.held_since = round.now;
  memory.hold_told_at = TimePoint{};
  round.plan.notes.push_back({.kind = "pool_short",
                              .pool = p,
                              .message = "pool " + round.spec.pools[p].name.str() +
                                         " gets no machines: " + why_short(memory, round.spec.pools[p]) +
                                         "; its sleeping nodes are held, next attempt in " +
                                         to_short(first_retry(memory) - round.now)});
  round.due(first_retry(memory));
}

// The pauses of a held pool are over, or one of its ways works again.
void judge(Round& round, PoolIndex p) {
  PoolMemory& memory = round.memory.pools[p];
  if (is_open_again(memory, round.now)) return end_hold(round, p, "a machine could be had");
  const TimePoint retry = first_retry(memory);
  if (round.now < retry) return round.due(retry);
  // Whose need would a machine be? That must be known of this moment.
  round.plan.jobs_wanted = true;
  if (round.view.jobs_as_of < retry && round.now < retry + jobs_patience) {
    round.due(round.now + round.spec.update_patience);
    return;
  }
  if (memory.unneeded > 0) return;  // what is there goes first
  round.pools[p].found_probing = is_probing(memory);
  if (somebody_waits(round, p)) return try_one(round, p);
  if (!round.pools[p].found_probing) {
    end_hold(round, p, "nobody waits for it; the next launch tries one machine first");
  }
}

// Sleeping nodes of held pools that Slurm could still pick; and those that fell asleep while they were being drained.
// All go DOWN: the way back from there leaves nothing behind.
void hold_sleepers(Round& round) {
  std::vector<bool> tell(round.pools.size(), false);
  bool any = false;
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    PoolMemory& memory = round.memory.pools[p];
    if (!memory.held && !round.pools[p].any_drained) continue;
    const TimePoint again = memory.hold_told_at + round.spec.update_patience;
    if (memory.hold_told_at != TimePoint{} && round.now < again) {
      round.due(again);
      continue;
    }
    tell[p] = any = true;
  }
  if (!any) return;
  for (size_t i = 0; i < round.view.nodes.size(); ++i) {
    const NodeView& node = round.view.nodes[i];
    if (round.plan.situations[i] != Situation::asleep || !round.known_pool(node.pool) || !tell[node.pool]) continue;
    if (node.busy || node.slurm.base != model::NodeBase::idle) continue;
    // Machines that are there but not enough for the job that they were for serve others, by as many names.
    if (!node.slurm.has(model::node_drain) && round.pools[node.pool].sleeping++ < round.memory.pools[node.pool].spare) {
      continue;
    }
    const bool held = round.memory.pools[node.pool].held;
    if (node.slurm.has(model::node_drain) ? !is_drain(node.reason) : !held) continue;
    const std::string reason = held ? hold_reason(round, node.pool) : std::string(hold_words) + "its drain is over";
    round.tells_of(Tell::hold, reason, true).nodes.push_back(node.name);
    round.memory.pools[node.pool].hold_told_at = round.now;
    round.due(round.now + round.spec.update_patience);
  }
}

// By place in View::jobs: whether a node of the job is of a pool that gets no machines.
std::vector<bool> who_waits_in_vain(const Round& round) {
  std::vector<bool> in_vain(round.view.jobs.size(), false);
  for (const auto& [w, place] : round.job_works) {
    if (round.memory.pools[round.node(round.works[w]).pool].held) in_vain[place] = true;
  }
  return in_vain;
}

// A pool of its is as if nothing had happened.
bool has_capacity(const Round& round, const PendingJob& job) {
  return std::any_of(job.pools.begin(), job.pools.end(), [&](PoolIndex p) {
    if (!round.known_pool(p)) return false;
    const PoolMemory& pool = round.memory.pools[p];
    return !pool.held &&
           std::none_of(pool.ways.begin(), pool.ways.end(), [](const WayMemory& way) { return way.open; });
  });
}

void forget_ended(Round& round) {
  std::vector<JobId> there;
  for (const PendingJob& job : round.view.pending) there.push_back(job.id);
  for (const JobView& job : round.view.jobs) there.push_back(job.id);
  std::sort(there.begin(), there.end());
  for (auto& [id, memory] : round.memory.jobs) {
    // One that was given back a moment ago may be in neither list.
    const bool ended = round.view.jobs_as_of > memory.seen_at + look_at_told / 2 &&
                       !std::binary_search(there.begin(), there.end(), id);
    if (ended) memory.told.clear();
  }
  std::erase_if(round.memory.jobs, [&](const auto& entry) { return round.now - entry.second.seen_at > told_for; });
}

}  // namespace

bool is_hold(std::string_view reason) {
  return reason.starts_with(hold_words);
}

std::string hold_reason(const Round& round, PoolIndex p) {
  return std::string(hold_words) + "pool " + round.spec.pools[p].name.str() +
         " gets no machines: " + why_short(round.memory.pools[p], round.spec.pools[p]);
}

void give_back(Round& round, PoolIndex p, const std::vector<uint32_t>& works) {
  const std::string why = why_short(round.memory.pools[p], round.spec.pools[p]);
  std::vector<JobId> jobs;
  std::vector<JobId> waiting;
  for (const uint32_t w : works) {
    Work& work = round.works[w];
    if (!may_be_given_back(round, work)) {
      if (work.job != 0 && (waiting.empty() || waiting.back() != work.job)) waiting.push_back(work.job);
      continue;
    }
    if (!hold(round, work)) continue;
    round.note("node_given_back", work, round.node(work).name.str() + " can't be had: " + why);
    if (work.job != 0 && (jobs.empty() || jobs.back() != work.job)) jobs.push_back(work.job);
  }
  // A machine that is spare but didn't do for them must not draw them here again at once.
  PoolMemory& memory = round.memory.pools[p];
  if (memory.held && round.now > memory.held_since + round.spec.update_patience) {
    memory.spare_since = round.now + 2 * round.spec.surplus_grace;
  }
  for (const JobId job : waiting) comment(round, job, comment_of(round, p));
  if (jobs.empty()) return;
  for (const JobId job : jobs) comment(round, job, comment_of(round, p));
  std::sort(jobs.begin(), jobs.end());
  // Its other nodes come up for nobody; who waits gets them, or they go soon.
  for (const auto& [w, place] : round.job_works) {
    if (!std::binary_search(jobs.begin(), jobs.end(), round.view.jobs[place].id)) continue;
    if (round.works[w].facts.power == Power::powering_up) round.works[w].memory->surplus = true;
  }
}

void open_pools(Round& round) {
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    if (round.memory.pools[p].held) judge(round, p);
  }
}

// A machine that tried it has failed since, or one that took up the room goes.
bool is_to_be_judged_anew(const Round& round, PoolIndex p) {
  const PoolRound& found = round.pools[p];
  return (found.found_probing && !is_probing(round.memory.pools[p])) || (found.found_full && !is_full(round, p));
}

void hold_short_pools(Round& round) {
  for (PoolIndex p = 0; p < round.pools.size(); ++p) {
    if (!round.memory.pools[p].held && is_short(round.memory.pools[p], round.now)) begin_hold(round, p);
  }
  hold_sleepers(round);
}

void tell_jobs(Round& round) {
  const bool any_told = std::any_of(round.memory.jobs.begin(), round.memory.jobs.end(),
                                    [](const auto& entry) { return !entry.second.told.empty(); });
  const TimePoint next = round.view.jobs_as_of + look_at_told;
  const bool fresh = round.view.jobs_as_of != round.memory.jobs_told_at;
  if (round.view.jobs_as_of == TimePoint{}) round.plan.jobs_wanted = true;  // once, for what a daemon before us said
  const std::vector<bool> in_vain = any_told || fresh ? who_waits_in_vain(round) : std::vector<bool>{};
  for (size_t place = 0; place < in_vain.size(); ++place) {
    const JobView& job = round.view.jobs[place];
    const auto memory = round.memory.jobs.find(job.id);
    const bool by_us = memory != round.memory.jobs.end() && !memory->second.told.empty();
    // Or by a daemon before us.
    const bool before = fresh && std::string_view(job.told).starts_with(our_reason);
    if ((by_us || before) && (job.running || !in_vain[place])) comment(round, job.id, "");
  }
  if (any_told) round.due(std::max(next, round.now + Duration(1'000)));
  if (any_told && round.now >= next) round.plan.jobs_wanted = true;
  // Anew when the jobs were looked at, or when a pause began.
  Duration pauses{0};
  for (const PoolMemory& pool : round.memory.pools) {
    if (pool.held) pauses += first_retry(pool).time_since_epoch();
  }
  if (round.view.jobs_as_of == round.memory.jobs_told_at && pauses == round.memory.pauses_told) return;
  round.memory.jobs_told_at = round.view.jobs_as_of;
  round.memory.pauses_told = pauses;
  size_t told = 0;
  for (const PendingJob& job : round.view.pending) {
    const bool waits_for_us = !job.pools.empty() && std::all_of(job.pools.begin(), job.pools.end(), [&](PoolIndex p) {
      return round.known_pool(p) && round.memory.pools[p].held;
    });
    if (++told > jobs_told_max) break;
    if (waits_for_us) {
      // While one machine is being tried, what was said still is as true as can be.
      if (is_short(round.memory.pools[job.pools.front()], round.now))
        comment(round, job.id, comment_of(round, job.pools.front()));
    } else if (std::string_view(job.told).starts_with(our_reason) && has_capacity(round, job)) {
      comment(round, job.id, "");
    }
  }
  if (!round.memory.jobs.empty()) forget_ended(round);
}

}  // namespace slipway::engine
