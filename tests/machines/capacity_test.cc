// What limits make of a launch, and what is said about it. No machines.
#include "machines/capacity.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "base/files.h"

namespace slipway::machines {
namespace {

using model::Market;
using model::Offer;

CapacityLimit at_most(uint32_t most, CapacityLimit scope = {}) {
  scope.most = most;
  return scope;
}

// A cloud with so many machines of each kind, all of pool cpu.
struct World {
  struct Kind {
    Market market;
    Offer offer;
    uint32_t count;
  };
  std::vector<CapacityLimit> limits;
  std::vector<Kind> kinds;
  uint32_t refuse = 0;

  Fill launch(uint32_t count, std::vector<Offer> offers, Market market = Market::on_demand) {
    LaunchTerms terms;
    terms.market = market;
    terms.offers = std::move(offers);
    Supply supply;
    supply.limits = limits;
    supply.existing = [this](const CapacityLimit& limit) {
      uint32_t found = 0;
      for (const Kind& kind : kinds) {
        if (covers(limit, "cpu", kind.market, kind.offer)) found += kind.count;
      }
      return found;
    };
    supply.refuse = [this](uint32_t most) {
      const uint32_t refused = std::min(refuse, most);
      refuse -= refused;
      return refused;
    };
    return fill_offers("cpu", terms, count, supply);
  }
};

std::string text_of(const Fill& fill) {
  std::string text;
  for (const Grant& grant : fill.grants)
    text += grant.offer.machine + "/" + grant.offer.zone + "=" + std::to_string(grant.count) + " ";
  for (const Refusal& refusal : fill.refusals)
    text +=
        "!" + refusal.offer.machine + "/" + refusal.offer.zone + ":" + std::string(to_string(refusal.error.code)) + " ";
  return text + "=" + std::to_string(fill.given);
}

const Offer large_a{"m.large", "a"};
const Offer large_b{"m.large", "b"};
const Offer small_a{"m.small", "a"};

TEST(Capacity, WithoutLimitsTheFirstOfferGivesAll) {
  World world;
  EXPECT_EQ(text_of(world.launch(5, {large_a, large_b})), "m.large/a=5 =5");
  EXPECT_EQ(text_of(world.launch(5, {})), "/=5 =5");
}

TEST(Capacity, TheNextOfferIsAskedForTheRest) {
  World world;
  world.limits = {at_most(2, {.zone = "a"})};
  EXPECT_EQ(text_of(world.launch(5, {large_a, large_b})), "m.large/a=2 m.large/b=3 !m.large/a:no_capacity =5");
  EXPECT_EQ(text_of(world.launch(2, {large_a, large_b})), "m.large/a=2 =2");
  EXPECT_EQ(text_of(world.launch(1, {large_b, large_a})), "m.large/b=1 =1");
  EXPECT_EQ(text_of(world.launch(3, {large_a, small_a})),
            "m.large/a=2 !m.large/a:no_capacity !m.small/a:no_capacity =2")
      << "what this launch got counts for the limit that both offers have";
}

TEST(Capacity, ExistingMachinesCountWhereTheLimitCovers) {
  World world;
  world.limits = {at_most(3, {.market = Market::spot, .machine = "m.large"})};
  world.kinds = {{Market::spot, large_b, 2}, {Market::on_demand, large_a, 50}, {Market::spot, small_a, 50}};
  EXPECT_EQ(text_of(world.launch(4, {large_a}, Market::spot)), "m.large/a=1 !m.large/a:no_capacity =1");
  EXPECT_EQ(text_of(world.launch(4, {large_a})), "m.large/a=4 =4");
  EXPECT_EQ(text_of(world.launch(4, {small_a}, Market::spot)), "m.small/a=4 =4");
  world.kinds[0].count = 9;  // more than the limit: it was set later
  EXPECT_EQ(text_of(world.launch(4, {large_a}, Market::spot)), "!m.large/a:no_capacity =0");
}

TEST(Capacity, TheNarrowestLimitDecidesAndNamesTheReason) {
  World world;
  world.limits = {at_most(4), at_most(1, {.market = Market::spot}), at_most(2, {.pool = "cpu"}),
                  at_most(0, {.pool = "gpu"})};
  world.limits[1].error = ErrorCode::quota;
  Fill fill = world.launch(3, {large_a}, Market::spot);
  EXPECT_EQ(text_of(fill), "m.large/a=1 !m.large/a:quota =1");
  EXPECT_EQ(fill.refusals[0].error.message,
            "the account's quota is used up for spot m.large in zone a: limit 1 on spot machines, "
            "0 exist, 1 of 3 given (slipway chaos capacity)");
}

TEST(Capacity, EveryReasonHasItsWords) {
  World world;
  world.limits = {at_most(2, {"cpu", Market::spot, "m.large", "a"})};
  world.kinds = {{Market::spot, large_a, 2}};
  std::set<std::string> texts;
  for (ErrorCode code : refusal_codes) {
    world.limits[0].error = code;
    Fill fill = world.launch(1, {large_a}, Market::spot);
    ASSERT_EQ(fill.refusals.size(), 1u);
    EXPECT_EQ(fill.refusals[0].error.code, code);
    texts.insert(fill.refusals[0].error.message);
  }
  EXPECT_EQ(texts.size(), refusal_codes.size());
  EXPECT_EQ(describe({}), "machines");
  EXPECT_EQ(describe(world.limits[0]), "spot m.large of pool cpu in zone a");
  EXPECT_TRUE(texts.contains("no capacity for spot m.large in zone a: limit 2, 2 exist (slipway chaos capacity)"))
      << *texts.begin();
}

TEST(Capacity, WhatIsRefusedOnPurposeIsCountedDown) {
  World world;
  world.refuse = 2;
  Fill fill = world.launch(3, {large_a, large_b});
  EXPECT_EQ(text_of(fill), "m.large/a=1 m.large/b=2 !m.large/a:no_capacity =3");
  EXPECT_NE(fill.refusals[0].error.message.find("refused on purpose"), std::string::npos);
  EXPECT_EQ(world.refuse, 0u);
  EXPECT_EQ(text_of(world.launch(3, {large_a, large_b})), "m.large/a=3 =3");
}

TEST(Capacity, ALimitReplacesItsLikeAndUnlimitedEndsTheNarrower) {
  std::vector<CapacityLimit> limits;
  add_limit(limits, at_most(3, {.market = Market::spot}));
  add_limit(limits, at_most(1, {.market = Market::spot, .zone = "a"}));
  add_limit(limits, at_most(2, {.zone = "a"}));
  add_limit(limits, at_most(5, {.market = Market::spot}));
  ASSERT_EQ(limits.size(), 3u);
  EXPECT_EQ(limits.back().most, 5u);
  add_limit(limits, {.market = Market::on_demand});
  EXPECT_EQ(limits.size(), 3u) << "none is on fewer machines";
  add_limit(limits, {.market = Market::spot});
  ASSERT_EQ(limits.size(), 1u);
  EXPECT_EQ(limits[0].zone, "a");
  EXPECT_FALSE(limits[0].market);
  add_limit(limits, {});
  EXPECT_TRUE(limits.empty());
}

TEST(Capacity, LimitsAreKeptOnDisk) {
  char name[] = "/tmp/slipway-capacity-test-XXXXXX";
  ASSERT_TRUE(::mkdtemp(name));
  const std::filesystem::path state = name;
  std::filesystem::create_directories(state / "host");
  EXPECT_TRUE(load_limits(state).empty());
  std::vector<CapacityLimit> limits = {at_most(0, {"cpu", Market::spot, "m.large", "a"}), at_most(7)};
  limits[0].error = ErrorCode::denied;
  ASSERT_TRUE(save_limits(state, limits));
  auto back = load_limits(state);
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].pool, "cpu");
  EXPECT_EQ(back[0].market, Market::spot);
  EXPECT_EQ(back[0].machine, "m.large");
  EXPECT_EQ(back[0].zone, "a");
  EXPECT_EQ(back[0].most, 0u);
  EXPECT_EQ(back[0].error, ErrorCode::denied);
  EXPECT_FALSE(back[1].market);
  EXPECT_EQ(back[1].most, 7u);
  for (const char* damaged : {"", "{", "[]", "{}", R"({"limits":[1,{"error":"permanent"},{"market":"free"}]})"}) {
    ASSERT_TRUE(write_file(state / "host/capacity.json", damaged, 0600));
    EXPECT_TRUE(load_limits(state).empty()) << damaged;
  }
  std::filesystem::remove_all(state);
}

}  // namespace
}  // namespace slipway::machines
