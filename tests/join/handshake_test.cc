#include "join/handshake.h"

#include <random>
#include <set>

#include "gtest/gtest.h"

namespace slipway::join {
namespace {

Key key_of(unsigned char byte) {
  Key key;
  key.fill(byte);
  return key;
}

struct Pair {
  std::unique_ptr<Sealer> agent = make_sealer(Side::agent, key_of(1), key_of(2), key_of(3));
  std::unique_ptr<Sealer> daemon = make_sealer(Side::daemon, key_of(1), key_of(2), key_of(3));
};

TEST(Key, RoundTripsThroughHex) {
  const Key key = random_key();
  EXPECT_EQ(to_hex(key).size(), 64u);
  EXPECT_EQ(parse_key(to_hex(key)).value(), key);
  EXPECT_EQ(to_hex(key_of(0xab)), std::string("abababababababababababababababababababababababababababababababab"));
}

TEST(Key, RefusesAnythingButSixtyFourHexDigits) {
  const std::string good = to_hex(key_of(7));
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "0", good + "00", "zz" + good.substr(2), "0x" + good.substr(2),
        good.substr(0, 62) + " 0", good.substr(0, 63) + std::string(1, '\0')}) {
    EXPECT_EQ(parse_key(bad).error().code, ErrorCode::bad_config) << bad;
  }
}

TEST(Key, RandomKeysDiffer) {
  EXPECT_NE(random_key(), random_key());
}

TEST(MachineSecret, DependsOnMasterAndInstance) {
  const Key secret = machine_secret(key_of(1), "i-00000001");
  EXPECT_EQ(secret, machine_secret(key_of(1), "i-00000001"));
  EXPECT_NE(secret, machine_secret(key_of(1), "i-00000002"));
  EXPECT_NE(secret, machine_secret(key_of(2), "i-00000001"));
  EXPECT_NE(secret, key_of(1));
}

TEST(Hello, RoundTrips) {
  const auto hello = decode_agent_hello(encode_agent_hello({"i-0000000a", key_of(9)}));
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->instance, "i-0000000a");
  EXPECT_EQ(hello->nonce, key_of(9));
  EXPECT_EQ(decode_daemon_hello(encode_daemon_hello(key_of(8))).value(), key_of(8));
}

TEST(Hello, MayBringAClaim) {
  const std::string claim(20'000, 'c');
  const auto hello = decode_agent_hello(encode_agent_hello({"cpu/tvmps_1_d", key_of(9), claim}));
  ASSERT_TRUE(hello) << hello.error().message;
  EXPECT_EQ(hello->instance, "cpu/tvmps_1_d");
  EXPECT_EQ(hello->claim, claim);
  EXPECT_FALSE(decode_agent_hello(encode_agent_hello({"cpu/a", key_of(9), std::string(claim_bytes_max + 1, 'c')})));
  const std::string nonce = to_hex(key_of(1));
  for (const std::string& bad :
       {R"({"v":1,"instance":"i-1","claim":"","nonce":")" + nonce + "\"}",
        R"({"v":1,"instance":"i-1","claim":7,"nonce":")" + nonce + "\"}",
        R"({"v":1,"instance":"i-1","claim":"a","more":1,"nonce":")" + nonce + "\"}",
        R"({"v":1,"instance":"i-1","nonce":")" + nonce + "\"" + std::string(plain_hello_bytes_max, ' ') + "}"}) {
    EXPECT_EQ(decode_agent_hello(bad).error().code, ErrorCode::bad_config) << bad;
  }
}

TEST(Hello, AnInstanceIsANameOrAPoolAndAName) {
  for (const char* good : {"i-1", "cpu/vm_1", "a/b"}) EXPECT_TRUE(decode_agent_hello(encode_agent_hello({good, {}})));
  const std::string long_name(150, 'a');
  for (const std::string& bad : {std::string("/"), std::string("a/"), std::string("/b"), std::string("a/b/c"),
                                 std::string("a/../b"), std::string("../b"), std::string("a/.."), std::string("a/-b"),
                                 std::string("a//b"), long_name + "/" + long_name}) {
    EXPECT_FALSE(decode_agent_hello(encode_agent_hello({bad, {}}))) << bad;
  }
}

TEST(Hello, IsStrict) {
  const std::string nonce = to_hex(key_of(1));
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("[]"), std::string("\xff"), R"({"v":1,"nonce":")" + nonce + "\"}",
        R"({"v":2,"instance":"i-1","nonce":")" + nonce + "\"}",
        R"({"v":"1","instance":"i-1","nonce":")" + nonce + "\"}", R"({"v":1,"instance":"","nonce":")" + nonce + "\"}",
        R"({"v":1,"instance":"a b","nonce":")" + nonce + "\"}",
        R"({"v":1,"instance":"i-1\n","nonce":")" + nonce + "\"}", R"({"v":1,"instance":7,"nonce":")" + nonce + "\"}",
        std::string(R"({"v":1,"instance":"i-1","nonce":"12"})"),
        R"({"v":1,"instance":"i-1","more":1,"nonce":")" + nonce + "\"}",
        R"({"v":1,"instance":"i-1","nonce":")" + nonce + "\"}{}",
        R"({"v":1,"instance":")" + std::string(5000, 'a') + "\"}"}) {
    EXPECT_EQ(decode_agent_hello(bad).error().code, ErrorCode::bad_config) << bad;
    EXPECT_EQ(decode_daemon_hello(bad.find("instance") != std::string::npos ? bad : "{\"v\":1}").error().code,
              ErrorCode::bad_config);
  }
  EXPECT_FALSE(decode_agent_hello(encode_daemon_hello(key_of(1))));
  EXPECT_FALSE(decode_daemon_hello(encode_agent_hello({"i-1", key_of(1)})));
}

TEST(Sealer, BothSidesUnderstandEachOther) {
  Pair pair;
  for (const std::string& text :
       {std::string("one"), std::string(), std::string("\0two", 4), std::string(1 << 20, 'x')}) {
    EXPECT_EQ(pair.daemon->open(pair.agent->seal(text)).value(), text);
    EXPECT_EQ(pair.agent->open(pair.daemon->seal(text)).value(), text);
  }
}

TEST(Sealer, HidesTheText) {
  Pair pair;
  const std::string sealed = pair.agent->seal("the munge key");
  EXPECT_EQ(sealed.find("munge"), std::string::npos);
  EXPECT_NE(sealed, pair.agent->seal("the munge key")) << "the same text twice must not look the same";
}

TEST(Sealer, RefusesAnotherSecret) {
  auto stranger = make_sealer(Side::agent, key_of(99), key_of(2), key_of(3));
  Pair pair;
  EXPECT_EQ(pair.daemon->open(stranger->seal("hello")).error().code, ErrorCode::denied);
  EXPECT_EQ(stranger->open(pair.daemon->seal("secret")).error().code, ErrorCode::denied);
}

TEST(Sealer, RefusesAnotherSession) {
  Pair pair;
  auto earlier = make_sealer(Side::agent, key_of(1), key_of(2), key_of(4));
  auto later = make_sealer(Side::agent, key_of(1), key_of(5), key_of(3));
  EXPECT_EQ(pair.daemon->open(earlier->seal("hello")).error().code, ErrorCode::denied);
  EXPECT_EQ(pair.daemon->open(later->seal("hello")).error().code, ErrorCode::denied);
}

TEST(Sealer, RefusesReplayReorderAndReflection) {
  Pair pair;
  const std::string first = pair.agent->seal("first"), second = pair.agent->seal("second");
  EXPECT_FALSE(pair.daemon->open(second)) << "out of order";
  ASSERT_TRUE(pair.daemon->open(first));
  EXPECT_EQ(pair.daemon->open(first).error().code, ErrorCode::denied) << "replayed";
  EXPECT_EQ(pair.daemon->open(second).value(), "second");
  EXPECT_FALSE(pair.agent->open(first)) << "sent back to its writer";
  auto twin = make_sealer(Side::agent, key_of(1), key_of(2), key_of(3));
  EXPECT_FALSE(twin->open(pair.agent->seal("x")));
}

TEST(Sealer, RefusesEveryFlippedBitAndEveryCut) {
  Pair pair;
  const std::string sealed = pair.agent->seal("attack at dawn");
  for (size_t i = 0; i < sealed.size() * 8; ++i) {
    std::string bad = sealed;
    bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(pair.daemon->open(bad)) << i;
  }
  for (size_t length = 0; length < sealed.size(); ++length) EXPECT_FALSE(pair.daemon->open(sealed.substr(0, length)));
  EXPECT_FALSE(pair.daemon->open(sealed + "x"));
  EXPECT_EQ(pair.daemon->open(sealed).value(), "attack at dawn") << "a refused frame must not move the counter";
}

TEST(Sealer, RefusesGarbage) {
  Pair pair;
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    std::string garbage(random() % 200, '\0');
    for (char& c : garbage) c = static_cast<char>(random());
    EXPECT_FALSE(pair.daemon->open(garbage));
  }
}

}  // namespace
}  // namespace slipway::join
