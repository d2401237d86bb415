// The daemon's side of the conversation with the agents: who is connected, what each said last, and what it must be
// told.
//
// A connection counts only once a sealed frame of its has verified (join/handshake.h); only then does it replace an
// earlier one of the same instance: the same machine, come again. An agent is welcomed when its pool is known, which
// takes a listing of the provider that shows it.
//
// A hello with a claim (join/claim.h) waits, unread, until the provider has vouched for it or not: one check for an
// address, because a provider vouches for a machine at its listed address only and so nobody else's claims can keep
// that machine waiting, and `checks_max` in all, each with a document of at most 16 KiB. Whoever finds no place is
// closed and comes again.
//
// What strangers can make us hold: what the door holds (daemon/doorway.h), 256 checks × 16 KiB = 4 MiB of documents,
// and 2048 handshakes × 128 KiB = 256 MiB of first frames that arrive and turn out to be nobody's.
//
// On the loop's thread; knows nothing of Slurm and decides nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/channel.h"
#include "base/clock.h"
#include "base/loop.h"
#include "cloud/provider.h"
#include "daemon/doorway.h"
#include "engine/view.h"
#include "join/claim.h"
#include "join/handshake.h"
#include "join/messages.h"
#include "model/ids.h"

namespace slipway::daemon {

// The longest report: 17 KiB of message and log tail, of which JSON may make six times as much.
inline constexpr size_t agent_frame_bytes_max = 128 << 10;

class Agents {
 public:
  struct Options {
    Doorway::Options door;
    join::Key master{};
    Duration agent_silence{75'000};  // connected, but without a sign of life
    size_t unproven_max = 2048;
    size_t checks_max = 256;
    Duration check_patience{10'000};  // of a claim; the agent waits longer than this
  };
  struct Events {
    // What an agent said, or its silence, changed something; many may come at once.
    std::function<void(const InstanceId&)> changed;
    // The connection of a proven agent ended by itself; its machine may be gone.
    std::function<void(const InstanceId&)> lost;
    // A proven agent's role isn't known: look at the provider's listing, then call admit().
    std::function<void(const InstanceId&)> unknown;
    // Whether a name that was sent over an earlier connection is still meant for the instance.
    std::function<bool(const InstanceId&, const NodeName&)> is_still_meant;
    // Whether the provider vouches for the evidence (cloud::Provider::identify): to be answered exactly once, on the
    // loop's thread, within `check_patience`. Not set: claims are refused.
    std::function<void(cloud::Evidence, std::function<void(Result<void>)>)> identify;
    // An agent said for the first time that it failed, with the last lines of its log.
    std::function<void(const InstanceId&, const std::string& message, const std::string& log_tail)> failed;
  };

  static Result<std::unique_ptr<Agents>> open(Loop& loop, const Clock& clock, Options options, Events events);
  ~Agents();
  Agents(const Agents&) = delete;
  Agents& operator=(const Agents&) = delete;

  uint16_t port() const { return door_->port(); }

  // Gives an agent its role; sends `welcome` when it is connected and has had none on this connection.
  void admit(const InstanceId& instance, const join::Welcome& welcome);
  // Proven and connected agents that wait for admit(), with the time they began to wait.
  std::vector<std::pair<InstanceId, TimePoint>> waiting_for_admission() const;

  // False when the agent isn't connected; the binding is kept and sent again when it returns without a name.
  bool bind(const InstanceId& instance, const NodeName& node);
  void leave(const InstanceId& instance, const std::string& reason);
  // The instance is verifiably gone: drops its connection and what is known of it.
  void forget(const InstanceId& instance);
  // Forgets instances that are neither connected nor among `listed`, which comes from a complete listing.
  void prune(const std::unordered_set<InstanceId>& listed);

  // Ended connections make an agent `silent` at once; the engine knows how long it may take to come back.
  // Fills agent, bound, agent_since, slurmd_started and message of each instance, and makes evict_at earlier when its
  // agent knows better.
  void fill(std::vector<engine::InstanceView>& instances);
  std::optional<join::Phase> phase_of(const InstanceId& instance) const;
  bool is_connected(const InstanceId& instance) const;
  size_t connected_count() const { return connected_; }
  // Without the port; empty when not connected.
  std::string address_of(const InstanceId& instance) const;

 private:
  struct Agent {
    std::unique_ptr<Channel> channel;  // null: not connected
    bool welcomed = false;             // on this connection
    bool reported = false;             // on this connection
    bool heard = false;                // on any
    join::Phase phase = join::Phase::preparing;
    NodeName bound;     // the name it says it has
    NodeName assigned;  // the name it was last told
    TimePoint since{};  // of phase, or of silence
    TimePoint connected_at{};
    TimePoint heard_at{};
    TimePoint slurmd_started{};
    std::string message;
    join::Notice notice;
    TimePoint evict_at{};         // what fill() put into the view for it
    TimePoint listed_evict_at{};  // what stood there before
    bool silent = false;
  };
  // A claim that the provider is asked about.
  struct Check {
    Fd socket;
    Peer peer;
    InstanceId instance;
    join::Key secret{};
    join::Key nonce{};
    TimePoint deadline{};
  };
  struct Unproven {
    std::unique_ptr<Channel> channel;
    InstanceId instance;
    TimePoint deadline{};
  };

  Agents(Loop& loop, const Clock& clock, Options options, Events events);
  void on_hello(Fd socket, Peer peer, const std::string& hello);
  Result<void> check_claim(Fd& socket, Peer& peer, const join::AgentHello& hello);
  void checked(uint64_t guest, const std::string& address, const Result<void>& vouched);
  void greet(Fd socket, Peer peer, const InstanceId& instance, const join::Key& secret, const join::Key& agent_nonce);
  void on_proof(uint64_t guest);
  void on_frame(const InstanceId& instance, const std::string& frame);
  void on_report(const InstanceId& instance, Agent& agent, join::Report report);
  void on_notice(const InstanceId& instance, Agent& agent, join::Notice notice);
  void on_end(const InstanceId& instance, const std::string& why);
  void schedule_sweep(Duration delay);
  void sweep();

  Loop& loop_;
  const Clock& clock_;
  const Options options_;
  Events events_;
  const join::KeyPair keys_;
  std::unique_ptr<Doorway> door_;
  std::unordered_map<InstanceId, Agent> agents_;
  std::unordered_map<uint64_t, Unproven> unproven_;
  std::unordered_map<uint64_t, Check> checks_;         // whose guest still waits
  std::unordered_set<std::string> checked_addresses_;  // whose check isn't answered, wanted still or not
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  uint64_t next_guest_ = 1;
  size_t connected_ = 0;
  Loop::TimerId sweep_timer_ = Loop::TimerId::none;
  TimePoint sweep_due_{};
};

}  // namespace slipway::daemon
