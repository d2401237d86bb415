// A small Slurm, a small cloud and small agents for the daemon's tests: they behave, they don't expect.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "base/log.h"
#include "cloud/provider.h"
#include "daemon/agents.h"
#include "daemon/slurm_side.h"
#include "journal/journal.h"
#include "slurm/hook_protocol.h"

namespace slipway::daemon {

// Runs the loop until `done` or `patience`; true when done.
inline bool run_until(Loop& loop, std::function<bool()> done, Duration patience = Duration(10'000)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  bool reached = false;
  std::function<void()> look = [&] {
    reached = done();
    if (reached || std::chrono::steady_clock::now() >= deadline) {
      loop.stop();
      return;
    }
    loop.after(Duration(2), look);
  };
  loop.post(look);
  loop.run();
  return reached;
}

inline void run_for(Loop& loop, Duration time) {
  (void)run_until(
      loop, [] { return false; }, time);
}

class FakeSlurm final : public SlurmSide {
 public:
  explicit FakeSlurm(const std::vector<std::string>& names) {
    for (const auto& name : names) {
      slurm::Node node;
      node.name = NodeName(name);
      node.address = name;
      node.hostname = name;
      node.state = {model::NodeBase::idle, model::node_cloud | model::node_powered_down};
      node.cpus_total = 2;
      nodes_.emplace(name, node);
    }
  }

  Result<std::vector<slurm::Node>> nodes() override {
    std::lock_guard hold(lock_);
    ++node_polls;
    if (down) return fail(ErrorCode::transient, "Unable to contact slurm controller");
    std::vector<slurm::Node> list;
    for (const auto& [name, node] : nodes_) list.push_back(node);
    return list;
  }

  Result<std::vector<slurm::Job>> jobs() override {
    std::lock_guard hold(lock_);
    ++job_polls;
    if (down) return fail(ErrorCode::transient, "Unable to contact slurm controller");
    return jobs_;
  }

  Result<void> update(const slurm::NodeUpdate& update) override {
    std::lock_guard hold(lock_);
    if (down) return fail(ErrorCode::transient, "Unable to contact slurm controller");
    updates_.push_back(update);
    for (size_t i = 0; i < update.nodes.size(); ++i) apply(update, i);
    return {};
  }

  Result<void> update(const slurm::JobUpdate& update) override {
    std::lock_guard hold(lock_);
    if (down) return fail(ErrorCode::transient, "Unable to contact slurm controller");
    job_updates_.push_back(update);
    for (auto& job : jobs_) {
      if (std::find(update.jobs.begin(), update.jobs.end(), job.id) == update.jobs.end()) continue;
      if (update.change == slurm::JobChange::comment) job.admin_comment = update.text;
      if (update.change == slurm::JobChange::requeue) {
        job.state = "PENDING";
        job.reason = "None";
        job.nodes.clear();
      }
    }
    return {};
  }

  Result<slurm::Version> version() override { return slurm::Version{22, 5, 8}; }

  // As slurmctld before it calls ResumeProgram.
  void power_up(const std::vector<std::string>& names) {
    std::lock_guard hold(lock_);
    for (const auto& name : names) {
      auto& node = nodes_.at(name);
      node.state = {model::NodeBase::allocated,
                    model::node_cloud | model::node_powering_up | model::node_not_responding};
      node.cpus_allocated = 2;
    }
  }

  void register_node(const std::string& name, const std::string& address) {
    std::lock_guard hold(lock_);
    auto& node = nodes_.at(name);
    node.state.flags = model::node_cloud;
    node.address = address;
    ++registrations[name];
  }

  void set_jobs(std::vector<slurm::Job> jobs) {
    std::lock_guard hold(lock_);
    jobs_ = std::move(jobs);
  }

  slurm::Node node(const std::string& name) {
    std::lock_guard hold(lock_);
    return nodes_.at(name);
  }

  size_t count_up() {
    std::lock_guard hold(lock_);
    size_t up = 0;
    for (const auto& [name, node] : nodes_) {
      up +=
          (node.state.flags & (model::node_powered_down | model::node_powering_up | model::node_powering_down)) == 0 &&
          node.state.base != model::NodeBase::down;
    }
    return up;
  }

  std::vector<slurm::NodeUpdate> updates() {
    std::lock_guard hold(lock_);
    return updates_;
  }

  std::vector<slurm::JobUpdate> job_updates() {
    std::lock_guard hold(lock_);
    return job_updates_;
  }

  std::atomic<bool> down{false};
  std::atomic<int> node_polls{0};
  std::atomic<int> job_polls{0};
  std::map<std::string, int> registrations;

 private:
  void apply(const slurm::NodeUpdate& update, size_t i) {
    const auto found = nodes_.find(update.nodes[i].str());
    if (found == nodes_.end()) return;
    auto& node = found->second;
    switch (update.change) {
      case slurm::NodeChange::bind:
        node.address = update.addresses[i];
        node.hostname = update.hostnames[i];
        break;
      case slurm::NodeChange::down:
        node.state.base = model::NodeBase::down;
        node.cpus_allocated = 0;
        node.reason = update.reason;
        break;
      case slurm::NodeChange::power_down:
      case slurm::NodeChange::power_down_force:
        node.state = {model::NodeBase::idle, model::node_cloud | model::node_powering_down};
        node.reason.clear();
        break;
      case slurm::NodeChange::power_up:
        node.state.flags = model::node_cloud | model::node_powering_up;
        break;
      case slurm::NodeChange::resume:
        node.state = {model::NodeBase::idle, model::node_cloud | model::node_powered_down};
        node.address = node.name.str();
        break;
      case slurm::NodeChange::drain:
        node.state.flags |= model::node_drain;
        node.reason = update.reason;
        break;
      case slurm::NodeChange::undrain:
        node.state.flags &= ~model::node_drain;
        break;
    }
  }

  std::mutex lock_;
  std::map<std::string, slurm::Node> nodes_;
  std::vector<slurm::Job> jobs_;
  std::vector<slurm::NodeUpdate> updates_;
  std::vector<slurm::JobUpdate> job_updates_;
};

class FakeCloud final : public cloud::Provider {
 public:
  explicit FakeCloud(const Clock& clock) : clock_(clock) {}

  cloud::Capabilities capabilities() const override { return can; }

  Result<cloud::LaunchReceipt> launch(const cloud::LaunchRequest& request, Duration) override {
    std::lock_guard hold(lock_);
    if (down) return fail(ErrorCode::transient, "the cloud is away");
    ++launch_calls;
    requests.push_back(request);
    cloud::LaunchReceipt receipt;
    for (const auto& [id, instance] : instances_) {
      if (instance.launch_token != request.token) continue;
      receipt.instances.push_back(instance.id);
      ++receipt.accepted;
    }
    if (receipt.accepted > 0) return receipt;
    // Offer by offer, where the zone has room.
    auto offers = request.offers;
    if (offers.empty()) offers.emplace_back();
    for (const auto& offer : offers) {
      const auto room = room_in.find(offer.zone);
      while (receipt.accepted < request.count && (room == room_in.end() || room->second > 0)) {
        if (room != room_in.end()) --room->second;
        receipt.instances.push_back(add(request.pool, request.token, request.market, offer));
        ++receipt.accepted;
      }
      if (receipt.accepted == request.count) break;
      receipt.refusals.push_back({offer, {ErrorCode::no_capacity, "no room in " + offer.zone}});
    }
    return receipt;
  }

  Result<cloud::Listing> list(Duration) override {
    std::lock_guard hold(lock_);
    ++listings;
    if (throttles > 0 && throttles-- > 0) {
      return fail({.code = ErrorCode::throttled, .message = "too many calls", .retry_after = Duration(300)});
    }
    if (down) return fail(ErrorCode::transient, "the cloud is away");
    cloud::Listing listing;
    listing.as_of = clock_.now();
    for (const auto& [id, instance] : instances_) listing.instances.push_back(instance);
    return listing;
  }

  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& ids, Duration) override {
    std::lock_guard hold(lock_);
    ++terminate_calls;
    for (const auto& id : ids) {
      terminated.insert(id.str());
      instances_.erase(id.str());
    }
    return std::vector<InstanceId>();
  }

  // For the test's own use.
  InstanceId make(const std::string& pool) {
    std::lock_guard hold(lock_);
    return add(PoolName(pool), "by-hand");
  }
  void power_cut(const std::string& id) {
    std::lock_guard hold(lock_);
    instances_.erase(id);
  }
  std::vector<model::Instance> instances() {
    std::lock_guard hold(lock_);
    std::vector<model::Instance> list;
    for (const auto& [id, instance] : instances_) list.push_back(instance);
    return list;
  }
  uint32_t launched() const { return next_ - 1; }
  void evict(const std::string& id, TimePoint at) {
    std::lock_guard hold(lock_);
    instances_.at(id).evict_at = at;
  }

  std::atomic<bool> down{false};
  std::atomic<int> launch_calls{0};
  std::atomic<int> listings{0};
  std::atomic<int> terminate_calls{0};
  std::set<std::string> terminated;
  // Set before the daemon starts, or read after what they count has happened.
  cloud::Capabilities can;
  std::map<std::string, uint32_t> room_in;  // by zone; a zone that isn't here has no end of it
  std::vector<cloud::LaunchRequest> requests;
  std::atomic<int> throttles{0};  // so many listings are refused

 private:
  InstanceId add(const PoolName& pool, const std::string& token, model::Market market = model::Market::on_demand,
                 model::Offer offer = {}) {
    model::Instance instance;
    char id[32];
    snprintf(id, sizeof id, "i-%08x", next_.load());
    instance.id = InstanceId(std::string(id));
    instance.pool = pool;
    instance.launch_token = token;
    instance.state = model::InstanceState::running;
    instance.address = "198.18.9." + std::to_string(next_);
    instance.launched_at = clock_.now();
    instance.market = market;
    instance.offer = std::move(offer);
    ++next_;
    instances_.emplace(id, instance);
    return instance.id;
  }

  const Clock& clock_;
  std::mutex lock_;
  std::map<std::string, model::Instance> instances_;
  std::atomic<uint32_t> next_{1};
};

// An agent as the daemon sees it: joins, gets ready when welcomed, starts "slurmd" when bound.
class FakeAgent {
 public:
  FakeAgent(Loop& loop, uint16_t port, const join::Key& master, InstanceId instance, FakeSlurm* slurm = nullptr)
      : loop_(loop),
        port_(port),
        secret_(join::machine_secret(master, instance.str())),
        instance_(std::move(instance)),
        slurm_(slurm) {
    connect();
  }

  void connect() {
    closed = false;
    proven_ = false;
    nonce_ = join::random_key();
    auto channel = Channel::connect_tcp(loop_, "127.0.0.1:" + std::to_string(port_));
    if (!channel) {
      closed = true;
      return;
    }
    channel_ = std::move(*channel);
    channel_->on_message([this](std::string frame) { on_frame(frame); });
    channel_->on_close([this](std::string why) {
      closed = true;
      why_closed = std::move(why);
    });
    channel_->send(join::encode_agent_hello({instance_.str(), nonce_}));
  }
  void drop() {
    channel_.reset();
    closed = true;
  }
  void send(const join::FromAgent& message) { channel_->send(join::encode(message)); }
  void report(join::Phase phase) {
    state.phase = phase;
    state.node = node;
    if (channel_ && proven_) send(state);
  }

  const InstanceId& id() const { return instance_; }
  std::optional<join::Welcome> welcome;
  std::vector<std::string> binds;
  std::vector<std::string> leaves;
  std::string node;
  join::Report state;
  bool closed = false;
  bool obedient = true;  // gets ready and serves by itself
  int welcomes = 0;
  std::string why_closed;

 private:
  void on_frame(const std::string& frame) {
    if (!proven_) {
      const auto nonce = join::decode_daemon_hello(frame);
      if (!nonce) return drop();
      channel_->seal_with(join::make_sealer(join::Side::agent, secret_, nonce_, *nonce));
      proven_ = true;
      send(state);
      return;
    }
    auto message = join::decode_from_daemon(frame);
    ASSERT_TRUE(message.has_value()) << message.error().message;
    if (auto* got = std::get_if<join::Welcome>(&*message)) {
      const bool first = !welcome.has_value();
      welcome = *got;
      ++welcomes;
      if (obedient && first) report(join::Phase::waiting);
    } else if (auto* bind = std::get_if<join::Bind>(&*message)) {
      binds.push_back(bind->node);
      if (!obedient) return;
      node = bind->node;
      report(join::Phase::starting);
      state.slurmd_started_ms = static_cast<uint64_t>(SystemClock().now().time_since_epoch().count());
      if (slurm_ != nullptr) slurm_->register_node(node, "198.18.9.1");
      report(join::Phase::serving);
    } else if (auto* leave = std::get_if<join::Leave>(&*message)) {
      leaves.push_back(leave->reason);
    }
  }

  Loop& loop_;
  uint16_t port_;
  join::Key secret_;
  InstanceId instance_;
  FakeSlurm* slurm_;
  join::Key nonce_{};
  bool proven_ = false;
  std::unique_ptr<Channel> channel_;
};

class MemoryJournal final : public journal::Journal {
 public:
  void append(journal::Event event) override {
    std::lock_guard hold(lock_);
    event.id = static_cast<int64_t>(events_.size()) + 1;
    events_.push_back(std::move(event));
  }
  Result<std::vector<journal::Event>> read(const journal::Query& query) override {
    std::lock_guard hold(lock_);
    std::vector<journal::Event> found;
    for (const auto& event : events_) {
      if (event.id > query.after_id && (query.node.empty() || query.node == event.node)) found.push_back(event);
    }
    if (found.size() > query.limit) found.erase(found.begin(), found.end() - query.limit);
    return found;
  }
  void flush() override {}
  void forget_before(TimePoint) override {}
  size_t count(const std::string& kind) {
    std::lock_guard hold(lock_);
    size_t n = 0;
    for (const auto& event : events_) n += event.kind == kind;
    return n;
  }

 private:
  std::mutex lock_;
  std::vector<journal::Event> events_;
};

inline model::Cluster small_cluster(uint32_t max = 10) {
  model::Cluster cluster;
  cluster.name = "demo";
  model::Pool pool;
  pool.name = PoolName("cpu");
  pool.max = max;
  pool.boot_timeout = Duration(60'000);
  pool.prep = "#!/bin/sh\nexit 0\n";
  cluster.pools.push_back(pool);
  model::Partition partition;
  partition.name = PartitionName("batch");
  partition.pools = {pool.name};
  partition.is_default = true;
  cluster.partitions.push_back(partition);
  cluster.users.push_back({"ada", 2000});
  cluster.idle_reclaim = std::chrono::minutes(10);
  return cluster;
}

inline std::vector<std::string> cpu_names(uint32_t from, uint32_t to) {
  std::vector<std::string> names;
  for (uint32_t i = from; i <= to; ++i) names.push_back(model::node_name(PoolName("cpu"), i).str());
  return names;
}

inline slurm::Hint resume_hint(JobId job, const std::vector<std::string>& names) {
  slurm::Hint hint;
  hint.kind = slurm::HintKind::resume;
  slurm::HintJob one;
  one.id = job;
  for (const auto& name : names) {
    hint.nodes.emplace_back(name);
    one.nodes.emplace_back(name);
  }
  if (job != 0) hint.jobs.push_back(std::move(one));
  return hint;
}

}  // namespace slipway::daemon
