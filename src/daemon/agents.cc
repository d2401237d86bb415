#include "daemon/agents.h"

#include <sys/socket.h>

#include <algorithm>

#include "base/log.h"

namespace slipway::daemon {

namespace {

constexpr size_t queue_bytes_max = 56 << 20;  // a Welcome for a login machine may hold a big slurm.conf

// The door hands over a socket whose send buffer is empty: a hello of a hundred bytes always fits at once.
bool send_frame(int fd, const std::string& body) {
  std::string frame(4, '\0');
  for (size_t i = 0; i < 4; ++i) frame[i] = static_cast<char>(body.size() >> (24 - 8 * i));
  frame += body;
  return ::send(fd, frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(frame.size());
}

// The agent comes again. What isn't denied is the usual course while many machines boot: too many at once, or one that
// is quicker than the listing which shows it.
void log_refusal(const Peer& peer, const InstanceId& instance, const Error& why) {
  log_event(why.code == ErrorCode::denied ? LogLevel::warning : LogLevel::debug, "agent_refused",
            {{"address", peer.address}, {"instance", instance.str()}, {"why", why.message}});
}

}  // namespace

Agents::Agents(Loop& loop, const Clock& clock, Options options, Events events)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      events_(std::move(events)),
      keys_(join::daemon_key_pair(options_.master)) {}

Result<std::unique_ptr<Agents>> Agents::open(Loop& loop, const Clock& clock, Options options, Events events) {
  std::unique_ptr<Agents> agents(new Agents(loop, clock, std::move(options), std::move(events)));
  Agents* self = agents.get();
  auto door = Doorway::open(loop, clock, agents->options_.door, [self](Fd socket, Peer peer, std::string hello) {
    self->on_hello(std::move(socket), std::move(peer), hello);
  });
  if (!door) return fail(door.error());
  agents->door_ = std::move(*door);
  return agents;
}

Agents::~Agents() {
  loop_.cancel(sweep_timer_);
}

void Agents::on_hello(Fd socket, Peer peer, const std::string& text) {
  const auto hello = join::decode_agent_hello(text);
  if (!hello) {
    log_warning("agent_refused", {{"address", peer.address}, {"why", hello.error().message}});
    return;
  }
  if (hello->claim.empty()) {
    greet(std::move(socket), std::move(peer), InstanceId(hello->instance),
          join::machine_secret(options_.master, hello->instance), hello->nonce);
    return;
  }
  if (auto begun = check_claim(socket, peer, *hello); !begun) {
    log_refusal(peer, InstanceId(hello->instance), begun.error());
  }
}

// Takes the socket and the peer when it succeeds.
Result<void> Agents::check_claim(Fd& socket, Peer& peer, const join::AgentHello& hello) {
  const auto from = parse_endpoint(peer.address);
  if (!from || from->port >= privileged_ports) {
    return fail(ErrorCode::denied, "a claim from port " + std::to_string(from ? from->port : 0) +
                                       ": anybody on a machine could have sent it; its agent must run as root");
  }
  if (!events_.identify) return fail(ErrorCode::denied, "no pool's provider vouches for machines");
  const std::string address = peer.address.substr(0, peer.address.rfind(':'));
  if (checked_addresses_.size() >= options_.checks_max) {
    return fail(ErrorCode::throttled, "too many claims are being checked; the agent comes again");
  }
  if (checked_addresses_.contains(address)) {
    return fail(ErrorCode::throttled, "an earlier claim from there is being checked; the agent comes again");
  }
  auto claim = join::open_claim(hello.claim, keys_);
  if (!claim) return fail(claim.error());
  if (claim->instance != hello.instance) {
    return fail(ErrorCode::denied, "a claim for " + claim->instance + ", which isn't who says hello");
  }

  checked_addresses_.insert(address);
  const uint64_t guest = next_guest_++;
  checks_[guest] = {std::move(socket), std::move(peer), InstanceId(hello.instance),
                    claim->secret,     hello.nonce,     clock_.now() + options_.check_patience};
  schedule_sweep(options_.check_patience);
  events_.identify({InstanceId(hello.instance), std::move(claim->kind), std::move(claim->document), address},
                   [this, guest, address, alive = std::weak_ptr<bool>(alive_)](const Result<void>& vouched) {
                     if (!alive.expired()) checked(guest, address, vouched);
                   });
  return {};
}

void Agents::checked(uint64_t guest, const std::string& address, const Result<void>& vouched) {
  checked_addresses_.erase(address);
  const auto found = checks_.find(guest);
  if (found == checks_.end()) return;
  Check check = std::move(found->second);
  checks_.erase(found);
  if (!vouched) {
    log_refusal(check.peer, check.instance, vouched.error());
    return;
  }
  greet(std::move(check.socket), std::move(check.peer), check.instance, check.secret, check.nonce);
}

// From here on the guest has to show, by a sealed frame, that it has the secret.
void Agents::greet(Fd socket, Peer peer, const InstanceId& instance, const join::Key& secret,
                   const join::Key& agent_nonce) {
  if (unproven_.size() >= options_.unproven_max) return;
  const join::Key nonce = join::random_key();
  if (!send_frame(socket.get(), join::encode_daemon_hello(nonce))) return;

  const uint64_t guest = next_guest_++;
  Unproven& unproven = unproven_[guest];
  unproven.instance = instance;
  unproven.deadline = clock_.now() + options_.door.patience;
  unproven.channel = std::make_unique<Channel>(loop_, std::move(socket), std::move(peer), agent_frame_bytes_max);
  unproven.channel->set_queue_max(queue_bytes_max);
  unproven.channel->seal_with(join::make_sealer(join::Side::daemon, secret, agent_nonce, nonce));
  unproven.channel->on_message([this, guest, id = unproven.instance, proven = false](std::string frame) mutable {
    if (!std::exchange(proven, true)) on_proof(guest);
    on_frame(id, frame);
  });
  unproven.channel->on_close([this, guest, id = unproven.instance](const std::string& why) {
    if (unproven_.erase(guest) == 0) on_end(id, why);
  });
  schedule_sweep(options_.door.patience);
}

void Agents::on_proof(uint64_t guest) {
  const auto found = unproven_.find(guest);
  if (found == unproven_.end()) return;
  Unproven proven = std::move(found->second);
  unproven_.erase(found);

  Agent& agent = agents_[proven.instance];
  if (!agent.channel) ++connected_;
  agent.channel = std::move(proven.channel);
  agent.welcomed = false;
  agent.reported = false;
  agent.connected_at = clock_.now();
  log_info("agent_joined", {{"instance", proven.instance.str()}, {"address", agent.channel->peer().address}});
  schedule_sweep(options_.agent_silence);
  events_.unknown(proven.instance);
}

void Agents::on_frame(const InstanceId& instance, const std::string& frame) {
  const auto found = agents_.find(instance);
  if (found == agents_.end()) return;
  Agent& agent = found->second;
  agent.heard_at = clock_.now();
  auto message = join::decode_from_agent(frame);
  if (!message) {
    // Sealed, so it is the agent, not an intruder; a newer one may know words that this daemon doesn't.
    log_warning("agent_not_understood", {{"instance", instance.str()}, {"why", message.error().message}});
    return;
  }
  const bool was_silent = std::exchange(agent.silent, false);
  if (was_silent) agent.since = agent.heard_at;
  if (auto* report = std::get_if<join::Report>(&*message)) {
    on_report(instance, agent, std::move(*report));
  } else if (auto* notice = std::get_if<join::Notice>(&*message)) {
    on_notice(instance, agent, std::move(*notice));
  } else if (was_silent) {
    events_.changed(instance);
  }
}

void Agents::on_report(const InstanceId& instance, Agent& agent, join::Report report) {
  const NodeName node(report.node);
  const TimePoint started(Duration(static_cast<int64_t>(std::min<uint64_t>(report.slurmd_started_ms, 1ull << 52))));
  const bool same_phase = agent.heard && agent.phase == report.phase;
  const bool changed = !same_phase || !agent.reported || agent.bound != node || agent.slurmd_started != started;
  const bool newly_failed = report.phase == join::Phase::failed && (!same_phase || agent.message != report.message);
  if (!same_phase) agent.since = clock_.now();
  agent.heard = true;
  agent.phase = report.phase;
  agent.bound = node;
  agent.slurmd_started = started;
  agent.message = std::move(report.message);
  const bool first = !std::exchange(agent.reported, true);
  if (report.phase != join::Phase::waiting && !node.empty()) agent.assigned = node;
  log_debug("agent_report",
            {{"instance", instance.str()}, {"phase", join::to_string(agent.phase)}, {"node", agent.bound.str()}});
  // The Bind may have been lost with an earlier connection, or with the machine's reboot; leave() forgets the name.
  if ((first || !same_phase) && agent.phase == join::Phase::waiting && node.empty() && !agent.assigned.empty() &&
      events_.is_still_meant(instance, agent.assigned)) {
    agent.channel->send(join::encode(join::FromDaemon(join::Bind{agent.assigned.str()})));
  }
  if (newly_failed) events_.failed(instance, agent.message, report.log_tail);
  if (changed) events_.changed(instance);
}

void Agents::on_notice(const InstanceId& instance, Agent& agent, join::Notice notice) {
  const join::Notice& old = agent.notice;
  if (old.kind == notice.kind && old.at_ms == notice.at_ms && old.event == notice.event) return;
  if (notice.kind == join::NoticeKind::none) {
    log_info("agent_notice_withdrawn", {{"instance", instance.str()}, {"event", old.event}});
  } else {
    const TimePoint at(Duration(static_cast<int64_t>(notice.at_ms)));
    log_info("agent_notice", {{"instance", instance.str()},
                              {"kind", join::to_string(notice.kind)},
                              {"at", to_iso8601(at)},
                              {"event", notice.event}});
  }
  const bool matters = join::ends_machine(old.kind) || join::ends_machine(notice.kind);
  agent.notice = std::move(notice);
  if (matters) events_.changed(instance);
}

void Agents::on_end(const InstanceId& instance, const std::string& why) {
  const auto found = agents_.find(instance);
  if (found == agents_.end() || !found->second.channel) return;
  Agent& agent = found->second;
  agent.channel.reset();
  agent.silent = true;
  agent.since = clock_.now();
  agent.welcomed = false;
  --connected_;
  log_info("agent_connection_ended", {{"instance", instance.str()}, {"node", agent.bound.str()}, {"why", why}});
  events_.lost(instance);
}

void Agents::admit(const InstanceId& instance, const join::Welcome& welcome) {
  const auto found = agents_.find(instance);
  if (found == agents_.end() || !found->second.channel || found->second.welcomed) return;
  found->second.welcomed = true;
  found->second.channel->send(join::encode(join::FromDaemon(welcome)));
}

std::vector<std::pair<InstanceId, TimePoint>> Agents::waiting_for_admission() const {
  std::vector<std::pair<InstanceId, TimePoint>> waiting;
  for (const auto& [instance, agent] : agents_) {
    if (agent.channel && !agent.welcomed) waiting.emplace_back(instance, agent.connected_at);
  }
  return waiting;
}

bool Agents::bind(const InstanceId& instance, const NodeName& node) {
  Agent& agent = agents_[instance];
  agent.assigned = node;
  if (!agent.channel) return false;
  agent.channel->send(join::encode(join::FromDaemon(join::Bind{node.str()})));
  return true;
}

void Agents::leave(const InstanceId& instance, const std::string& reason) {
  const auto found = agents_.find(instance);
  if (found == agents_.end()) return;
  found->second.assigned = NodeName();
  if (found->second.channel) found->second.channel->send(join::encode(join::FromDaemon(join::Leave{reason})));
}

void Agents::forget(const InstanceId& instance) {
  const auto found = agents_.find(instance);
  if (found == agents_.end()) return;
  if (found->second.channel) --connected_;
  agents_.erase(found);
}

void Agents::prune(const std::unordered_set<InstanceId>& listed) {
  std::erase_if(agents_, [&](const auto& entry) { return !entry.second.channel && !listed.contains(entry.first); });
}

void Agents::fill(std::vector<engine::InstanceView>& instances) {
  using engine::AgentState;
  for (auto& view : instances) {
    const auto found = agents_.find(view.id);
    if (found == agents_.end() || !found->second.heard) continue;
    Agent& agent = found->second;
    switch (agent.phase) {
      case join::Phase::preparing:
        view.agent = AgentState::preparing;
        break;
      case join::Phase::waiting:
        view.agent = AgentState::waiting;
        break;
      case join::Phase::starting:
        view.agent = AgentState::starting;
        break;
      case join::Phase::serving:
        view.agent = AgentState::serving;
        break;
      case join::Phase::failed:
        view.agent = AgentState::failed;
        break;
    }
    if (agent.silent) view.agent = AgentState::silent;
    view.bound = agent.bound;
    view.agent_since = agent.since;
    view.slurmd_started = agent.slurmd_started;
    if (!agent.message.empty()) view.message = agent.message;
    // A view outlives many rounds; what a notice did to it goes when the notice is withdrawn.
    if (agent.evict_at != TimePoint{} && view.evict_at == agent.evict_at) view.evict_at = agent.listed_evict_at;
    agent.evict_at = {};
    if (join::ends_machine(agent.notice.kind)) {
      const TimePoint at(Duration(static_cast<int64_t>(agent.notice.at_ms)));
      if (view.evict_at == TimePoint{} || at < view.evict_at) {
        agent.listed_evict_at = std::exchange(view.evict_at, at);
        agent.evict_at = at;
      }
    }
  }
}

std::optional<join::Phase> Agents::phase_of(const InstanceId& instance) const {
  const auto found = agents_.find(instance);
  if (found == agents_.end() || !found->second.heard) return std::nullopt;
  return found->second.phase;
}

bool Agents::is_connected(const InstanceId& instance) const {
  const auto found = agents_.find(instance);
  return found != agents_.end() && found->second.channel != nullptr;
}

std::string Agents::address_of(const InstanceId& instance) const {
  const auto found = agents_.find(instance);
  if (found == agents_.end() || !found->second.channel) return {};
  const std::string& address = found->second.channel->peer().address;
  return address.substr(0, address.rfind(':'));
}

void Agents::schedule_sweep(Duration delay) {
  const TimePoint at = clock_.now() + delay + Duration(1);
  if (sweep_timer_ != Loop::TimerId::none && sweep_due_ <= at) return;
  loop_.cancel(sweep_timer_);
  sweep_due_ = at;
  sweep_timer_ = loop_.after(at - clock_.now(), [this] {
    sweep_timer_ = Loop::TimerId::none;
    sweep();
  });
}

void Agents::sweep() {
  const TimePoint now = clock_.now();
  TimePoint next = TimePoint::max();
  std::erase_if(unproven_, [&](const auto& entry) { return entry.second.deadline <= now; });
  for (const auto& [guest, unproven] : unproven_) next = std::min(next, unproven.deadline);
  std::erase_if(checks_, [&](const auto& entry) { return entry.second.deadline <= now; });
  for (const auto& [guest, check] : checks_) next = std::min(next, check.deadline);
  std::vector<InstanceId> fell_silent;
  for (auto& [instance, agent] : agents_) {
    if (agent.silent || !agent.channel) continue;
    const TimePoint limit = agent.heard_at + options_.agent_silence;
    if (limit <= now) {
      agent.silent = true;
      agent.since = now;
      fell_silent.push_back(instance);
    } else {
      next = std::min(next, limit);
    }
  }
  // One look for all of a crowd: a thousand agents' own deadlines would wake the loop a thousand times.
  if (next != TimePoint::max()) schedule_sweep(std::max(next - now, Duration(250)));
  for (const auto& instance : fell_silent) {
    log_warning("agent_silent", {{"instance", instance.str()}});
    events_.changed(instance);
  }
}

}  // namespace slipway::daemon
