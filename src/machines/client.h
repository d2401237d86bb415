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
  std::vector<std::string> ids;  // of this launch, or of the earlier one with the same token
  std::optional<Error>
      shortfall;  // why fewer than asked: no_capacity (addresses, bridge ports, memory, disk), or a refusal by chaos
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
  // of launch. `address`: wanted by the controller, whose address everybody must know beforehand; only with count 1.
  Result<LaunchResult> launch(const MachineSpec& spec, uint32_t count, const std::string& token,
                              const std::string& address = "") const;
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
  Result<void> set_boot_trouble(const BootTrouble& trouble) const;
  Result<void> clear_boot_trouble() const;

  Result<void> shutdown() const;  // terminates every machine, removes the bridge, and ends the host

 private:
  std::filesystem::path socket_;
  Duration timeout_;
};

}  // namespace slipway::machines
