// What slurmctld says of nodes and jobs, parsed from its own commands' text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/ids.h"
#include "model/slurm_state.h"

namespace slipway::slurm {

struct Node {
  NodeName name;
  std::string address;   // NodeAddr
  std::string hostname;  // NodeHostName
  model::SlurmNodeState state;
  uint32_t cpus_total = 0;
  uint32_t cpus_allocated = 0;
  TimePoint last_busy{};  // LastBusyTime; epoch when Slurm prints "None" or "Unknown"
  TimePoint slurmd_started{};
  std::string reason;  // without the "[user@time]" that scontrol appends
  std::string partitions;
  std::string features;
};

struct Job {
  JobId id = 0;
  std::string array_id;  // "12_7" for tasks, else the id
  std::string state;     // Slurm's long word: PENDING, CONFIGURING, RUNNING, COMPLETING, …
  std::string reason;
  std::string name;
  std::string user;
  std::string partition;
  std::string nodes;  // hostlist; empty while pending
  uint32_t node_count = 0;
  uint64_t priority = 0;
  bool requeueable = false;  // a batch job that may be requeued
  std::string admin_comment;
};

// "IDLE+CLOUD+POWERED_DOWN", as scontrol -o prints it, suffixes like '*' and unknown words tolerated. 22.05 to 25.11.
model::SlurmNodeState parse_node_state(std::string_view text);

// The output of `scontrol -o show node`, one line a node. Splits on known keys only, for Reason, OS, Extra and Comment
// hold spaces; lines without NodeName= are skipped. Linear, one pass.
std::vector<Node> parse_nodes(std::string_view scontrol_output);

// The output of `squeue -O` in squeue_format(mark) (slurm/commands.h), in Slurm's order of start: highest priority
// first.
std::vector<Job> parse_jobs(std::string_view squeue_output, std::string_view mark);

}  // namespace slipway::slurm
