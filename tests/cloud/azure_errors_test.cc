#include <gtest/gtest.h>

#include "cloud/azure/rest.h"

namespace slipway::cloud::azure {
namespace {

struct CodeRow {
  const char* code;
  const char* message;
  ErrorCode means;
};

TEST(AzureErrors, CodesMeanWhatTheEngineReactsTo) {
  const CodeRow rows[] = {
      {"AccountCoreQuotaReached", "", ErrorCode::quota},
      {"AccountLowPriorityCoreQuotaReached", "", ErrorCode::quota},
      {"AccountSpotCoreQuotaReached", "", ErrorCode::quota},
      {"SomeNewFamilyQuotaExceeded", "", ErrorCode::quota},
      {"CommunicationEnabledPoolReachedMaxVMCount", "", ErrorCode::quota},
      {"AllocationFailed", "", ErrorCode::no_capacity},
      {"AllocationTimedOut", "", ErrorCode::no_capacity},
      {"AllocationTimedout", "as the service spells it", ErrorCode::no_capacity},
      {"ZonalAllocationFailed", "", ErrorCode::no_capacity},
      {"OverconstrainedAllocationRequest", "", ErrorCode::no_capacity},
      {"SkuNotAvailable", "", ErrorCode::no_capacity},
      {"QuotaExceeded", "", ErrorCode::quota},
      {"OperationNotAllowed", "Operation results in exceeding approved Total Regional Cores quota", ErrorCode::quota},
      {"OperationNotAllowed", "The VM is marked for deletion", ErrorCode::permanent},
      {"AuthorizationFailed", "", ErrorCode::denied},
      {"LinkedAuthorizationFailed", "", ErrorCode::denied},
      {"InsufficientAccountPermissions", "", ErrorCode::denied},
      {"PoolBeingResized", "", ErrorCode::transient},
      {"ConditionNotMet", "", ErrorCode::transient},
      {"OperationNotValidOnPool", "", ErrorCode::bad_config},
      {"PoolQuotaReached", "", ErrorCode::quota},
      {"PoolNotFound", "", ErrorCode::not_found},
      {"InvalidPropertyValue", "", ErrorCode::bad_config},
      {"ServerBusy", "", ErrorCode::throttled},
      {"TooManyRequests", "", ErrorCode::throttled},
      {"invalid_client", "", ErrorCode::denied},
      {"NeverHeardOf", "", ErrorCode::permanent},
      {"", "", ErrorCode::permanent},
  };
  for (const CodeRow& row : rows) EXPECT_EQ(error_code_of(row.code, row.message), row.means) << row.code;
}

TEST(AzureErrors, BatchSaysItWithValues) {
  const Error error =
      error_of(400, {}, R"({"odata.metadata":"x","code":"InvalidPropertyValue","message":{"lang":"en-US",
      "value":"The value is invalid.\nRequestId:b9\nTime:2026"},"values":[{"key":"PropertyName","value":"vmSize"}]})");
  EXPECT_EQ(error.code, ErrorCode::bad_config);
  EXPECT_EQ(error.message, "InvalidPropertyValue: The value is invalid; PropertyName: vmSize");
  EXPECT_FALSE(error.retry_after);
}

TEST(AzureErrors, ArmWrapsWhatMatters) {
  const Error error = error_of(409, {}, R"({"error":{"code":"DeploymentFailed","message":"At least one failed.",
      "details":[{"code":"SomethingOdd","message":"odd"},{"code":"Outer","details":[
      {"code":"ZonalAllocationFailed","message":"No room\nin zone 2."}]}]}})");
  EXPECT_EQ(error.code, ErrorCode::no_capacity);
  EXPECT_EQ(error.message.substr(0, 48), "ZonalAllocationFailed: No room in zone 2; anothe");
}

TEST(AzureErrors, EntraSaysItItsOwnWay) {
  const Error error =
      error_of(401, {}, R"({"error":"invalid_client","error_description":"AADSTS7000215: Invalid secret."})");
  EXPECT_EQ(error.code, ErrorCode::denied);
  EXPECT_NE(error.message.find("AADSTS7000215"), std::string::npos);
  EXPECT_NE(error.message.find("slipway doctor"), std::string::npos) << "what to do";
}

TEST(AzureErrors, WithoutACodeTheStatusDecides) {
  const std::pair<int, ErrorCode> rows[] = {
      {400, ErrorCode::bad_config}, {401, ErrorCode::denied},    {403, ErrorCode::denied},
      {404, ErrorCode::not_found},  {408, ErrorCode::transient}, {409, ErrorCode::transient},
      {412, ErrorCode::transient},  {429, ErrorCode::throttled}, {500, ErrorCode::transient},
      {503, ErrorCode::transient},  {302, ErrorCode::permanent}};
  for (const auto& [status, code] : rows) {
    EXPECT_EQ(error_of(status, {}, "<html>").code, code) << status;
    EXPECT_NE(error_of(status, {}, "").message.find(std::to_string(status)), std::string::npos);
  }
}

TEST(AzureErrors, RetryAfterIsReadAndBounded) {
  using Headers = http::Headers;
  const auto after = [](const Headers& headers) { return error_of(429, headers, "").retry_after; };
  EXPECT_EQ(after({{"Retry-After", "17"}}), Duration(17'000));
  EXPECT_EQ(after({{"retry-after", "17"}, {"x-ms-retry-after-ms", "250"}}), Duration(250));
  EXPECT_EQ(after({{"Retry-After", "99999999999"}}), Duration(3'600'000));
  EXPECT_FALSE(after({{"Retry-After", "-4"}}));
  EXPECT_FALSE(after({{"Retry-After", "Sun, 22 Nov 2026 20:00:00 GMT"}}));
  EXPECT_EQ(error_of(429, {}, R"({"error":{"code":"Conflict"}})").code, ErrorCode::throttled);
}

TEST(AzureErrors, LongAndWildWordsAreCut) {
  const Error error = error_of(400, {}, R"({"code":"BadRequest","message":")" + std::string(100'000, 'x') + R"("})");
  EXPECT_LT(error.message.size(), 1'000u);
  EXPECT_EQ(azure_error_text("", ""), "Azure gave no reason");
  EXPECT_EQ(azure_error_text("AllocationFailed", "a\x01\x02 b"),
            "AllocationFailed: a b; another size, zone, region or "
            "market may have room");
}

}  // namespace
}  // namespace slipway::cloud::azure
