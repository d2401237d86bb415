#include "azure_world.h"

namespace slipway::rehearse::azure {
namespace {

using AzureBatch = AzureTest;

TEST_F(AzureBatch, PoolIsMadeFilledAndDeleted) {
  const auto made = batch("POST", "/pools", json::serialize(pool_body("demo-cpu", 3, 2)));
  EXPECT_EQ(made.status, 201) << made.raw.body;
  EXPECT_EQ(made.raw.header("Location"), "https://acc.test/pools/demo-cpu");
  // Asynchronous: it is seen resizing first.
  EXPECT_EQ(text_at(pool("demo-cpu"), "allocationState"), "resizing");
  ASSERT_TRUE(steady("demo-cpu"));
  const json::object there = pool("demo-cpu");
  EXPECT_EQ(integer_at(there, "currentDedicatedNodes"), 3);
  EXPECT_EQ(integer_at(there, "currentLowPriorityNodes"), 2);
  EXPECT_EQ(text_at(there, "resizeTimeout"), "PT15M");
  EXPECT_TRUE(until([&] { return nodes("demo-cpu", "state eq 'idle'").size() == 5; }));
  EXPECT_EQ(nodes("demo-cpu", "isDedicated eq false").size(), 2u);
  EXPECT_EQ(batch("POST", "/pools", json::serialize(pool_body("demo-cpu"))).code(), "PoolExists");

  EXPECT_EQ(batch("DELETE", "/pools/demo-cpu").status, 202);
  EXPECT_EQ(text_at(pool("demo-cpu"), "state"), "deleting");
  EXPECT_EQ(batch("POST", "/pools/demo-cpu/resize", R"({"targetDedicatedNodes": 1})").code(), "PoolBeingDeleted");
  EXPECT_TRUE(until([&] { return batch("GET", "/pools/demo-cpu").code() == "PoolNotFound"; }));
  EXPECT_TRUE(site->of_group("batch/acc/demo-cpu").empty());
}

TEST_F(AzureBatch, ResizeIsForSteadyPoolsOnly) {
  set(R"({"allocate_ms": [100, 100]})");
  make_pool("p", 1);
  const std::string resize = R"({"targetDedicatedNodes": 4})";
  EXPECT_EQ(batch("POST", "/pools/p/resize", resize).status, 202);
  const auto again = batch("POST", "/pools/p/resize", resize);
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.code(), "PoolBeingResized");
  const std::string removal = R"({"nodeList": [")" + nodes("p").front() + R"("]})";
  EXPECT_EQ(batch("POST", "/pools/p/removenodes", removal).code(), "PoolBeingResized");
  ASSERT_TRUE(steady("p"));
  // What isn't named keeps its target.
  EXPECT_EQ(batch("POST", "/pools/p/resize", R"({"targetLowPriorityNodes": 1})").status, 202);
  ASSERT_TRUE(steady("p"));
  EXPECT_EQ(integer_at(pool("p"), "targetDedicatedNodes"), 4);
  EXPECT_EQ(nodes("p").size(), 5u);
  EXPECT_EQ(batch("POST", "/pools/p/resize", "{}").code(), "MissingRequiredProperty");
  EXPECT_EQ(batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 1, "resizeTimeout": "PT4M"})").code(),
            "InvalidPropertyValue");
  EXPECT_EQ(batch("POST", "/pools/p/stopresize").code(), "OperationInvalidForCurrentState");
}

TEST_F(AzureBatch, StopResizeKeepsWhatIsThereAndTellsSo) {
  make_pool("p", 2);
  set(R"({"allocate_ms": [60000, 60000]})");
  EXPECT_EQ(batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 10})").status, 202);
  EXPECT_EQ(batch("POST", "/pools/p/stopresize").status, 202);
  EXPECT_EQ(text_at(pool("p"), "allocationState"), "stopping");
  ASSERT_TRUE(steady("p"));
  const json::object there = pool("p");
  EXPECT_EQ(integer_at(there, "currentDedicatedNodes"), 2);
  EXPECT_EQ(integer_at(there, "targetDedicatedNodes"), 10);
  EXPECT_EQ(text_at(there.at("resizeErrors").as_array().at(0).as_object(), "code"), "ResizeStopped");
}

struct Obstacle {
  const char* levers;
  const char* code;
  int dedicated;
  int low_priority;
};
class AzureObstacles : public AzureTest, public ::testing::WithParamInterface<Obstacle> {};

TEST_P(AzureObstacles, ShowUpInThePoolOnceItIsSteady) {
  set(GetParam().levers);
  make_pool("p");
  const json::object wanted{{"targetDedicatedNodes", GetParam().dedicated},
                            {"targetLowPriorityNodes", GetParam().low_priority}};
  EXPECT_EQ(batch("POST", "/pools/p/resize", json::serialize(wanted)).status, 202);
  EXPECT_FALSE(pool("p").contains("resizeErrors"));
  ASSERT_TRUE(steady("p"));
  const json::object there = pool("p");
  ASSERT_TRUE(there.contains("resizeErrors"));
  EXPECT_EQ(text_at(there.at("resizeErrors").as_array().at(0).as_object(), "code"), GetParam().code);
  // The target stays above what there is.
  EXPECT_EQ(nodes("p").size(), 2u);
  EXPECT_EQ(integer_at(there, "targetDedicatedNodes"), GetParam().dedicated);
  // The next resize clears it.
  EXPECT_EQ(batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 0, "targetLowPriorityNodes": 0})").status,
            202);
  EXPECT_FALSE(pool("p").contains("resizeErrors"));
  ASSERT_TRUE(steady("p"));
  EXPECT_TRUE(nodes("p").empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, AzureObstacles,
    ::testing::Values(Obstacle{R"({"quotas": [{"scope": "acc", "market": "on_demand", "cores": 8}]})",
                               "AccountCoreQuotaReached", 5, 0},
                      Obstacle{R"({"quotas": [{"scope": "acc", "market": "spot", "cores": 8}]})",
                               "AccountLowPriorityCoreQuotaReached", 0, 5},
                      Obstacle{R"({"quotas": [{"family": "standardDSv5Family", "market": "on_demand", "cores": 8}]})",
                               "AccountVMSeriesCoreQuotaReached", 5, 0},
                      Obstacle{R"({"capacity": [{"size": "standard_d4s_v5", "most": 2}]})", "AllocationFailed", 5, 0},
                      Obstacle{R"({"capacity": [{"group": "p", "most": 2}], "time_out": true})", "AllocationTimedout",
                               5, 0}));

TEST_F(AzureBatch, NodesAreRemovedByNameAndTheTargetFalls) {
  make_pool("p", 6);
  const auto all = nodes("p");
  json::array list{json::string(all[1]), json::string(all[4])};
  EXPECT_EQ(batch("POST", "/pools/p/removenodes", json::serialize(json::object{{"nodeList", list}})).status, 202);
  ASSERT_TRUE(steady("p"));
  EXPECT_EQ(nodes("p"), (std::vector<std::string>{all[0], all[2], all[3], all[5]}));
  EXPECT_EQ(integer_at(pool("p"), "targetDedicatedNodes"), 4);
  const auto gone = batch("POST", "/pools/p/removenodes", json::serialize(json::object{{"nodeList", list}}));
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(gone.code(), "NodeNotFound");
  for (int i = 0; i < 100; ++i) list.push_back("x");
  EXPECT_EQ(batch("POST", "/pools/p/removenodes", json::serialize(json::object{{"nodeList", list}})).code(),
            "InvalidPropertyValue");
}

TEST_F(AzureBatch, EtagsChangeWithEachChangeAndGuardWrites) {
  make_pool("p");
  const std::string first(batch("GET", "/pools/p").raw.header("ETag"));
  EXPECT_EQ(batch("GET", "/pools/p", "", {{"If-None-Match", first}}).status, 304);
  EXPECT_EQ(batch("PATCH", "/pools/p", R"({"displayName": "a"})", {{"If-Match", first}}).status, 200);
  const std::string second(batch("GET", "/pools/p").raw.header("ETag"));
  EXPECT_NE(first, second);
  const auto late = batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 1})", {{"If-Match", first}});
  EXPECT_EQ(late.status, 412);
  EXPECT_EQ(late.code(), "ConditionNotMet");
  EXPECT_TRUE(nodes("p").empty());
  EXPECT_EQ(batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 1})", {{"If-Match", second}}).status, 202);
  ASSERT_TRUE(steady("p"));
  EXPECT_NE(batch("GET", "/pools/p").raw.header("ETag"), second);
  EXPECT_EQ(batch("GET", "/pools/p", "", {{"If-Modified-Since", "Sun, 22 Nov 2099 20:05:05 GMT"}}).status, 304);
  EXPECT_EQ(batch("DELETE", "/pools/p", "", {{"If-Unmodified-Since", "Sun, 22 Nov 2020 20:05:05 GMT"}}).status, 412);
  EXPECT_EQ(batch("DELETE", "/pools/p", "", {{"If-Unmodified-Since", "yesterday"}}).code(), "InvalidHeaderValue");
}

TEST_F(AzureBatch, ListsArePagedSelectedAndFiltered) {
  make_pool("p", 25);
  make_pool("q");
  std::vector<std::string> seen;
  std::string target = "/pools/p/nodes?maxresults=10&$select=id,state";
  for (int pages = 0; !target.empty() && pages < 5; ++pages) {
    const auto page = batch("GET", target);
    for (const json::value& node : page.value()) {
      EXPECT_EQ(node.as_object().size(), 2u) << json::serialize(node);
      seen.push_back(text_at(node.as_object(), "id"));
    }
    const std::string* next = nullptr;
    std::string link;
    if (const json::value* found = page.body.if_contains("odata.nextLink")) {
      link = std::string(found->as_string());
      next = &link;
    }
    target = next == nullptr ? "" : link.substr(std::string("https://acc.test").size());
  }
  EXPECT_EQ(seen, nodes("p"));
  EXPECT_EQ(seen.size(), 25u);
  // The plain door's caller stays there.
  const auto plain = batch("GET", "/pools/p/nodes?maxresults=1", "", {{"Host", "127.0.0.1:80"}});
  EXPECT_TRUE(
      std::string(plain.body.at("odata.nextLink").as_string()).starts_with("http://127.0.0.1:80/pools/p/nodes?"));
  const auto pools = batch("GET", "/pools?$select=id&$filter=" + http::encode("id eq 'q'"));
  EXPECT_EQ(pools.value(), json::parse(R"([{"id": "q"}])"));
  const auto first = batch("GET", "/pools?maxresults=1");
  EXPECT_EQ(first.value().size(), 1u);
  EXPECT_TRUE(first.body.contains("odata.nextLink"));
  EXPECT_EQ(batch("GET", "/pools/p/nodes?$filter=state").code(), "InvalidQueryParameterValue");
  const auto counts = batch("GET", "/nodecounts?$filter=" + http::encode("poolId eq 'p'"));
  EXPECT_EQ(integer_at(counts.value().at(0).as_object(), "dedicated.total"), 25);
}

TEST_F(AzureBatch, SignaturesAndTokensAreVerified) {
  const auto status = [&](http::Headers headers) {
    return ask(AzureFace::Plane::batch,
               {.method = "GET", .target = "/pools?api-version=2024-07-01.20.0", .headers = std::move(headers)});
  };
  EXPECT_EQ(status({}).status, 401);
  const std::string date = to_rfc1123(clock.now());
  EXPECT_EQ(status({{"Authorization", "SharedKey acc:AAAA"}, {"ocp-date", date}}).status, 403);
  EXPECT_EQ(status({{"Authorization", "SharedKey acc:AAAA"}}).code(), "AuthenticationFailed");
  // A good signature, twenty minutes old.
  http::Asked old{.method = "GET", .target = "/pools?api-version=2024-07-01.20.0"};
  const std::string stale = to_rfc1123(clock.now() - std::chrono::minutes(20));
  const std::string text = "GET\n\n\n\n\n\n\n\n\n\n\n\nocp-date:" + stale + "\n/acc/pools\napi-version:2024-07-01.20.0";
  old.headers = {
      {"ocp-date", stale},
      {"Authorization", "SharedKey acc:" + http::to_base64(http::hmac_sha256("a key of the account", text))}};
  EXPECT_EQ(ask(AzureFace::Plane::batch, old).status, 403);
  // A token of ours, but for ARM; then for Batch; then changed.
  EXPECT_EQ(status({{"Authorization", "Bearer " + arm_token()}}).status, 401);
  const auto given =
      ask(AzureFace::Plane::login, {.method = "POST",
                                    .target = "/72f988bf-0000-4000-8000-000000000001/oauth2/v2.0/token",
                                    .body = "grant_type=client_credentials&client_id=client&client_secret=s&scope="
                                            "https%3A%2F%2Fbatch.core.windows.net%2F.default"});
  std::string other = text_at(given.body, "access_token");
  EXPECT_EQ(status({{"Authorization", "Bearer " + other}}).status, 200);
  other[other.find('.') + 5] ^= 1;
  EXPECT_EQ(status({{"Authorization", "Bearer " + other}}).status, 401);
}

TEST_F(AzureBatch, AnswersCarryTheServicesHeaders) {
  const std::string id = "5a2c3a3e-0000-4000-8000-000000000001";
  const auto reply = batch("GET", "/pools", "", {{"client-request-id", id}, {"return-client-request-id", "true"}});
  EXPECT_EQ(reply.raw.header("client-request-id"), id);
  EXPECT_FALSE(reply.raw.header("request-id").empty());
  EXPECT_EQ(batch("GET", "/pools", "", {{"client-request-id", id}}).raw.header("client-request-id"), "");
  EXPECT_EQ(batch("GET", "/jobs").code(), "InvalidUri");
  EXPECT_EQ(batch("PUT", "/pools").status, 405);
}

TEST_F(AzureBatch, PoolSettingsAreCheckedBeyondTheirSchema) {
  const auto refused = [&](const std::function<void(json::object&)>& change) {
    json::object body = pool_body("p");
    change(body);
    const auto reply = batch("POST", "/pools", json::serialize(body));
    EXPECT_EQ(reply.status, 400) << json::serialize(body);
    return reply.raw.body;
  };
  EXPECT_NE(refused([](auto& body) { body["vmSize"] = "Standard_None"; }).find("vmSize"), std::string::npos);
  EXPECT_NE(refused([](auto& body) { body["id"] = "a pool"; }).find("letters"), std::string::npos);
  EXPECT_NE(refused([](auto& body) {
              body["networkConfiguration"] = {{"subnetId", "/none"}};
            }).find("subnet"),
            std::string::npos);
  EXPECT_NE(refused([](auto& body) {
              body["virtualMachineConfiguration"].as_object()["nodeAgentSKUId"] = "batch.node.ubuntu 20.04";
            }).find("agent"),
            std::string::npos);
  EXPECT_NE(refused([](auto& body) {
              body["virtualMachineConfiguration"].as_object()["nodeAgentSkuId"] = "x";
            }).find("UnsupportedProperty"),
            std::string::npos);
}

TEST_F(AzureBatch, StartTasksRunWithBatchsEnvironment) {
  make_pool("p", 1);
  const MachineKey key = site->of_group("batch/acc/p").front();
  const Machine& machine = *site->find(key);
  const Recipe recipe = machine.order->recipe(machine);
  EXPECT_EQ(recipe.command, "exec '/bin/sh' '-c' 'exec agent --join'");
  const std::map<std::string, std::string> environment(recipe.environment.begin(), recipe.environment.end());
  EXPECT_EQ(environment.at("AZ_BATCH_POOL_ID"), "p");
  EXPECT_EQ(environment.at("AZ_BATCH_NODE_ID"), nodes("p").front());
  EXPECT_EQ(environment.at("SLIPWAY_POOL"), "cpu");
}

TEST_F(AzureBatch, NodesThatFailAreToldSo) {
  set(R"({"boots": [{"group": "bad", "start_task_fails_every": 1}, {"group": "dead", "unusable_every": 1}]})");
  make_pool("bad", 1);
  make_pool("dead", 1);
  EXPECT_TRUE(until([&] { return nodes("bad", "state eq 'starttaskfailed'").size() == 1; }));
  const auto node = batch("GET", "/pools/bad/nodes/" + nodes("bad").front());
  EXPECT_EQ(text_at(node.body, "startTaskInfo.result"), "failure");
  EXPECT_TRUE(until([&] { return nodes("dead", "state eq 'unusable'").size() == 1; }));
  set("{}");
  const std::string path = "/pools/dead/nodes/" + nodes("dead").front();
  EXPECT_EQ(batch("POST", path + "/reboot").status, 202);
  EXPECT_TRUE(until([&] { return nodes("dead", "state eq 'idle'").size() == 1; }));
  EXPECT_EQ(batch("POST", path + "/disablescheduling", R"({"nodeDisableSchedulingOption": "requeue"})").status, 200);
  EXPECT_EQ(nodes("dead", "state eq 'offline'").size(), 1u);
  EXPECT_EQ(batch("POST", path + "/disablescheduling").code(), "NodeAlreadyInTargetSchedulingState");
  EXPECT_EQ(batch("POST", "/pools/dead/nodes/none/reboot").code(), "NodeNotFound");
}

TEST_F(AzureBatch, PreemptedNodesStayListedAndComeBack) {
  make_pool("p", 0, 2);
  ASSERT_TRUE(until([&] { return nodes("p", "state eq 'idle'").size() == 2; }));
  set(R"({"capacity": [{"group": "p", "most": 1}]})");
  const std::vector<MachineKey> all = site->of_group("batch/acc/p");
  site->evict({all.front()}, Duration(0));
  ASSERT_TRUE(until([&] { return nodes("p", "state eq 'preempted'").size() == 1; }));
  EXPECT_EQ(integer_at(pool("p"), "currentLowPriorityNodes"), 2);
  EXPECT_EQ(text_at(pool("p"), "allocationState"), "steady");
  set("{}");
  EXPECT_TRUE(until([&] { return nodes("p", "state eq 'idle'").size() == 2; }));
}

TEST_F(AzureBatch, PoolWithAutoscaleRefusesResizes) {
  make_pool("p");
  const auto enabled =
      batch("POST", "/pools/p/enableautoscale", R"({"autoScaleFormula": "$TargetDedicatedNodes = 2;"})");
  EXPECT_EQ(enabled.status, 200) << enabled.raw.body;
  ASSERT_TRUE(steady("p"));
  EXPECT_EQ(nodes("p").size(), 2u);
  EXPECT_TRUE(bool_at(pool("p"), "enableAutoScale"));
  EXPECT_EQ(batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 1})").code(), "OperationNotValidOnPool");
  const auto run = batch("POST", "/pools/p/evaluateautoscale", R"({"autoScaleFormula": "$TargetDedicatedNodes=7"})");
  EXPECT_NE(text_at(run.body, "results").find("$TargetDedicatedNodes=7"), std::string::npos);
  EXPECT_EQ(batch("POST", "/pools/p/disableautoscale").status, 200);
  EXPECT_EQ(batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 1})").status, 202);
}

TEST_F(AzureBatch, ThrottledAndLostCallsAreTheLevers) {
  make_pool("p");
  set(R"({"replies": [{"operation": "Pool_Resize", "next": 1, "status": 503, "code": "ServerBusy"}]})");
  const auto busy = batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 1})");
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.code(), "ServerBusy");
  EXPECT_EQ(text_at(pool("p"), "allocationState"), "steady");
  set(R"({"calls_per_second": 0.001, "calls_burst": 1, "retry_after_ms": 7000})");
  EXPECT_EQ(batch("GET", "/pools").status, 200);
  const auto throttled = batch("GET", "/pools");
  EXPECT_EQ(throttled.status, 429);
  EXPECT_EQ(throttled.raw.header("Retry-After"), "7");
}

TEST_F(AzureBatch, ARestartLosesNothing) {
  make_pool("p", 3, 1);
  ASSERT_TRUE(until([&] { return nodes("p", "state eq 'idle'").size() == 4; }));
  const auto before = nodes("p");
  const json::object old = pool("p");
  const std::string token_before = arm_token();
  open(face->save(), site->save());
  ASSERT_TRUE(until([&] { return nodes("p").size() == 4; }));
  EXPECT_EQ(nodes("p"), before);
  EXPECT_EQ(pool("p").at("eTag"), old.at("eTag"));
  EXPECT_EQ(pool("p").at("metadata"), old.at("metadata"));
  EXPECT_EQ(batch("POST", "/pools/p/resize", R"({"targetDedicatedNodes": 2})").status, 202);
  ASSERT_TRUE(steady("p"));
  EXPECT_EQ(nodes("p").size(), 3u);
  token = token_before;
  EXPECT_EQ(arm("GET", account_path, "2024-07-01").status, 200) << "a token of before isn't valid any more";
  EXPECT_FALSE(face->load("{}"));
  EXPECT_FALSE(face->load(R"({"key": "-----BEGIN", "pools": [1]})")) << "and a bad key must not abort";
}

TEST_F(AzureBatch, APageOfAThousandNodesIsQuick) {
  make_pool("p", 5000);
  ASSERT_TRUE(until([&] { return nodes("p").size() == 1000; }));
  const auto begin = std::chrono::steady_clock::now();
  const auto page = batch("GET", "/pools/p/nodes?$select=id,state,ipAddress,isDedicated,stateTransitionTime");
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(page.value().size(), 1000u);
  // Generous: the machine that runs this may be busy, and the answer is checked here as well.
  EXPECT_LT(took, std::chrono::milliseconds(500));
}

}  // namespace
}  // namespace slipway::rehearse::azure
