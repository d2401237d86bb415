// Machine types: what one has, what it costs, and what Slurm is told of it. A table of facts is built in
// (src/catalog/azure.cc, from data/catalog/, with source and date there); what a provider's own API says replaces its
// entries.
//
// Nothing here takes a type's name apart to learn its size: sizes come from the table or the API. A type that is in
// neither is unknown, and the cluster file must say its cpus and memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/cluster.h"

namespace slipway::catalog {

struct MachineType {
  std::string name;    // "Standard_HB120rs_v3"
  std::string family;  // the provider's quota family: "standardHBrsv3Family"
  uint32_t cores = 0;  // vCPUs, as quotas count them
  uint64_t memory_mib = 0;
  uint32_t gpus = 0;
  std::string gpu_model;  // Slurm's type: "a100", "v100"; empty: unknown or none
  bool rdma = false;      // InfiniBand
  bool spot = true;       // may be bought so
  bool premium_storage = false;
  std::string architecture = "x64";  // "x64" | "Arm64"
  double usd_per_hour = 0;           // on demand, Linux, in price_region; 0: unknown
  double usd_spot_per_hour = 0;
  std::string price_region;
  uint32_t cores_offered = 0;  // of a "constrained" size, which has fewer than it is counted and paid for; 0: all
};

// The built-in facts; nullptr: unknown. Azure's names compare without regard to case.
const MachineType* find(model::ProviderKind provider, std::string_view name);
std::vector<std::string_view> names(model::ProviderKind provider);  // sorted, for "did you mean"

// What Slurm is told of a pool's machines: the vCPUs that they offer, memory, GRES ("gpu:a100:8").
model::Shape shape_of(const MachineType& type);
// Features that every node of such a machine has, lower case: the size ("standard_hb120rs_v3"), its family without
// the words around it ("hbv3"), "gpu", the GPU's model, "ib", the architecture.
std::vector<std::string> features_of(const MachineType& type);

}  // namespace slipway::catalog
