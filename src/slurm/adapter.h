// Slurm through its own commands: one binary works with every release from 22.05 on. Blocking, with deadlines; for
// workers.
#pragma once

#include <compare>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "slurm/node_table.h"

namespace slipway::slurm {

struct Version {
  int major = 0;  // 22
  int minor = 0;  // 5
  int patch = 0;
  auto operator<=>(const Version&) const = default;
};
Result<Version> parse_version(std::string_view text);  // "slurm-wlm 22.05.8" or "slurm 24.11.5"
// Of the slurmctld (or, without one, scontrol) that is installed here; not_found names the package to install.
Result<Version> installed_version();

enum class NodeChange {
  bind,        // NodeAddr and NodeHostname, paired with nodes
  down,        // State=DOWN with a reason: its jobs are requeued or end with NODE_FAIL
  power_down,  // State=POWER_DOWN: when idle
  power_down_force,
  power_up,  // State=POWER_UP
  resume,    // State=RESUME: ends POWERING_DOWN at once; brings DOWN back to IDLE
  drain,     // State=DRAIN with a reason: no new jobs. A job that waits for such a node to boot is requeued
  undrain,   // State=UNDRAIN
};

struct NodeUpdate {
  NodeChange change = NodeChange::resume;
  std::vector<NodeName> nodes;
  std::vector<std::string> addresses;  // bind only; same length
  std::vector<std::string> hostnames;  // bind only; same length
  std::string reason;
  // down only: nothing of the nodes' jobs runs on, so those that are requeued needn't sit out the credentials' lifetime
  // (AuthInfo=cred_expire) that Slurm makes them wait before they start again.
  bool jobs_may_restart = false;
};

enum class JobChange {
  signal,   // `text`: a signal's name without SIG, to the steps and the batch script
  requeue,  // ends here what runs of it and queues it again without Slurm's delay; jobs that may not be requeued go on
  comment,  // AdminComment: the user's own Comment is left alone. Empty takes it away
};

struct JobUpdate {
  JobChange change = JobChange::comment;
  std::vector<JobId> jobs;
  std::string text;
};

class Adapter {
 public:
  struct Options {
    std::string conf;          // SLURM_CONF for the commands; empty: Slurm's own search
    Duration timeout{20'000};  // of each command
  };
  explicit Adapter(Options options);

  // Every node, CLOUD ones that are powered down included.
  Result<std::vector<Node>> nodes() const;
  // Only these: cheap enough to ask many times a second while nodes boot. Unknown names are left out.
  Result<std::vector<Node>> nodes(const std::vector<NodeName>& names) const;
  Result<std::vector<Job>> jobs() const;  // pending and active ones
  // One `scontrol update` per update, split only where an argument would exceed the kernel's 128 KiB. When Slurm
  // refuses a list, it is tried in ever smaller parts so that one bad node holds nobody up; the failure names those
  // that were refused. A slurmctld that doesn't answer is a transient failure at once.
  Result<void> update(const NodeUpdate& update) const;
  Result<void> reconfigure() const;
  Result<void> ping() const;  // slurmctld answers
  // One command for all. Jobs that have ended are fine.
  Result<void> update(const JobUpdate& update) const;

 private:
  Options options_;
};

}  // namespace slipway::slurm
