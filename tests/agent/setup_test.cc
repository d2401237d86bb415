#include "agent/setup.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "agent/listening.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace slipway::agent {
namespace {

namespace fs = std::filesystem;

class SetupTest : public ::testing::Test {
 protected:
  SetupTest() {
    char name[] = "/tmp/slipway-setup-test.XXXXXX";
    root_ = mkdtemp(name);
    fs::create_directories(root_ / "etc");
    fs::create_directories(root_ / "home");
  }
  ~SetupTest() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& text) { std::ofstream(root_ / name) << text; }
  std::string read(const std::string& name) { return read_file(root_ / name).value_or("(missing)"); }
  Result<void> ensure(const std::vector<model::User>& users) {
    return ensure_users(root_ / "etc", root_ / "home", users);
  }

  fs::path root_;
};

TEST_F(SetupTest, FindsAUserAndItsGroups) {
  write("etc/passwd", "root:x:0:0::/root:/bin/sh\nnonsense\nmunge:x:102:105::/:/bin/false\nbad:x:-1:what::/:\n");
  write("etc/group", "disk:x:6:root,munge\nmunge:x:105:munge\nother:x:9:xmunge\nbroken\n");
  const auto munge = find_identity(root_ / "etc", "munge");
  ASSERT_TRUE(munge);
  EXPECT_EQ(munge->uid, 102u);
  EXPECT_EQ(munge->gid, 105u);
  EXPECT_EQ(munge->groups, (std::vector<gid_t>{105, 6}));
  EXPECT_EQ(find_identity(root_ / "etc", "bad").error().code, ErrorCode::not_found);
  EXPECT_EQ(find_identity(root_ / "etc", "").error().code, ErrorCode::not_found);
}

TEST_F(SetupTest, AddsMissingUsersOnce) {
  write("etc/passwd", "root:x:0:0::/root:/bin/sh");
  write("etc/group", "root:x:0:\n");
  write("etc/shadow", "root:*:::::::\n");
  chmod((root_ / "etc/shadow").c_str(), 0640);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(ensure({{"ada", 2001}, {"bob", 2002}}));
    const std::string home = (root_ / "home").string();
    EXPECT_EQ(read("etc/passwd"), "root:x:0:0::/root:/bin/sh\nada:x:2001:2001::" + home +
                                      "/ada:/bin/sh\nbob:x:2002:2002::" + home + "/bob:/bin/sh\n");
    EXPECT_EQ(read("etc/group"), "root:x:0:\nada:x:2001:\nbob:x:2002:\n");
    EXPECT_EQ(read("etc/shadow"), "root:*:::::::\nada:!::0:99999:7:::\nbob:!::0:99999:7:::\n");
  }
  struct stat info {};
  ASSERT_EQ(stat((root_ / "etc/shadow").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
  ASSERT_EQ(stat((root_ / "home/bob").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
}

TEST_F(SetupTest, TheClusterDecidesAnOrdinaryUsersNumber) {
  write("etc/passwd", "ada:x:1000:1000:Ada,,,:/home/ada:/bin/zsh\n");
  write("etc/group", "ada:x:1000:\nlab:x:1001:ada\n");
  ASSERT_TRUE(ensure({{"ada", 2001}}));
  EXPECT_EQ(read("etc/passwd"), "ada:x:2001:2001:Ada,,,:/home/ada:/bin/zsh\n");
  EXPECT_EQ(read("etc/group"), "ada:x:2001:\nlab:x:1001:ada\n");
}

TEST_F(SetupTest, ASystemAccountIsNotTakenOver) {
  write("etc/passwd", "daemon:x:1:1::/:/bin/false\n");
  write("etc/group", "daemon:x:1:\n");
  const auto refused = ensure({{"daemon", 2001}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::bad_config);
  EXPECT_NE(refused.error().message.find("daemon"), std::string::npos);
  EXPECT_EQ(read("etc/passwd"), "daemon:x:1:1::/:/bin/false\n");
}

TEST_F(SetupTest, AHomeThatExistsIsLeftAlone) {
  write("etc/passwd", "");
  fs::create_directories(root_ / "home/ada");
  chmod((root_ / "home/ada").c_str(), 0755);
  ASSERT_TRUE(ensure({{"ada", 2001}}));
  struct stat info {};
  ASSERT_EQ(stat((root_ / "home/ada").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
  EXPECT_EQ(info.st_uid, 0u);
}

TEST_F(SetupTest, ASectionIsReplacedAndTheRestStays) {
  const fs::path hosts = root_ / "etc/hosts";
  write("etc/hosts", "127.0.0.1 localhost\n");
  ASSERT_TRUE(replace_section(hosts, "cluster", "198.18.0.2 controller\n198.18.0.3 login"));
  ASSERT_TRUE(replace_section(hosts, "self", "198.18.0.9 cpu-0001\n"));
  EXPECT_EQ(read("etc/hosts"),
            "# slipway self\n198.18.0.9 cpu-0001\n# end of slipway self\n# slipway cluster\n198.18.0.2 "
            "controller\n198.18.0.3 login\n"
            "# end of slipway cluster\n127.0.0.1 localhost\n");
  ASSERT_TRUE(replace_section(hosts, "cluster", ""));
  ASSERT_TRUE(replace_section(hosts, "self", "198.18.0.9 cpu-0002\n"));
  EXPECT_EQ(read("etc/hosts"),
            "# slipway self\n198.18.0.9 cpu-0002\n# end of slipway self\n# slipway cluster\n# end of slipway "
            "cluster\n127.0.0.1 localhost\n");
}

TEST_F(SetupTest, ASectionWithoutItsEndIsNotTrusted) {
  write("etc/hosts", "# slipway self\n1.2.3.4 old\n127.0.0.1 localhost\n");
  ASSERT_TRUE(replace_section(root_ / "etc/hosts", "self", "198.18.0.9 new\n"));
  EXPECT_EQ(
      read("etc/hosts"),
      "# slipway self\n198.18.0.9 new\n# end of slipway self\n# slipway self\n1.2.3.4 old\n127.0.0.1 localhost\n");
}

TEST_F(SetupTest, ASectionOfAMissingFileMakesIt) {
  ASSERT_TRUE(replace_section(root_ / "etc/hosts", "self", "198.18.0.9 a\n"));
  EXPECT_EQ(read("etc/hosts"), "# slipway self\n198.18.0.9 a\n# end of slipway self\n");
}

TEST_F(SetupTest, PutFileHasItsRightsFromTheStart) {
  ASSERT_TRUE(put_file(root_ / "etc/key", std::string("\0key", 4), 0400, 102, 105));
  struct stat info {};
  ASSERT_EQ(stat((root_ / "etc/key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400u);
  EXPECT_EQ(info.st_uid, 102u);
  EXPECT_EQ(info.st_gid, 105u);
  EXPECT_EQ(read("etc/key"), std::string("\0key", 4));
  EXPECT_FALSE(put_file(root_ / "nowhere/key", "x", 0400));
  EXPECT_FALSE(fs::exists(root_ / "etc/key.slipway-new"));
}

TEST_F(SetupTest, GiveFolderRepairsOwnerAndRights) {
  ASSERT_TRUE(give_folder(root_ / "a/b", 0700, 102, 105));
  ASSERT_TRUE(give_folder(root_ / "a/b", 0711, 103, 106));
  struct stat info {};
  ASSERT_EQ(stat((root_ / "a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0711u);
  EXPECT_EQ(info.st_uid, 103u);
}

TEST(Listening, SeesOnlyListeningTcpSockets) {
  const auto mine = [] { return listens(getpid()); };
  ASSERT_EQ(mine(), std::optional(false));
  const Fd other(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(listen(other.get(), 1), -1) << "not bound";
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  EXPECT_EQ(mine(), std::optional(false));
  ASSERT_EQ(listen(fd.get(), 1), 0);
  EXPECT_EQ(mine(), std::optional(true));
  EXPECT_EQ(listens(0x7ffffff0), std::optional(false)) << "no such process";
}

}  // namespace
}  // namespace slipway::agent
