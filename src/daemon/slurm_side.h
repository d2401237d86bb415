// Slurm as the daemon needs it: the seam where tests put a Slurm of their own. Blocking; called on workers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "slurm/adapter.h"

namespace slipway::daemon {

class SlurmSide {
 public:
  virtual ~SlurmSide() = default;
  virtual Result<std::vector<slurm::Node>> nodes() = 0;
  virtual Result<std::vector<slurm::Job>> jobs() = 0;
  virtual Result<void> update(const slurm::NodeUpdate& update) = 0;
  virtual Result<void> update(const slurm::JobUpdate& update) = 0;
  virtual Result<slurm::Version> version() = 0;
};

// The real one, by scontrol and squeue.
std::unique_ptr<SlurmSide> make_slurm_side(std::string slurm_conf);

}  // namespace slipway::daemon
