#include "daemon/slurm_writer.h"

#include <algorithm>

#include "base/log.h"

namespace slipway::daemon {

using slurm::NodeChange;

namespace {

// After these a node has no machine any more, or soon.
bool ends_bindings(NodeChange change) {
  return change != NodeChange::power_up && change != NodeChange::drain && change != NodeChange::undrain;
}

bool is_same(const SlurmUpdate& a, const SlurmUpdate& b) {
  if (a.index() != b.index()) return false;
  if (const auto* job = std::get_if<slurm::JobUpdate>(&a)) {
    const auto& other = std::get<slurm::JobUpdate>(b);
    return job->change == other.change && job->jobs == other.jobs && job->text == other.text;
  }
  const auto& node = std::get<slurm::NodeUpdate>(a);
  const auto& other = std::get<slurm::NodeUpdate>(b);
  return node.change == other.change && node.nodes == other.nodes && node.reason == other.reason &&
         node.addresses == other.addresses;
}

}  // namespace

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
  if (ends_bindings(update.change)) {
    for (const auto& node : update.nodes) bindings_.erase(node);
  }
  enqueue(std::move(update));
}

void SlurmWriter::tell(slurm::JobUpdate update) {
  if (!update.jobs.empty()) enqueue(std::move(update));
}

void SlurmWriter::enqueue(SlurmUpdate update) {
  if (std::any_of(queue_.begin(), queue_.end(), [&](const SlurmUpdate& other) { return is_same(other, update); }))
    return;
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
  if (!update.nodes.empty()) enqueue(std::move(update));
}

void SlurmWriter::start_next() {
  if (in_flight_ || queue_.empty()) return;
  in_flight_ = true;
  auto update = std::make_shared<SlurmUpdate>(std::move(queue_.front()));
  queue_.pop_front();
  workers_.run([this, update] { return std::visit([&](const auto& one) { return slurm_.update(one); }, *update); },
               [this, update](Result<void> done) {
                 in_flight_ = false;
                 if (!done) log_warning("slurm_update_refused", {{"why", done.error().message}});
                 events_.written(*update, done);
                 start_next();
               });
}

}  // namespace slipway::daemon
