// The TCP door for machines that nobody knows yet: accepts, reads one small hello each, and hands the socket on.
//
// Everything before the hello is bounded, because anybody on the cluster's network can knock: `guests_max` connections
// at once, of which `guests_per_address` from one address, and each guest has `patience` to say its hello. That has at
// most 1 KiB, or 24 KiB when it comes from a port below 1024: only those may bring a claim (join/claim.h), and only a
// machine's root has those ports. So 2048 guests hold at most 2 MiB, or 48 MiB when each of them is root of some
// machine, and those of one address 1.5 MiB. A socket is read to the end of the hello's frame and not a byte further,
// so its new owner finds the stream at a frame's start. On the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/channel.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/loop.h"
#include "base/result.h"

namespace slipway::daemon {

inline constexpr uint16_t privileged_ports = 1024;  // those below

class Doorway {
 public:
  struct Options {
    std::string listen;  // "198.18.0.2:6830"; port 0 lets the kernel choose
    size_t guests_max = 2048;
    size_t guests_per_address = 64;
    Duration patience{5'000};
  };
  using OnHello = std::function<void(Fd, Peer, std::string hello)>;

  // Fails when the address isn't numeric or is in use.
  static Result<std::unique_ptr<Doorway>> open(Loop& loop, const Clock& clock, Options options, OnHello on_hello);
  ~Doorway();
  Doorway(const Doorway&) = delete;
  Doorway& operator=(const Doorway&) = delete;

  // The port that is listened on.
  uint16_t port() const { return port_; }
  size_t guests() const { return guests_.size(); }

 private:
  struct Guest {
    Fd socket;
    Peer peer;
    uint32_t address = 0;
    size_t hello_bytes_max = 0;
    TimePoint deadline{};
    std::string received;
  };

  Doorway(Loop& loop, const Clock& clock, Options options, OnHello on_hello);
  Result<void> listen();
  void accept_some();
  void read_from(int fd);
  void drop(int fd);
  void sweep();

  Loop& loop_;
  const Clock& clock_;
  const Options options_;
  OnHello on_hello_;
  Fd listener_;
  uint16_t port_ = 0;
  std::unordered_map<int, Guest> guests_;  // by descriptor
  std::unordered_map<uint32_t, size_t> per_address_;
  Loop::TimerId sweep_timer_ = Loop::TimerId::none;
  Loop::TimerId pause_timer_ = Loop::TimerId::none;
};

// "198.18.0.2:6830" to its parts, in host byte order; bad_config on anything else.
struct Ipv4Endpoint {
  uint32_t address = 0;
  uint16_t port = 0;
};
Result<Ipv4Endpoint> parse_endpoint(const std::string& text);

}  // namespace slipway::daemon
