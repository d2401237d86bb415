// The door at 169.254.169.254, port 80, that a cloud has inside each of its machines: the address is added to the
// machine's loopback, and a socket listens there, in the machine's own network namespace. On the loop's thread.
//
// The socket keeps the namespace alive; it is closed as soon as the machine host tells that the machine is gone.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/files.h"
#include "base/loop.h"
#include "http/server.h"
#include "rehearse/host_floor.h"

namespace slipway::rehearse {

class ImdsDoors final : public Insides {
 public:
  // `state_folder`: the cluster's, by which its machines are told from others' processes.
  ImdsDoors(Loop& loop, http::Server& server, std::filesystem::path state_folder);
  ~ImdsDoors() override;

  void open(const std::string& id, MachineKey key, int pid, std::function<void()> done) override;
  void close(const std::string& id) override;

  // Whose door of the server it is; 0: the controller's; unset: not one of these.
  std::optional<MachineKey> key_of(size_t door) const;

 private:
  http::Server& server_;
  const std::filesystem::path state_;
  struct Inside {
    uint64_t turn = 0;  // of open(): an answer may come when the machine is gone
    std::optional<size_t> door;
  };
  std::map<std::string, Inside> insides_;
  std::map<size_t, MachineKey> keys_;
  uint64_t last_turn_ = 0;
  Workers workers_;
};

// A socket that listens on 169.254.169.254:80 in the network namespace of process `pid`, which must be the first
// process of a machine of the cluster with this state folder. Blocking: for a worker. not_found: it ended, or isn't.
Result<Fd> listen_inside(int pid, const std::filesystem::path& state_folder);

}  // namespace slipway::rehearse
