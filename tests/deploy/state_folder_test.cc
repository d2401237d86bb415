#include "deploy/state_folder.h"

#include <gtest/gtest.h>

#include "deploy/deploy.h"
#include "temporary_folder.h"

namespace slipway::deploy {
namespace {

namespace fs = std::filesystem;

FolderState state_of(const fs::path& path) {
  const auto look = look_at_state(path);
  EXPECT_TRUE(look);
  return look->state;
}

TEST(LookAtState, TellsWhoseItIs) {
  TemporaryFolder base;
  EXPECT_EQ(FolderState::absent, state_of(base.path() / "none"));
  EXPECT_EQ(FolderState::absent, state_of(base.path())) << "an empty folder";

  base.write("ours/version", "1\n");
  EXPECT_EQ(FolderState::clean, state_of(base.path() / "ours"));
  base.write("ours/shared/home/x", "");
  base.write("ours/data/events.db", "");
  EXPECT_EQ(FolderState::clean, state_of(base.path() / "ours")) << "only data that was kept";
  base.write("ours/keys/master.key", "");
  EXPECT_EQ(FolderState::used, state_of(base.path() / "ours"));

  base.write("theirs/photos/a.jpg", "");
  EXPECT_EQ(FolderState::foreign, state_of(base.path() / "theirs"));
  base.write("shared_only/shared/x", "");
  EXPECT_EQ(FolderState::foreign, state_of(base.path() / "shared_only"));
  base.write("file", "");
  EXPECT_EQ(FolderState::foreign, state_of(base.path() / "file"));

  base.write("begun/lock", "");
  EXPECT_EQ(FolderState::absent, state_of(base.path() / "begun")) << "killed at its first step";
}

TEST(LookAtState, KnowsOtherLayouts) {
  TemporaryFolder base;
  for (const char* version : {"2\n", "0", "", "one", "1 2"}) {
    base.write("version", version);
    const auto look = look_at_state(base.path());
    ASSERT_TRUE(look);
    EXPECT_EQ(FolderState::other, look->state) << version;
  }
}

TEST(StateLock, HasOneHolder) {
  TemporaryFolder base;
  const fs::path state = base.path() / "demo";
  EXPECT_FALSE(StateLock::is_held(state));
  {
    const auto first = StateLock::take(state, Duration(0));
    ASSERT_TRUE(first);
    EXPECT_TRUE(StateLock::is_held(state));
    const auto second = StateLock::take(state, Duration(60));
    ASSERT_FALSE(second);
    EXPECT_EQ(ErrorCode::transient, second.error().code);
  }
  EXPECT_FALSE(StateLock::is_held(state));
  EXPECT_EQ(FolderState::clean, state_of(state));
  EXPECT_TRUE(StateLock::take(state, Duration(0)));
}

TEST(LockNetwork, IsGivenBack) {
  {
    const auto first = lock_network(Duration(10'000));
    ASSERT_TRUE(first);
    EXPECT_FALSE(lock_network(Duration(0)));
  }
  EXPECT_TRUE(lock_network(Duration(10'000)));
}

TEST(RemoveState, KeepsDataWhenAsked) {
  TemporaryFolder base;
  const fs::path state = base.path() / "demo";
  for (const char* name :
       {"version", "lock", "keys/munge.key", "shared/home/file", "data/events.db", "machines/i-1/x"}) {
    base.write(std::string("demo/") + name, "1\n");
  }
  ASSERT_TRUE(remove_state(state, true));
  EXPECT_FALSE(fs::exists(state / "keys"));
  EXPECT_FALSE(fs::exists(state / "machines"));
  EXPECT_TRUE(fs::exists(state / "shared/home/file"));
  EXPECT_TRUE(fs::exists(state / "data/events.db"));
  EXPECT_EQ(FolderState::clean, state_of(state));
  ASSERT_TRUE(remove_state(state, false));
  EXPECT_FALSE(fs::exists(state));
  EXPECT_TRUE(remove_state(state, false)) << "once more";
}

TEST(RemoveState, DoesNotFollowLinks) {
  TemporaryFolder base;
  base.write("precious/file", "1");
  base.write("demo/version", "1\n");
  fs::create_symlink(base.path() / "precious", base.path() / "demo/link");
  ASSERT_TRUE(remove_state(base.path() / "demo", false));
  EXPECT_TRUE(fs::exists(base.path() / "precious/file"));
}

TEST(MountsBelow, FindsThoseInsideInnermostFirst) {
  const std::string_view text =
      "22 1 0:5 / / rw - ext4 /dev/vda rw\n"
      "30 22 0:40 / /var/lib/slipway/demo rw - tmpfs t rw\n"
      "31 30 0:41 / /var/lib/slipway/demo/machines/a\\040b rw - overlay o rw\n"
      "32 31 0:42 / /var/lib/slipway/demo/machines/a\\040b/proc rw - proc p rw\n"
      "33 22 0:43 / /var/lib/slipway/demo2/x rw - tmpfs t rw\n"
      "short\n";
  const auto found = mounts_below(text, "/var/lib/slipway/demo");
  ASSERT_EQ(2U, found.size());
  EXPECT_EQ("/var/lib/slipway/demo/machines/a b/proc", found[0]);
  EXPECT_EQ("/var/lib/slipway/demo/machines/a b", found[1]);
}

TEST(FindClusters, ListsOnlyOurs) {
  TemporaryFolder base;
  EXPECT_TRUE(find_clusters(base.path() / "none").empty());
  base.write("b/version", "1\n");
  base.write("b/keys/k", "");
  base.write("a/version", "9\n");
  base.write("kept/version", "1\n");
  base.write("kept/data/events.db", "");
  base.write("other/file", "");
  base.write("demo.yaml", "");
  const auto found = find_clusters(base.path());
  ASSERT_EQ(2U, found.size());
  EXPECT_EQ("a", found[0].filename());
  EXPECT_EQ("b", found[1].filename());
}

TEST(Down, RefusesWhatIsNotOurs) {
  TemporaryFolder base;
  base.write("theirs/file", "1");
  EXPECT_FALSE(down(base.path() / "theirs", false, {}));
  EXPECT_TRUE(fs::exists(base.path() / "theirs/file"));
  base.write("future/version", "2\n");
  base.write("future/keys/k", "");
  const auto refused = down(base.path() / "future", false, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(std::string::npos, refused.error().message.find("layout version \"2\""));
  EXPECT_TRUE(fs::exists(base.path() / "future/keys/k"));
  EXPECT_TRUE(down(base.path() / "none", false, {})) << "what isn't there is down already";
}

}  // namespace
}  // namespace slipway::deploy
