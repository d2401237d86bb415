#include "daemon/observe.h"

#include <algorithm>
#include <charconv>

#include "base/hostlist.h"

namespace slipway::daemon {

using engine::NodeView;
using engine::PoolIndex;
using engine::Situation;

PoolMap::PoolMap(const model::Cluster& cluster) {
  for (const auto& pool : cluster.pools) {
    index_.emplace(pool.name.str(), static_cast<PoolIndex>(pools_.size()));
    pools_.push_back({pool.name, pool.max});
  }
}

PoolIndex PoolMap::by_pool(const PoolName& pool) const {
  const auto found = index_.find(pool.str());
  return found == index_.end() ? engine::no_pool : found->second;
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
    if (instance.trouble) {
      view.trouble = true;
      view.message = instance.trouble->message;
    }
  }
  return views;
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
  if (hint.kind != slurm::HintKind::resume || hint.jobs.empty()) return;
  ++hints_seen_;
  std::unordered_map<JobId, size_t> known;
  for (size_t i = 0; i < entries_.size(); ++i) known.emplace(entries_[i].job.id, i);
  for (const auto& job : hint.jobs) {
    const auto [place, is_new] = known.try_emplace(job.id, entries_.size());
    if (is_new) {
      entries_.push_back({{job.id, job.nodes}, hints_seen_});
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
  for (const auto& job : jobs) {
    if (job.state != "CONFIGURING" || job.nodes.empty()) continue;
    const auto names = expand_hostlist(job.nodes);
    if (!names || !seen.insert(job.id).second) continue;
    Entry& entry = fresh.emplace_back();
    entry.job.id = job.id;
    entry.job.nodes.reserve(names->size());
    for (const auto& name : *names) entry.job.nodes.emplace_back(name);
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
  jobs.reserve(entries_.size());
  for (const auto& entry : entries_) jobs.push_back(entry.job);
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
