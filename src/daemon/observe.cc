#include "daemon/observe.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/hostlist.h"
#include "engine/decide.h"

namespace slipway::daemon {

using engine::NodeView;
using engine::PoolIndex;
using engine::Situation;

PoolMap::PoolMap(const model::Cluster& cluster) {
  for (const auto& pool : cluster.pools) {
    index_.emplace(pool.name.str(), static_cast<PoolIndex>(pools_.size()));
    pools_.push_back({pool.name, pool.max});
  }
  for (const auto& partition : cluster.partitions) {
    for (const auto& pool : partition.pools) partitions_[partition.name.str()].push_back(by_pool(pool));
  }
}

PoolIndex PoolMap::by_pool(const PoolName& pool) const {
  const auto found = index_.find(pool.str());
  return found == index_.end() ? engine::no_pool : found->second;
}

std::vector<PoolIndex> PoolMap::by_partitions(std::string_view partitions) const {
  std::vector<PoolIndex> pools;
  while (!partitions.empty()) {
    const std::string name(partitions.substr(0, partitions.find(',')));
    partitions.remove_prefix(std::min(partitions.size(), name.size() + 1));
    const auto found = partitions_.find(name);
    if (found == partitions_.end()) continue;
    for (const PoolIndex pool : found->second) {
      if (std::find(pools.begin(), pools.end(), pool) == pools.end()) pools.push_back(pool);
    }
  }
  return pools;
}

PoolIndex PoolMap::by_node(const NodeName& node) const {
  const std::string& name = node.str();
  const auto dash = name.rfind('-');
  if (dash == std::string::npos) return engine::no_pool;
  const auto found = index_.find(name.substr(0, dash));
  if (found == index_.end()) return engine::no_pool;
  uint32_t number = 0;
  const char* end = name.data() + name.size();
  const auto [stop, bad] = std::from_chars(name.data() + dash + 1, end, number);
  const Entry& pool = pools_[found->second];
  if (bad != std::errc() || stop != end || number == 0 || number > pool.max) return engine::no_pool;
  // "cpu-1" and "cpu-00001" are not how pools name their nodes.
  return model::node_name(pool.name, number) == node ? found->second : engine::no_pool;
}

namespace {

bool is_busy(const slurm::Node& node) {
  return node.cpus_allocated > 0 || node.state.base == model::NodeBase::allocated ||
         node.state.base == model::NodeBase::mixed || node.state.has(model::node_completing);
}

bool is_coming_up(const NodeView& node) {
  return node.pool != engine::no_pool &&
         (node.slurm.has(model::node_powering_up) || node.slurm.has(model::node_power_up_requested) ||
          (node.busy && node.slurm.has(model::node_powered_down)));
}

}  // namespace

std::vector<NodeView> node_views(std::vector<slurm::Node> nodes, const PoolMap& pools) {
  std::vector<NodeView> views;
  views.reserve(nodes.size());
  for (auto& node : nodes) {
    NodeView& view = views.emplace_back();
    view.pool = pools.by_node(node.name);
    view.slurm = node.state;
    view.busy = is_busy(node);
    view.last_busy = node.last_busy;
    view.slurmd_started = node.slurmd_started;
    view.name = std::move(node.name);
    view.address = std::move(node.address);
    view.reason = std::move(node.reason);
  }
  return views;
}

std::vector<engine::InstanceView> instance_views(const std::vector<model::Instance>& instances, const PoolMap& pools) {
  std::vector<engine::InstanceView> views;
  views.reserve(instances.size());
  for (const auto& instance : instances) {
    const PoolIndex pool = pools.by_pool(instance.pool);
    if (pool == engine::no_pool) continue;
    engine::InstanceView& view = views.emplace_back();
    view.id = instance.id;
    view.pool = pool;
    view.state = instance.state;
    view.address = instance.address;
    view.launch_token = instance.launch_token;
    view.launched_at = instance.launched_at;
    view.market = instance.market;
    view.offer = instance.offer;
    view.placement = instance.placement;
    view.evict_at = instance.evict_at;
    if (instance.trouble) {
      view.trouble = true;
      view.message = instance.trouble->message;
    }
  }
  return views;
}

namespace {

// squeue's words, long or short, in which Slurm says that only nodes are missing. What it says of a job that was just
// submitted or requeued is among them.
bool waits_for_nodes(std::string_view reason) {
  constexpr std::array<std::string_view, 7> words = {"None",
                                                     "Cleaning",
                                                     "Resources",
                                                     "Priority",
                                                     "NodeDown",
                                                     "ReqNodeNotAvail",
                                                     "Nodes required for job are DOWN, DRAINED"};
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return reason.starts_with(word); });
}

}  // namespace

std::vector<engine::PendingJob> pending_jobs(const std::vector<slurm::Job>& jobs, const PoolMap& pools) {
  std::vector<engine::PendingJob> pending;
  for (const auto& job : jobs) {
    if (job.state != "PENDING" || !waits_for_nodes(job.reason)) continue;
    auto where = pools.by_partitions(job.partition);
    if (where.empty()) continue;
    const bool ours = job.admin_comment.starts_with(engine::our_reason);
    pending.push_back({job.id, std::move(where), ours ? job.admin_comment : std::string()});
  }
  return pending;
}

bool is_between(Situation situation) {
  switch (situation) {
    case Situation::not_ours:
    case Situation::asleep:
    case Situation::serving:
    case Situation::idle_kept:
    case Situation::set_aside:
      return false;
    default:
      return true;
  }
}

void JobBook::on_hint(const slurm::Hint& hint) {
  std::vector<slurm::HintJob> jobs = hint.jobs;
  if (hint.kind == slurm::HintKind::job_start && hint.job != 0) jobs = {{hint.job, hint.nodes}};
  const bool tells = hint.kind == slurm::HintKind::resume || hint.kind == slurm::HintKind::job_start;
  if (!tells || jobs.empty()) return;
  ++hints_seen_;
  std::unordered_map<JobId, size_t> known;
  for (size_t i = 0; i < entries_.size(); ++i) known.emplace(entries_[i].job.id, i);
  for (const auto& job : jobs) {
    const auto [place, is_new] = known.try_emplace(job.id, entries_.size());
    if (is_new) {
      entries_.push_back({{.id = job.id, .nodes = job.nodes}, hints_seen_});
      continue;
    }
    // ResumeRate spreads one job over several resume files: its nodes add up.
    auto& entry = entries_[place->second];
    entry.hint = hints_seen_;
    const std::unordered_set<NodeName> had(entry.job.nodes.begin(), entry.job.nodes.end());
    for (const auto& node : job.nodes) {
      if (!had.contains(node)) entry.job.nodes.push_back(node);
    }
  }
}

void JobBook::on_squeue(const std::vector<slurm::Job>& jobs, uint64_t asked_at_hint) {
  std::vector<Entry> fresh;
  std::unordered_set<JobId> seen;
  running_.clear();
  for (const auto& job : jobs) {
    const bool running = job.state == "RUNNING" || job.state == "SUSPENDED";
    if ((!running && job.state != "CONFIGURING") || job.nodes.empty()) continue;
    const auto names = expand_hostlist(job.nodes);
    if (!names || !seen.insert(job.id).second) continue;
    engine::JobView& view = running ? running_.emplace_back() : fresh.emplace_back().job;
    view.id = job.id;
    view.running = running;
    view.requeueable = job.requeueable;
    view.told = job.admin_comment;
    view.nodes.reserve(names->size());
    for (const auto& name : *names) view.nodes.emplace_back(name);
  }
  for (auto& entry : entries_) {
    if (entry.hint > asked_at_hint && !seen.contains(entry.job.id)) fresh.push_back(std::move(entry));
  }
  entries_ = std::move(fresh);
}

void JobBook::prune(const std::vector<NodeView>& nodes) {
  if (entries_.empty()) return;
  std::unordered_set<NodeName> coming;
  for (const auto& node : nodes) {
    if (is_coming_up(node)) coming.insert(node.name);
  }
  std::erase_if(entries_, [&](const Entry& entry) {
    return std::none_of(entry.job.nodes.begin(), entry.job.nodes.end(),
                        [&](const NodeName& node) { return coming.contains(node); });
  });
}

std::vector<engine::JobView> JobBook::jobs() const {
  std::vector<engine::JobView> jobs;
  jobs.reserve(entries_.size() + running_.size());
  for (const auto& entry : entries_) jobs.push_back(entry.job);
  jobs.insert(jobs.end(), running_.begin(), running_.end());
  return jobs;
}

bool JobBook::must_ask(const std::vector<NodeView>& nodes) {
  std::vector<const NodeName*> coming;
  for (const auto& node : nodes) {
    if (is_coming_up(node)) coming.push_back(&node.name);
  }
  if (coming.empty()) {
    asked_.clear();
    return false;
  }
  std::unordered_set<NodeName> covered;
  for (const auto& entry : entries_) covered.insert(entry.job.nodes.begin(), entry.job.nodes.end());
  bool must = false;
  std::unordered_set<NodeName> asked;
  for (const NodeName* node : coming) {
    if (covered.contains(*node)) continue;
    if (!asked_.contains(*node)) must = true;
    asked.insert(*node);
  }
  asked_ = std::move(asked);
  return must;
}

}  // namespace slipway::daemon
