// What the machine host knows of a machine: a set of Linux namespaces (network, mount, PID, UTS, IPC) with its own
// root, whose PID 1 is the agent, or another of our programs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/offer.h"

namespace slipway::machines {

// How a machine's agent is told who and where it is: written to /run/slipway/boot.json in the machine (root only) by
// the host. (join/boot_data.h reads it.) The host adds instance, address, secret and hostname.
struct Mount {
  std::string source;  // folder or file on the box
  std::string target;  // absolute path in the machine; made if missing
  bool read_only = false;
};

struct MachineSpec {
  std::string role;           // controller | login | compute | vm (of a simulated cloud)
  std::string pool;           // compute: the pool's name; else empty
  std::string image;          // folder with a root file system; empty: the box's own root
  std::vector<Mount> mounts;  // besides the cluster's shared folders, which every machine gets
  std::string boot_data;      // a JSON object that the role's owner adds to boot.json
  std::string program;        // its PID 1, a file of the programs folder; empty: slipway-agent
};

// What a cloud would be told besides. One box has neither markets nor zones: here they are labels, by which machines
// are told apart and `slipway chaos` makes capacity scarce.
struct LaunchTerms {
  std::string address;  // wanted by the controller, whose address everybody must know beforehand; only with one machine
  uint32_t minimum = 1;  // fewer are of no use: then none is launched
  model::Market market = model::Market::on_demand;
  std::vector<model::Offer> offers;  // in order of preference: the next is for what the earlier ones didn't give
  std::string placement;
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
  std::string end;       // gone: "terminated", "killed", "evicted", "ended with status 1", "failed to start: …"
  model::Market market = model::Market::on_demand;
  model::Offer offer;
  std::string placement;
  TimePoint evict_at{};  // the host takes it then; epoch: no notice was given
};

// An offer that gave less than was asked of it, and why. An empty offer: each that was asked for.
struct Refusal {
  model::Offer offer;
  Error error;
};

std::string_view to_string(MachineState state);

// Levers for tests, demonstrations and simulated clouds (`slipway chaos`).
struct BootTrouble {  // for machines of `pool` (empty: every pool) launched from now on
  std::string pool;
  Duration delay{0};    // the agent starts so much later
  uint32_t never = 0;   // of the next launches, so many machines never start an agent
  uint32_t refuse = 0;  // the next so many machines are refused with no_capacity
};

// At most so many machines at a time, of those that everything which is given here fits.
struct CapacityLimit {
  std::string pool;                          // empty: any
  std::optional<model::Market> market;       // unset: any
  std::string machine;                       // machine type; empty: any
  std::string zone;                          // empty: any
  std::optional<uint32_t> most;              // unset: this limit and every narrower one end
  ErrorCode error = ErrorCode::no_capacity;  // what launches beyond it are told
};
inline constexpr Duration eviction_notice_max = std::chrono::hours(24 * 365);
// What a provider may say when it gives no machine.
inline constexpr std::array refusal_codes = {ErrorCode::no_capacity, ErrorCode::quota,      ErrorCode::throttled,
                                             ErrorCode::denied,      ErrorCode::bad_config, ErrorCode::transient};

}  // namespace slipway::machines
