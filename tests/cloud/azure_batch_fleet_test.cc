// A fleet of Batch pools against a small Batch: bursts, markets, removals, errors that show late, lost answers.
#include "batch_world.h"

namespace slipway::cloud::azure {
namespace {

using Targets = std::array<uint32_t, 2>;
using model::InstanceState;

std::vector<InstanceId> ids_of(const Listing& listing) {
  std::vector<InstanceId> ids;
  for (const model::Instance& instance : listing.instances) ids.push_back(instance.id);
  return ids;
}

TEST(BatchFleet, MakesMissingPoolsAtTheFirstLook) {
  BatchWorld world;
  const Listing listing = world.look();
  EXPECT_TRUE(listing.complete);
  EXPECT_TRUE(listing.instances.empty());
  EXPECT_EQ(world.batch.called("make"), 1u);
  EXPECT_EQ(world.target(), (Targets{0, 0}));
  world.look();
  EXPECT_EQ(world.batch.called("make"), 1u);
}

TEST(BatchFleet, ABurstIsOneResizeForBothMarkets) {
  BatchWorld world;
  world.look();
  world.batch.forget_calls();
  for (int i = 0; i < 40; ++i) EXPECT_EQ(world.launch(5, "d" + std::to_string(i)), 5u);
  world.launch(30, "s", Market::spot);
  EXPECT_EQ(world.batch.forget_calls(), 0u) << "launches ask nothing";
  const Listing listing = world.look();
  EXPECT_EQ(world.batch.called("resize"), 1u);
  EXPECT_EQ(world.target(), (Targets{200, 30}));
  EXPECT_EQ(BatchWorld::coming(listing), 200u);
  EXPECT_EQ(BatchWorld::coming(listing, Market::spot), 30u);
  world.batch.finish("demo-cpu");
  const Listing there = world.look();
  EXPECT_EQ(there.instances.size(), 230u);
  EXPECT_TRUE(there.on_the_way.empty());
  EXPECT_TRUE(there.troubles.empty());
  EXPECT_EQ(world.batch.called("resize"), 1u);
}

TEST(BatchFleet, TheFirstWantsComeWithThePool) {
  BatchWorld world;
  world.launch(3, "t");
  const Listing listing = world.look();
  EXPECT_EQ(world.batch.called("make"), 1u);
  EXPECT_EQ(world.batch.called("resize"), 0u);
  EXPECT_EQ(world.target(), (Targets{3, 0}));
  EXPECT_EQ(BatchWorld::coming(listing), 3u);
  EXPECT_EQ(BatchWorld::coming(world.look()), 3u);
}

TEST(BatchFleet, WantsDuringAResizeGoWithTheNextOne) {
  BatchWorld world;
  world.have(2);
  world.launch(4, "a");
  world.look();
  world.launch(1, "b");
  world.launch(2, "c");
  EXPECT_EQ(BatchWorld::coming(world.look()), 7u);
  EXPECT_EQ(world.batch.called("resize"), 1u) << "not while it resizes";
  world.batch.finish("demo-cpu");
  world.look();
  EXPECT_EQ(world.batch.called("resize"), 2u);
  EXPECT_EQ(world.target(), (Targets{9, 0}));
}

TEST(BatchFleet, TheOtherMarketsNumberStays) {
  BatchWorld world;
  world.have(7, Market::spot);
  world.launch(2, "a");
  world.look();
  EXPECT_EQ(world.target(), (Targets{2, 7}));
}

TEST(BatchFleet, ATokenThatIsOnItsWayLaunchesOnce) {
  BatchWorld world;
  world.look();
  world.launch(2, "t");
  EXPECT_EQ(world.launch(2, "t"), 2u);
  world.look();
  EXPECT_EQ(world.launch(2, "t"), 2u);
  world.look();
  EXPECT_EQ(world.target(), (Targets{2, 0}));
}

TEST(BatchFleet, AnEtagThatChangedIsLookedAtAgain) {
  BatchWorld world;
  world.have(1);
  world.launch(2, "t");
  world.batch.replies["resize"] = {{412, "ConditionNotMet", {}}};
  EXPECT_EQ(BatchWorld::coming(world.look()), 2u) << "still wanted";
  world.look();
  EXPECT_EQ(world.target(), (Targets{3, 0}));
}

TEST(BatchFleet, APoolThatSomebodyResizesIsWaitedFor) {
  BatchWorld world;
  world.have(1);
  world.launch(2, "t");
  world.batch.replies["resize"] = {{409, "PoolBeingResized", {}}};
  const Listing listing = world.look();
  EXPECT_TRUE(listing.troubles.empty());
  EXPECT_EQ(BatchWorld::coming(listing), 2u);
  world.look();
  EXPECT_EQ(world.target(), (Targets{3, 0}));
}

TEST(BatchFleet, RemovesAHundredAtATime) {
  BatchWorld world;
  world.have(260);
  std::vector<InstanceId> ids = ids_of(world.look());
  ids.resize(250);
  ASSERT_TRUE(world.fleet().terminate(ids, batch_patience));
  for (int round = 0; round < 6; ++round) {
    const Listing listing = world.look();
    EXPECT_TRUE(listing.complete);
    const auto stopping = std::count_if(listing.instances.begin(), listing.instances.end(),
                                        [](const auto& one) { return one.state == InstanceState::stopping; });
    EXPECT_EQ(static_cast<size_t>(stopping) + 10, listing.instances.size());
    world.batch.finish("demo-cpu");
  }
  EXPECT_EQ(world.batch.called("remove"), 3u);
  EXPECT_EQ(world.batch.called("resize"), 0u);
  const Listing left = world.look();
  EXPECT_EQ(left.instances.size(), 10u);
  EXPECT_EQ(world.target(), (Targets{10, 0}));
  for (const model::Instance& one : left.instances) EXPECT_EQ(one.state, InstanceState::running);
}

TEST(BatchFleet, ARemovalWaitsForTheResizeAndIsToldAsStopping) {
  BatchWorld world;
  world.have(3);
  world.launch(5, "t");
  Listing listing = world.look();
  const InstanceId victim = listing.instances.front().id;
  ASSERT_TRUE(world.fleet().terminate({victim}, batch_patience));
  listing = world.look();
  EXPECT_EQ(listing.instances.front().state, InstanceState::stopping);
  EXPECT_EQ(world.batch.called("remove"), 0u);
  EXPECT_EQ(world.batch.called("stop"), 0u) << "the resize is still needed";
  world.batch.finish("demo-cpu");
  world.look();
  EXPECT_EQ(world.batch.called("remove"), 1u);
  world.batch.finish("demo-cpu");
  EXPECT_EQ(world.look().instances.size(), 7u);
}

TEST(BatchFleet, LaunchesAndRemovalsTakeTurns) {
  BatchWorld world;
  world.have(150);
  ASSERT_TRUE(world.fleet().terminate(ids_of(world.look()), batch_patience));
  world.look();
  EXPECT_EQ(world.batch.called("remove"), 1u);
  world.launch(4, "t");
  world.batch.finish("demo-cpu");
  world.look();
  EXPECT_EQ(world.batch.called("resize"), 1u) << "the jobs don't wait for the second round";
  world.batch.finish("demo-cpu");
  world.launch(1, "u");
  world.look();
  EXPECT_EQ(world.batch.called("remove"), 2u) << "nor the removals for ever";
  EXPECT_EQ(world.batch.called("resize"), 1u);
}

TEST(BatchFleet, WhatIsNotWantedAnyMoreIsNotSent) {
  BatchWorld world;
  world.have(1);
  world.launch(5, "t");
  EXPECT_EQ(world.fleet().withdraw(PoolName("cpu"), Market::on_demand, 3, batch_patience).value_or(0), 3u);
  EXPECT_EQ(BatchWorld::coming(world.look()), 2u);
  EXPECT_EQ(world.target(), (Targets{3, 0}));
}

TEST(BatchFleet, AResizeIsStoppedWhenTheWishFell) {
  BatchWorld world;
  world.have(1);
  world.launch(10, "t");
  world.look();
  world.batch.arrive("demo-cpu", true, 2);
  world.look();
  EXPECT_EQ(world.fleet().withdraw(PoolName("cpu"), Market::on_demand, 5, batch_patience).value_or(0), 5u);
  const Listing stopped = world.look();
  EXPECT_EQ(world.batch.called("stop"), 1u);
  EXPECT_EQ(BatchWorld::coming(stopped), 3u);
  world.look();
  EXPECT_EQ(world.batch.called("stop"), 1u) << "once";
  world.batch.finish("demo-cpu");
  const Listing again = world.look();
  EXPECT_TRUE(again.troubles.empty()) << "it was we who stopped it";
  EXPECT_EQ(world.target(), (Targets{6, 0}));
  EXPECT_EQ(BatchWorld::coming(again), 3u);
}

TEST(BatchFleet, AllWithdrawnIsStoppedAndNotAskedAgain) {
  BatchWorld world;
  world.have(1);
  world.launch(10, "t");
  world.look();
  EXPECT_EQ(world.fleet().withdraw(PoolName("cpu"), Market::on_demand, 99, batch_patience).value_or(0), 10u);
  EXPECT_EQ(world.fleet().withdraw(PoolName("cpu"), Market::on_demand, 99, batch_patience).value_or(99), 0u);
  world.look();
  EXPECT_EQ(world.batch.called("stop"), 1u);
  world.batch.finish("demo-cpu");
  world.look();
  EXPECT_EQ(world.target(), (Targets{1, 0}));
  EXPECT_EQ(world.batch.called("resize"), 1u);
}

TEST(BatchFleet, AQuotaThatShowsLateIsToldOnceAndTheTargetPutDown) {
  BatchWorld world;
  world.have(2);
  world.batch.room = {4, 100};
  world.batch.lacking = {"AccountCoreQuotaReached", ""};
  world.launch(6, "t-6");
  world.look();
  world.batch.finish("demo-cpu");
  const Listing listing = world.look();
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::quota);
  EXPECT_EQ(listing.troubles[0].count, 4u);
  EXPECT_EQ(listing.troubles[0].launch_token, "t-6");
  EXPECT_EQ(listing.troubles[0].market, Market::on_demand);
  EXPECT_EQ(listing.troubles[0].offer.machine, "Standard_D4s_v5");
  EXPECT_NE(listing.troubles[0].error.message.find("AccountCoreQuotaReached"), std::string::npos);
  EXPECT_EQ(world.target(), (Targets{4, 0}));
  EXPECT_TRUE(listing.on_the_way.empty());
  world.batch.finish("demo-cpu");
  EXPECT_TRUE(world.look().troubles.empty());
  EXPECT_EQ(world.batch.called("resize"), 2u);
}

TEST(BatchFleet, AllocationThatTimedOutIsLackOfCapacityOfItsMarketOnly) {
  BatchWorld world;
  world.look();
  world.batch.room = {100, 1};
  world.batch.lacking = {"", "AllocationTimedout"};
  world.launch(3, "d");
  world.launch(3, "s", Market::spot);
  world.look();
  world.batch.finish("demo-cpu");
  const Listing listing = world.look();
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::no_capacity);
  EXPECT_EQ(listing.troubles[0].market, Market::spot);
  EXPECT_EQ(listing.troubles[0].launch_token, "s");
  EXPECT_EQ(listing.troubles[0].count, 2u);
  EXPECT_EQ(listing.instances.size(), 4u);
}

TEST(BatchFleet, ALostAnswerToAResizeIsFoundOutByTheNextLook) {
  for (const bool taken : {true, false}) {
    SCOPED_TRACE(taken);
    BatchWorld world;
    world.have(2);
    world.launch(3, "t");
    world.batch.replies["resize"] = {taken ? FakeBatch::Reply{} : FakeBatch::Reply{502, "BadGateway", {}}};
    Listing listing = world.look();
    EXPECT_TRUE(listing.troubles.empty());
    EXPECT_EQ(BatchWorld::coming(listing), 3u);
    EXPECT_EQ(BatchWorld::coming(world.look()), 3u);
    EXPECT_EQ(world.batch.called("resize"), taken ? 1u : 2u);
    EXPECT_EQ(world.target(), (Targets{5, 0}));
    world.batch.finish("demo-cpu");
    EXPECT_EQ(world.look().instances.size(), 5u);
    EXPECT_EQ(world.batch.called("resize"), taken ? 1u : 2u);
  }
}

TEST(BatchFleet, ALostAnswerToMakingIsFoundOutByTheNextLook) {
  for (const bool taken : {true, false}) {
    SCOPED_TRACE(taken);
    BatchWorld world;
    world.launch(3, "t");
    world.batch.replies["make"] = {taken ? FakeBatch::Reply{} : FakeBatch::Reply{504, "GatewayTimeout", {}}};
    world.look();
    EXPECT_EQ(BatchWorld::coming(world.look()), 3u);
    world.look();
    EXPECT_EQ(world.target(), (Targets{3, 0}));
    EXPECT_EQ(world.batch.called("resize"), 0u);
  }
}

TEST(BatchFleet, ALostAnswerToARemovalRemovesNothingTwice) {
  BatchWorld world;
  world.have(2);
  const InstanceId victim = world.look().instances.front().id;
  ASSERT_TRUE(world.fleet().terminate({victim}, batch_patience));
  world.batch.replies["remove"] = {{}};
  world.look();
  world.batch.finish("demo-cpu");
  for (int i = 0; i < 20; ++i) world.look();
  EXPECT_EQ(world.batch.called("remove"), 1u);
  EXPECT_EQ(world.look().instances.size(), 1u);
}

TEST(BatchFleet, AServiceThatBrokeOffMayHaveDoneItAllTheSame) {
  for (const int status : {408, 500}) {
    SCOPED_TRACE(status);
    BatchWorld world;
    world.have(2);
    world.launch(3, "t");
    world.batch.replies["resize"] = {{status, "InternalError", {}}};
    Listing listing = world.look();
    EXPECT_TRUE(listing.troubles.empty()) << "else it is asked for elsewhere, too";
    EXPECT_EQ(BatchWorld::coming(listing), 3u);
    world.look();
    EXPECT_EQ(world.target(), (Targets{5, 0}));
  }
}

TEST(BatchFleet, WhatWasToComeWithAPoolThatIsSomebodyElsesIsTold) {
  BatchWorld world;
  world.launch(3, "t");
  world.batch.replies["make"] = {{409, "PoolExists", {}}};
  world.look();
  {
    const std::lock_guard lock(world.batch.mutex);
    FakeBatch::Pool& pool = world.batch.pools["demo-cpu"];
    pool.id = "demo-cpu";
    pool.body = {{"metadata", boost::json::array{{{"name", "slipway-cluster"}, {"value", "other"}}}}};
  }
  const Listing listing = world.look();
  ASSERT_FALSE(listing.troubles.empty());
  EXPECT_EQ(listing.troubles[0].launch_token, "t");
  EXPECT_EQ(listing.troubles[0].count, 3u);
  EXPECT_TRUE(listing.on_the_way.empty());
}

TEST(BatchFleet, AResizeThatNeverArrivedIsAskedAgainAlsoForTheTargetsThatThePoolHasAlready) {
  BatchWorld world;
  world.have(1);
  {
    // What a failed resize left behind; it can't be put down just now.
    const std::lock_guard lock(world.batch.mutex);
    world.batch.pools["demo-cpu"].target = {4, 0};
    world.batch.pools["demo-cpu"].errors = {"AllocationFailed"};
    ++world.batch.pools["demo-cpu"].version;
    world.batch.replies["resize"] = {{502, "BadGateway", {}}};
  }
  world.launch(3, "t");
  world.look();
  EXPECT_EQ(world.batch.called("resize"), 1u);
  const Listing listing = world.look();
  EXPECT_EQ(world.batch.called("resize"), 2u);
  EXPECT_EQ(world.batch.pool("demo-cpu").allocation, "resizing");
  EXPECT_EQ(BatchWorld::coming(listing), 3u);
}

TEST(BatchFleet, AnswersThatAreAlwaysLostAreToldAndNotAskedForAllTheTime) {
  for (const bool exists : {true, false}) {
    SCOPED_TRACE(exists);
    const char* what = exists ? "resize" : "make";
    BatchWorld world;
    if (exists) world.have(1);
    world.batch.replies[what].assign(100, {502, "BadGateway", {}});
    world.launch(3, "t");
    std::vector<PoolTrouble> troubles;
    for (int second = 0; second < 60; ++second) {
      const Listing listing = world.look();
      troubles.insert(troubles.end(), listing.troubles.begin(), listing.troubles.end());
    }
    EXPECT_LT(world.batch.called(what), 10u);
    ASSERT_EQ(troubles.size(), 1u);
    EXPECT_EQ(troubles[0].launch_token, "t");
    EXPECT_EQ(troubles[0].count, 3u);
    EXPECT_EQ(troubles[0].error.code, ErrorCode::transient);
    {
      const std::lock_guard lock(world.batch.mutex);
      world.batch.replies.clear();
    }
    world.launch(2, "u");
    for (int second = 0; second < 15; ++second) world.look();
    EXPECT_EQ(world.target(), (Targets{exists ? 3u : 2u, 0}));
  }
}

TEST(BatchFleet, APoolThatOneListingLeavesOutKeepsItsMachines) {
  BatchWorld world;
  world.have(2);
  FakeBatch::Pool hidden;
  {
    const std::lock_guard lock(world.batch.mutex);
    hidden = world.batch.pools["demo-cpu"];
    world.batch.pools.clear();
  }
  EXPECT_FALSE(world.look().complete);
  EXPECT_EQ(world.batch.called("make"), 0u);
  {
    const std::lock_guard lock(world.batch.mutex);
    world.batch.pools["demo-cpu"] = hidden;
  }
  Listing listing = world.look();
  EXPECT_TRUE(listing.complete);
  EXPECT_EQ(listing.instances.size(), 2u);
  {
    const std::lock_guard lock(world.batch.mutex);
    world.batch.pools.clear();
  }
  EXPECT_FALSE(world.look().complete);
  listing = world.look();
  EXPECT_TRUE(listing.complete) << "a second look agrees";
  EXPECT_TRUE(listing.instances.empty());
  EXPECT_EQ(world.batch.called("make"), 1u);
}

TEST(BatchFleet, NodesOfAPoolThatChangedItsOwnerAreNotTakenForGone) {
  BatchWorld world;
  world.have(2);
  boost::json::value ours;
  {
    const std::lock_guard lock(world.batch.mutex);
    boost::json::object& body = world.batch.pools["demo-cpu"].body;
    ours = body["metadata"];
    body["metadata"] = boost::json::array{{{"name", "slipway-cluster"}, {"value", "other"}}};
  }
  const Listing listing = world.look();
  EXPECT_FALSE(listing.complete);
  EXPECT_FALSE(listing.troubles.empty());
  EXPECT_FALSE(world.look().complete);
  {
    const std::lock_guard lock(world.batch.mutex);
    world.batch.pools["demo-cpu"].body["metadata"] = ours;
  }
  const Listing again = world.look();
  EXPECT_TRUE(again.complete);
  EXPECT_EQ(again.instances.size(), 2u);
}

TEST(BatchFleet, RefusedResizesAreTroublesOfTheirLaunches) {
  BatchWorld world;
  world.have(1);
  world.launch(2, "a");
  world.launch(3, "b", Market::spot);
  world.batch.replies["resize"] = {{403, "InsufficientAccountPermissions", {}}};
  const Listing listing = world.look();
  ASSERT_EQ(listing.troubles.size(), 2u);
  EXPECT_EQ(listing.troubles[0].launch_token, "a");
  EXPECT_EQ(listing.troubles[0].count, 2u);
  EXPECT_EQ(listing.troubles[1].market, Market::spot);
  EXPECT_EQ(listing.troubles[1].error.code, ErrorCode::denied);
  EXPECT_TRUE(listing.on_the_way.empty()) << "the engine asks again, not we";
}

TEST(BatchFleet, ThrottledMeansAPauseOfThatLength) {
  BatchWorld world;
  world.have(1);
  world.launch(2, "a");
  world.batch.replies["resize"] = {{429, "TooManyRequests", {{"Retry-After", "7"}}}};
  const Listing listing = world.look();
  ASSERT_EQ(listing.troubles.size(), 1u);
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::throttled);
  EXPECT_EQ(listing.troubles[0].error.retry_after, Duration(7'000));
  const size_t before = world.batch.forget_calls();
  EXPECT_GT(before, 0u);
  world.clock.advance(Duration(5'000));
  const auto refused = world.fleet().list(batch_patience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::throttled);
  EXPECT_EQ(refused.error().retry_after, Duration(2'000));
  EXPECT_EQ(world.batch.forget_calls(), 0u);
  world.clock.advance(Duration(2'000));
  EXPECT_EQ(world.look().instances.size(), 1u);
}

TEST(BatchFleet, AnAccountThatFailsGivesItsWantsBack) {
  BatchWorld world;
  world.look();
  world.launch(2, "a");
  world.batch.replies["list pools"] = {{500, "InternalError", {}}, {500, "InternalError", {}}};
  const auto listing = world.fleet().list(batch_patience);
  ASSERT_TRUE(listing);
  EXPECT_FALSE(listing->complete);
  ASSERT_EQ(listing->troubles.size(), 1u);
  EXPECT_EQ(listing->troubles[0].launch_token, "a");
  EXPECT_EQ(listing->troubles[0].error.code, ErrorCode::transient);
  const auto refused = world.fleet().launch({.pool = PoolName("cpu"), .count = 1, .token = "b"}, batch_patience);
  ASSERT_FALSE(refused) << "it is known to be down";
  EXPECT_EQ(refused.error().code, ErrorCode::transient);
  EXPECT_FALSE(world.fleet().list(batch_patience));
  world.look();
  EXPECT_EQ(world.launch(1, "c"), 1u);
}

TEST(BatchFleet, ARestartInTheMiddleOfAResizeTellsWhatIsOnItsWay) {
  BatchWorld world;
  world.have(2);
  world.launch(5, "t");
  world.launch(4, "s", Market::spot);
  world.look();
  world.batch.arrive("demo-cpu", true, 3);
  world.start();
  const Listing listing = world.look();
  EXPECT_EQ(listing.instances.size(), 5u);
  EXPECT_EQ(BatchWorld::coming(listing), 2u);
  EXPECT_EQ(BatchWorld::coming(listing, Market::spot), 4u);
  EXPECT_EQ(world.batch.called("resize"), 1u);
  // And a launch that failed while nobody looked is told by the next process.
  world.batch.room = {7, 0};
  world.batch.finish("demo-cpu");
  world.start();
  const Listing after = world.look();
  ASSERT_EQ(after.troubles.size(), 1u);
  EXPECT_EQ(after.troubles[0].market, Market::spot);
  EXPECT_EQ(after.troubles[0].count, 4u);
  EXPECT_EQ(world.target(), (Targets{7, 0}));
}

TEST(BatchFleet, AForeignPoolIsRefusedAndNeverTouched) {
  BatchWorld world;
  {
    FakeBatch::Pool& pool = world.batch.pools["demo-cpu"];
    pool.id = "demo-cpu";
    pool.target = {1, 0};
    pool.nodes = {{"tvm", "idle", true, "10.0.0.9"}};
    pool.body = {{"metadata", boost::json::array{{{"name", "slipway-cluster"}, {"value", "other"}}}}};
  }
  const Listing listing = world.look();
  EXPECT_TRUE(listing.instances.empty());
  EXPECT_TRUE(listing.complete);
  ASSERT_EQ(listing.troubles.size(), 2u) << "one for each market";
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::bad_config);
  EXPECT_NE(listing.troubles[0].error.message.find("belongs to cluster other"), std::string::npos);
  EXPECT_TRUE(world.look().troubles.empty()) << "told once";
  auto receipt = world.fleet().launch({.pool = PoolName("cpu"), .count = 1, .token = "t"}, batch_patience);
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->accepted, 0u);
  ASSERT_EQ(receipt->refusals.size(), 1u);
  ASSERT_TRUE(world.fleet().terminate({InstanceId("cpu/tvm")}, batch_patience));
  world.look();
  for (const std::string& call : world.batch.calls) EXPECT_EQ(call, "list pools");
}

TEST(BatchFleet, AnAutoscaleFormulaIsRefusedButItsMachinesAreListed) {
  BatchWorld world;
  world.have(2);
  world.batch.pools["demo-cpu"].autoscale = true;
  const Listing listing = world.look();
  EXPECT_EQ(listing.instances.size(), 2u);
  ASSERT_FALSE(listing.troubles.empty());
  EXPECT_NE(listing.troubles[0].error.message.find("autoscale"), std::string::npos);
  auto receipt = world.fleet().launch({.pool = PoolName("cpu"), .count = 1, .token = "t"}, batch_patience);
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->accepted, 0u);
  world.batch.pools["demo-cpu"].autoscale = false;
  world.look();
  EXPECT_EQ(world.launch(1, "t"), 1u) << "somebody turned it off";
}

TEST(BatchFleet, PreemptedNodesAreGoneAndTakenOutOfThePool) {
  BatchWorld world;
  world.have(3, Market::spot);
  world.batch.pools["demo-cpu"].nodes[1].state = "preempted";
  const Listing listing = world.look();
  ASSERT_EQ(listing.instances.size(), 3u);
  EXPECT_EQ(listing.instances[1].state, InstanceState::gone);
  ASSERT_TRUE(listing.instances[1].trouble);
  EXPECT_NE(listing.instances[1].trouble->message.find("evicted"), std::string::npos);
  EXPECT_EQ(world.batch.called("remove"), 1u);
  world.batch.finish("demo-cpu");
  EXPECT_EQ(world.look().instances.size(), 2u);
  EXPECT_EQ(world.target(), (Targets{0, 2})) << "nobody asked for another";
}

TEST(BatchFleet, AFailedStartTaskIsExplainedOnce) {
  BatchWorld world;
  world.have(3);
  for (const int i : {0, 2}) world.batch.pools["demo-cpu"].nodes[static_cast<size_t>(i)].state = "starttaskfailed";
  for (int i = 0; i < 3; ++i) {
    const Listing listing = world.look();
    ASSERT_EQ(listing.instances.size(), 3u);
    EXPECT_EQ(listing.instances[0].state, InstanceState::running);
    ASSERT_TRUE(listing.instances[0].trouble);
    EXPECT_NE(listing.instances[0].trouble->message.find("exit code 7"), std::string::npos)
        << listing.instances[0].trouble->message;
    EXPECT_FALSE(listing.instances[1].trouble);
  }
  EXPECT_EQ(world.batch.called("list nodes"), 4u) << "three looks and one question more";
}

TEST(BatchFleet, ManyPagesAreOneListing) {
  BatchWorld world;
  world.have(2'500);
  const Listing listing = world.look();
  EXPECT_EQ(listing.instances.size(), 2'500u);
  EXPECT_EQ(std::set<InstanceId>([&] {
              const auto ids = ids_of(listing);
              return std::set<InstanceId>(ids.begin(), ids.end());
            }())
                .size(),
            2'500u);
  EXPECT_EQ(world.batch.called("list nodes"), 3u);
  EXPECT_EQ(listing.instances[0].address, "10.0.0.2");
  EXPECT_GT(listing.instances[0].launched_at, TimePoint{});
}

TEST(BatchFleet, APageThatFailsMakesTheListingIncomplete) {
  BatchWorld world;
  world.have(10);
  world.batch.replies["list nodes"] = {{500, "InternalError", {}}};
  const Listing listing = world.look();
  EXPECT_FALSE(listing.complete);
  EXPECT_TRUE(world.look().complete);
}

TEST(BatchFleet, ASteadyAccountCostsOneCallAndOneAPoolWithNodes) {
  BatchWorld world;
  world.cluster.pools.push_back(batch_pool_of_file("idle", world.batch.url()));
  world.have(4);
  for (int i = 0; i < 5; ++i) world.look();
  EXPECT_EQ(world.batch.called("list pools"), 5u);
  EXPECT_EQ(world.batch.called("list nodes"), 5u);
  EXPECT_EQ(world.batch.calls.size(), 10u);
}

TEST(BatchFleet, ANewStartTaskIsPutIntoALivePool) {
  BatchWorld world;
  world.have(2);
  world.cluster.pools[0].azure->tags["cost"] = "lab";
  world.start();
  world.look();
  EXPECT_EQ(world.batch.called("patch"), 1u);
  EXPECT_NE(world.batch.bodies.back().find("\"cost\""), std::string::npos);
  const Listing listing = world.look();
  EXPECT_EQ(listing.instances.size(), 2u);
  EXPECT_TRUE(listing.troubles.empty());
  EXPECT_EQ(world.batch.called("patch"), 1u);
  EXPECT_EQ(world.launch(1, "t"), 1u);
}

TEST(BatchFleet, WhatNeedsAnEmptyPoolWaitsForItAndThenThePoolIsMadeAnew) {
  BatchWorld world;
  world.have(1);
  world.cluster.pools[0].machines = {"Standard_HB120rs_v3"};
  world.start();
  Listing listing = world.look();
  ASSERT_FALSE(listing.troubles.empty());
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::bad_config);
  EXPECT_EQ(listing.instances.size(), 1u);
  auto receipt = world.fleet().launch({.pool = PoolName("cpu"), .count = 1, .token = "t"}, batch_patience);
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->accepted, 0u) << "it would be a machine of the old size";
  ASSERT_TRUE(world.fleet().terminate({listing.instances[0].id}, batch_patience));
  world.look();
  world.look();
  EXPECT_EQ(world.batch.called("remove"), 1u);
  world.batch.finish("demo-cpu");
  world.look();
  world.look();
  EXPECT_EQ(world.batch.called("delete"), 1u);
  {
    const std::lock_guard lock(world.batch.mutex);
    world.batch.pools.clear();
  }
  world.look();
  world.look();
  EXPECT_EQ(world.batch.pool("demo-cpu").body.at("vmSize").as_string(), "Standard_HB120rs_v3");
  EXPECT_EQ(world.launch(1, "t"), 1u);
}

TEST(BatchFleet, APoolThatCannotBeMadeSaysWhyAndIsTriedAgainLater) {
  BatchWorld world;
  world.launch(2, "t");
  world.batch.replies["make"] = {{400, "InvalidPropertyValue", {}}};
  const Listing listing = world.look();
  ASSERT_EQ(listing.troubles.size(), 2u);
  EXPECT_EQ(listing.troubles[0].launch_token, "t");
  EXPECT_EQ(listing.troubles[0].error.code, ErrorCode::bad_config);
  world.look();
  EXPECT_EQ(world.batch.called("make"), 1u);
  world.clock.advance(Duration(60'000));
  world.look();
  EXPECT_EQ(world.batch.called("make"), 2u);
  EXPECT_EQ(world.launch(2, "t"), 2u);
}

TEST(BatchFleet, TheNodeAgentOfAMarketplaceImageIsLookedUp) {
  BatchWorld world;
  world.cluster.pools[0].azure->node_agent.clear();
  Listing listing = world.look();
  ASSERT_FALSE(listing.troubles.empty());
  EXPECT_NE(listing.troubles[0].error.message.find("doesn't offer the image"), std::string::npos);
  world.batch.images = {
      {{"nodeAgentSKUId", "batch.node.ubuntu 22.04"},
       {"verificationType", "verified"},
       {"imageReference",
        {{"publisher", "Canonical"}, {"offer", "0001-com-ubuntu-server-jammy"}, {"sku", "22_04-LTS"}}}}};
  world.clock.advance(Duration(60'000));
  world.look();
  EXPECT_EQ(world.batch.called("make"), 1u);
  EXPECT_NE(world.batch.bodies.back().find("batch.node.ubuntu 22.04"), std::string::npos);
}

TEST(BatchFleet, SeveralTypesAreSeveralPoolsOfWhichTheNamedOneIsResized) {
  BatchWorld world;
  world.cluster.pools[0].machines = {"Standard_D4s_v5", "Standard_D8s_v5"};
  world.look();
  EXPECT_EQ(world.batch.called("make"), 2u);
  LaunchRequest request{.pool = PoolName("cpu"), .count = 2, .token = "t"};
  request.offers = {{"Standard_D8s_v5", ""}, {"Standard_D4s_v5", ""}};
  EXPECT_EQ(world.fleet().launch(request, batch_patience)->accepted, 2u);
  world.look();
  EXPECT_EQ(world.batch.pool("demo-cpu-standard_d8s_v5").target, (Targets{2, 0}));
  EXPECT_EQ(world.batch.pool("demo-cpu-standard_d4s_v5").target, (Targets{0, 0}));
  world.batch.finish("demo-cpu-standard_d8s_v5");
  EXPECT_EQ(world.look().instances.at(0).offer.machine, "Standard_D8s_v5");
}

}  // namespace
}  // namespace slipway::cloud::azure
