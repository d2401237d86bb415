#include "cloud/azure/batch_model.h"

#include <gtest/gtest.h>

namespace slipway::cloud::azure {
namespace {

using model::InstanceState;

TEST(BatchModel, NodeStatesAreWhatTheEngineKnows) {
  struct Row {
    const char* state;
    InstanceState means;
    bool trouble;
  };
  const Row rows[] = {
      {"creating", InstanceState::pending, false},
      {"starting", InstanceState::pending, false},
      {"waitingforstarttask", InstanceState::pending, false},
      {"idle", InstanceState::running, false},
      {"running", InstanceState::running, false},
      {"offline", InstanceState::running, false},
      {"rebooting", InstanceState::running, false},
      {"reimaging", InstanceState::running, false},
      {"upgradingos", InstanceState::running, false},
      {"unknown", InstanceState::running, false},
      {"new state of 2031", InstanceState::running, false},
      {"leavingpool", InstanceState::stopping, false},
      {"deallocating", InstanceState::stopping, false},
      {"preempted", InstanceState::gone, true},
      {"unusable", InstanceState::running, true},
      {"starttaskfailed", InstanceState::running, true},
      {"deallocated", InstanceState::running, true},
  };
  for (const Row& row : rows) {
    model::Instance instance;
    describe({.id = "n", .state = row.state}, instance);
    EXPECT_EQ(instance.state, row.means) << row.state;
    EXPECT_EQ(instance.trouble.has_value(), row.trouble) << row.state;
  }
}

TEST(BatchModel, ReadsAPool) {
  const auto page = parse_batch_pools(R"({"odata.metadata":"m","value":[{"id":"p","eTag":"0x8","state":"active",
    "allocationState":"steady","allocationStateTransitionTime":"2026-11-22T20:00:00Z","enableAutoScale":true,
    "currentDedicatedNodes":3,"currentLowPriorityNodes":4,"targetDedicatedNodes":5,"targetLowPriorityNodes":6,
    "metadata":[{"name":"a","value":"b"}],"resizeErrors":[{"code":"AllocationFailed","message":"m",
    "values":[{"name":"Reason","value":"full"}]}]},{"id":"q","state":"deleting"}],"odata.nextLink":"https://n/"})");
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->items.size(), 2u);
  const BatchPoolView& pool = page->items[0];
  EXPECT_EQ(pool.etag, "0x8");
  EXPECT_TRUE(pool.steady());
  EXPECT_TRUE(pool.autoscale);
  EXPECT_EQ(pool.current, (BatchCounts{3, 4}));
  EXPECT_EQ(pool.target, (BatchCounts{5, 6}));
  EXPECT_EQ(pool.metadata.at("a"), "b");
  ASSERT_EQ(pool.resize_errors.size(), 1u);
  EXPECT_EQ(pool.resize_errors[0].message, "m; Reason: full");
  EXPECT_FALSE(page->items[1].active);
  EXPECT_FALSE(page->items[1].steady()) << "it didn't say so";
  EXPECT_EQ(page->next, "https://n/");
}

TEST(BatchModel, ReadsNodes) {
  const auto page = parse_batch_nodes(R"({"value":[
    {"id":"a","state":"idle","ipAddress":"10.0.0.4","isDedicated":false,"allocationTime":"2026-11-22T20:15:00.5Z"},
    {"id":"b","state":"unusable","isDedicated":true,"errors":[{"code":"DiskFull","message":"no room"}]},
    {"id":"c","allocationTime":"yesterday"}]})");
  ASSERT_TRUE(page);
  ASSERT_EQ(page->items.size(), 3u);
  EXPECT_EQ(page->items[0].market, model::Market::spot);
  EXPECT_EQ(page->items[0].allocated_at, TimePoint(Duration(1'795'378'500'500)));
  EXPECT_EQ(page->items[1].market, model::Market::on_demand);
  EXPECT_EQ(page->items[1].error, "DiskFull: no room");
  EXPECT_EQ(page->items[2].allocated_at, TimePoint{});
}

TEST(BatchModel, AnythingElseIsAPassingError) {
  for (const char* text : {"", "<html>", "[]", "{}", R"({"value":{}})", R"({"value":[)"}) {
    const auto page = parse_batch_nodes(text);
    ASSERT_FALSE(page) << text;
    EXPECT_EQ(page.error().code, ErrorCode::transient);
  }
  const auto odd = parse_batch_pools(R"({"value":[1,null,{"id":7,"currentDedicatedNodes":-5,"metadata":{}}]})");
  ASSERT_TRUE(odd);
  ASSERT_EQ(odd->items.size(), 1u);
  EXPECT_EQ(odd->items[0].current, (BatchCounts{0, 0}));
  EXPECT_FALSE(odd->items[0].counted);
}

TEST(BatchModel, NumbersThatCannotBeReadAreNotZero) {
  const auto pools = parse_batch_pools(
      R"({"value":[{"currentDedicatedNodes":3,"currentLowPriorityNodes":0,"targetDedicatedNodes":3,"targetLowPriorityNodes":0},
          {"currentDedicatedNodes":null,"currentLowPriorityNodes":0,"targetDedicatedNodes":3,"targetLowPriorityNodes":0},
          {"currentDedicatedNodes":3.0,"currentLowPriorityNodes":0,"targetDedicatedNodes":3,"targetLowPriorityNodes":0},
          {"currentDedicatedNodes":3,"currentLowPriorityNodes":0,"targetLowPriorityNodes":0}]})");
  ASSERT_TRUE(pools);
  ASSERT_EQ(pools->items.size(), 4u);
  EXPECT_TRUE(pools->items[0].counted);
  for (size_t i = 1; i < 4; ++i) EXPECT_FALSE(pools->items[i].counted) << i;
}

}  // namespace
}  // namespace slipway::cloud::azure
