#include "daemon/job_starts.h"

#include <string_view>

namespace slipway::daemon {

bool ends_waiting(model::SlurmNodeState state) {
  const bool down = state.base == model::NodeBase::down || state.base == model::NodeBase::error;
  if (down) return true;  // the job has lost it, or is about to
  // POWER_UP isn't among them: it stays with a node that came up before slurmctld looked at the request.
  constexpr uint32_t not_yet =
      model::node_powered_down | model::node_powering_up | model::node_powering_down | model::node_not_responding;
  return (state.flags & not_yet) == 0;
}

JobStarts::~JobStarts() {
  loop_.cancel(timer_);
}

void JobStarts::add(std::unique_ptr<Channel> channel, slurm::Hint hint) {
  if (waiting_.size() >= options_.waiting_max || hint.nodes.empty()) {
    channel->send(slurm::hook_go);
    channel->close_after_flush();
    return;
  }
  const uint64_t id = next_++;
  Waiting& one = waiting_[id];
  one.channel = std::move(channel);
  one.job = hint.job;
  one.nodes = std::move(hint.nodes);
  one.since = clock_.now();
  one.channel->on_message([](const std::string&) {});
  one.channel->on_close([this, id](const std::string&) { waiting_.erase(id); });
  one.channel->send(slurm::hook_wait);
  if (timer_ == Loop::TimerId::none) timer_ = loop_.after(options_.remind_every, [this] { remind(); });
}

void JobStarts::check(const std::vector<engine::NodeView>& nodes, TimePoint as_of) {
  if (waiting_.empty()) return;
  // The states of the nodes that somebody waits for; a name that no look shows stays absent.
  std::unordered_map<std::string_view, const engine::NodeView*> wanted;
  for (const auto& [id, one] : waiting_) {
    for (const auto& node : one.nodes) wanted.emplace(node.str(), nullptr);
  }
  for (const auto& node : nodes) {
    const auto found = wanted.find(node.name.str());
    if (found != wanted.end()) found->second = &node;
  }
  std::erase_if(waiting_, [&](auto& entry) {
    const Waiting& one = entry.second;
    if (as_of < one.since) return false;
    for (const auto& node : one.nodes) {
      const auto* view = wanted.at(node.str());
      if (view != nullptr && !ends_waiting(view->slurm)) return false;
    }
    one.channel->send(slurm::hook_go);
    one.channel->close_after_flush();
    return true;
  });
}

void JobStarts::remind() {
  timer_ = Loop::TimerId::none;
  for (auto& [id, one] : waiting_) one.channel->send(slurm::hook_wait);
  if (!waiting_.empty()) timer_ = loop_.after(options_.remind_every, [this] { remind(); });
}

}  // namespace slipway::daemon
