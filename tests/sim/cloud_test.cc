// What the simulated cloud promises, rule by rule.
#include "sim/cloud.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace slipway::sim {
namespace {

using model::InstanceState;
using model::Market;

constexpr TimePoint start{Duration(1'700'000'000'000)};
constexpr Duration second{1'000};
constexpr Duration minute{60'000};
constexpr Duration hour{3'600'000};

const model::Offer large_a{"large", "a"};
const model::Offer large_b{"large", "b"};
const model::Offer small_a{"small", "a"};

CloudOptions options_of(Character character) {
  CloudOptions options;
  options.character = character;
  return options;
}

CloudOptions real_options(Character character) {
  CloudOptions options = options_of(character);
  options.call = {Duration(400), 3 * second};
  options.boot = {40 * second, 5 * minute};
  options.consistency = 10 * second;
  options.late_error = {2 * minute, 10 * minute};
  return options;
}

// A cloud with two pools; its calls, made to wait for their answer.
struct Sky {
  explicit Sky(CloudOptions options, uint64_t seed = 1) : cloud(timeline, Random(seed), pools(), options) {
    cloud.on_booted = [this](uint32_t machine) { booted.push_back(machine); };
    cloud.on_ended = [this](uint32_t machine) { ended.push_back(machine); };
    cloud.on_notice = [this](uint32_t machine) { noticed.push_back(machine); };
    cloud.on_reboot = [this](uint32_t machine) { rebooted.push_back(machine); };
  }
  static std::vector<engine::Spec::Pool> pools() {
    std::vector<engine::Spec::Pool> two(2);
    two[0].name = PoolName("cpu");
    two[1].name = PoolName("gpu");
    return two;
  }

  Timeline timeline{start};
  Cloud cloud;
  std::vector<uint32_t> booted, ended, noticed, rebooted;

  template <class T>
  T wait(std::optional<T>& answer) {
    while (!answer && !timeline.empty()) timeline.step();
    EXPECT_TRUE(answer) << "a call was never answered";
    return answer ? std::move(*answer) : T(fail(ErrorCode::permanent, "never answered"));
  }
  Result<cloud::LaunchReceipt> launch(const cloud::LaunchRequest& request) {
    std::optional<Result<cloud::LaunchReceipt>> answer;
    cloud.launch(request, [&](Result<cloud::LaunchReceipt> given) { answer = std::move(given); });
    return wait(answer);
  }
  Result<cloud::LaunchReceipt> launch(uint32_t count, const std::string& token,
                                      std::vector<model::Offer> offers = {large_a}) {
    return launch({.pool = PoolName("cpu"), .count = count, .token = token, .offers = std::move(offers)});
  }
  Result<cloud::Listing> try_list() {
    std::optional<Result<cloud::Listing>> answer;
    cloud.list([&](Result<cloud::Listing> given) { answer = std::move(given); });
    return wait(answer);
  }
  cloud::Listing list() {
    auto listing = try_list();
    EXPECT_TRUE(listing);
    return listing ? *listing : cloud::Listing();
  }
  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& ids) {
    std::optional<Result<std::vector<InstanceId>>> answer;
    cloud.terminate(ids, [&](Result<std::vector<InstanceId>> given) { answer = std::move(given); });
    return wait(answer);
  }
  void run(Duration time) { timeline.run_until(timeline.now() + time); }
  size_t listed(InstanceState state) {
    const cloud::Listing listing = list();
    return static_cast<size_t>(std::count_if(listing.instances.begin(), listing.instances.end(),
                                             [&](const model::Instance& i) { return i.state == state; }));
  }
};

uint32_t accepted(const Result<cloud::LaunchReceipt>& receipt) {
  return receipt ? receipt->accepted : UINT32_MAX;
}

// --- local ---

TEST(CloudLocal, IsInstantAndExact) {
  Sky sky(options_of(Character::local));
  auto receipt = sky.launch(3, "t");
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->accepted, 3u);
  EXPECT_EQ(receipt->instances.size(), 3u);
  EXPECT_TRUE(receipt->refusals.empty());
  const cloud::Listing listing = sky.list();
  ASSERT_EQ(listing.instances.size(), 3u);
  EXPECT_EQ(sky.timeline.now(), start);
  std::set<std::string> addresses;
  for (size_t i = 0; i < 3; ++i) {
    const model::Instance& instance = listing.instances[i];
    EXPECT_EQ(instance.id, receipt->instances[i]);
    EXPECT_EQ(instance.pool, PoolName("cpu"));
    EXPECT_EQ(instance.launch_token, "t");
    EXPECT_EQ(instance.state, InstanceState::running);
    EXPECT_EQ(instance.launched_at, start);
    EXPECT_EQ(instance.offer, large_a);
    EXPECT_EQ(instance.market, Market::on_demand);
    addresses.insert(instance.address);
  }
  EXPECT_EQ(addresses.size(), 3u);
  EXPECT_EQ(sky.booted, (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(sky.cloud.billed(), 3u);
  EXPECT_EQ(sky.cloud.calls(), 2u);
  EXPECT_EQ(sky.cloud.capabilities().consistency_delay, Duration(0));
  EXPECT_EQ(sky.cloud.capabilities().launch_window, model::LaunchWindow());
}

TEST(CloudLocal, AnswersComeAfterTheCallReturned) {
  Sky sky(options_of(Character::local));
  bool answered = false;
  sky.cloud.launch({.pool = PoolName("cpu"), .count = 1, .token = "t"}, [&](const auto&) { answered = true; });
  EXPECT_FALSE(answered);
  sky.run(Duration(0));
  EXPECT_TRUE(answered);
}

// --- what all have in common ---

TEST(Cloud, CallsTakeTheirLatencyNeverMoreThanTheLongest) {
  Sky sky(real_options(Character::ec2));
  std::vector<Duration> took;
  for (int i = 0; i < 1'000; ++i) {
    const TimePoint asked = sky.timeline.now();
    const cloud::Listing listing = sky.list();
    EXPECT_EQ(listing.as_of, asked);
    took.push_back(sky.timeline.now() - asked);
  }
  std::sort(took.begin(), took.end());
  EXPECT_NEAR(static_cast<double>(took[500].count()), 400, 40);
  EXPECT_GT(took.front(), Duration(0));
  EXPECT_GT(took[990], Duration(800)) << "it has a tail";
  EXPECT_LE(took.back(), 3 * second);
}

TEST(Cloud, ATokenLaunchesOnceWhileAnyOfItsMachinesExists) {
  for (const Character character : {Character::local, Character::ec2, Character::batch}) {
    Sky sky(options_of(character));
    auto first = sky.launch(2, "t");
    EXPECT_EQ(accepted(first), 2u);
    auto again = sky.launch(2, "t");
    EXPECT_EQ(accepted(again), 2u);
    EXPECT_EQ(again->instances, first->instances);
    EXPECT_EQ(sky.cloud.machines().size(), 2u);
    sky.cloud.kill(0);
    EXPECT_EQ(accepted(sky.launch(2, "t")), 2u);
    EXPECT_EQ(sky.cloud.machines().size(), 2u) << "one of them exists";
    ASSERT_TRUE(sky.terminate({sky.cloud.machines()[1].instance.id}));
    EXPECT_EQ(accepted(sky.launch(2, "t")), 2u);
    EXPECT_EQ(sky.cloud.machines().size(), 4u) << "none of them exists any more";
    EXPECT_EQ(accepted(sky.launch(1, "u")), 1u);
    EXPECT_EQ(sky.cloud.machines().size(), 5u);
  }
}

TEST(Cloud, AnUnknownPoolIsBadConfig) {
  Sky sky(options_of(Character::ec2));
  auto receipt = sky.launch({.pool = PoolName("none"), .count = 1, .token = "t"});
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::bad_config);
}

TEST(Cloud, CapacityIsPerOfferAndMarketAndTheLastPatternHolds) {
  Sky sky(options_of(Character::ec2));
  sky.cloud.set_capacity(Market::on_demand, {}, 2);
  sky.cloud.set_capacity(Market::on_demand, {"large", ""}, 1);
  EXPECT_EQ(accepted(sky.launch(9, "1", {large_a})), 1u);
  EXPECT_EQ(accepted(sky.launch(9, "2", {large_b})), 1u) << "each zone has as much";
  EXPECT_EQ(accepted(sky.launch(9, "3", {small_a})), 2u);
  EXPECT_EQ(accepted(sky.launch(
                {.pool = PoolName("cpu"), .count = 9, .token = "4", .market = Market::spot, .offers = {large_a}})),
            9u);
  sky.cloud.set_capacity(Market::on_demand, {"", "a"}, 3);
  EXPECT_EQ(accepted(sky.launch(9, "5", {large_b})), 0u);
  EXPECT_EQ(accepted(sky.launch(9, "6", {large_a})), 2u);
  sky.cloud.set_capacity(Market::on_demand, {}, UINT32_MAX);
  EXPECT_EQ(accepted(sky.launch(9, "7", {large_a})), 9u);
}

TEST(Cloud, MachinesThatEndLeaveTheirRoomToOthers) {
  Sky sky(options_of(Character::ec2));
  sky.cloud.set_capacity(Market::on_demand, {}, 2);
  auto receipt = sky.launch(2, "1");
  EXPECT_EQ(accepted(sky.launch(1, "2")), 0u);
  ASSERT_TRUE(sky.terminate({receipt->instances[0]}));
  sky.cloud.kill(1);
  EXPECT_EQ(accepted(sky.launch(3, "3")), 2u);
}

TEST(Cloud, QuotaIsPerMachineTypeAndMarketInAllZonesAndPools) {
  CloudOptions options = options_of(Character::ec2);
  options.quota = 3;
  Sky sky(options);
  EXPECT_EQ(accepted(sky.launch(2, "1", {large_a})), 2u);
  auto receipt = sky.launch({.pool = PoolName("gpu"), .count = 4, .token = "2", .offers = {large_b, small_a}});
  ASSERT_EQ(accepted(receipt), 4u);
  ASSERT_EQ(receipt->refusals.size(), 1u);
  EXPECT_EQ(receipt->refusals[0].offer, large_b);
  EXPECT_EQ(receipt->refusals[0].error.code, ErrorCode::quota);
  EXPECT_EQ(accepted(sky.launch(
                {.pool = PoolName("cpu"), .count = 4, .token = "3", .market = Market::spot, .offers = {large_a}})),
            3u);
}

TEST(Cloud, SetErrorsFailEveryLaunchThereUntilTakenBack) {
  Sky sky(options_of(Character::ec2));
  sky.cloud.set_error({"large", ""}, Error{ErrorCode::bad_config, "no such image"});
  auto receipt = sky.launch(2, "1", {large_b, small_a});
  ASSERT_EQ(accepted(receipt), 2u);
  ASSERT_EQ(receipt->refusals.size(), 1u);
  EXPECT_EQ(receipt->refusals[0].error.code, ErrorCode::bad_config);
  EXPECT_EQ(receipt->refusals[0].error.message, "no such image");
  EXPECT_EQ(sky.cloud.machines()[0].instance.offer, small_a);
  sky.cloud.set_error({"large", ""}, std::nullopt);
  EXPECT_EQ(accepted(sky.launch(2, "2", {large_b})), 2u);
}

TEST(Cloud, CallsBeyondTheBudgetAreThrottledAndToldWhen) {
  CloudOptions options = options_of(Character::ec2);
  options.api = {.per_second = 2, .burst = 3};
  Sky sky(options);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(sky.try_list());
  auto receipt = sky.launch(1, "t");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::throttled);
  EXPECT_EQ(receipt.error().retry_after, Duration(500));
  EXPECT_TRUE(sky.cloud.machines().empty());
  sky.run(Duration(499));
  EXPECT_FALSE(sky.try_list());
  sky.run(Duration(1));
  EXPECT_TRUE(sky.try_list());
  EXPECT_FALSE(sky.try_list());
  EXPECT_EQ(sky.cloud.calls(), 7u);
  EXPECT_EQ(sky.cloud.throttled_calls(), 3u);
  sky.run(hour);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(sky.try_list()) << "no more than the burst is saved up";
  EXPECT_FALSE(sky.try_list());
}

TEST(Cloud, TerminatedMachinesGoWithoutTroubleAndTheOthersStay) {
  Sky sky(options_of(Character::ec2));
  auto receipt = sky.launch(3, "t");
  auto refused = sky.terminate({receipt->instances[0], InstanceId("i-99999999"), InstanceId("no-id"),
                                receipt->instances[2], receipt->instances[0]});
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->empty());
  EXPECT_EQ(sky.listed(InstanceState::running), 1u);
  EXPECT_TRUE(sky.terminate(receipt->instances)) << "some of them again";
  for (const model::Instance& instance : sky.list().instances) {
    EXPECT_EQ(instance.state, InstanceState::gone);
    EXPECT_FALSE(instance.trouble);
  }
  EXPECT_EQ(sky.ended, (std::vector<uint32_t>{0, 2, 1}));
  EXPECT_EQ(sky.cloud.billed(), 0u);
}

TEST(Cloud, AMachineThatStopsIsBilledUntilItIsGone) {
  CloudOptions options = options_of(Character::ec2);
  options.boot = {minute, minute};
  options.stop = {20 * second, 20 * second};
  Sky sky(options);
  auto receipt = sky.launch(1, "t");
  ASSERT_TRUE(sky.terminate(receipt->instances));
  EXPECT_EQ(sky.listed(InstanceState::stopping), 1u);
  EXPECT_EQ(sky.cloud.billed(), 1u);
  ASSERT_TRUE(sky.terminate(receipt->instances));
  sky.run(20 * second);
  EXPECT_EQ(sky.listed(InstanceState::gone), 1u);
  EXPECT_EQ(sky.cloud.billed(), 0u);
  sky.run(hour);
  EXPECT_TRUE(sky.booted.empty()) << "it was told to stop before it booted";
  EXPECT_EQ(sky.ended, (std::vector<uint32_t>{0})) << "once";
  receipt = sky.launch(1, "u");
  ASSERT_TRUE(sky.terminate(receipt->instances));
  sky.cloud.kill(1);
  sky.run(hour);
  EXPECT_EQ(sky.ended, (std::vector<uint32_t>{0, 1})) << "it died before it had stopped";
}

TEST(Cloud, GoneMachinesAreListedForAWhile) {
  Sky sky(options_of(Character::ec2));
  auto receipt = sky.launch(2, "t");
  ASSERT_TRUE(sky.terminate({receipt->instances[0]}));
  sky.run(59 * second);
  EXPECT_EQ(sky.listed(InstanceState::gone), 1u);
  sky.run(second);
  EXPECT_EQ(sky.listed(InstanceState::gone), 0u);
  EXPECT_EQ(sky.listed(InstanceState::running), 1u);
}

TEST(Cloud, IndicesOfIds) {
  Sky sky(options_of(Character::ec2));
  auto receipt = sky.launch(12, "t");
  for (uint32_t i = 0; i < 12; ++i) EXPECT_EQ(sky.cloud.index_of(receipt->instances[i]), i);
  for (const char* id : {"", "i-", "i-00000000", "i-00000013", "i-1", "i-0000000x", "x-00000001"}) {
    EXPECT_EQ(sky.cloud.index_of(InstanceId(id)), UINT32_MAX) << id;
  }
}

TEST(Cloud, AddressesAreUsedAgainOnlyAfterAllOthers) {
  CloudOptions options = options_of(Character::ec2);
  options.addresses = 300;
  Sky sky(options);
  auto receipt = sky.launch(1, "1");
  const std::string first = sky.cloud.machines()[0].instance.address;
  ASSERT_TRUE(sky.terminate(receipt->instances));
  EXPECT_EQ(accepted(sky.launch(299, "2")), 299u);
  EXPECT_EQ(accepted(sky.launch(2, "3")), 2u);
  std::set<std::string> living;
  for (const Machine& machine : sky.cloud.machines()) {
    if (machine.ended_at == TimePoint{}) living.insert(machine.instance.address);
  }
  EXPECT_EQ(living.size(), 301u);
  EXPECT_EQ(sky.cloud.machines()[300].instance.address, first);
}

TEST(Cloud, MachinesOfAPlacementShareAZone) {
  Sky sky(options_of(Character::ec2));
  sky.cloud.set_capacity(Market::on_demand, large_a, 2);
  const cloud::LaunchRequest whole{.pool = PoolName("cpu"),
                                   .count = 4,
                                   .minimum = 4,
                                   .token = "1",
                                   .offers = {large_a, small_a, large_b},
                                   .placement = "job-7"};
  sky.cloud.set_capacity(Market::on_demand, small_a, 1);
  auto receipt = sky.launch(whole);
  ASSERT_EQ(accepted(receipt), 4u);
  for (const Machine& machine : sky.cloud.machines()) {
    EXPECT_EQ(machine.instance.offer.zone, "b") << "zone a has three only";
    EXPECT_EQ(machine.instance.placement, "job-7");
  }
  EXPECT_EQ(receipt->refusals.size(), 2u);
  auto more =
      sky.launch({.pool = PoolName("cpu"), .count = 1, .token = "2", .offers = {large_a}, .placement = "job-7"});
  ASSERT_EQ(accepted(more), 0u) << "its zone is b";
  EXPECT_EQ(more->refusals.at(0).error.code, ErrorCode::no_capacity);
  ASSERT_TRUE(sky.terminate(receipt->instances));
  EXPECT_EQ(accepted(sky.launch(
                {.pool = PoolName("cpu"), .count = 1, .token = "3", .offers = {large_a}, .placement = "job-7"})),
            1u);
}

// --- EC2 ---

TEST(CloudEc2, OffersAreFilledInOrderAndEachShortageIsSaid) {
  Sky sky(options_of(Character::ec2));
  sky.cloud.set_capacity(Market::on_demand, large_a, 2);
  sky.cloud.set_capacity(Market::on_demand, large_b, 0);
  sky.cloud.set_capacity(Market::on_demand, small_a, 1);
  auto receipt = sky.launch(5, "t", {large_a, large_b, small_a});
  ASSERT_EQ(accepted(receipt), 3u);
  EXPECT_EQ(receipt->instances.size(), 3u);
  ASSERT_EQ(receipt->refusals.size(), 3u);
  for (const cloud::Refusal& refusal : receipt->refusals) {
    EXPECT_EQ(refusal.error.code, ErrorCode::no_capacity);
    EXPECT_EQ(refusal.error.message.rfind("InsufficientInstanceCapacity", 0), 0u) << refusal.error.message;
  }
  EXPECT_EQ(receipt->refusals[1].offer, large_b);
  EXPECT_EQ(sky.cloud.machines()[1].instance.offer, large_a);
  EXPECT_EQ(sky.cloud.machines()[2].instance.offer, small_a);
  EXPECT_TRUE(sky.list().troubles.empty());
}

TEST(CloudEc2, FewerThanTheMinimumAreNone) {
  Sky sky(options_of(Character::ec2));
  sky.cloud.set_capacity(Market::on_demand, {}, 2);
  cloud::LaunchRequest request{
      .pool = PoolName("cpu"), .count = 6, .minimum = 5, .token = "t", .offers = {large_a, large_b}};
  auto receipt = sky.launch(request);
  ASSERT_EQ(accepted(receipt), 0u);
  EXPECT_EQ(receipt->refusals.size(), 2u);
  EXPECT_TRUE(sky.cloud.machines().empty());
  request.minimum = 4;
  EXPECT_EQ(accepted(sky.launch(request)), 4u) << "and what was not taken is there for others";
}

TEST(CloudEc2, ListingsLagByTheConsistencyDelayAtMost) {
  Sky sky(real_options(Character::ec2));
  auto receipt = sky.launch(200, "t");
  ASSERT_EQ(accepted(receipt), 200u);
  EXPECT_EQ(receipt->instances.size(), 200u);
  const size_t early = sky.list().instances.size();
  EXPECT_GT(early, 0u);
  EXPECT_LT(early, 200u);
  sky.run(sky.cloud.capabilities().consistency_delay);
  EXPECT_EQ(sky.list().instances.size(), 200u);
}

TEST(CloudEc2, AMachineRunsBeforeItsAgentSpeaks) {
  CloudOptions options = options_of(Character::ec2);
  options.boot = {40 * second, 40 * second};
  Sky sky(options, 3);
  EXPECT_EQ(accepted(sky.launch(1, "t")), 1u);
  EXPECT_EQ(sky.listed(InstanceState::pending), 1u);
  sky.timeline.run_until(sky.cloud.machines()[0].running_at);
  EXPECT_EQ(sky.listed(InstanceState::running), 1u);
  EXPECT_FALSE(sky.cloud.machines()[0].booted);
  sky.timeline.run_until(start + 40 * second);
  EXPECT_TRUE(sky.cloud.machines()[0].booted);
  EXPECT_EQ(sky.booted.size(), 1u);
}

// --- Batch ---

TEST(CloudBatch, ReceiptsAndListingsNameNoLaunch) {
  Sky sky(real_options(Character::batch));
  auto receipt = sky.launch(3, "t");
  ASSERT_EQ(accepted(receipt), 3u);
  EXPECT_TRUE(receipt->instances.empty());
  EXPECT_FALSE(sky.cloud.capabilities().names_instances_at_launch);
  sky.run(10 * second);
  const cloud::Listing listing = sky.list();
  ASSERT_EQ(listing.instances.size(), 3u);
  for (const model::Instance& instance : listing.instances) EXPECT_EQ(instance.launch_token, "");
  EXPECT_EQ(sky.cloud.machines()[0].instance.launch_token, "t") << "the cloud's owner knows";
}

TEST(CloudBatch, OneResizeOfAPoolAtATime) {
  Sky sky(real_options(Character::batch));
  EXPECT_EQ(accepted(sky.launch(3, "1")), 3u);
  auto second_one = sky.launch(1, "2");
  ASSERT_FALSE(second_one);
  EXPECT_EQ(second_one.error().code, ErrorCode::transient);
  EXPECT_TRUE(second_one.error().retry_after);
  EXPECT_EQ(accepted(sky.launch({.pool = PoolName("gpu"), .count = 1, .token = "3"})), 1u) << "another pool";
  EXPECT_EQ(accepted(sky.launch(3, "1")), 3u) << "asked again, not resized again";
  sky.run(10 * second);
  EXPECT_EQ(accepted(sky.launch(1, "2")), 1u);
  EXPECT_EQ(sky.cloud.machines().size(), 5u);
}

TEST(CloudBatch, ShortagesAppearLaterInAListingOfThePool) {
  CloudOptions options = real_options(Character::batch);
  options.late_error = {3 * minute, 3 * minute};
  Sky sky(options);
  sky.cloud.set_capacity(Market::spot, {}, 2);
  auto receipt = sky.launch(
      {.pool = PoolName("cpu"), .count = 5, .minimum = 5, .token = "t", .market = Market::spot, .offers = {large_a}});
  ASSERT_EQ(accepted(receipt), 5u);
  EXPECT_TRUE(receipt->refusals.empty());
  EXPECT_EQ(sky.cloud.machines().size(), 2u);
  sky.run(minute);
  EXPECT_TRUE(sky.list().troubles.empty());
  EXPECT_FALSE(sky.launch(1, "u")) << "it still looks for machines";
  sky.run(3 * minute);
  const cloud::Listing listing = sky.list();
  ASSERT_EQ(listing.troubles.size(), 1u);
  const cloud::PoolTrouble& trouble = listing.troubles[0];
  EXPECT_EQ(trouble.pool, PoolName("cpu"));
  EXPECT_EQ(trouble.market, Market::spot);
  EXPECT_EQ(trouble.launch_token, "");
  EXPECT_EQ(trouble.offer, model::Offer());
  EXPECT_EQ(trouble.count, 3u);
  EXPECT_EQ(trouble.error.code, ErrorCode::no_capacity);
  EXPECT_GE(trouble.at, start + 3 * minute);
  EXPECT_LE(trouble.at, listing.as_of);
  EXPECT_TRUE(sky.list().troubles.empty()) << "once";
  EXPECT_EQ(accepted(sky.launch(1, "u")), 1u) << "the pool is steady";
}

TEST(CloudBatch, WhatCanNotWorkIsSaidAtOnce) {
  Sky sky(options_of(Character::batch));
  sky.cloud.set_error({}, Error{ErrorCode::denied, "no rights"});
  auto receipt = sky.launch(2, "t", {large_a, large_b});
  ASSERT_EQ(accepted(receipt), 0u);
  EXPECT_EQ(receipt->refusals.size(), 2u);
  sky.cloud.set_error(large_a, std::nullopt);
  EXPECT_EQ(accepted(sky.launch(2, "t", {large_a, large_b})), 0u) << "the wider pattern still covers it";
  sky.cloud.set_error({}, std::nullopt);
  EXPECT_EQ(accepted(sky.launch(2, "t", {large_a, large_b})), 2u);
}

TEST(CloudBatch, RemovesSoManyACallAndOnlyWhenSteady) {
  CloudOptions options = options_of(Character::batch);
  options.terminate_max = 2;
  options.stop = {10 * second, 10 * second};
  Sky sky(options);
  EXPECT_EQ(accepted(sky.launch(5, "t")), 5u);
  EXPECT_EQ(accepted(sky.launch({.pool = PoolName("gpu"), .count = 1, .token = "u"})), 1u);
  std::vector<InstanceId> ids;
  for (const Machine& machine : sky.cloud.machines()) ids.push_back(machine.instance.id);
  auto refused = sky.terminate(ids);
  ASSERT_TRUE(refused);
  EXPECT_EQ(*refused, (std::vector<InstanceId>{ids[2], ids[3], ids[4], ids[5]}));
  EXPECT_EQ(sky.listed(InstanceState::stopping), 2u);
  auto busy = sky.terminate({ids[2]});
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, ErrorCode::transient);
  EXPECT_TRUE(busy.error().retry_after);
  EXPECT_FALSE(sky.launch(1, "v")) << "nor does it grow now";
  refused = sky.terminate({ids[3], ids[5]});
  ASSERT_TRUE(refused);
  EXPECT_EQ(*refused, (std::vector<InstanceId>{ids[3]})) << "the other pool is steady";
  sky.run(10 * second);
  EXPECT_EQ(sky.list().instances.size(), 3u) << "removed nodes are listed no more";
  EXPECT_TRUE(sky.terminate({ids[2]}));
}

TEST(CloudBatch, AnEvictedMachineMayComeBackAsANewOne) {
  CloudOptions options = options_of(Character::batch);
  options.restore = 5 * minute;
  Sky sky(options);
  EXPECT_EQ(accepted(sky.launch(
                {.pool = PoolName("cpu"), .count = 3, .token = "t", .market = Market::spot, .offers = {large_a}})),
            3u);
  sky.cloud.evict(0, Duration(0));
  sky.cloud.evict(1, Duration(0));
  ASSERT_TRUE(sky.terminate({sky.cloud.machines()[1].instance.id})) << "removed from the pool: it is not wanted back";
  sky.cloud.kill(2);
  sky.run(hour);
  ASSERT_EQ(sky.cloud.machines().size(), 4u);
  EXPECT_EQ(sky.cloud.billed(), 1u);
  EXPECT_EQ(sky.cloud.machines()[3].instance.offer, large_a);
  EXPECT_EQ(sky.cloud.machines()[3].instance.market, Market::spot);
  EXPECT_EQ(sky.cloud.machines()[3].instance.launch_token, "");
  sky.cloud.set_capacity(Market::spot, {}, 0);
  sky.cloud.evict(3, Duration(0));
  sky.run(hour);
  EXPECT_EQ(sky.cloud.machines().size(), 4u) << "no room";
}

// --- faults ---

TEST(CloudFaults, ALostReplyTookEffect) {
  Sky sky(real_options(Character::ec2));
  sky.cloud.faults.lose_reply = 1;
  auto receipt = sky.launch(2, "t");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::outcome_unknown);
  EXPECT_EQ(sky.timeline.now(), start + 3 * second) << "the caller waited for as long as any call takes";
  EXPECT_EQ(sky.cloud.billed(), 2u);
  auto listing = sky.try_list();
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, ErrorCode::transient) << "asking changes nothing";
  auto terminated = sky.terminate({sky.cloud.machines()[0].instance.id});
  ASSERT_FALSE(terminated);
  EXPECT_EQ(terminated.error().code, ErrorCode::outcome_unknown);
  EXPECT_EQ(sky.cloud.billed(), 1u);
  sky.cloud.faults.lose_reply = 0;
  EXPECT_EQ(accepted(sky.launch(2, "t")), 2u);
  EXPECT_EQ(sky.cloud.machines().size(), 2u) << "the token's launch had happened";
}

TEST(CloudFaults, ALostListingLosesNoTrouble) {
  Sky sky(options_of(Character::batch));
  sky.cloud.set_capacity(Market::on_demand, {}, 0);
  EXPECT_EQ(accepted(sky.launch(1, "t")), 1u);
  sky.run(second);
  sky.cloud.faults.lose_reply = 1;
  EXPECT_FALSE(sky.try_list());
  sky.cloud.faults.lose_reply = 0;
  EXPECT_EQ(sky.list().troubles.size(), 1u);
}

TEST(CloudFaults, ARefusedCallHasNoEffect) {
  Sky sky(real_options(Character::ec2));
  EXPECT_EQ(accepted(sky.launch(1, "t")), 1u);
  sky.cloud.faults.refuse_call = 1;
  auto receipt = sky.launch(1, "u");
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, ErrorCode::transient);
  EXPECT_FALSE(sky.terminate({sky.cloud.machines()[0].instance.id}));
  EXPECT_FALSE(sky.try_list());
  EXPECT_EQ(sky.cloud.machines().size(), 1u);
  EXPECT_EQ(sky.cloud.billed(), 1u);
}

TEST(CloudFaults, AnUnreachableCloudFailsAndForgetsNothing) {
  Sky sky(real_options(Character::ec2));
  EXPECT_EQ(accepted(sky.launch(1, "t")), 1u);
  sky.cloud.set_reachable(false);
  const uint64_t calls = sky.cloud.calls();
  for (int i = 0; i < 2; ++i) {
    auto receipt = sky.launch(1, "u");
    ASSERT_FALSE(receipt);
    EXPECT_EQ(receipt.error().code, ErrorCode::transient);
  }
  EXPECT_FALSE(sky.try_list());
  EXPECT_EQ(sky.cloud.calls(), calls) << "none arrived";
  EXPECT_EQ(sky.cloud.machines().size(), 1u);
  sky.cloud.set_reachable(true);
  sky.run(minute);
  EXPECT_EQ(sky.list().instances.size(), 1u);
}

// Cut while the call is under way: it may have arrived or not, and its caller can't know.
TEST(CloudFaults, ACutDuringACallLeavesItsOutcomeUnknown) {
  size_t cut = 0;
  size_t took_effect = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    CloudOptions options = options_of(Character::ec2);
    options.call = {second, second};
    Sky sky(options, seed);
    std::optional<Result<cloud::LaunchReceipt>> answer;
    sky.cloud.launch({.pool = PoolName("cpu"), .count = 1, .token = "t"}, [&](auto given) { answer = given; });
    sky.run(Duration(200));
    if (answer) continue;
    sky.cloud.set_reachable(false);
    sky.run(second);
    ASSERT_TRUE(answer);
    ASSERT_FALSE(*answer);
    EXPECT_EQ(answer->error().code, ErrorCode::outcome_unknown);
    ++cut;
    took_effect += sky.cloud.machines().size();
  }
  EXPECT_GT(took_effect, 0u);
  EXPECT_LT(took_effect, cut);
}

TEST(CloudFaults, APartialListingSaysSo) {
  Sky sky(options_of(Character::ec2));
  EXPECT_EQ(accepted(sky.launch(100, "t")), 100u);
  sky.cloud.faults.partial_listing = 1;
  const cloud::Listing listing = sky.list();
  EXPECT_FALSE(listing.complete);
  EXPECT_GT(listing.instances.size(), 25u);
  EXPECT_LT(listing.instances.size(), 75u);
  sky.cloud.faults.partial_listing = 0;
  EXPECT_TRUE(sky.list().complete);
  EXPECT_EQ(sky.list().instances.size(), 100u);
}

TEST(CloudFaults, MachinesThatNeverBootRunAsFarAsTheCloudCanTell) {
  Sky sky(real_options(Character::ec2));
  sky.cloud.faults.never_boots = 1;
  EXPECT_EQ(accepted(sky.launch(5, "t")), 5u);
  sky.run(24 * hour);
  EXPECT_TRUE(sky.booted.empty());
  EXPECT_EQ(sky.listed(InstanceState::running), 5u);
}

TEST(CloudFaults, LateBootsTakeTenTimesAsLong) {
  CloudOptions options = options_of(Character::ec2);
  options.boot = {10 * second, 10 * second};
  Sky sky(options);
  Sky late(options);
  late.cloud.faults.boots_late = 1;
  for (Sky* one : {&sky, &late}) EXPECT_EQ(accepted(one->launch(1, "t")), 1u);
  while (sky.booted.empty()) sky.timeline.step();
  while (late.booted.empty()) late.timeline.step();
  EXPECT_EQ((late.timeline.now() - start), 10 * (sky.timeline.now() - start));
}

TEST(CloudFaults, AMachineThatBootsTwiceIsSilentInBetween) {
  CloudOptions options = options_of(Character::ec2);
  options.boot = {10 * second, 20 * second};
  Sky sky(options);
  sky.cloud.faults.boots_twice = 1;
  EXPECT_EQ(accepted(sky.launch(1, "t")), 1u);
  while (sky.rebooted.empty()) sky.timeline.step();
  EXPECT_EQ(sky.booted.size(), 1u);
  EXPECT_FALSE(sky.cloud.machines()[0].booted);
  sky.run(hour);
  EXPECT_EQ(sky.booted, (std::vector<uint32_t>{0, 0}));
  EXPECT_EQ(sky.rebooted.size(), 1u);
  EXPECT_TRUE(sky.cloud.machines()[0].booted);
  EXPECT_EQ(sky.cloud.machines()[0].boots, 2u);
}

TEST(CloudFaults, ADeadMachineIsGoneWithAReasonAndNeverBoots) {
  Sky sky(real_options(Character::ec2));
  EXPECT_EQ(accepted(sky.launch(1, "t")), 1u);
  sky.cloud.kill(0);
  sky.cloud.kill(0);
  sky.cloud.evict(0, minute);
  sky.run(20 * second);
  const cloud::Listing listing = sky.list();
  ASSERT_EQ(listing.instances.size(), 1u);
  EXPECT_EQ(listing.instances[0].state, InstanceState::gone);
  EXPECT_TRUE(listing.instances[0].trouble);
  EXPECT_EQ(listing.instances[0].evict_at, TimePoint{});
  sky.run(hour);
  EXPECT_TRUE(sky.booted.empty());
  EXPECT_EQ(sky.ended.size(), 1u);
}

TEST(CloudFaults, AnEvictionIsAnnouncedAndKept) {
  Sky sky(options_of(Character::ec2));
  EXPECT_EQ(accepted(sky.launch(2, "t")), 2u);
  sky.cloud.evict(0, 2 * minute);
  sky.cloud.evict(0, 5 * minute);
  EXPECT_EQ(sky.noticed, (std::vector<uint32_t>{0}));
  EXPECT_EQ(sky.list().instances[0].evict_at, start + 2 * minute);
  EXPECT_EQ(sky.list().instances[1].evict_at, TimePoint{});
  sky.run(2 * minute - Duration(1));
  EXPECT_EQ(sky.listed(InstanceState::running), 2u);
  sky.run(Duration(1));
  EXPECT_EQ(sky.ended, (std::vector<uint32_t>{0}));
  const model::Instance gone = sky.list().instances[0];
  EXPECT_EQ(gone.state, InstanceState::gone);
  EXPECT_EQ(gone.evict_at, start + 2 * minute);
  ASSERT_TRUE(gone.trouble);
  EXPECT_EQ(gone.trouble->code, ErrorCode::no_capacity);
}

TEST(CloudFaults, AnEvictionWithoutNoticeIsAnEnd) {
  Sky sky(options_of(Character::ec2));
  EXPECT_EQ(accepted(sky.launch(1, "t")), 1u);
  sky.cloud.evict(0, Duration(0));
  EXPECT_TRUE(sky.noticed.empty());
  EXPECT_EQ(sky.ended.size(), 1u);
  EXPECT_EQ(sky.list().instances[0].evict_at, start);
}

TEST(CloudFaults, DeathsComeAtTheirRateToEachMachine) {
  Sky sky(options_of(Character::ec2));
  sky.cloud.faults.dies = 0.1;
  EXPECT_EQ(accepted(sky.launch(1'000, "t")), 1'000u);
  sky.run(hour);
  EXPECT_NEAR(static_cast<double>(sky.ended.size()), 100, 35);
  sky.run(9 * hour);
  EXPECT_NEAR(static_cast<double>(sky.ended.size()), 651, 60);  // 1 - 0.9^10
  const size_t dead = sky.ended.size();
  sky.cloud.faults.dies = 0;
  sky.run(100 * hour);
  EXPECT_EQ(sky.ended.size(), dead) << "a fault that is off doesn't happen";
}

TEST(CloudFaults, OnlySpotMachinesAreEvictedAtARate) {
  Sky sky(options_of(Character::ec2));
  sky.cloud.faults.evicts = 0.5;
  sky.cloud.faults.notice = minute;
  EXPECT_EQ(accepted(sky.launch(100, "t")), 100u);
  EXPECT_EQ(accepted(sky.launch({.pool = PoolName("cpu"), .count = 100, .token = "u", .market = Market::spot})), 100u);
  sky.run(hour + minute);
  ASSERT_NEAR(static_cast<double>(sky.ended.size()), 50, 20);
  EXPECT_GE(*std::min_element(sky.ended.begin(), sky.ended.end()), 100u) << "an on-demand machine";
  EXPECT_GE(sky.noticed.size(), sky.ended.size());
}

// --- cost and repetition ---

TEST(Cloud, NothingIsPlannedWhileNothingHappens) {
  Sky sky(real_options(Character::ec2));
  EXPECT_EQ(accepted(sky.launch(1'000, "t")), 1'000u);
  sky.run(hour);
  EXPECT_TRUE(sky.timeline.empty());
}

// All that a run with every fault shows, as text.
std::string history(uint64_t seed, Character character) {
  CloudOptions options = real_options(character);
  options.stop = {10 * second, minute};
  options.restore = minute;
  options.api = {.per_second = 1, .burst = 5};
  options.quota = 40;
  Sky sky(options, seed);
  sky.cloud.faults = {.lose_reply = 0.1,
                      .refuse_call = 0.1,
                      .partial_listing = 0.1,
                      .never_boots = 0.1,
                      .boots_late = 0.1,
                      .boots_twice = 0.1,
                      .dies = 0.5,
                      .evicts = 0.5};
  std::string text;
  const auto say = [&](const std::string& what) { text += to_iso8601(sky.timeline.now()) + " " + what + "\n"; };
  sky.cloud.on_booted = [&](uint32_t machine) { say("booted " + std::to_string(machine)); };
  sky.cloud.on_ended = [&](uint32_t machine) { say("ended " + std::to_string(machine)); };
  sky.cloud.on_notice = [&](uint32_t machine) { say("noticed " + std::to_string(machine)); };
  for (int i = 0; i < 50; ++i) {
    auto receipt = sky.launch({.pool = PoolName("cpu"),
                               .count = 5,
                               .token = std::to_string(i),
                               .market = i % 2 == 0 ? Market::spot : Market::on_demand,
                               .offers = {large_a, large_b}});
    say(receipt ? "launched " + std::to_string(receipt->accepted) : receipt.error().message);
    auto listing = sky.try_list();
    say(listing ? "listed " + std::to_string(listing->instances.size()) : listing.error().message);
    if (listing && !listing->instances.empty()) (void)sky.terminate({listing->instances[0].id});
    sky.run(minute);
  }
  uint32_t existing = 0;
  for (const Machine& machine : sky.cloud.machines()) existing += machine.ended_at == TimePoint{} ? 1 : 0;
  EXPECT_EQ(existing, sky.cloud.billed());
  return text;
}

TEST(Cloud, TheSameSeedGivesTheSameHistory) {
  for (const Character character : {Character::local, Character::ec2, Character::batch}) {
    const std::string once = history(7, character);
    EXPECT_GT(once.size(), 2'000u);
    EXPECT_EQ(once, history(7, character));
    EXPECT_NE(once, history(8, character));
  }
}

}  // namespace
}  // namespace slipway::sim
