// A small Batch account for tests: an HTTP server with pools that resize when told to, and as strict about states,
// ETags and limits as Batch is. It checks that requests are well formed; whether they are wise is the tests' business.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "http/server.h"
#include "http/url.h"

namespace slipway::cloud::azure {

class FakeBatch {
 public:
  struct Node {
    std::string id;
    std::string state = "idle";
    bool dedicated = true;
    std::string address;
    bool operator==(const Node&) const = default;
  };
  struct Pool {
    std::string id;
    boost::json::object body;  // as it was made and patched
    int version = 1;
    int changes = 0;  // of allocationState
    std::string state = "active";
    std::string allocation = "steady";
    bool autoscale = false;
    std::array<uint32_t, 2> target{};
    std::vector<Node> nodes;
    std::vector<std::string> errors;  // codes
    std::string etag() const { return "0x" + std::to_string(version); }
    uint32_t count(bool dedicated) const {
      return static_cast<uint32_t>(
          std::count_if(nodes.begin(), nodes.end(), [&](const Node& n) { return n.dedicated == dedicated; }));
    }
  };
  struct Reply {
    int status = 0;  // 0: the effect happens and the answer is lost
    std::string code;
    http::Headers headers;
  };

  FakeBatch() {
    std::promise<uint16_t> port;
    thread_ = std::thread([this, &port] {
      http::Server server(loop_, {}, [this](http::Asked asked, http::Answer answer) {
        const std::lock_guard lock(mutex);
        handle(asked, answer);
      });
      auto opened = server.add({.listen = "127.0.0.1:0", .socket = {}, .tls_certificate = "", .tls_key = ""});
      port.set_value(opened ? opened->port : 0);
      loop_.run();
    });
    port_ = port.get_future().get();
  }
  ~FakeBatch() {
    loop_.stop();
    thread_.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // The resize ends: as many nodes as there is room for come, what was to leave is gone.
  void finish(const std::string& id, const std::string& state = "idle") {
    const std::lock_guard lock(mutex);
    Pool& pool = pools.at(id);
    std::erase_if(pool.nodes, [](const Node& node) { return node.state == "leavingpool"; });
    if (pool.allocation == "resizing") {
      pool.errors.clear();
      for (const bool dedicated : {true, false}) {
        const size_t m = dedicated ? 0 : 1;
        while (pool.count(dedicated) < pool.target[m] && pool.count(dedicated) < room[m]) add(pool, dedicated, state);
        while (pool.count(dedicated) > pool.target[m]) pool.nodes.pop_back();
        if (pool.count(dedicated) < pool.target[m]) pool.errors.push_back(lacking[m]);
      }
    } else if (pool.allocation == "stopping") {
      pool.errors = {"ResizeStopped"};
      pool.target = {pool.count(true), pool.count(false)};
    }
    settle(pool, "steady");
  }
  // Some of the nodes come while the resize goes on.
  void arrive(const std::string& id, bool dedicated, uint32_t count) {
    const std::lock_guard lock(mutex);
    for (uint32_t i = 0; i < count; ++i) add(pools.at(id), dedicated, "creating");
  }
  void settle(Pool& pool, const std::string& allocation) {
    pool.allocation = allocation;
    ++pool.changes;
    ++pool.version;
  }
  uint32_t called(const std::string& what) {
    const std::lock_guard lock(mutex);
    return static_cast<uint32_t>(std::count(calls.begin(), calls.end(), what));
  }
  size_t forget_calls() {
    const std::lock_guard lock(mutex);
    const size_t count = calls.size();
    calls.clear();
    return count;
  }
  Pool pool(const std::string& id) {
    const std::lock_guard lock(mutex);
    return pools.at(id);
  }

  std::mutex mutex;  // guards all below
  std::map<std::string, Pool> pools;
  std::array<uint32_t, 2> room{100'000, 100'000};
  std::array<std::string, 2> lacking{"AllocationFailed", "AllocationFailed"};
  std::map<std::string, std::vector<Reply>> replies;  // the next ones, by operation as in `calls`
  std::string unread;                                 // a pool whose nodes can't be listed
  std::vector<std::string> calls;                     // "list pools", "list nodes", "make", "patch", "resize", …
  std::vector<std::string> bodies;                    // of changes
  std::string bearer;                                 // demanded when not empty
  size_t page = 1000;
  boost::json::array images;

 private:
  void add(Pool& pool, bool dedicated, const std::string& state) {
    const int number = ++made_;
    pool.nodes.push_back({"tvmps_" + std::to_string(number) + "_d", state, dedicated,
                          "10.0." + std::to_string(number / 250) + "." + std::to_string(number % 250 + 1)});
  }

  static http::Response error(int status, const std::string& code, http::Headers headers = {}) {
    headers.emplace_back("Content-Type", "application/json;odata=minimalmetadata");
    return {status, std::move(headers),
            boost::json::serialize(boost::json::object{
                {"code", code}, {"message", {{"lang", "en-US"}, {"value", "words\nRequestId:1\nTime:2"}}}})};
  }

  static std::string operation_of(const std::string& method, const std::string& path) {
    if (path == "/supportedimages") return "list images";
    if (path == "/pools") return method == "GET" ? "list pools" : "make";
    if (path.ends_with("/nodes")) return "list nodes";
    if (path.ends_with("/resize")) return "resize";
    if (path.ends_with("/stopresize")) return "stop";
    if (path.ends_with("/removenodes")) return "remove";
    return method == "PATCH" ? "patch" : method == "DELETE" ? "delete" : "unknown";
  }

  void handle(const http::Asked& asked, const http::Answer& answer) {
    const auto target = http::parse_target(asked.target);
    ASSERT_TRUE(target);
    std::map<std::string, std::string> query(target->query.begin(), target->query.end());
    EXPECT_EQ(query["api-version"], "2024-07-01.20.0") << asked.target;
    if (!asked.body.empty()) {
      EXPECT_EQ(http::find_header(asked.headers, "Content-Type"), "application/json; odata=minimalmetadata");
      bodies.push_back(asked.body);
    }
    const std::string operation = operation_of(asked.method, target->path);
    calls.push_back(operation);
    if (!bearer.empty() && http::find_header(asked.headers, "Authorization") != "Bearer " + bearer) {
      return answer(error(401, "AuthenticationFailed"));
    }
    auto& scripted = replies[operation];
    if (!scripted.empty()) {
      const Reply reply = scripted.front();
      scripted.erase(scripted.begin());
      if (reply.status != 0) return answer(error(reply.status, reply.code, reply.headers));
      (void)effect(operation, asked, target->path, query);
      return;  // without an answer
    }
    answer(effect(operation, asked, target->path, query));
  }

  http::Response effect(const std::string& operation, const http::Asked& asked, const std::string& path,
                        std::map<std::string, std::string>& query) {
    if (operation == "list pools") return list_pools();
    if (operation == "list images") return {200, {}, boost::json::serialize(boost::json::object{{"value", images}})};
    const boost::json::value body = asked.body.empty() ? boost::json::value() : boost::json::parse(asked.body);
    if (operation == "make") return make(body.as_object());
    const std::string id = path.substr(7, path.find('/', 7) - 7);
    const auto it = pools.find(id);
    if (it == pools.end()) return error(404, "PoolNotFound");
    Pool& pool = it->second;
    if (operation == "list nodes" && id == unread) return error(500, "InternalError");
    if (operation == "list nodes") return list_nodes(pool, query);
    if (pool.state == "deleting") return error(409, "PoolBeingDeleted");
    const std::string_view match = http::find_header(asked.headers, "If-Match");
    EXPECT_EQ(match.empty(), operation == "stop") << operation;
    if (!match.empty() && match != pool.etag()) return error(412, "ConditionNotMet");
    if (operation == "patch") {
      for (const auto& [key, value] : body.as_object()) pool.body[key] = value;
      ++pool.version;
      return {200, {}, ""};
    }
    if (operation == "delete") {
      pool.state = "deleting";
      return {202, {}, ""};
    }
    if (operation == "stop") {
      if (pool.allocation != "resizing") return error(409, "OperationInvalidForCurrentState");
      settle(pool, "stopping");
      return {202, {}, ""};
    }
    if (pool.autoscale) return error(409, "OperationNotValidOnPool");
    if (pool.allocation != "steady") return error(409, "PoolBeingResized");
    if (operation == "resize") {
      pool.target = {boost::json::value_to<uint32_t>(body.at("targetDedicatedNodes")),
                     boost::json::value_to<uint32_t>(body.at("targetLowPriorityNodes"))};
      pool.errors.clear();
      settle(pool, "resizing");
      return {202, {}, ""};
    }
    if (operation == "remove") return remove(pool, body.at("nodeList").as_array());
    return error(400, "InvalidUri");
  }

  http::Response make(const boost::json::object& body) {
    const std::string id(body.at("id").as_string());
    if (pools.contains(id)) return error(409, "PoolExists");
    Pool& pool = pools[id];
    pool.id = id;
    pool.body = body;
    pool.target = {boost::json::value_to<uint32_t>(body.at("targetDedicatedNodes")),
                   boost::json::value_to<uint32_t>(body.at("targetLowPriorityNodes"))};
    if (pool.target[0] + pool.target[1] > 0) pool.allocation = "resizing";
    return {201, {}, ""};
  }

  http::Response remove(Pool& pool, const boost::json::array& list) {
    if (list.size() > 100) return error(400, "InvalidPropertyValue");
    for (const boost::json::value& value : list) {
      const auto node = std::find_if(pool.nodes.begin(), pool.nodes.end(),
                                     [&](const Node& one) { return one.id == value.as_string(); });
      if (node == pool.nodes.end()) return error(404, "NodeNotFound");
      node->state = "leavingpool";
      pool.target[node->dedicated ? 0 : 1] -= pool.target[node->dedicated ? 0 : 1] > 0 ? 1 : 0;
    }
    pool.errors.clear();
    settle(pool, "resizing");
    return {202, {}, ""};
  }

  http::Response list_pools() {
    boost::json::array value;
    for (const auto& [id, pool] : pools) {
      boost::json::object one{
          {"id", id},
          {"eTag", pool.etag()},
          {"state", pool.state},
          {"allocationState", pool.allocation},
          {"allocationStateTransitionTime", "2026-11-22T20:00:" + std::to_string(10 + pool.changes)},
          {"enableAutoScale", pool.autoscale},
          {"currentDedicatedNodes", pool.count(true)},
          {"currentLowPriorityNodes", pool.count(false)},
          {"targetDedicatedNodes", pool.target[0]},
          {"targetLowPriorityNodes", pool.target[1]}};
      if (const auto* metadata = pool.body.if_contains("metadata")) one["metadata"] = *metadata;
      boost::json::array errors;
      for (const std::string& code : pool.errors) errors.push_back({{"code", code}, {"message", "it says why"}});
      if (!errors.empty() && pool.allocation == "steady") one["resizeErrors"] = errors;
      value.push_back(std::move(one));
    }
    return {200, {}, boost::json::serialize(boost::json::object{{"value", value}})};
  }

  http::Response list_nodes(const Pool& pool, std::map<std::string, std::string>& query) {
    const bool failed = query["$filter"] == "state eq 'starttaskfailed'";
    EXPECT_TRUE(failed || query["$select"] == "id,state,ipAddress,isDedicated,allocationTime,errors");
    size_t from = query["$skiptoken"].empty() ? 0 : std::stoul(query["$skiptoken"]);
    boost::json::array value;
    for (; from < pool.nodes.size() && value.size() < page; ++from) {
      const Node& node = pool.nodes[from];
      if (failed && node.state != "starttaskfailed") continue;
      boost::json::object one{{"id", node.id},
                              {"state", node.state},
                              {"ipAddress", node.address},
                              {"isDedicated", node.dedicated},
                              {"allocationTime", "2026-11-22T20:15:00.123456Z"}};
      if (failed) one["startTaskInfo"] = {{"exitCode", 7}, {"failureInfo", {{"code", "FailureExitCode"}}}};
      value.push_back(std::move(one));
    }
    boost::json::object body{{"value", value}};
    if (from < pool.nodes.size()) {
      body["odata.nextLink"] = "https://another.name.of.it/pools/" + pool.id + "/nodes?" +
                               http::encode_query({{"api-version", query["api-version"]},
                                                   {"$select", query["$select"]},
                                                   {"$skiptoken", std::to_string(from)}});
    }
    return {200, {}, boost::json::serialize(body)};
  }

  Loop loop_;
  std::thread thread_;
  uint16_t port_ = 0;
  int made_ = 0;
};

}  // namespace slipway::cloud::azure
