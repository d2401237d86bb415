#include "join/claim.h"

#include <random>

#include "gtest/gtest.h"

namespace slipway::join {
namespace {

Key key_of(unsigned char byte) {
  Key key;
  key.fill(byte);
  return key;
}

Claim good() {
  return {key_of(5), "cpu/tvmps_1_d", "azure_token", "eyJhbGciOi.J9-_.+/=="};
}

TEST(DaemonKey, IsTheSameForOneMasterKeyAndOtherForAnother) {
  const KeyPair pair = daemon_key_pair(key_of(1));
  EXPECT_EQ(pair.public_key, daemon_key_pair(key_of(1)).public_key);
  EXPECT_EQ(pair.secret_key, daemon_key_pair(key_of(1)).secret_key);
  EXPECT_NE(pair.public_key, daemon_key_pair(key_of(2)).public_key);
  EXPECT_NE(pair.public_key, pair.secret_key);
  EXPECT_NE(pair.secret_key, key_of(1));
}

TEST(Claim, RoundTrips) {
  const KeyPair daemon = daemon_key_pair(key_of(1));
  const auto claim = open_claim(seal_claim(good(), daemon.public_key), daemon);
  ASSERT_TRUE(claim) << claim.error().message;
  EXPECT_EQ(claim->secret, key_of(5));
  EXPECT_EQ(claim->instance, "cpu/tvmps_1_d");
  EXPECT_EQ(claim->kind, "azure_token");
  EXPECT_EQ(claim->document, good().document);
}

TEST(Claim, TheLongestFitsItsHello) {
  const KeyPair daemon = daemon_key_pair(key_of(1));
  Claim claim = good();
  claim.instance = std::string(100, 'p') + "/" + std::string(instance_bytes_max - 101, 'm');
  claim.kind = std::string(32, 'k');
  claim.document = std::string(document_bytes_max, 'd');
  const std::string sealed = seal_claim(claim, daemon.public_key);
  EXPECT_LE(sealed.size(), claim_bytes_max);
  const std::string hello = encode_agent_hello({claim.instance, key_of(1), sealed});
  EXPECT_LE(hello.size(), hello_bytes_max);
  ASSERT_TRUE(decode_agent_hello(hello));
  EXPECT_EQ(open_claim(sealed, daemon).value().document.size(), document_bytes_max);

  claim.document += "d";
  EXPECT_FALSE(is_document(claim.document));
  EXPECT_EQ(open_claim(seal_claim(claim, daemon.public_key), daemon).error().code, ErrorCode::denied);
}

TEST(Claim, HidesTheSecretAndDiffersEachTime) {
  const KeyPair daemon = daemon_key_pair(key_of(1));
  const std::string sealed = seal_claim(good(), daemon.public_key);
  EXPECT_EQ(sealed.find("tvmps"), std::string::npos);
  EXPECT_NE(sealed, seal_claim(good(), daemon.public_key));
}

TEST(Claim, SealedToAnotherDaemonIsRefused) {
  const std::string sealed = seal_claim(good(), daemon_key_pair(key_of(2)).public_key);
  EXPECT_EQ(open_claim(sealed, daemon_key_pair(key_of(1))).error().code, ErrorCode::denied);
}

TEST(Claim, EveryCutAndManyFlippedBitsAreRefused) {
  const KeyPair daemon = daemon_key_pair(key_of(1));
  const std::string sealed = seal_claim(good(), daemon.public_key);
  for (size_t length = 0; length < sealed.size(); ++length) {
    EXPECT_EQ(open_claim(sealed.substr(0, length), daemon).error().code, ErrorCode::denied) << length;
  }
  // The base64's last character may have bits that mean nothing.
  for (size_t i = 0; i + 4 < sealed.size(); ++i) {
    std::string bad = sealed;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(open_claim(bad, daemon)) << i;
  }
  EXPECT_FALSE(open_claim(sealed + "AAAA", daemon));
  EXPECT_FALSE(open_claim(std::string(claim_bytes_max + 1, 'A'), daemon));
}

TEST(Claim, IsStrictAboutWhatIsInside) {
  const KeyPair daemon = daemon_key_pair(key_of(1));
  const auto expect_refused = [&](void (*spoil)(Claim&)) {
    Claim claim = good();
    spoil(claim);
    EXPECT_EQ(open_claim(seal_claim(claim, daemon.public_key), daemon).error().code, ErrorCode::denied);
  };
  expect_refused([](Claim& c) { c.instance = ""; });
  expect_refused([](Claim& c) { c.instance = "cpu/../x"; });
  expect_refused([](Claim& c) { c.kind = ""; });
  expect_refused([](Claim& c) { c.kind = "a b"; });
  expect_refused([](Claim& c) { c.document = ""; });
  expect_refused([](Claim& c) { c.document = "a\"b"; });
  expect_refused([](Claim& c) { c.document = "a\nb"; });
}

TEST(Claim, GarbageIsRefused) {
  const KeyPair daemon = daemon_key_pair(key_of(1));
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    std::string garbage(random() % 300, '\0');
    for (char& c : garbage) c = static_cast<char>(random());
    EXPECT_EQ(open_claim(garbage, daemon).error().code, ErrorCode::denied);
  }
}

}  // namespace
}  // namespace slipway::join
