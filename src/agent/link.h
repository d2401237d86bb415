// The agent's connection to the daemon: connect, prove who we are, keep talking, and when it ends begin again, for
// ever, with growing and jittered pauses. Whoever uses it says its current state again each time the link comes up;
// nothing is queued for a daemon that isn't there.
//
// A machine without a secret of its maker makes one for each connection and sends it in a claim (join/claim.h), from a
// port below 1024, which only its root can have.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>

#include "agent/evidence.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/loop.h"
#include "join/boot_data.h"
#include "join/handshake.h"
#include "join/messages.h"

namespace slipway::agent {

struct LinkOptions {
  std::string daemon;  // "198.18.0.2:6830"
  std::string instance;
  join::Key secret{};
  Evidence* evidence = nullptr;  // set: by a claim to the daemon with `daemon_key`, instead of `secret`
  join::Key daemon_key{};
  Duration pause_min{100};
  Duration pause_max{5'000};
  Duration patience{10'000};        // from the start of a connection to the daemon's first message after the handshake
  Duration claim_patience{25'000};  // the same with a claim, which the daemon may ask its provider about
};

// All methods and callbacks on the loop's thread.
class Link {
 public:
  Link(Loop& loop, std::mt19937_64& random, LinkOptions options);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // The handshake is done; say where you stand. The daemon has not proved itself yet: nothing has arrived from it.
  void on_up(std::function<void()> callback) { on_up_ = std::move(callback); }
  void on_message(std::function<void(join::FromDaemon)> callback) { on_message_ = std::move(callback); }
  // Each time the connection can't be had or ends, with the reason.
  void on_down(std::function<void(const std::string& why)> callback) { on_down_ = std::move(callback); }

  void start();
  void stop();
  // Dropped when the link is down.
  void send(const join::FromAgent& message);
  // Takes effect now and on later connections.
  void heartbeat_every(Duration every);

 private:
  void connect();
  void greet(const Result<Document>& evidence);
  void received(std::string frame);
  void lost(const std::string& why);
  void beat();
  Duration jittered(Duration about);

  enum class State { down, asking, greeting, up };  // asking: for what proves us
  Loop& loop_;
  std::mt19937_64& random_;
  LinkOptions options_;
  std::function<void()> on_up_;
  std::function<void(const std::string&)> on_down_;
  std::function<void(join::FromDaemon)> on_message_;

  State state_ = State::down;
  std::unique_ptr<Channel> channel_;
  join::Key secret_{};  // of this connection
  join::Key nonce_{};
  bool trusted_ = false;     // a sealed message arrived on this connection: the daemon holds our secret
  bool complained_ = false;  // one log line an outage
  Duration pause_;
  Duration heartbeat_every_{20'000};
  Loop::TimerId connect_timer_ = Loop::TimerId::none;
  Loop::TimerId patience_timer_ = Loop::TimerId::none;
  Loop::TimerId heartbeat_timer_ = Loop::TimerId::none;
};

}  // namespace slipway::agent
