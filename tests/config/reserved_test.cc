#include "config/reserved.h"

#include <gtest/gtest.h>

namespace slipway::config {
namespace {

TEST(ReservedKeys, AreRefusedWithAReasonWhateverTheirCase) {
  for (const char* key :
       {"SuspendProgram", "ResumeProgram",   "ResumeFailProgram", "SuspendTime", "SuspendTimeout",    "ResumeTimeout",
        "SuspendRate",    "ResumeRate",      "SlurmctldHost",     "ClusterName", "NodeName",          "PartitionName",
        "TreeWidth",      "ReturnToService", "AuthType",          "SlurmUser",   "StateSaveLocation", "SlurmdSpoolDir",
        "SelectType",     "Include",         "suspendprogram",    "NODENAME"}) {
    EXPECT_NE(reserved_key_reason(key), "") << key;
  }
  EXPECT_EQ(reserved_key_reason("suspendprogram"), reserved_key_reason("SuspendProgram"));
  EXPECT_EQ(reserved_key_reason("SuspendProgram").rfind("SuspendProgram is how", 0), 0u);
}

TEST(ReservedKeys, AreKeysThatSlurmHas) {
  // A reason for a misspelled key would never be shown.
  for (const char* key :
       {"SuspendExcStates", "TLSParameters", "BackupAddr", "AccountingStorageEnforce", "JobContainerType"}) {
    EXPECT_NE(reserved_key_reason(key), "") << key;
    EXPECT_EQ(known_slurm_key(key), key);
  }
}

TEST(ReservedKeys, TheRestPasses) {
  for (const char* key :
       {"SchedulerParameters", "SlurmctldParameters", "SlurmdParameters", "PrivateData", "MaxJobCount", "Prolog",
        "MessageTimeout", "SelectTypeParameters", "PriorityType", "AuthInfo", "JobAcctGatherType"}) {
    EXPECT_EQ(reserved_key_reason(key), "") << key;
    EXPECT_EQ(known_slurm_key(key), key);
  }
  EXPECT_EQ(known_slurm_key("maxjobcount"), "MaxJobCount");
  EXPECT_EQ(known_slurm_key("MaxJobCounts"), "");
  EXPECT_EQ(nearest_slurm_key("MaxJobCounts"), "; did you mean 'MaxJobCount'?");
}

TEST(ReservedKeys, PartitionsAndNodesHaveTheirOwn) {
  EXPECT_NE(reserved_partition_key_reason("maxtime").find("use that"), std::string::npos);
  EXPECT_NE(reserved_partition_key_reason("SuspendTime"), "");
  EXPECT_EQ(reserved_partition_key_reason("OverSubscribe"), "");
  EXPECT_EQ(known_partition_key("oversubscribe"), "OverSubscribe");
  EXPECT_NE(reserved_node_key_reason("NodeAddr"), "");
  EXPECT_EQ(reserved_node_key_reason("CPUs"), "");
  EXPECT_EQ(known_node_key("cpus"), "CPUs");
}

TEST(ReservedValues, AreSingleWords) {
  EXPECT_NE(reserved_value_reason("SlurmctldParameters", "cloud_dns"), "");
  EXPECT_NE(reserved_value_reason("slurmctldparameters", "power_save_interval=60"), "");
  EXPECT_EQ(reserved_value_reason("SlurmctldParameters", "idle_on_node_suspend"), "");
  EXPECT_NE(reserved_value_reason("AuthInfo", "socket=/x"), "");
  EXPECT_EQ(reserved_value_reason("AuthInfo", "cred_expire=60"), "");
}

}  // namespace
}  // namespace slipway::config
