#include "deploy/image.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "temporary_folder.h"

namespace slipway::deploy {
namespace {

namespace fs = std::filesystem;

TEST(FindAccount, ReadsTheLineOfThatName) {
  const std::string_view passwd =
      "root:x:0:0:root:/root:/bin/bash\nslurmx:x:7:8::/:/bin/sh\nslurm:x:64030:64031::/nonexistent:/usr/sbin/nologin\n";
  const auto account = find_account(passwd, "slurm");
  ASSERT_TRUE(account);
  EXPECT_EQ(64030U, account->uid);
  EXPECT_EQ(64031U, account->gid);
  EXPECT_FALSE(find_account(passwd, "slur"));
  EXPECT_FALSE(find_account("", "slurm"));
}

TEST(FindAccount, SkipsMalformedLines) {
  EXPECT_FALSE(find_account("slurm\n", "slurm"));
  EXPECT_FALSE(find_account("slurm:x:12\n", "slurm"));
  EXPECT_FALSE(find_account("slurm:x:-1:4:::\n", "slurm"));
  EXPECT_FALSE(find_account("slurm:x:99999999999:4:::\n", "slurm"));
  const auto later = find_account("slurm:x:no:4:::\nslurm:x:5:6:::\n", "slurm");
  ASSERT_TRUE(later);
  EXPECT_EQ(5U, later->uid);
  // A line without its end.
  EXPECT_TRUE(find_account("slurm:x:5:6:", "slurm"));
}

TEST(ImageHasProgram, FollowsLinksAsTheImageSeesThem) {
  TemporaryFolder root;
  root.write("usr/sbin/slurmctld-wlm", "#!/bin/sh\n", 0755);
  fs::create_directories(root.path() / "etc/alternatives");
  // Absolute links, as Debian's alternatives are: they must lead into the image, not to the box.
  fs::create_symlink("/usr/sbin/slurmctld-wlm", root.path() / "etc/alternatives/slurmctld");
  fs::create_symlink("/etc/alternatives/slurmctld", root.path() / "usr/sbin/slurmctld");
  EXPECT_TRUE(image_has_program(root.path(), "slurmctld"));

  // /bin/sh of the box is no program of the image.
  fs::create_symlink("/bin/sh", root.path() / "usr/sbin/slurmd");
  EXPECT_FALSE(image_has_program(root.path(), "slurmd"));

  root.write("usr/bin/sinfo", "text", 0644);
  EXPECT_FALSE(image_has_program(root.path(), "sinfo")) << "not executable";
  fs::create_directories(root.path() / "usr/bin/srun");
  EXPECT_FALSE(image_has_program(root.path(), "srun")) << "a folder";
  EXPECT_FALSE(image_has_program(root.path() / "nowhere", "srun"));
}

TEST(ImageAccount, StaysInTheImage) {
  TemporaryFolder root;
  EXPECT_FALSE(image_account(root.path(), "root"));
  fs::create_directories(root.path() / "etc");
  fs::create_symlink("../../../../../../../../../../etc/passwd", root.path() / "etc/passwd");
  EXPECT_FALSE(image_account(root.path(), "root")) << "the link leads to itself inside the image";
}

}  // namespace
}  // namespace slipway::deploy
