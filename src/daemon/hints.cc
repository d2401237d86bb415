#include "daemon/hints.h"

#include "base/log.h"

namespace slipway::daemon {

Hints::Hints(Loop& loop, const Clock& clock, Options options, OnHint on_hint)
    : loop_(loop), clock_(clock), options_(std::move(options)), on_hint_(std::move(on_hint)) {}

Hints::~Hints() {
  loop_.cancel(timer_);
}

Result<std::unique_ptr<Hints>> Hints::open(Loop& loop, const Clock& clock, Options options, OnHint on_hint) {
  std::unique_ptr<Hints> hints(new Hints(loop, clock, std::move(options), std::move(on_hint)));
  Hints* self = hints.get();
  auto listener = Listener::unix_socket(loop, hints->options_.socket, 0666,
                                        [self](std::unique_ptr<Channel> channel) { self->accept(std::move(channel)); });
  if (!listener) return fail(listener.error());
  hints->listener_ = std::move(*listener);
  return hints;
}

void Hints::accept(std::unique_ptr<Channel> channel) {
  // Dropped before a byte is read: a stranger can't make us hold anything.
  if (!is_trusted(channel->peer().uid)) {
    log_warning("hint_refused", {{"uid", channel->peer().uid}, {"pid", channel->peer().pid}});
    return;
  }
  if (callers_.size() >= options_.callers_max) return;
  const uint64_t id = next_++;
  Caller& caller = callers_[id];
  caller.deadline = clock_.now() + options_.patience;
  caller.channel = std::move(channel);
  caller.channel->on_message([this, id](std::string frame) {
    const auto found = callers_.find(id);
    if (found == callers_.end()) return;
    auto taken = std::move(found->second.channel);
    callers_.erase(found);
    on_hint_(slurm::decode_hint(frame), std::move(taken));
  });
  caller.channel->on_close([this, id](const std::string&) { callers_.erase(id); });
  if (timer_ == Loop::TimerId::none) timer_ = loop_.after(options_.patience, [this] { sweep(); });
}

bool Hints::is_trusted(uid_t uid) {
  if (uid == 0) return true;
  if (!slurm_uid_ || *slurm_uid_ != uid) slurm_uid_ = options_.slurm_uid();
  return slurm_uid_ && *slurm_uid_ == uid;
}

void Hints::sweep() {
  timer_ = Loop::TimerId::none;
  const TimePoint now = clock_.now();
  std::erase_if(callers_, [&](const auto& entry) { return entry.second.deadline <= now; });
  if (!callers_.empty()) timer_ = loop_.after(options_.patience, [this] { sweep(); });
}

}  // namespace slipway::daemon
