#include "join/boot_data.h"

#include "gtest/gtest.h"

namespace slipway::join {
namespace {

BootData good() {
  BootData data;
  data.cluster = "demo";
  data.instance = "i-0000000a";
  data.role = "compute";
  data.pool = "cpu";
  data.address = "198.18.0.5";
  data.daemon = "198.18.0.2:6830";
  data.secret = std::string(64, 'a');
  return data;
}

TEST(BootData, RoundTrips) {
  BootData data = good();
  data.hostname = "login-1";
  data.users = {{"ada", 2001}};
  data.prep = "#!/bin/sh\necho ready\n";
  const auto got = parse_boot_data(to_json(data));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->cluster, "demo");
  EXPECT_EQ(got->instance, "i-0000000a");
  EXPECT_EQ(got->role, "compute");
  EXPECT_EQ(got->pool, "cpu");
  EXPECT_EQ(got->address, "198.18.0.5");
  EXPECT_EQ(got->daemon, "198.18.0.2:6830");
  EXPECT_EQ(got->secret, data.secret);
  EXPECT_EQ(got->hostname, "login-1");
  EXPECT_EQ(got->prep, data.prep);
  ASSERT_EQ(got->users.size(), 1u);
  EXPECT_EQ(got->users[0].name, "ada");
  EXPECT_EQ(got->users[0].uid, 2001u);
}

TEST(BootData, ACloudsMachineHasAKeyOfTheDaemonInsteadOfASecret) {
  BootData data = good();
  data.instance = "cpu/tvmps_1_d";
  data.secret = "";
  EXPECT_FALSE(parse_boot_data(to_json(data))) << "neither";
  data.provider = "azure";
  EXPECT_FALSE(parse_boot_data(to_json(data))) << "nor the key";
  data.daemon_key = std::string(64, 'b');
  data.identity = "/subscriptions/1/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
  data.imds = "http://127.0.0.1:8";
  const auto got = parse_boot_data(to_json(data));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->provider, "azure");
  EXPECT_EQ(got->instance, "cpu/tvmps_1_d");
  EXPECT_EQ(got->daemon_key, data.daemon_key);
  EXPECT_EQ(got->identity, data.identity);
  EXPECT_EQ(got->imds, data.imds);
  data.identity = "a\nb";
  EXPECT_FALSE(parse_boot_data(to_json(data)));
  data.identity = "";
  data.provider = "moon";
  EXPECT_FALSE(parse_boot_data(to_json(data)));
}

TEST(BootData, IgnoresWhatOthersAdd) {
  std::string json = to_json(good());
  json.insert(1, "\"gateway\":\"198.18.0.1\",\"later\":[1,{}],");
  EXPECT_TRUE(parse_boot_data(json));
}

TEST(BootData, AControllerNeedsNoSecret) {
  BootData data = good();
  data.role = "controller";
  data.secret = data.instance = "";
  EXPECT_TRUE(parse_boot_data(to_json(data)));
  data.address = "";
  EXPECT_FALSE(parse_boot_data(to_json(data)));
}

TEST(BootData, NamesWhatIsWrong) {
  const auto expect_problem = [](void (*spoil)(BootData&), const char* word) {
    BootData data = good();
    spoil(data);
    const auto got = parse_boot_data(to_json(data));
    ASSERT_FALSE(got) << word;
    EXPECT_EQ(got.error().code, ErrorCode::bad_config);
    EXPECT_NE(got.error().message.find(word), std::string::npos) << got.error().message;
  };
  expect_problem([](BootData& d) { d.role = "king"; }, "role");
  expect_problem([](BootData& d) { d.instance = ""; }, "instance");
  expect_problem([](BootData& d) { d.secret = "12"; }, "secret");
  expect_problem([](BootData& d) { d.daemon = "controller:6830"; }, "daemon");
  expect_problem([](BootData& d) { d.daemon = "198.18.0.2"; }, "daemon");
  expect_problem([](BootData& d) { d.daemon = "198.18.0.2:0"; }, "daemon");
  expect_problem([](BootData& d) { d.daemon = "198.18.0.2:65536"; }, "daemon");
  expect_problem([](BootData& d) { d.address = "198.18.0.999"; }, "address");
  expect_problem([](BootData& d) { d.hostname = "a b"; }, "hostname");
  expect_problem([](BootData& d) { d.users = {{"ada", 0}}; }, "users");
  for (const char* bad : {"", "{", "7", "{\"role\":1}", "{\"users\":[[]]}"}) EXPECT_FALSE(parse_boot_data(bad)) << bad;
}

}  // namespace
}  // namespace slipway::join
