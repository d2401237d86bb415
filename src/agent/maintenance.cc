#include "agent/maintenance.h"

#include <dirent.h>
#include <strings.h>

#include <algorithm>
#include <memory>

#include "base/files.h"
#include "base/log.h"

namespace slipway::agent {

namespace {

join::NoticeKind notice_kind(EventKind kind) {
  switch (kind) {
    case EventKind::freeze:
      return join::NoticeKind::freeze;
    case EventKind::reboot:
      return join::NoticeKind::reboot;
    case EventKind::redeploy:
      return join::NoticeKind::redeploy;
    case EventKind::preempt:
      return join::NoticeKind::preempt;
    case EventKind::terminate:
      return join::NoticeKind::terminate;
    case EventKind::other:
      break;
  }
  return join::NoticeKind::none;
}

bool concerns(const ScheduledEvent& event, const std::string& name) {
  return std::any_of(event.resources.begin(), event.resources.end(),
                     [&](const std::string& resource) { return strcasecmp(resource.c_str(), name.c_str()) == 0; });
}

}  // namespace

bool runs_job(const std::string& proc) {
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(opendir(proc.c_str()), closedir);
  if (!processes) return true;  // who can't see doesn't say that nothing runs
  while (const dirent* entry = readdir(processes.get())) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const std::string folder = proc + "/" + entry->d_name;
    const auto name = read_file(folder + "/comm", 64);
    if (!name || *name != "slurmstepd\n") continue;
    // "slurmstepd\0infinity\0" keeps slurmd's cgroup alive and runs nothing (Slurm 22.05 and later, cgroup/v2).
    const auto line = read_file(folder + "/cmdline", 64 << 10);
    if (line && line->find(std::string("\0infinity", 9)) == std::string::npos) return true;
  }
  return false;
}

Maintenance::Maintenance(Loop& loop, const Clock& clock, Imds& imds, MaintenanceOptions options)
    : loop_(loop),
      clock_(clock),
      imds_(imds),
      options_(std::move(options)),
      pause_(options_.every),
      workers_(loop, 1) {}

Maintenance::~Maintenance() {
  stop();
}

void Maintenance::start() {
  ask();
}

void Maintenance::stop() {
  stopped_ = true;
  loop_.cancel(timer_);
}

void Maintenance::let_go() {
  for (auto& [id, event] : seen_) event.let_go = true;
}

void Maintenance::ask() {
  workers_.run([this, name = name_]() { return look(name); }, [this](Look seen) { looked(std::move(seen)); });
}

// On the worker.
Maintenance::Look Maintenance::look(std::string name) const {
  Look look{std::move(name), ScheduledEvents{}};
  if (look.name.empty()) {
    auto facts = imds_.instance(options_.timeout);
    if (!facts) {
      look.events = fail(facts.error());
      return look;
    }
    look.name = facts->name;
  }
  look.events = imds_.events(options_.timeout);
  if (look.events && !look.events->events.empty()) look.runs_job = runs_job(options_.proc);
  return look;
}

void Maintenance::looked(Look look) {
  if (stopped_) return;
  name_ = std::move(look.name);
  if (!look.events) {
    if (!std::exchange(complained_, true)) log_warning("events_unseen", {{"why", look.events.error().message}});
    timer_ = loop_.after(pause_, [this] { ask(); });
    pause_ = std::min(pause_ * 2, options_.pause_max);
    return;
  }
  if (std::exchange(complained_, false)) log_info("events_seen");
  pause_ = options_.every;
  remember(*look.events);
  tell();
  if (!look.runs_job) acknowledge();
  timer_ = loop_.after(pause_, [this] { ask(); });
}

void Maintenance::remember(const ScheduledEvents& events) {
  const TimePoint now = clock_.now();
  std::map<std::string, Seen> current;
  for (const ScheduledEvent& event : events.events) {
    if (!concerns(event, name_)) continue;
    const auto before = seen_.find(event.id);
    Seen seen = before != seen_.end() ? before->second : Seen{.first_seen = now};
    seen.kind = event.kind;
    // Without a time it is now; but not "now" anew with each look.
    const bool timeless = event.started || event.not_before == TimePoint{};
    if (!timeless) {
      seen.at = event.not_before;
    } else if (seen.at == TimePoint{} || (event.started && !seen.started)) {
      seen.at = std::min(now, seen.at == TimePoint{} ? now : seen.at);
    }
    seen.started = event.started;
    seen.ours_alone = event.resources.size() == 1;
    if (before == seen_.end()) {
      log_warning("scheduled_event",
                  {{"id", event.id},
                   {"kind", event.kind == EventKind::other ? "other" : join::to_string(notice_kind(event.kind))},
                   {"at", to_iso8601(seen.at)},
                   {"machines", event.resources.size()}});
    }
    current.emplace(event.id, seen);
  }
  for (const auto& [id, seen] : seen_) {
    if (!current.contains(id)) log_info("scheduled_event_gone", {{"id", id}});
  }
  seen_ = std::move(current);
}

void Maintenance::tell() {
  const std::pair<const std::string, Seen>* next = nullptr;
  // By weight first, then by time.
  const auto rank = [](const Seen& seen) {
    return std::pair(join::ends_machine(notice_kind(seen.kind)) ? 0 : 1, seen.at);
  };
  for (const auto& entry : seen_) {
    if (entry.second.kind == EventKind::other) continue;
    if (next == nullptr || rank(entry.second) < rank(next->second)) next = &entry;
  }
  join::Notice notice;
  if (next != nullptr) {
    const auto at = std::max<int64_t>(next->second.at.time_since_epoch().count(), 1);
    notice = {notice_kind(next->second.kind), static_cast<uint64_t>(at), next->first};
  }
  if (told_ && told_->kind == notice.kind && told_->at_ms == notice.at_ms && told_->event == notice.event) return;
  told_ = notice;
  if (on_notice_) on_notice_(notice);
}

void Maintenance::acknowledge() {
  const TimePoint now = clock_.now();
  for (auto& [id, seen] : seen_) {
    if (seen.kind == EventKind::other || seen.started || seen.acknowledged || !seen.ours_alone) continue;
    if (!seen.let_go && now < seen.first_seen + (seen.at - seen.first_seen) / 2) continue;
    seen.acknowledged = true;
    workers_.run([this, id = id] { return imds_.start_event(id, options_.timeout); },
                 [this, id = id](Result<void> done) {
                   log_info("scheduled_event_acknowledged",
                            {{"id", id}, {"how", done ? std::string("accepted") : done.error().message}});
                   const auto found = seen_.find(id);
                   if (!done && found != seen_.end()) found->second.acknowledged = false;
                 });
  }
}

}  // namespace slipway::agent
