// The server as a process, with virtual machines, asked over its doors.
#include "rehearse/server.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <thread>

#include "base/files.h"
#include "http/client.h"
#include "rehearse/levers.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;

constexpr const char* cluster_file = R"(cluster: demo
provider: azure
azure:
  subscription: 0b1f6471-1bf0-4dda-aec3-111122223333
  resource_group: lab
  region: westeurope
  account: labbatch
  subnet: net/nodes
  image: canonical:ubuntu-24_04-lts:server:latest
  node_identity: /subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/lab/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nodes
pools:
  cpu: {max: 8, machines: Standard_D4s_v5}
)";
constexpr const char* api = "?api-version=2024-07-01.20.0";

bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    char name[] = "/tmp/slipway-rehearsal-XXXXXX";
    base = ::mkdtemp(name);
    folder = base / "cloud";
    EXPECT_TRUE(write_file(base / "cluster.yaml", cluster_file));
  }
  ~ServerTest() override {
    if (pid > 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    std::filesystem::remove_all(base);
  }

  // A process: nothing of it is left in the test's own.
  void launch() {
    pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ServerOptions options;
    options.cluster_file = base / "cluster.yaml";
    options.folder = folder;
    const auto done = run_server(options);
    if (!done) (void)write_file(base / "why", done.error().message);
    ::_exit(done ? 0 : 1);
  }
  void start() {
    std::filesystem::remove(folder / "endpoints.json");  // one that was killed leaves it behind
    launch();
    ASSERT_TRUE(eventually([&] {
      auto read = read_endpoints(folder / "endpoints.json");
      if (read) where = *read;
      return read.has_value();
    }));
    http::ClientOptions options;
    options.ca_file = where.ca_file;
    client = std::make_unique<http::Client>(options);
  }
  int ended() {
    int status = -1;
    ::waitpid(std::exchange(pid, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int stop() {
    ::kill(pid, SIGTERM);
    return ended();
  }
  // Starts one that can't, and gives its reason.
  std::string failure() {
    launch();
    EXPECT_EQ(ended(), 1);
    const auto why = read_file(base / "why");
    return why ? *why : "";
  }

  http::Response ask(const std::string& method, const std::string& url, const std::string& body = "",
                     http::Headers headers = {}) {
    auto answer = client->send({method, url, std::move(headers), body}, Duration(10'000));
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : http::Response();
  }
  http::Response admin(const std::string& method, const std::string& path, const std::string& body = "") {
    return ask(method, where.admin + path, body, {{"Authorization", "Bearer " + where.admin_token}});
  }
  http::Response batch(const std::string& method, const std::string& path, const std::string& body = "") {
    const auto token = ask("GET",
                           where.imds +
                               "/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
                               "https%3A%2F%2Fbatch.core.windows.net%2F",
                           "", {{"Metadata", "true"}});
    EXPECT_EQ(token.status, 200) << token.body;
    const json::value value = json::parse(token.body);
    return ask(method, where.batch.at("labbatch") + path, body,
               {{"Authorization", "Bearer " + std::string(value.at("access_token").as_string())},
                {"Content-Type", "application/json; odata=minimalmetadata"}});
  }
  size_t running() {
    size_t count = 0;
    const json::value value = json::parse(admin("GET", "/machines").body);
    for (const json::value& machine : value.at("machines").as_array()) count += machine.at("phase") == "running";
    return count;
  }

  std::filesystem::path base;
  std::filesystem::path folder;
  pid_t pid = 0;
  Endpoints where;
  std::unique_ptr<http::Client> client;
};

TEST_F(ServerTest, EveryDoorIsOpenAndPrivate) {
  start();
  EXPECT_EQ(ask("GET", where.admin + "/healthz").status, 200);
  EXPECT_EQ(ask("GET", where.admin + "/machines").status, 401);
  EXPECT_EQ(batch("GET", std::string("/pools") + api).status, 200);
  EXPECT_EQ(ask("GET", where.batch_http.at("labbatch") + "/pools" + api).status, 401);
  EXPECT_GE(ask("GET", where.arm + "/subscriptions?api-version=2022-12-01").status, 400);
  EXPECT_GE(ask("GET", where.login + "/nothing").status, 400);
  http::Client stranger;
  const auto untrusted = stranger.send({"GET", where.arm + "/", {}, ""}, Duration(5'000));
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error().code, ErrorCode::bad_config);
  for (const char* file : {"endpoints.json", "kept.json", "ca.key", "server.key"}) {
    struct stat info {};
    ASSERT_EQ(::stat((folder / file).c_str(), &info), 0) << file;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << file;
  }
  EXPECT_EQ(stop(), 0);
  const auto gone = read_endpoints(folder / "endpoints.json");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::not_found);
}

TEST_F(ServerTest, ARestartLosesNothing) {
  start();
  const auto added = batch("POST", std::string("/pools") + api, R"({"id": "demo-cpu", "vmSize": "STANDARD_D4S_V5",
      "virtualMachineConfiguration": {"nodeAgentSKUId": "batch.node.ubuntu 24.04", "imageReference": {
        "publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}},
      "targetDedicatedNodes": 3})");
  ASSERT_EQ(added.status, 201) << added.body;
  ASSERT_TRUE(eventually([&] { return running() == 3; }));
  const json::value before = json::parse(admin("GET", "/machines").body);
  const Endpoints old = where;
  EXPECT_EQ(stop(), 0);

  start();
  EXPECT_EQ(to_json(where), to_json(old));
  EXPECT_EQ(json::parse(admin("GET", "/machines").body), before);
  EXPECT_EQ(batch("GET", std::string("/pools/demo-cpu") + api).status, 200);

  // Killed: what is older than a moment is kept.
  EXPECT_EQ(admin("POST", "/evict", R"({"group": "cpu", "count": 1})").status, 200);
  std::this_thread::sleep_for(std::chrono::milliseconds(1'000));
  const json::value evicted = json::parse(admin("GET", "/machines").body);
  EXPECT_NE(evicted, before);
  ::kill(pid, SIGKILL);
  ended();
  start();
  EXPECT_EQ(json::parse(admin("GET", "/machines").body), evicted);
  EXPECT_EQ(to_json(where), to_json(old));
}

TEST_F(ServerTest, LeversAreReadWhenTheyChange) {
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(write_file(folder / "levers.json", R"({"boot_ms": 7})"));
  start();
  const auto boot = [&] { return parse_levers(admin("GET", "/levers").body)->boot.most; };
  EXPECT_EQ(boot(), Duration(7));
  ASSERT_TRUE(write_file(folder / "levers.json", R"({"boot_ms": 8})"));
  EXPECT_TRUE(eventually([&] { return boot() == Duration(8); }));
  ASSERT_TRUE(write_file(folder / "levers.json", R"({"boot": 9})"));
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  EXPECT_EQ(boot(), Duration(8));
  EXPECT_EQ(admin("PUT", "/levers", R"({"boot_ms": 10})").status, 200);
  EXPECT_EQ(boot(), Duration(10));
  EXPECT_EQ(*read_file(folder / "levers.json"), R"({"boot_ms": 10})");
  std::filesystem::remove(folder / "levers.json");
  EXPECT_TRUE(eventually([&] { return boot() == Duration(0); }));
}

TEST_F(ServerTest, EndsWhenItsFolderIsRemoved) {
  start();
  std::filesystem::remove_all(folder);
  EXPECT_EQ(ended(), 0);
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(ServerTest, WhatCantBeReadIsRefused) {
  start();
  const pid_t first = std::exchange(pid, 0);
  EXPECT_NE(failure().find("another slipway-rehearse has the folder"), std::string::npos);
  EXPECT_TRUE(read_endpoints(folder / "endpoints.json"));  // the first one's
  pid = first;
  EXPECT_EQ(stop(), 0);

  ASSERT_TRUE(write_file(folder / "levers.json", R"({"boot": 9})"));
  EXPECT_NE(failure().find("levers.json: the levers: boot isn't known"), std::string::npos);
  std::filesystem::remove(folder / "levers.json");
  const std::string state = *read_file(folder / "state.json");
  ASSERT_TRUE(write_file(folder / "state.json", state.substr(0, state.size() / 2)));
  EXPECT_NE(failure().find("remove it to begin anew"), std::string::npos);
  ASSERT_TRUE(write_file(folder / "state.json", state));
  ASSERT_TRUE(write_file(base / "cluster.yaml", "cluster: demo\npols: {}\n"));
  EXPECT_NE(failure().find("cluster.yaml:2:1: error:"), std::string::npos);
}

TEST(Endpoints, ComeBackWhole) {
  Endpoints endpoints;
  endpoints.arm = "https://127.0.0.1:1";
  endpoints.login = "https://127.0.0.1:2";
  endpoints.admin = "http://127.0.0.1:3";
  endpoints.admin_token = "t";
  endpoints.imds = "http://127.0.0.1:4";
  endpoints.ca_file = "/ca.pem";
  endpoints.batch = {{"a", "https://127.0.0.1:5"}, {"b", "https://127.0.0.1:6"}};
  endpoints.batch_http = {{"a", "http://127.0.0.1:7"}};
  endpoints.batch_keys = {{"a", "a2V5"}};
  char name[] = "/tmp/slipway-endpoints-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name);
  ASSERT_TRUE(write_file(folder / "endpoints.json", to_json(endpoints)));
  const auto read = read_endpoints(folder / "endpoints.json");
  ASSERT_TRUE(read);
  EXPECT_EQ(to_json(*read), to_json(endpoints));
  EXPECT_EQ(read->batch, endpoints.batch);
  EXPECT_EQ(read->admin_token, "t");
  ASSERT_TRUE(write_file(folder / "endpoints.json", "{}"));
  EXPECT_EQ(read_endpoints(folder / "endpoints.json").error().code, ErrorCode::bad_config);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace slipway::rehearse
