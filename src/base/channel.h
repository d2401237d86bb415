// Whole messages over a stream socket, for every conversation inside a cluster: hook, command line, agents and the
// machine host.
//
// A frame on the wire is a 4-byte big-endian length and that many bytes. Frames over `message_max` close the channel,
// so no peer can make us hold more. A channel may be sealed after a handshake (join/handshake.h): then every frame is
// encrypted and authenticated, and one that does not verify closes the channel.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/loop.h"
#include "base/result.h"

namespace slipway {

inline constexpr size_t message_max_default = 64 << 20;

// Who is at the other end: for Unix sockets from the kernel (SO_PEERCRED), for TCP the address as "198.18.0.5:41122".
struct Peer {
  uid_t uid = static_cast<uid_t>(-1);
  pid_t pid = 0;
  std::string address;
};

// Turns message bodies into sealed bodies and back; one object per connection, with its own counters.
class Sealer {
 public:
  virtual ~Sealer() = default;
  virtual std::string seal(std::string_view plain) = 0;
  // not_found of trust: fails with denied when the body was not sealed by the peer in this order.
  virtual Result<std::string> open(std::string_view sealed) = 0;
};

// One non-blocking connection on a loop. All methods and callbacks on the loop's thread. Destroying it closes the
// socket without a callback; it may be destroyed inside its own callbacks.
class Channel {
 public:
  Channel(Loop& loop, Fd socket, Peer peer, size_t message_max = message_max_default);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Starts an asynchronous connect; a refusal arrives as on_close, at the latest ten seconds later. Messages may be
  // sent at once. Fails with bad_config when the address can't be one.
  static Result<std::unique_ptr<Channel>> connect_unix(Loop& loop, const std::filesystem::path& path);
  static Result<std::unique_ptr<Channel>> connect_tcp(Loop& loop, const std::string& ipv4_and_port);

  void on_message(std::function<void(std::string)> callback);
  // Called once, with the reason ("closed by peer", "frame too long", …), when the connection ends by itself.
  void on_close(std::function<void(std::string)> callback);
  // Queues the message. When more than `queue_max` bytes (by default 256 MiB) wait for a peer that does not read, the
  // channel closes. on_close is never called from inside send().
  void send(std::string_view message);
  void set_queue_max(size_t bytes);
  // From here on everything sent is sealed and everything received must be: the next frame already, when called in
  // on_message.
  void seal_with(std::unique_ptr<Sealer> sealer);
  // Sends what is queued, then closes (at most `patience` later); on_close is not called, nor on_message from here on.
  // The Channel may be destroyed at once: what is queued is still sent.
  void close_after_flush(Duration patience = std::chrono::seconds(5));
  const Peer& peer() const;

 private:
  struct Impl;
  explicit Channel(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// Accepts connections on a loop until destroyed. A Unix socket's file is replaced at start and removed at the end,
// unless somebody else's has taken its place. When the process runs out of descriptors, accepting pauses and goes on by
// itself.
class Listener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<Channel>)>;
  static Result<std::unique_ptr<Listener>> unix_socket(Loop& loop, const std::filesystem::path& path, mode_t mode,
                                                       OnAccept on_accept);
  static Result<std::unique_ptr<Listener>> tcp(Loop& loop, const std::string& ipv4_and_port, OnAccept on_accept);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Where it listens: the socket's path, or "198.18.0.1:6820" with the port that was chosen when 0 was asked for.
  const std::string& address() const;

 private:
  struct Impl;
  explicit Listener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// The blocking twin, for command-line tools and workers.
class BlockingChannel {
 public:
  // Fails with not_found when nothing listens there.
  static Result<BlockingChannel> connect_unix(const std::filesystem::path& path, Duration timeout);
  // Fails with outcome_unknown when the peer closed, or when the timeout cut the message in two; the channel is closed
  // then.
  Result<void> send(std::string_view message, Duration timeout);
  // Fails with transient on the timeout (what came so far is kept for the next call), outcome_unknown when the peer
  // closed.
  Result<std::string> receive(Duration timeout);

 private:
  explicit BlockingChannel(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
  std::string incoming_;  // of the message that is being received: its length and what came of its body
};

}  // namespace slipway
