// What the machine host knows of a machine: a set of Linux namespaces (network, mount, PID, UTS, IPC) with its own
// root, whose PID 1 is the agent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::machines {

// How a machine's agent is told who and where it is: written to /run/slipway/boot.json in the machine (root only) by
// the host. (join/boot_data.h reads it.) The host adds instance, address, secret and hostname.
struct Mount {
  std::string source;  // folder or file on the box
  std::string target;  // absolute path in the machine; made if missing
  bool read_only = false;
};

struct MachineSpec {
  std::string role;           // controller | login | compute
  std::string pool;           // compute: the pool's name; else empty
  std::string image;          // folder with a root file system; empty: the box's own root
  std::vector<Mount> mounts;  // besides the cluster's shared folders, which every machine gets
  std::string boot_data;      // a JSON object that the role's owner adds to boot.json
};

enum class MachineState { starting, running, frozen, gone };

struct Machine {
  std::string id;  // "i-0000000a": never used again within the cluster
  std::string role;
  std::string pool;
  std::string launch_token;
  MachineState state = MachineState::starting;
  std::string address;  // "198.18.0.5"
  int32_t pid = 0;      // of its PID 1, as the box sees it; 0 when it doesn't run
  TimePoint launched_at{};
  bool cut_off = false;  // from the network, by chaos
  std::string end;       // gone: "terminated", "killed", "ended with status 1", "failed to start: …"
};

std::string_view to_string(MachineState state);

// Levers for tests, demonstrations and simulated clouds (`slipway chaos`).
struct BootTrouble {  // for machines of `pool` (empty: every pool) launched from now on
  std::string pool;
  Duration delay{0};    // the agent starts so much later
  uint32_t never = 0;   // of the next launches, so many machines never start an agent
  uint32_t refuse = 0;  // the next so many machines are refused with no_capacity
};

}  // namespace slipway::machines
