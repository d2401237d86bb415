// The Azure provider at scale: a burst to one Batch pool, the steady state, and the removal, against the simulated
// Azure in virtual-node mode, over HTTPS. Prints one JSON object.
//
//   azure_bench PATH-OF-SLIPWAY-REHEARSE [NODES]
//
// The floor is what Azure's API asks for at the least: 1 resize for a burst, a page of 1000 nodes a call, 100 removals
// a call. `core_share` is this process's processor time for one look, divided by the time between two looks of a quiet
// cluster.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/check.h"
#include "base/files.h"
#include "cloud/azure/azure_provider.h"
#include "config/config.h"
#include "http/client.h"
#include "rehearse/server.h"

namespace {

using namespace slipway;
namespace fs = std::filesystem;

constexpr Duration patience{30'000};
constexpr double look_every_s = 5;  // the daemon's pace while nothing moves

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string cluster_file(uint32_t nodes) {
  return R"(cluster: bench
provider: azure
azure:
  subscription: 11111111-2222-4333-8444-555555555555
  resource_group: bench
  region: westeurope
  account: benchaccount
  image: canonical:0001-com-ubuntu-server-jammy:22_04-lts:latest
  node_agent: batch.node.ubuntu 22.04
  subnet: net/compute
pools:
  cpu: {max: )" +
         std::to_string(nodes) + R"(, machines: [Standard_D2s_v5], azure: {kind: batch}}
)";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: azure_bench PATH-OF-SLIPWAY-REHEARSE [NODES]\n");
    return 2;
  }
  const auto nodes = static_cast<uint32_t>(argc > 2 ? std::atoi(argv[2]) : 10'000);
  std::string pattern = (fs::temp_directory_path() / "slipway-azure-bench-XXXXXX").string();
  SLIPWAY_CHECK(mkdtemp(pattern.data()) != nullptr);
  const fs::path folder = pattern;
  SLIPWAY_CHECK(write_file(folder / "cluster.yaml", cluster_file(nodes), 0600));
  const std::string file = folder / "cluster.yaml";
  const std::string place = folder / "azure";
  const pid_t child = fork();
  if (child == 0) {
    execl(argv[1], argv[1], "--cluster", file.c_str(), "--folder", place.c_str(), nullptr);
    _exit(127);
  }
  const fs::path endpoints = fs::path(place) / "endpoints.json";
  for (int i = 0; i < 400 && !fs::exists(endpoints); ++i) std::this_thread::sleep_for(Duration(50));
  const auto where = rehearse::read_endpoints(endpoints);
  int status = 1;
  if (where) {
    config::Loaded loaded = config::load(file);
    for (const auto& problem : loaded.problems) std::fprintf(stderr, "%s\n", problem.message.c_str());
    SLIPWAY_CHECK(loaded.ok());
    model::Cluster& cluster = loaded.cluster;
    cluster.azure->endpoints = {where->arm, where->login, where->imds, where->ca_file};
    cluster.pools[0].azure->account_url = where->batch.at("benchaccount");
    const SystemClock clock;
    auto provider = cloud::make_azure_provider(cluster, clock, {"127.0.0.1:6830", std::string(64, 'a')});
    SLIPWAY_CHECK(provider.has_value());
    const auto look = [&] {
      auto listing = (*provider)->list(patience);
      if (!listing) std::fprintf(stderr, "%s\n", listing.error().message.c_str());
      for (size_t i = 0; listing && i < listing->troubles.size(); ++i)
        std::fprintf(stderr, "%s\n", listing->troubles[i].error.message.c_str());
      return listing;
    };
    const auto running = [](const cloud::Listing& listing) {
      size_t count = 0;
      for (const auto& one : listing.instances) count += one.state == model::InstanceState::running;
      return count;
    };
    look();
    const double began = now_seconds();
    for (uint32_t part = 0; part < 4; ++part) {
      SLIPWAY_CHECK(
          (*provider)->launch({.pool = PoolName("cpu"), .count = nodes / 4, .token = std::to_string(part)}, patience));
    }
    size_t up = 0;
    size_t looks = 0;
    while (up < nodes / 4 * 4 && now_seconds() - began < 120) {
      const auto listing = look();
      ++looks;
      if (listing) up = running(*listing);
      std::this_thread::sleep_for(Duration(200));
    }
    const double burst = now_seconds() - began;
    const double cpu_before = cpu_seconds();
    const double wall_before = now_seconds();
    constexpr int steady_looks = 10;
    std::vector<InstanceId> ids;
    for (int i = 0; i < steady_looks; ++i) {
      const auto listing = look();
      ids.clear();
      for (size_t k = 0; listing && k < listing->instances.size(); ++k) ids.push_back(listing->instances[k].id);
    }
    const double cpu_look = (cpu_seconds() - cpu_before) / steady_looks;
    const double wall_look = (now_seconds() - wall_before) / steady_looks;
    const double removal_began = now_seconds();
    SLIPWAY_CHECK((*provider)->terminate(ids, patience));
    size_t left = ids.size();
    while (left > 0 && now_seconds() - removal_began < 300) {
      if (const auto listing = look()) left = listing->instances.size();
      std::this_thread::sleep_for(Duration(20));
    }
    std::printf(
        "{\"bench\":\"azure\",\"nodes\":%u,\"up\":%zu,\"burst_s\":%.2f,\"looks\":%zu,\"look_cpu_ms\":%.1f,"
        "\"look_wall_ms\":%.1f,\"core_share\":%.5f,\"removal_s\":%.2f,\"left\":%zu}\n",
        nodes, up, burst, looks, cpu_look * 1e3, wall_look * 1e3, cpu_look / look_every_s,
        now_seconds() - removal_began, left);
    status = up == nodes / 4 * 4 && left == 0 ? 0 : 1;
  } else {
    std::fprintf(stderr, "%s\n", where.error().message.c_str());
  }
  kill(child, SIGTERM);
  waitpid(child, nullptr, 0);
  fs::remove_all(folder);
  return status;
}
