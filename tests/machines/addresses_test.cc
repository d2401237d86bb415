#include "machines/addresses.h"

#include <gtest/gtest.h>

#include <set>

namespace slipway::machines {
namespace {

TEST(Addresses, ParsesStrictly) {
  EXPECT_EQ(*parse_ipv4("198.18.0.5"), 198u << 24 | 18u << 16 | 5u);
  EXPECT_EQ(*parse_ipv4("0.0.0.0"), 0u);
  EXPECT_EQ(*parse_ipv4("255.255.255.255"), ~0u);
  for (const char* bad : {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "01.2.3.4",
                          "1.2.3.4 ", "a.b.c.d", "1.2.3.-4", "1.2.3.4/8"}) {
    EXPECT_FALSE(parse_ipv4(bad)) << bad;
  }
  EXPECT_EQ(ipv4_text(*parse_ipv4("198.19.255.1")), "198.19.255.1");
}

TEST(Addresses, SubnetsHaveNoBitsBehindThePrefix) {
  auto subnet = parse_subnet("198.18.16.0/20");
  ASSERT_TRUE(subnet);
  EXPECT_EQ(subnet_text(*subnet), "198.18.16.0/20");
  EXPECT_EQ(ipv4_text(subnet->gateway()), "198.18.16.1");
  EXPECT_EQ(ipv4_text(subnet->broadcast()), "198.18.31.255");
  for (const char* bad :
       {"198.18.16.0", "198.18.16.1/20", "198.18.0.0/8", "198.18.0.0/30", "198.18.0.0/", "/20", "198.18.0.0/x"}) {
    EXPECT_FALSE(parse_subnet(bad)) << bad;
  }
}

TEST(Addresses, Overlap) {
  auto of = [](const char* text) { return *parse_subnet(text); };
  EXPECT_TRUE(of("198.18.0.0/16").overlaps(of("198.18.16.0/20")));
  EXPECT_TRUE(of("198.18.16.0/20").overlaps(of("198.18.0.0/16")));
  EXPECT_FALSE(of("198.18.0.0/20").overlaps(of("198.18.16.0/20")));
  EXPECT_TRUE((Subnet{0, 0}).overlaps(of("198.18.16.0/20")));
}

TEST(Addresses, PoolHandsOutEachAddressOnceAndReusesTheOldestFirst) {
  Subnet subnet = *parse_subnet("198.18.0.0/29");  // .2 to .6
  AddressPool pool(subnet, 0);
  std::set<Ipv4> seen;
  for (int i = 0; i < 5; ++i) seen.insert(*pool.take());
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(ipv4_text(*seen.begin()), "198.18.0.2");
  EXPECT_EQ(ipv4_text(*seen.rbegin()), "198.18.0.6");
  EXPECT_FALSE(pool.take());
  EXPECT_EQ(pool.available(), 0u);

  pool.give_back(*parse_ipv4("198.18.0.4"));
  pool.give_back(*parse_ipv4("198.18.0.3"));
  EXPECT_EQ(ipv4_text(*pool.take()), "198.18.0.3");  // it was handed out before .4
  pool.give_back(*parse_ipv4("198.18.0.3"));
  EXPECT_EQ(ipv4_text(*pool.take()), "198.18.0.4") << "an address that just became free rests";
}

TEST(Addresses, PoolGoesOnAfterTheCursor) {
  Subnet subnet = *parse_subnet("198.18.0.0/24");
  AddressPool pool(subnet, *parse_ipv4("198.18.0.77"));
  EXPECT_EQ(ipv4_text(*pool.take()), "198.18.0.78");
  AddressPool elsewhere(subnet, *parse_ipv4("10.0.0.1"));
  EXPECT_EQ(ipv4_text(*elsewhere.take()), "198.18.0.2");
}

TEST(Addresses, PoolKeepsReservedOnes) {
  Subnet subnet = *parse_subnet("198.18.0.0/29");
  AddressPool pool(subnet, 0);
  for (const char* reserved : {"198.18.0.0", "198.18.0.1", "198.18.0.7", "198.18.1.2"}) {
    EXPECT_FALSE(pool.take_this(*parse_ipv4(reserved))) << reserved;
  }
  EXPECT_TRUE(pool.take_this(*parse_ipv4("198.18.0.2")));
  EXPECT_FALSE(pool.take_this(*parse_ipv4("198.18.0.2")));
  EXPECT_EQ(ipv4_text(*pool.take()), "198.18.0.3");
}

TEST(Addresses, MacFollowsFromTheAddress) {
  EXPECT_EQ(mac_of(*parse_ipv4("198.18.1.2")), (Mac{0x02, 0x53, 198, 18, 1, 2}));
}

}  // namespace
}  // namespace slipway::machines
