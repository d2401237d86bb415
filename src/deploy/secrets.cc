#include "deploy/secrets.h"

#include "base/files.h"
#include "deploy/deploy.h"

namespace slipway::deploy {

namespace fs = std::filesystem;

namespace {

constexpr size_t secret_bytes_max = 64 << 10;

class Bringer {
 public:
  explicit Bringer(fs::path folder) : folder_(std::move(folder)) {}

  void bring(std::string& path, const std::string& name) {
    if (path.empty() || failed_) return;
    if (fs::path(path).parent_path() == fs::path(on_controller(folder_ / name)).parent_path()) return;
    const auto text = read_file(path, secret_bytes_max);
    if (!text) {
      failed_ = Error{ErrorCode::bad_config, "the cluster file names " + path + ", and it can't be read: " +
                                                 text.error().message + "; make it, or correct the name"};
      return;
    }
    const fs::path copy = folder_ / name;
    if (auto written = write_file(copy, *text, 0600); !written) {
      failed_ = written.error();
      return;
    }
    path = on_controller(copy);
  }
  Result<void> done() const { return failed_ ? Result<void>(fail(*failed_)) : Result<void>(); }

 private:
  fs::path folder_;
  std::optional<Error> failed_;
};

}  // namespace

Result<void> bring_secrets(model::Cluster& cluster, const fs::path& keys_folder) {
  Bringer bringer(keys_folder);
  if (cluster.azure) {
    model::AzureIdentity& identity = cluster.azure->identity;
    bringer.bring(identity.secret_file, "azure-secret");
    bringer.bring(identity.certificate_file, "azure-certificate.pem");
    bringer.bring(cluster.azure->endpoints.ca_file, "azure-ca.pem");
  }
  for (model::Pool& pool : cluster.pools) {
    if (!pool.azure) continue;
    bringer.bring(pool.azure->batch_key_file, "batch-" + pool.azure->account + ".key");
    for (size_t m = 0; m < pool.azure->mounts.size(); ++m) {
      bringer.bring(pool.azure->mounts[m].key_file, "mount-" + pool.name.str() + "-" + std::to_string(m) + ".key");
    }
  }
  return bringer.done();
}

}  // namespace slipway::deploy
