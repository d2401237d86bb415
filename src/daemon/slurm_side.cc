#include "daemon/slurm_side.h"

namespace slipway::daemon {

namespace {

class CommandSlurmSide final : public SlurmSide {
 public:
  explicit CommandSlurmSide(std::string slurm_conf) : adapter_({.conf = std::move(slurm_conf)}) {}
  Result<std::vector<slurm::Node>> nodes() override { return adapter_.nodes(); }
  Result<std::vector<slurm::Job>> jobs() override { return adapter_.jobs(); }
  Result<void> update(const slurm::NodeUpdate& update) override { return adapter_.update(update); }
  Result<void> update(const slurm::JobUpdate& update) override { return adapter_.update(update); }
  Result<slurm::Version> version() override { return slurm::installed_version(); }

 private:
  slurm::Adapter adapter_;
};

}  // namespace

std::unique_ptr<SlurmSide> make_slurm_side(std::string slurm_conf) {
  return std::make_unique<CommandSlurmSide>(std::move(slurm_conf));
}

}  // namespace slipway::daemon
