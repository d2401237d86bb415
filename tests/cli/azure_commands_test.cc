// `doctor azure` and `azure role`, as a script sees them.
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/commands.h"
#include "cli/json.h"

namespace slipway::cli {
namespace {

constexpr const char* file_head =
    "cluster: lab\n"
    "provider: azure\n"
    "azure:\n"
    "  identity: {service_principal: {tenant: 11111111-2222-3333-4444-555555555555, client: "
    "11111111-2222-3333-4444-555555555556, secret_file: /nowhere/secret}}\n"
    "  subscription: 11111111-2222-3333-4444-555555555557\n"
    "  resource_group: lab\n"
    "  region: westeurope\n"
    "  image: canonical:ubuntu-24_04-lts:server:latest\n"
    "  account: labbatch\n"
    "pools:\n"
    "  cpu: {max: 2, machines: Standard_D2s_v5}\n";

struct AzureCommands : testing::Test {
  std::string file = "/tmp/slipway-azure-commands-" + std::to_string(getpid()) + ".yaml";
  std::string out;
  std::string err;
  ~AzureCommands() override { unlink(file.c_str()); }

  void write(const std::string& text) { ASSERT_TRUE(write_file(file, text)); }
  Result<int> run(Result<int> (*command)(const Options&, Terminal&), bool with_file = true) {
    Options options;
    options.json = true;
    if (with_file) options.file = file;
    Terminal terminal;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    auto done = command(options, terminal);
    out = testing::internal::GetCapturedStdout();
    err = testing::internal::GetCapturedStderr();
    return done;
  }
};

TEST_F(AzureCommands, TheRoleIsReadByAz) {
  ASSERT_EQ(0, run(&azure_role, false).value_or(-1)) << err;
  const auto role = Json::parse(out);
  ASSERT_TRUE(role) << out;
  EXPECT_TRUE(role->flag("IsCustom"));
  EXPECT_GT(role->strings("Actions").size(), 20u);
}

TEST_F(AzureCommands, TheRoleOfAFileIsForItsSubscription) {
  write(file_head);
  ASSERT_EQ(0, run(&azure_role).value_or(-1)) << err;
  const auto role = Json::parse(out);
  ASSERT_TRUE(role) << out;
  EXPECT_EQ((std::vector<std::string>{"/subscriptions/11111111-2222-3333-4444-555555555557"}),
            role->strings("AssignableScopes"));
}

TEST_F(AzureCommands, AProblemIsExitStatusOne) {
  write(file_head);
  ASSERT_EQ(1, run(&doctor_azure).value_or(-1)) << err;
  const auto answer = Json::parse(out);
  ASSERT_TRUE(answer) << out;
  EXPECT_FALSE(answer->flag("ok"));
  ASSERT_EQ(1u, answer->at("findings").items().size());
  const Json finding = answer->at("findings").items().front();
  EXPECT_EQ("identity", finding.text("what"));
  EXPECT_EQ("problem", finding.text("verdict"));
  EXPECT_NE(std::string::npos, finding.text("sentence").find("/nowhere/secret"));
  EXPECT_NE("", finding.text("way_out"));
}

TEST_F(AzureCommands, AFileWithoutAzureIsNoneOfTheirs) {
  write("cluster: lab\npools:\n  cpu: {max: 2}\n");
  for (auto* command : {&doctor_azure, &azure_role}) {
    const auto done = run(command);
    ASSERT_FALSE(done);
    EXPECT_EQ(ErrorCode::bad_config, done.error().code);
  }
}

TEST_F(AzureCommands, AWrongFileIsExplained) {
  write("cluster: lab\npools: 3\n");
  EXPECT_EQ(1, run(&doctor_azure).value_or(-1));
  EXPECT_NE(std::string::npos, err.find(file + ":2:"));
}

}  // namespace
}  // namespace slipway::cli
