// The server on a real machine host: a Batch pool's start task runs in machines that find their cloud at
// 169.254.169.254. Needs root.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "../machines/test_cluster.h"
#include "http/client.h"
#include "rehearse/server.h"
#include "rehearse/vm_files.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;
using machines::eventually;

constexpr const char* cluster_file = R"(cluster: demo
provider: azure
azure:
  subscription: 0b1f6471-1bf0-4dda-aec3-111122223333
  resource_group: lab
  region: westeurope
  account: labbatch
  subnet: net/nodes
  image: canonical:ubuntu-24_04-lts:server:latest
pools:
  cpu: {max: 8, machines: Standard_D4s_v5}
)";

// Asks the metadata service as a start task of any Azure machine would.
constexpr const char* pool = R"({"id": "demo-cpu", "vmSize": "STANDARD_D4S_V5",
  "virtualMachineConfiguration": {"nodeAgentSKUId": "batch.node.ubuntu 24.04", "imageReference": {
    "publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}},
  "startTask": {"commandLine": "/bin/bash -c \"exec 3<>/dev/tcp/169.254.169.254/80; printf 'GET /metadata/instance?api-version=2021-02-01 HTTP/1.1\\r\\nHost: x\\r\\nMetadata: true\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3; echo node=$AZ_BATCH_NODE_ID\"",
    "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}, "waitForSuccess": true},
  "targetDedicatedNodes": 2})";

TEST(RealServer, MachinesFindTheirCloud) {
  machines::TestCluster cluster;
  const auto built = std::filesystem::read_symlink("/proc/self/exe").parent_path() / vm_program;
  std::filesystem::copy_file(built, cluster.programs() / vm_program);
  cluster.start_host();
  machines::write_text_file(cluster.base() / "cluster.yaml", cluster_file);
  ServerOptions options;
  options.cluster_file = cluster.base() / "cluster.yaml";
  options.folder = cluster.state() / "rehearse";
  options.host_socket = machines::host_socket(cluster.state());
  options.state_folder = cluster.state();
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(run_server(options) ? 0 : 1);
  }
  Endpoints where;
  ASSERT_TRUE(eventually([&] {
    auto read = read_endpoints(options.folder / "endpoints.json");
    if (read) where = *read;
    return read.has_value();
  }));
  http::ClientOptions trusting;
  trusting.ca_file = where.ca_file;
  http::Client client(trusting);
  const auto ask = [&](const std::string& method, const std::string& url, http::Headers headers,
                       const std::string& body) {
    auto answer = client.send({method, url, std::move(headers), body}, Duration(20'000));
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : http::Response();
  };
  const json::value token = json::parse(
      ask("GET",
          where.imds + "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fbatch.core."
                       "windows.net%2F",
          {{"Metadata", "true"}}, "")
          .body);
  const auto added = ask("POST", where.batch.at("labbatch") + "/pools?api-version=2024-07-01.20.0",
                         {{"Authorization", "Bearer " + std::string(token.at("access_token").as_string())},
                          {"Content-Type", "application/json; odata=minimalmetadata"}},
                         pool);
  ASSERT_EQ(added.status, 201) << added.body;
  std::vector<json::value> running;
  const bool all = eventually(
      [&] {
        running.clear();
        const json::value value = json::parse(
            ask("GET", where.admin + "/machines", {{"Authorization", "Bearer " + where.admin_token}}, "").body);
        for (const json::value& machine : value.at("machines").as_array()) {
          if (machine.at("phase") == "running") running.push_back(machine);
        }
        return running.size() == 2;
      },
      Duration(60'000));
  EXPECT_TRUE(all);
  auto listed = cluster.client().list();
  ASSERT_TRUE(listed);
  size_t vms = 0;
  for (const machines::Machine& machine : *listed) {
    if (machine.role != vm_role) continue;
    ++vms;
    const auto said = read_file(machines::machine_logs(cluster.state(), machine.id) / output_file);
    ASSERT_TRUE(said) << machine.id;
    EXPECT_NE(said->find("200 OK"), std::string::npos) << *said;
    EXPECT_NE(said->find("\"vmId\""), std::string::npos) << *said;
    bool named = false;
    for (const json::value& own : running) {
      if (own.at("address").as_string() == machine.address.c_str())
        named = said->find("node=" + std::string(own.at("name").as_string())) != std::string::npos;
    }
    EXPECT_TRUE(named) << *said;
  }
  EXPECT_EQ(vms, 2u);

  // Machines outlive their cloud's server.
  ::kill(pid, SIGTERM);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  for (const machines::Machine& machine : *cluster.client().list())
    EXPECT_EQ(machine.state, machines::MachineState::running);
}

}  // namespace
}  // namespace slipway::rehearse
