#include "daemon/slurm_user.h"

namespace slipway::daemon {
namespace {

TEST(SlurmUser, IsReadFromTheConfiguration) {
  EXPECT_EQ(slurm_user_of(""), "slurm");
  EXPECT_EQ(slurm_user_of("ClusterName=x\nSlurmUser=hpc\n"), "hpc");
  EXPECT_EQ(slurm_user_of("  slurmuser = hpc  # who\nSlurmdUser=root"), "hpc");
  EXPECT_EQ(slurm_user_of("#SlurmUser=hpc\n"), "slurm");
  EXPECT_EQ(slurm_user_of("SlurmUser=hpc(64030)\r\n"), "hpc");
}

TEST(SlurmConfValue, TheLastLineCounts) {
  EXPECT_EQ(slurm_conf_value("StateSaveLocation=/a\nstatesavelocation = /b # why\n", "StateSaveLocation", ""), "/b");
  EXPECT_EQ(slurm_conf_value("SlurmctldPort=1\n", "StateSaveLocation", "none"), "none");
}

TEST(SlurmUser, UidComesFromPasswdLines) {
  const char* passwd =
      "root:x:0:0:root:/root:/bin/sh\nslurm2:x:7:7::/:\nslurm:x:64030:64030::/:\nbroken\nodd:x:12a:1::/:\n";
  EXPECT_EQ(uid_of(passwd, "slurm"), 64030u);
  EXPECT_EQ(uid_of(passwd, "root"), 0u);
  EXPECT_EQ(uid_of(passwd, "1234"), 1234u);
  EXPECT_EQ(uid_of(passwd, "nobody"), std::nullopt);
  EXPECT_EQ(uid_of(passwd, "odd"), std::nullopt);
  EXPECT_EQ(uid_of(passwd, "broken"), std::nullopt);
  EXPECT_EQ(uid_of("", ""), std::nullopt);
}

}  // namespace
}  // namespace slipway::daemon
