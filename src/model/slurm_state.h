// Slurm's state of a node: a base state and flags, as `scontrol show node` prints them. slurm/ parses it, engine/ reads it.
#pragma once

#include <cstdint>

namespace slipway::model {

enum class NodeBase : uint8_t { unknown, down, error, idle, allocated, mixed, future };

// Bits of SlurmNodeState::flags; names are scontrol's. Flags that nobody here reacts to are not kept.
enum NodeFlag : uint32_t {
  node_cloud = 1u << 0,
  node_drain = 1u << 1,
  node_completing = 1u << 2,
  node_not_responding = 1u << 3,
  node_fail = 1u << 4,
  node_invalid_reg = 1u << 5,
  node_powered_down = 1u << 6,
  node_powering_up = 1u << 7,
  node_powering_down = 1u << 8,
  node_power_down_requested = 1u << 9,  // POWER_DOWN: will go down when it can
  node_power_up_requested = 1u << 10,   // POWER_UP
  node_reboot = 1u << 11,               // REBOOT_REQUESTED or REBOOT_ISSUED
  node_reserved = 1u << 12,
  node_maintenance = 1u << 13,
  node_planned = 1u << 14,
};
inline constexpr uint32_t node_flag_count = 15;

struct SlurmNodeState {
  NodeBase base = NodeBase::unknown;
  uint32_t flags = 0;

  bool has(NodeFlag flag) const { return (flags & flag) != 0; }
  bool operator==(const SlurmNodeState&) const = default;
};

}  // namespace slipway::model
