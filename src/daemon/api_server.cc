#include "daemon/api_server.h"

#include <limits>

#include "base/log.h"
#include "daemon/api_encode.h"

namespace slipway::daemon {

namespace {

constexpr Duration status_patience{1'000};  // for squeue, which the answer can do without
constexpr Duration jobs_patience{15'000};
constexpr uint32_t events_per_frame_max = 10'000;

}  // namespace

ApiServer::ApiServer(Loop& loop, const Clock& clock, Shell& shell, journal::Journal& journal, Options options)
    : loop_(loop), clock_(clock), shell_(shell), journal_(journal), options_(std::move(options)), readers_(loop, 1) {}

ApiServer::~ApiServer() {
  shell_.on_event({});
  loop_.cancel(publish_timer_);
  loop_.cancel(sweep_timer_);
}

Result<std::unique_ptr<ApiServer>> ApiServer::open(Loop& loop, const Clock& clock, Shell& shell,
                                                   journal::Journal& journal, Options options) {
  std::unique_ptr<ApiServer> server(new ApiServer(loop, clock, shell, journal, std::move(options)));
  ApiServer* self = server.get();
  auto listener = Listener::unix_socket(loop, self->options_.socket, 0600,
                                        [self](std::unique_ptr<Channel> channel) { self->accept(std::move(channel)); });
  if (!listener) return fail(listener.error());
  self->listener_ = std::move(*listener);
  shell.on_event([self] { self->publish(); });
  return server;
}

void ApiServer::accept(std::unique_ptr<Channel> channel) {
  if (channel->peer().uid != 0) {
    channel->send(answer_error({ErrorCode::denied, "only root may ask the daemon"}));
    channel->close_after_flush();
    return;
  }
  if (callers_.size() >= options_.callers_max) {
    channel->send(answer_error({ErrorCode::throttled, "too many callers at once; try again"}));
    channel->close_after_flush();
    return;
  }
  const uint64_t id = next_++;
  Caller& caller = callers_[id];
  caller.deadline = clock_.now() + options_.request_patience;
  caller.channel = std::move(channel);
  caller.channel->on_message([this, id](const std::string& frame) { serve(id, frame); });
  caller.channel->on_close([this, id](const std::string&) { callers_.erase(id); });
  if (sweep_timer_ == Loop::TimerId::none) sweep_timer_ = loop_.after(options_.request_patience, [this] { sweep(); });
}

void ApiServer::serve(uint64_t id, const std::string& frame) {
  const auto found = callers_.find(id);
  if (found == callers_.end() || found->second.asked) return;
  found->second.asked = true;
  const auto parsed = parse_request(frame);
  if (!parsed) return answer(id, fail(parsed.error()));
  const ApiRequest request = *parsed;
  if (request.call == "status") {
    shell_.with_jobs(status_patience, [this, id] { answer(id, encode_status(shell_.world(), own_rss_kib())); });
  } else if (request.call == "nodes") {
    shell_.with_jobs(status_patience,
                     [this, id, request] { answer(id, encode_nodes(shell_.world(), request.pool, request.all)); });
  } else if (request.call == "jobs") {
    shell_.with_jobs(jobs_patience, [this, id] {
      const World& world = shell_.world();
      if (world.jobs_as_of == TimePoint{} || !world.jobs_error.empty()) {
        return answer(id, fail(ErrorCode::transient,
                               "squeue doesn't answer" + (world.jobs_error.empty() ? "" : ": " + world.jobs_error)));
      }
      answer(id, encode_jobs(world));
    });
  } else if (request.call == "explain") {
    if (request.node.empty() == request.job.empty()) {
      return answer(id, fail(ErrorCode::bad_config, "bad request: \"explain\" needs \"node\" or \"job\""));
    }
    shell_.with_jobs(request.node.empty() ? jobs_patience : status_patience, [this, id, request] {
      const TimePoint now = clock_.now();
      answer(id, request.node.empty() ? explain_job_json(shell_.world(), now, request.job)
                                      : explain_node_json(shell_.world(), now, NodeName(request.node)));
    });
  } else if (request.call == "locate") {
    answer(id, encode_location(shell_.world(), NodeName(request.node)));
  } else {
    serve_events(id, request);
  }
}

void ApiServer::serve_events(uint64_t id, const ApiRequest& request) {
  Caller& caller = callers_[id];
  caller.query.after_id = request.after;
  caller.query.node = request.node;
  caller.query.instance = request.instance;
  caller.query.limit = request.limit;
  if (!request.follow) {
    readers_.run([journal = &journal_, query = caller.query] { return journal->read(query); },
                 [this, id](Result<std::vector<journal::Event>> events) {
                   if (!events) return answer(id, fail(events.error()));
                   answer(id, encode_events(*events));
                 });
    return;
  }
  caller.channel->set_queue_max(options_.follower_queue_max);
  if (request.has_after || request.has_limit) {
    caller.follows = true;
    feed(id);
    return;
  }
  // Without a starting point only what is new is wanted: begin behind the newest event.
  readers_.run([journal = &journal_] { return journal->read({.limit = 1}); },
               [this, id](Result<std::vector<journal::Event>> newest) {
                 const auto found = callers_.find(id);
                 if (found == callers_.end()) return;
                 if (newest && !newest->empty()) found->second.query.after_id = newest->back().id;
                 found->second.follows = true;
                 feed(id);
               });
}

void ApiServer::answer(uint64_t id, const Result<std::string>& result) {
  const auto found = callers_.find(id);
  if (found == callers_.end()) return;
  const auto channel = std::move(found->second.channel);
  callers_.erase(found);
  channel->send(result ? answer_ok(*result) : answer_error(result.error()));
  channel->close_after_flush();
}

void ApiServer::publish() {
  if (publish_timer_ != Loop::TimerId::none) return;
  bool anybody = false;
  for (const auto& [id, caller] : callers_) anybody |= caller.follows;
  if (!anybody) return;
  publish_timer_ = loop_.after(options_.follow_gather, [this] {
    publish_timer_ = Loop::TimerId::none;
    std::vector<uint64_t> followers;
    for (const auto& [id, caller] : callers_) {
      if (caller.follows) followers.push_back(id);
    }
    for (const uint64_t id : followers) feed(id);
  });
}

// Reads what is new for one follower; its limit bounds only the first frame, from then on nothing may be skipped.
void ApiServer::feed(uint64_t id) {
  Caller& caller = callers_[id];
  if (std::exchange(caller.reading, true)) {
    caller.news = true;
    return;
  }
  readers_.run([journal = &journal_, query = caller.query] { return journal->read(query); },
               [this, id](Result<std::vector<journal::Event>> events) {
                 const auto found = callers_.find(id);
                 if (found == callers_.end()) return;
                 Caller& follower = found->second;
                 follower.reading = false;
                 if (!events) return answer(id, fail(events.error()));
                 if (!events->empty()) {
                   follower.query.after_id = events->back().id;
                   follower.channel->send(answer_ok(encode_events(*events)));
                 }
                 follower.query.limit = events_per_frame_max;
                 if (std::exchange(follower.news, false)) feed(id);
               });
}

void ApiServer::sweep() {
  sweep_timer_ = Loop::TimerId::none;
  const TimePoint now = clock_.now();
  bool waiting = false;
  std::erase_if(callers_, [&](const auto& entry) {
    if (entry.second.asked) return false;
    waiting |= entry.second.deadline > now;
    return entry.second.deadline <= now;
  });
  if (waiting) sweep_timer_ = loop_.after(options_.request_patience, [this] { sweep(); });
}

}  // namespace slipway::daemon
