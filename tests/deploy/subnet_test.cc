#include "deploy/subnet.h"

#include <gtest/gtest.h>

namespace slipway::deploy {
namespace {

TEST(ParseSubnet, UnderstandsNetworks) {
  const auto subnet = parse_subnet("198.18.16.0/20");
  ASSERT_TRUE(subnet);
  EXPECT_EQ("198.18.16.0/20", to_string(*subnet));
  EXPECT_EQ(4096U, subnet->size());
  EXPECT_EQ("198.18.16.2", host_address(*subnet, 2));
  EXPECT_EQ("198.18.17.4", host_address(*subnet, 260));
  EXPECT_TRUE(parse_subnet("0.0.0.0/0"));
  EXPECT_TRUE(parse_subnet("1.2.3.4/32"));
}

TEST(ParseSubnet, RefusesTheRestInWords) {
  for (const char* text : {"", "/", "198.18.0.0", "198.18.0.0/", "198.18.0.0/33", "198.18.0.0/-1", "198.18.0/20",
                           "x/20", "198.18.0.0/20x", "198.18.0.0/ 20", "198.18.0.0 /20", "1.2.3.400/8"}) {
    const auto subnet = parse_subnet(text);
    ASSERT_FALSE(subnet) << text;
    EXPECT_EQ(ErrorCode::bad_config, subnet.error().code);
  }
  const auto inside = parse_subnet("198.18.17.3/20");
  ASSERT_FALSE(inside);
  EXPECT_NE(std::string::npos, inside.error().message.find("198.18.16.0/20")) << inside.error().message;
}

TEST(Overlap, IsOneInsideTheOther) {
  const Subnet wide = *parse_subnet("198.18.0.0/15");
  const Subnet narrow = *parse_subnet("198.19.240.0/20");
  const Subnet other = *parse_subnet("198.20.0.0/20");
  EXPECT_TRUE(overlap(wide, narrow));
  EXPECT_TRUE(overlap(narrow, wide));
  EXPECT_FALSE(overlap(wide, other));
  EXPECT_TRUE(contains(wide, narrow));
  EXPECT_FALSE(contains(narrow, wide));
}

TEST(ParseRoutes, LeavesDefaultRoutesOut) {
  const std::string_view text =
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
      "eth0\t000012C6\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n"
      "broken line\n"
      "eth0\tzz0012C6\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n";
  const auto routes = parse_routes(text);
  ASSERT_EQ(1U, routes.size());
  EXPECT_EQ("198.18.0.0/20", to_string(routes[0]));
  EXPECT_TRUE(parse_routes("").empty());
}

TEST(NetworksInUse, KnowsTheLoopback) {
  bool found = false;
  for (const Subnet& subnet : networks_in_use()) found = found || overlap(subnet, *parse_subnet("127.0.0.0/8"));
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace slipway::deploy
