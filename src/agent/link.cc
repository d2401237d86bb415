#include "agent/link.h"

#include <algorithm>

#include "agent/privileged.h"
#include "base/log.h"
#include "join/claim.h"

namespace slipway::agent {

namespace {
constexpr size_t message_max = 64 << 20;
static_assert(message_max <= message_max_default);
}  // namespace

Link::Link(Loop& loop, std::mt19937_64& random, LinkOptions options)
    : loop_(loop), random_(random), options_(std::move(options)), pause_(options_.pause_min) {}

Link::~Link() {
  stop();
}

void Link::start() {
  connect();
}

void Link::stop() {
  for (Loop::TimerId* timer : {&connect_timer_, &patience_timer_, &heartbeat_timer_}) {
    loop_.cancel(std::exchange(*timer, Loop::TimerId::none));
  }
  state_ = State::down;
  channel_.reset();
}

void Link::connect() {
  trusted_ = false;
  if (options_.evidence == nullptr) {
    greet({});
    return;
  }
  state_ = State::asking;
  patience_timer_ = loop_.after(options_.claim_patience, [this] { lost("no answer from the metadata service"); });
  options_.evidence->get([this](const Result<Document>& document) {
    if (state_ == State::asking) greet(document);
  });
}

void Link::greet(const Result<Document>& evidence) {
  if (!evidence) {
    lost(evidence.error().message);
    return;
  }
  const bool claims = options_.evidence != nullptr;
  auto channel =
      claims ? connect_privileged(loop_, random_, options_.daemon) : Channel::connect_tcp(loop_, options_.daemon);
  if (!channel) {
    lost(channel.error().message);
    return;
  }
  channel_ = std::move(*channel);
  state_ = State::greeting;
  nonce_ = join::random_key();
  secret_ = claims ? join::random_key() : options_.secret;
  std::string claim;
  if (claims) {
    claim = join::seal_claim({secret_, options_.instance, evidence->kind, evidence->text}, options_.daemon_key);
  }
  channel_->on_message([this](std::string frame) { received(std::move(frame)); });
  channel_->on_close([this](std::string why) { lost(why); });
  channel_->send(join::encode_agent_hello({options_.instance, nonce_, std::move(claim)}));
  loop_.cancel(patience_timer_);
  patience_timer_ =
      loop_.after(claims ? options_.claim_patience : options_.patience, [this] { lost("no answer from the daemon"); });
}

void Link::received(std::string frame) {
  if (state_ == State::greeting) {
    const auto nonce = join::decode_daemon_hello(frame);
    if (!nonce) {
      lost("not a daemon's hello: " + nonce.error().message);
      return;
    }
    channel_->seal_with(join::make_sealer(join::Side::agent, secret_, nonce_, *nonce));
    state_ = State::up;
    if (on_up_) on_up_();
    return;
  }
  auto message = join::decode_from_daemon(frame);
  if (!trusted_) {
    trusted_ = true;
    pause_ = options_.pause_min;
    complained_ = false;
    loop_.cancel(patience_timer_);
    log_info("link_up", {{"daemon", options_.daemon}});
    heartbeat_every(heartbeat_every_);
  }
  if (!message) {
    // A newer daemon may say things that this agent doesn't know.
    log_warning("message_ignored", {{"why", message.error().message}});
    return;
  }
  if (on_message_) on_message_(std::move(*message));
}

void Link::lost(const std::string& why) {
  if (!complained_) log_warning("link_down", {{"daemon", options_.daemon}, {"why", why}});
  complained_ = true;
  stop();
  if (on_down_) on_down_(why);
  connect_timer_ = loop_.after(jittered(pause_), [this] { connect(); });
  pause_ = std::min(pause_ * 2, options_.pause_max);
}

void Link::send(const join::FromAgent& message) {
  if (state_ == State::up) channel_->send(join::encode(message));
}

void Link::heartbeat_every(Duration every) {
  heartbeat_every_ = std::max(every, Duration(10));
  if (!trusted_ || state_ != State::up) return;
  loop_.cancel(heartbeat_timer_);
  heartbeat_timer_ = loop_.after(jittered(heartbeat_every_), [this] { beat(); });
}

void Link::beat() {
  send(join::Heartbeat{});
  heartbeat_timer_ = loop_.after(heartbeat_every_, [this] { beat(); });
}

// Half to all of it, so that a thousand agents that lost one daemon don't return in step.
Duration Link::jittered(Duration about) {
  return about / 2 + Duration(static_cast<int64_t>(random_() % (static_cast<uint64_t>(about.count() / 2) + 1)));
}

}  // namespace slipway::agent
