#include "deploy/deploy.h"

#include "deploy/state_folder.h"

namespace slipway::deploy {

namespace fs = std::filesystem;

fs::path api_socket(const fs::path& state) {
  return state / "run" / "api.sock";
}
fs::path kept_cluster_file(const fs::path& state) {
  return state / "cluster.yaml";
}
fs::path host_log(const fs::path& state) {
  return state / "host" / "host.log";
}
fs::path rehearse_folder(const fs::path& state) {
  return state / "rehearse";
}
std::string on_controller(const fs::path& key_file) {
  return (fs::path("/etc/slipway/keys") / key_file.filename()).string();
}

std::vector<fs::path> find_clusters(const fs::path& state_base) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(state_base, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const auto look = look_at_state(entry->path());
    if (look && (look->state == FolderState::used || look->state == FolderState::other)) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace slipway::deploy
