#include "cloud/azure/batch_plan.h"

#include <gtest/gtest.h>

namespace slipway::cloud::azure {
namespace {

using Kind = BatchStep::Kind;
using model::Market;

const TimePoint now{Duration(1'000'000)};

BatchPoolView pool_of(const char* allocation, BatchCounts current, BatchCounts target, const char* etag = "e1") {
  BatchPoolView pool;
  pool.id = "p";
  pool.etag = etag;
  pool.allocation = allocation;
  pool.current = current;
  pool.target = target;
  return pool;
}

std::vector<BatchNodeView> nodes_of(uint32_t dedicated, uint32_t spot, const char* state = "idle") {
  std::vector<BatchNodeView> nodes;
  for (uint32_t i = 0; i < dedicated; ++i) nodes.push_back({.id = "d" + std::to_string(i), .state = state});
  for (uint32_t i = 0; i < spot; ++i) {
    nodes.push_back({.id = "s" + std::to_string(i), .state = state, .market = Market::spot});
  }
  return nodes;
}

struct Row {
  const char* what;
  BatchPoolView pool;
  BatchWish wish;
  Kind kind;
  BatchCounts targets;
};

TEST(BatchPlan, NextSteps) {
  const auto wish = [](uint32_t dedicated, uint32_t spot) {
    BatchWish one;
    if (dedicated > 0) one.wants.push_back({"d", Market::on_demand, dedicated});
    if (spot > 0) one.wants.push_back({"s", Market::spot, spot});
    return one;
  };
  const auto with = [](BatchWish one, auto change) {
    change(one);
    return one;
  };
  BatchPoolView autoscale = pool_of("steady", {0, 0}, {0, 0});
  autoscale.autoscale = true;
  BatchPoolView deleting = pool_of("steady", {0, 0}, {0, 0});
  deleting.active = false;
  const Row rows[] = {
      {"nothing wanted", pool_of("steady", {2, 1}, {2, 1}), {}, Kind::none, {2, 1}},
      {"both markets", pool_of("steady", {2, 1}, {2, 1}), wish(3, 4), Kind::resize, {5, 5}},
      {"one market", pool_of("steady", {2, 1}, {2, 1}), wish(0, 4), Kind::resize, {2, 5}},
      {"resizing", pool_of("resizing", {2, 1}, {9, 1}), wish(3, 4), Kind::none, {9, 1}},
      {"stopping", pool_of("stopping", {2, 1}, {9, 1}), wish(3, 4), Kind::none, {0, 0}},
      {"an unknown state", pool_of("dreaming", {2, 1}, {9, 1}), wish(3, 4), Kind::none, {0, 0}},
      {"a target that was missed", pool_of("steady", {2, 1}, {9, 1}), {}, Kind::resize, {2, 1}},
      {"missed, and more wanted", pool_of("steady", {2, 1}, {9, 1}), wish(1, 0), Kind::resize, {3, 1}},
      {"below what exists", pool_of("steady", {5, 1}, {3, 1}), {}, Kind::none, {5, 1}},
      {"below, and more wanted", pool_of("steady", {5, 1}, {3, 1}), wish(1, 0), Kind::resize, {6, 1}},
      {"autoscale", autoscale, wish(1, 0), Kind::none, {0, 0}},
      {"being deleted", deleting, wish(1, 0), Kind::none, {0, 0}},
      {"removal",
       pool_of("steady", {2, 1}, {2, 1}),
       with({}, [](auto& w) { w.removals = {"d0"}; }),
       Kind::remove,
       {2, 1}},
      {"removal after a resize",
       pool_of("steady", {2, 1}, {2, 1}),
       with(wish(1, 0), [](auto& w) { w.removals = {"d0"}; }),
       Kind::remove,
       {3, 1}},
      {"resize after a removal",
       pool_of("steady", {2, 1}, {2, 1}),
       with(wish(1, 0),
            [](auto& w) {
              w.removals = {"d0"};
              w.removed_last = true;
            }),
       Kind::resize,
       {3, 1}},
      {"removal of what resizes",
       pool_of("resizing", {2, 1}, {2, 1}),
       with({}, [](auto& w) { w.removals = {"d0"}; }),
       Kind::none,
       {2, 1}},
      {"withdrawn",
       pool_of("resizing", {2, 1}, {9, 4}),
       with({},
            [](auto& w) {
              w.withdrawn = {3, 0};
            }),
       Kind::stop,
       {6, 4}},
      {"withdrawn too late",
       pool_of("resizing", {2, 1}, {2, 4}),
       with({},
            [](auto& w) {
              w.withdrawn = {3, 0};
            }),
       Kind::none,
       {2, 4}},
      {"its answer is awaited",
       pool_of("steady", {2, 1}, {2, 1}),
       with(wish(1, 0),
            [](auto& w) {
              w.asked = {3, 1};
            }),
       Kind::none,
       {0, 0}},
  };
  for (const Row& row : rows) {
    const BatchStep step = next_step(row.pool, nodes_of(2, 1), row.wish);
    EXPECT_EQ(step.kind, row.kind) << row.what;
    EXPECT_EQ(step.targets, row.targets) << row.what;
  }
}

TEST(BatchPlan, ARemovalIsAtMostAHundred) {
  BatchWish wish;
  for (int i = 0; i < 250; ++i) wish.removals.insert("n" + std::to_string(i));
  const BatchStep step = next_step(pool_of("steady", {250, 0}, {250, 0}), {}, wish);
  EXPECT_EQ(step.nodes.size(), 100u);
}

TEST(BatchPlan, AWithdrawalNeverPromisesMoreThanIsOnItsWay) {
  BatchWish wish;
  wish.wants = {{"a", Market::on_demand, 2}, {"b", Market::on_demand, 3}, {"c", Market::spot, 9}};
  BatchCounts coming{9, 9};  // 4 dedicated ones were sent
  EXPECT_EQ(take_back(wish, Market::on_demand, 4, coming), 4u);
  ASSERT_EQ(wish.wants.size(), 2u) << "the newest first";
  EXPECT_EQ(wish.wants[0].count, 1u);
  EXPECT_EQ(wish.withdrawn, (BatchCounts{0, 0}));
  EXPECT_EQ(coming, (BatchCounts{5, 9}));
  EXPECT_EQ(take_back(wish, Market::on_demand, 100, coming), 5u);
  EXPECT_EQ(wish.withdrawn, (BatchCounts{4, 0}));
  EXPECT_EQ(take_back(wish, Market::on_demand, 100, coming), 0u);
  EXPECT_EQ(wish.waiting(Market::spot), 9u);
}

TEST(BatchPlan, AStoppedResizeOwesTheNewestLaunches) {
  BatchWish wish;
  wish.sent = {{"a", Market::on_demand, 4}, {"b", Market::on_demand, 4}};
  stop_taken(wish, {6, 0});
  const auto shortages = settle(pool_of("steady", {3, 0}, {3, 0}, "e2"), wish, now);
  EXPECT_TRUE(shortages.empty());
  ASSERT_EQ(wish.wants.size(), 1u);
  EXPECT_EQ(wish.wants[0].token, "b");
  EXPECT_EQ(wish.wants[0].count, 3u);
  EXPECT_FALSE(wish.goal);
}

TEST(BatchPlan, AResizeThatDoesNotShowIsWaitedForAndThenSentAgain) {
  BatchWish wish;
  wish.wants = {{"a", Market::on_demand, 4}};
  const BatchPoolView before = pool_of("steady", {0, 0}, {0, 0});
  settle(before, wish, now);
  resize_begins(wish, {4, 0}, now);
  settle(before, wish, now + Duration(30'000));
  EXPECT_EQ(next_step(before, {}, wish).kind, Kind::none);
  settle(before, wish, now + Duration(60'000));
  EXPECT_EQ(next_step(before, {}, wish).kind, Kind::resize);
  EXPECT_EQ(wish.waiting(Market::on_demand), 4u);
}

TEST(BatchPlan, SeveralLaunchesOfOneShortageAreNotGuessed) {
  BatchWish wish;
  wish.sent = {{"a", Market::on_demand, 4}, {"b", Market::on_demand, 4}};
  BatchPoolView pool = pool_of("steady", {3, 0}, {8, 0}, "e2");
  pool.resize_errors = {{"ResizeStopped", ""}, {"AllocationFailed", "none"}};
  const auto shortages = settle(pool, wish, now);
  ASSERT_EQ(shortages.size(), 1u);
  EXPECT_EQ(shortages[0].token, "");
  EXPECT_EQ(shortages[0].count, 5u);
  EXPECT_EQ(shortages[0].error.code, ErrorCode::no_capacity);
  EXPECT_TRUE(settle(pool, wish, now).empty()) << "told once";
}

TEST(BatchPlan, EachMarketGetsTheErrorThatIsItsOwn) {
  BatchPoolView pool = pool_of("steady", {0, 0}, {2, 2}, "e2");
  pool.resize_errors = {{"AccountLowPriorityCoreQuotaReached", ""}, {"AllocationFailed", ""}};
  BatchWish wish;
  const auto shortages = settle(pool, wish, now);
  ASSERT_EQ(shortages.size(), 2u);
  EXPECT_EQ(shortages[0].error.code, ErrorCode::no_capacity);
  EXPECT_EQ(shortages[1].error.code, ErrorCode::quota);
}

TEST(BatchPlan, AResizeThatAPersonStoppedIsToldAsPassing) {
  BatchPoolView pool = pool_of("steady", {0, 0}, {2, 0}, "e2");
  pool.resize_errors = {{"ResizeStopped", ""}};
  BatchWish wish;
  wish.sent = {{"a", Market::on_demand, 2}};
  const auto shortages = settle(pool, wish, now);
  ASSERT_EQ(shortages.size(), 1u);
  EXPECT_EQ(shortages[0].error.code, ErrorCode::transient);
  EXPECT_EQ(shortages[0].token, "a");
}

TEST(BatchPlan, RemovalsAreOfNodesThatStay) {
  BatchWish wish;
  wish.removals = {"d0", "unheard-of"};
  std::vector<BatchNodeView> nodes = nodes_of(3, 0);
  nodes[1].state = "preempted";
  update_removals(nodes, wish);
  EXPECT_EQ(wish.removals, (std::set<std::string>{"d0", "d1"}));
  nodes[0].state = "leavingpool";
  update_removals(nodes, wish);
  EXPECT_EQ(wish.removals, (std::set<std::string>{"d1"}));
}

TEST(BatchPlan, OnTheWayIsWhatResizesAndWhatWaits) {
  BatchWish wish;
  wish.wants = {{"a", Market::spot, 2}};
  EXPECT_EQ(on_the_way(pool_of("steady", {3, 0}, {8, 0}), nodes_of(3, 0), wish), (BatchCounts{0, 2}));
  EXPECT_EQ(on_the_way(pool_of("resizing", {3, 0}, {8, 0}), nodes_of(3, 0), wish), (BatchCounts{5, 2}));
  EXPECT_EQ(on_the_way(pool_of("resizing", {3, 0}, {3, 0}), nodes_of(9, 0), wish), (BatchCounts{0, 2}));
  EXPECT_EQ(on_the_way(pool_of("resizing", {3, 0}, {8, 0}), nodes_of(3, 0, "leavingpool"), wish), (BatchCounts{8, 2}));
  wish.withdrawn = {4, 0};
  EXPECT_EQ(on_the_way(pool_of("resizing", {3, 0}, {8, 0}), nodes_of(3, 0), wish), (BatchCounts{1, 2}));
}

}  // namespace
}  // namespace slipway::cloud::azure
