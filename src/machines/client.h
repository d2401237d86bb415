// The machine host's client: one request a connection, blocking. Used by the local provider, `slipway up`, `exec`,
// `chaos`, `down`.
//
// The socket answers to root only (SO_PEERCRED). Requests and answers are JSON frames (base/channel.h);
// machines/protocol.h has them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "machines/machine.h"

namespace slipway::machines {

struct LaunchResult {
  std::vector<std::string> ids;   // of this launch, or of the earlier one with the same token
  std::vector<Refusal> refusals;  // why fewer than asked: the box is full (addresses, bridge ports, memory, disk: any
                                  // offer), or `slipway chaos` made that offer scarce
};

struct HostInfo {
  std::string cluster;
  std::string subnet;   // "198.18.0.0/20"
  std::string gateway;  // the bridge's own address, the first one
  std::string bridge;
  std::string build;  // version of the running host program
  int32_t pid = 0;
};

class Client {
 public:
  explicit Client(std::filesystem::path socket, Duration timeout = Duration(30'000))
      : socket_(std::move(socket)), timeout_(timeout) {}

  Result<HostInfo> info() const;
  // Returns when the machines are recorded on disk and listed as `starting`; they start in the background, in the order
  // of launch. No ids and some refusals: fewer than the terms' minimum could be had.
  Result<LaunchResult> launch(const MachineSpec& spec, uint32_t count, const std::string& token,
                              const LaunchTerms& terms = {}) const;
  // Every machine of the cluster; gone ones stay listed for a minute.
  Result<std::vector<Machine>> list() const;
  Result<void> terminate(const std::vector<std::string>& ids) const;  // unknown ids are ignored

  // Chaos.
  Result<void> kill(
      const std::vector<std::string>& ids) const;  // a power cut: SIGKILL to PID 1, nothing said to anybody
  Result<void> freeze(const std::vector<std::string>& ids) const;  // every process stops; the network stays
  Result<void> thaw(const std::vector<std::string>& ids) const;
  Result<void> cut_off(const std::vector<std::string>& ids) const;  // its link to the bridge goes down
  Result<void> reconnect(const std::vector<std::string>& ids) const;
  // A cloud that takes its machines back: each is listed with the time of its end, and then ends as by kill(), over a
  // restart of the host too. A later notice replaces an earlier one; a machine that isn't there fails it for all.
  Result<void> evict(const std::vector<std::string>& ids, Duration notice) const;
  Result<void> set_boot_trouble(const BootTrouble& trouble) const;
  Result<void> set_capacity(const CapacityLimit& limit) const;  // besides the other limits; kept over restarts
  Result<void> clear_trouble() const;                           // of boots and capacity; notices of eviction stand

  Result<void> shutdown() const;  // terminates every machine, removes the bridge, and ends the host

 private:
  std::filesystem::path socket_;
  Duration timeout_;
};

}  // namespace slipway::machines
