#include "cloud/azure/rest.h"

#include <gtest/gtest.h>

#include <atomic>

#include "cloud/azure/endpoints.h"
#include "cloud/azure/fleet.h"
#include "fake_http.h"

namespace slipway::cloud::azure {
namespace {

constexpr Duration patience{5'000};

// Its n-th token is "n".
class Counting final : public Authorizer {
 public:
  Result<void> authorize(http::Request& request, Duration) override {
    request.headers.emplace_back("Authorization", "Bearer " + std::to_string(generation));
    return {};
  }
  void refused() override { ++generation; }
  std::atomic<int> generation{1};
};

TEST(Rest, A401IsTriedOnceWithANewToken) {
  FakeHttp server([](const http::Asked& asked) {
    const bool good = http::find_header(asked.headers, "Authorization") == "Bearer 2";
    return http::Response{good ? 200 : 401, {}, "{}"};
  });
  http::Client client;
  const auto authorizer = std::make_shared<Counting>();
  Rest rest(client, authorizer);
  EXPECT_TRUE(rest.send({"POST", server.url() + "/x", {}, "body"}, patience));
  EXPECT_EQ(server.asked().size(), 2u);
  EXPECT_EQ(server.asked()[1].body, "body");
  authorizer->generation = 7;
  const auto refused = rest.send({"GET", server.url() + "/x", {}, ""}, patience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_EQ(server.asked().size(), 4u) << "once";
}

TEST(Rest, ALostAnswerIsUnknownUnlessItWasOnlyAQuestion) {
  FakeHttp server([](const http::Asked&) { return http::Response{}; });
  http::Client client;
  Rest rest(client, std::make_shared<Counting>());
  EXPECT_EQ(rest.send({"GET", server.url() + "/x", {}, ""}, patience).error().code, ErrorCode::transient);
  EXPECT_EQ(rest.send({"POST", server.url() + "/x", {}, ""}, patience).error().code, ErrorCode::outcome_unknown);
}

TEST(Rest, AGatewayThatGaveUpKnowsNothing) {
  int status = 504;
  FakeHttp server([&](const http::Asked&) { return http::Response{status, {}, ""}; });
  http::Client client;
  Rest rest(client, std::make_shared<Counting>());
  const auto code = [&](const char* method) {
    return rest.send({method, server.url() + "/x", {}, ""}, patience).error().code;
  };
  EXPECT_EQ(code("DELETE"), ErrorCode::outcome_unknown);
  EXPECT_EQ(code("GET"), ErrorCode::transient);
  status = 500;
  EXPECT_EQ(code("DELETE"), ErrorCode::outcome_unknown) << "it may have broken off after the effect";
  EXPECT_EQ(code("GET"), ErrorCode::transient);
  status = 503;
  EXPECT_EQ(code("DELETE"), ErrorCode::transient) << "refused at the door";
  status = 429;
  EXPECT_EQ(code("DELETE"), ErrorCode::throttled);
}

TEST(Rest, NobodyThereIsTransient) {
  http::Client client;
  Rest rest(client, std::make_shared<Counting>());
  const auto refused = rest.send({"POST", "http://127.0.0.1:1/x", {}, ""}, patience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::transient) << "nothing was sent";
}

TEST(AzureEndpoints, EachCloudHasItsOwnAndTheFileReplacesThem) {
  model::AzureCloud cloud;
  Endpoints endpoints = endpoints_of(cloud);
  EXPECT_EQ(endpoints.arm, "https://management.azure.com");
  EXPECT_EQ(endpoints.arm_resource, "https://management.azure.com/");
  model::AzurePool pool;
  pool.account = "acc";
  pool.region = "westeurope";
  EXPECT_EQ(batch_url(pool, endpoints), "https://acc.westeurope.batch.azure.com");

  cloud.cloud = model::AzureCloudName::us_government;
  endpoints = endpoints_of(cloud);
  EXPECT_EQ(endpoints.login, "https://login.microsoftonline.us");
  EXPECT_EQ(endpoints.batch_resource, "https://batch.core.usgovcloudapi.net/");
  cloud.cloud = model::AzureCloudName::china;
  EXPECT_EQ(endpoints_of(cloud).arm, "https://management.chinacloudapi.cn");
  EXPECT_EQ(batch_url(pool, endpoints_of(cloud)), "https://acc.westeurope.batch.chinacloudapi.cn");

  cloud.cloud = model::AzureCloudName::public_cloud;
  cloud.endpoints.arm = "https://198.18.0.1:7443/";
  pool.account_url = "http://198.18.0.1:7444/";
  endpoints = endpoints_of(cloud);
  EXPECT_EQ(endpoints.arm, "https://198.18.0.1:7443");
  EXPECT_EQ(endpoints.arm_resource, "https://management.azure.com/") << "what a token is for stays";
  EXPECT_EQ(batch_url(pool, endpoints), "http://198.18.0.1:7444");
  EXPECT_EQ(scope_of(endpoints.batch_resource), "https://batch.core.windows.net/.default");
}

TEST(AzureFleet, InstanceIdsTellTheirPool) {
  EXPECT_EQ(instance_id(PoolName("cpu"), "tvm_1").str(), "cpu/tvm_1");
  EXPECT_EQ(parts_of(InstanceId("cpu/tvm_1")).pool, PoolName("cpu"));
  EXPECT_EQ(parts_of(InstanceId("cpu/tvm_1")).machine, "tvm_1");
  EXPECT_EQ(parts_of(InstanceId("i-1")).pool, PoolName());
}

}  // namespace
}  // namespace slipway::cloud::azure
