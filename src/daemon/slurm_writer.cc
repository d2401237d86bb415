#include "daemon/slurm_writer.h"

#include <algorithm>

#include "base/log.h"

namespace slipway::daemon {

using slurm::NodeChange;

SlurmWriter::SlurmWriter(Loop& loop, const Clock& clock, Workers& workers, SlurmSide& slurm, Options options,
                         Events events)
    : loop_(loop), clock_(clock), workers_(workers), slurm_(slurm), options_(options), events_(std::move(events)) {}

SlurmWriter::~SlurmWriter() {
  loop_.cancel(timer_);
}

void SlurmWriter::bind(const NodeName& node, const InstanceId& instance, const std::string& address) {
  if (address.empty()) return;
  if (bindings_.empty()) first_binding_at_ = clock_.now();
  bindings_[node] = {instance, address};
  arm();
}

void SlurmWriter::tell(slurm::NodeUpdate update) {
  if (update.nodes.empty()) return;
  const bool ends = update.change != NodeChange::power_up;
  if (ends) {
    for (const auto& node : update.nodes) bindings_.erase(node);
  }
  const bool waits_already = std::any_of(queue_.begin(), queue_.end(), [&](const slurm::NodeUpdate& other) {
    return other.change == update.change && other.nodes == update.nodes && other.reason == update.reason;
  });
  if (waits_already) return;
  if (queue_.size() >= options_.queue_max) {
    log_warning("slurm_updates_pile_up", {{"waiting", queue_.size()}});
    return;
  }
  queue_.push_back(std::move(update));
  start_next();
}

void SlurmWriter::arm() {
  loop_.cancel(timer_);
  const TimePoint now = clock_.now();
  const TimePoint due = std::min(now + options_.bind_lull, first_binding_at_ + options_.bind_patience);
  timer_ = loop_.after(due - now, [this] {
    timer_ = Loop::TimerId::none;
    flush_bindings();
  });
}

void SlurmWriter::flush_bindings() {
  slurm::NodeUpdate update;
  update.change = NodeChange::bind;
  for (auto& [node, binding] : bindings_) {
    if (!events_.is_still_bound(node, binding.instance)) continue;
    update.nodes.push_back(node);
    update.addresses.push_back(std::move(binding.address));
    update.hostnames.push_back(node.str());
  }
  bindings_.clear();
  if (update.nodes.empty()) return;
  if (queue_.size() < options_.queue_max) queue_.push_back(std::move(update));
  start_next();
}

void SlurmWriter::start_next() {
  if (in_flight_ || queue_.empty()) return;
  in_flight_ = true;
  auto update = std::make_shared<slurm::NodeUpdate>(std::move(queue_.front()));
  queue_.pop_front();
  workers_.run([this, update] { return slurm_.update(*update); },
               [this, update](Result<void> done) {
                 in_flight_ = false;
                 if (!done) {
                   log_warning("slurm_update_refused", {{"nodes", update->nodes.size()},
                                                        {"first", update->nodes.front().str()},
                                                        {"why", done.error().message}});
                 }
                 events_.written(*update, done);
                 start_next();
               });
}

}  // namespace slipway::daemon
