// Signatures as azure.batch.batch_auth (azure-batch 13.0.1) makes them for the same requests.
#include "cloud/azure/shared_key.h"

#include <gtest/gtest.h>

namespace slipway::cloud::azure {
namespace {

constexpr const char* key = "c2VjcmV0LWtleS1vZi1hLWJhdGNoLWFjY291bnQtMTIzNDU2Nzg=";
constexpr const char* host = "https://myaccount.westeurope.batch.azure.com";

std::string signed_by_us(http::Request request) {
  const ManualClock clock{TimePoint(std::chrono::seconds(1'795'377'600))};  // 2026-11-22T20:00:00Z
  auto authorizer = make_shared_key("myaccount", key, clock);
  EXPECT_TRUE(authorizer);
  EXPECT_TRUE((*authorizer)->authorize(request, Duration(1'000)));
  EXPECT_EQ(http::find_header(request.headers, "ocp-date"), "Sun, 22 Nov 2026 20:00:00 GMT");
  return std::string(http::find_header(request.headers, "Authorization"));
}

TEST(SharedKey, SignsAListing) {
  EXPECT_EQ(signed_by_us(
                {"GET",
                 std::string(host) + "/pools?api-version=2024-07-01.20.0&maxresults=1000&%24select=id%2CeTag%2Cstate",
                 {{"Accept", "application/json"}},
                 ""}),
            "SharedKey myaccount:SKiiJqWjFHIEIFeMZXJxDECs/37eZ8LRd+ZK4wrkUWI=");
}

TEST(SharedKey, SignsABodyAndItsConditions) {
  EXPECT_EQ(signed_by_us({"POST",
                          std::string(host) + "/pools/demo-cpu/resize?api-version=2024-07-01.20.0",
                          {{"Content-Type", "application/json; odata=minimalmetadata"}, {"If-Match", "0x8D9"}},
                          R"({"targetDedicatedNodes":5,"targetLowPriorityNodes":0})"}),
            "SharedKey myaccount:t4EWKeclOi3WSmc0u7kzem3MCdc5BHEU6VjGoIWz428=");
}

TEST(SharedKey, SignsAPostWithoutABody) {
  EXPECT_EQ(
      signed_by_us({"POST", std::string(host) + "/pools/demo-cpu/stopresize?api-version=2024-07-01.20.0", {}, ""}),
      "SharedKey myaccount:sO+RqC7SG5L92QEh831sc6p2IUABmMF+ddJUPqaWdCw=");
}

TEST(SharedKey, ADeleteSaysNoLength) {
  const auto text = string_to_sign({"DELETE", "http://h/pools/p?b=2&A=1&empty=", {{"If-Match", "e"}}, ""}, "acc");
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "DELETE\n\n\n\n\n\n\n\ne\n\n\n\n/acc/pools/p\na:1\nb:2");
}

TEST(SharedKey, AKeyThatIsNoneIsSaid) {
  const ManualClock clock{TimePoint{}};
  for (const char* wrong : {"", "not base64!", "\n"}) {
    const auto made = make_shared_key("acc", wrong, clock);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::bad_config);
  }
  EXPECT_TRUE(make_shared_key("acc", std::string(key) + "\n", clock));
}

TEST(SharedKey, DatesAreHttpDates) {
  EXPECT_EQ(http_date(TimePoint{}), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(http_date(TimePoint(std::chrono::seconds(1'709'210'096))), "Thu, 29 Feb 2024 12:34:56 GMT");
}

}  // namespace
}  // namespace slipway::cloud::azure
