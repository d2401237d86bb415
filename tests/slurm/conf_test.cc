#include "slurm/conf.h"

#include <gtest/gtest.h>

#include "slurm/conf_lines.h"

namespace slipway::slurm {
namespace {

model::Cluster small_cluster() {
  model::Cluster cluster;
  cluster.name = "demo";
  model::Pool cpu;
  cpu.name = PoolName("cpu");
  cpu.max = 64;
  cpu.shape = {2, 2000, {}};
  cpu.boot_timeout = std::chrono::seconds(60);
  cpu.features = {"avx512"};
  cpu.weight = 10;
  model::Pool gpu;
  gpu.name = PoolName("gpu");
  gpu.max = 1;
  gpu.shape = {8, 64000, {"gpu:tesla:2", "gpu:1", "fpga:3"}};
  gpu.boot_timeout = std::chrono::seconds(90);
  cluster.pools = {cpu, gpu};
  model::Partition batch;
  batch.name = PartitionName("batch");
  batch.pools = {cpu.name, gpu.name};
  batch.is_default = true;
  batch.max_time = "2-00:00:00";
  batch.default_time = "01:00:00";
  model::Partition fast;
  fast.name = PartitionName("fast");
  fast.pools = {gpu.name};
  fast.priority_tier = 10;
  fast.slurm = {{"DefMemPerNode", "100"}, {"OverSubscribe", "NO"}};
  cluster.partitions = {batch, fast};
  cluster.existing = {{"rack[01-20]", "CPUs=64 RealMemory=250000", PartitionName("onprem"), std::nullopt}};
  cluster.slurm = {{"schedulerparameters", "bf_interval=30,defer"}, {"MailProg", "/usr/bin/mail"}};
  return cluster;
}

ConfInputs inputs(Version version) {
  ConfInputs result;
  result.version = version;
  result.controller_host = "controller";
  result.controller_address = "198.18.0.2";
  result.hook = "/opt/slipway/bin/slipway-hook";
  return result;
}

constexpr const char* head =
    "# Written by Slipway from the cluster file; changes made here are lost.\n"
    "ClusterName=demo\n"
    "SlurmctldHost=controller(198.18.0.2)\n"
    "SlurmUser=slurm\n"
    "AuthType=auth/munge\n"
    "AuthInfo=cred_expire=60\n"
    "StateSaveLocation=/var/spool/slurmctld\n"
    "SlurmdSpoolDir=/var/spool/slurmd\n"
    "SlurmctldPidFile=/run/slurmctld.pid\n"
    "SlurmdPidFile=/run/slurmd.pid\n"
    "SlurmctldLogFile=/var/log/slipway/slurmctld.log\n"
    "SlurmdLogFile=/var/log/slipway/slurmd.log\n"
    "ResumeProgram=/opt/slipway/bin/slipway-resume\n"
    "SuspendProgram=/opt/slipway/bin/slipway-suspend\n"
    "ResumeFailProgram=/opt/slipway/bin/slipway-resume-fail\n"
    "PrologSlurmctld=/opt/slipway/bin/slipway-prolog\n"
    "SuspendTime=315360000\n"
    "SuspendTimeout=60\n"
    "ResumeTimeout=330\n"
    "SuspendRate=0\n"
    "ResumeRate=0\n"
    "ReturnToService=2\n";

constexpr const char* middle =
    "MessageTimeout=30\n"
    "TCPTimeout=10\n"
    "SlurmdTimeout=120\n"
    "BatchStartTimeout=60\n"
    "SchedulerType=sched/backfill\n"
    "SchedulerParameters=batch_sched_delay=0,sched_interval=10,sched_min_interval=500000,bf_interval=30,defer\n"
    "SelectType=select/cons_tres\n"
    "SelectTypeParameters=CR_Core_Memory\n"
    "SlurmdParameters=config_overrides\n"
    "ProctrackType=proctrack/linuxproc\n"
    "TaskPlugin=task/none\n"
    "JobAcctGatherType=jobacct_gather/none\n"
    "MpiDefault=none\n"
    "MailProg=/usr/bin/mail\n";

constexpr const char* tail =
    "GresTypes=gpu,fpga\n"
    "NodeName=cpu-[0001-0064] CPUs=2 RealMemory=1900 Feature=avx512,cpu Weight=10 State=CLOUD\n"
    "NodeName=gpu-0001 CPUs=8 RealMemory=60800 Feature=gpu Gres=gpu:tesla:2,gpu:1,fpga:3 State=CLOUD\n"
    "NodeName=rack[01-20] CPUs=64 RealMemory=250000\n"
    "PartitionName=batch Nodes=cpu-[0001-0064],gpu-0001 Default=YES MaxTime=2-00:00:00 DefaultTime=01:00:00 "
    "DefMemPerCPU=950 State=UP\n"
    "PartitionName=fast Nodes=gpu-0001 MaxTime=UNLIMITED PriorityTier=10 State=UP DefMemPerNode=100 OverSubscribe=NO\n"
    "PartitionName=onprem Nodes=rack[01-20] MaxTime=UNLIMITED State=UP\n";

TEST(RenderConf, ExactTextFor2205) {
  const auto conf = render_conf(small_cluster(), inputs({22, 5, 8}));
  EXPECT_EQ(conf.slurm_conf,
            std::string(head) +
                "SlurmctldParameters=enable_configless,idle_on_node_suspend,power_save_interval=1,cloud_reg_addrs\n"
                "PrivateData=cloud\n"
                "TreeWidth=65533\n" +
                middle + tail);
  EXPECT_EQ(conf.cgroup_conf, "CgroupPlugin=cgroup/v1\n");
}

TEST(RenderConf, ExactTextFor2411) {
  const auto conf = render_conf(small_cluster(), inputs({24, 11, 5}));
  EXPECT_EQ(conf.slurm_conf, std::string(head) +
                                 "SlurmctldParameters=enable_configless,idle_on_node_suspend,power_save_interval=1\n" +
                                 middle + "DebugFlags=GLOB_SILENCE\n" + tail);
  EXPECT_EQ(conf.cgroup_conf, "CgroupPlugin=disabled\n");
}

TEST(RenderConf, GresGetFilesOfTheirOwnWhereSlurmdWantsThem) {
  const auto conf = render_conf(small_cluster(), inputs({22, 5, 8}));
  EXPECT_EQ(conf.gres_conf,
            "NodeName=gpu-0001 Name=gpu Type=tesla File=/dev/null,/dev/./null\n"
            "NodeName=gpu-0001 Name=gpu File=/dev/././null\n"
            "NodeName=gpu-0001 Name=fpga Count=3\n");
  auto plain = small_cluster();
  plain.pools.pop_back();
  EXPECT_EQ(render_conf(plain, inputs({22, 5, 8})).gres_conf, "");
}

TEST(RenderConf, ListsAreMergedAndTheRestIsOverridden) {
  auto cluster = small_cluster();
  cluster.slurm = {
      {"SlurmctldParameters", "max_dbd_msg_action=exit"}, {"AuthInfo", "ttl=60"},  {"slurmdtimeout", "600"},
      {"LaunchParameters", "use_interactive_step"},       {"PrivateData", "jobs"}, {"Epilog", "/a b"}};
  const std::string text = render_conf(cluster, inputs({22, 5, 8})).slurm_conf;
  const auto has = [&](const char* line) { return text.find("\n" + std::string(line) + "\n") != std::string::npos; };
  EXPECT_TRUE(
      has("SlurmctldParameters=enable_configless,idle_on_node_suspend,power_save_interval=1,cloud_reg_addrs,max_dbd_"
          "msg_action=exit"));
  EXPECT_TRUE(has("AuthInfo=cred_expire=60,ttl=60"));
  EXPECT_TRUE(has("SlurmdTimeout=600"));
  EXPECT_FALSE(has("SlurmdTimeout=120"));
  EXPECT_TRUE(has("LaunchParameters=use_interactive_step"));
  EXPECT_TRUE(has("PrivateData=cloud,jobs"));
  EXPECT_TRUE(has("Epilog=\"/a b\""));
}

TEST(RenderConf, AValueCannotBeginALineOfItsOwn) {
  auto cluster = small_cluster();
  cluster.slurm = {{"Epilog", "x\nSuspendTime=1 # y"}};
  cluster.existing[0].slurm = "CPUs=1\nSuspendTime=1";
  const std::string text = render_conf(cluster, inputs({22, 5, 8})).slurm_conf;
  EXPECT_EQ(text.find("\nSuspendTime=1"), std::string::npos);
  EXPECT_NE(text.find("\nEpilog=\"x SuspendTime=1 \\# y\"\n"), std::string::npos);
}

TEST(RenderConf, HugeBootTimeoutsStayWithinSlurmsLimits) {
  auto cluster = small_cluster();
  cluster.pools[0].boot_timeout = std::chrono::hours(100);
  EXPECT_NE(render_conf(cluster, inputs({22, 5, 8})).slurm_conf.find("\nResumeTimeout=65000\n"), std::string::npos);
}

TEST(CloudHosts, EveryNameResolves) {
  const std::string text = cloud_hosts(small_cluster(), {{NodeName("cpu-0002"), "198.18.0.9"}});
  EXPECT_EQ(text.substr(0, 60), "127.0.0.1 cpu-0001\n198.18.0.9 cpu-0002\n127.0.0.1 cpu-0003\n12");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 65);
  EXPECT_TRUE(text.ends_with("127.0.0.1 gpu-0001\n"));
}

TEST(DeclaredMemory, IsBelowWhatTheMachineHas) {
  EXPECT_EQ(declared_memory_mib(2000), 1900u);
  EXPECT_EQ(declared_memory_mib(1), 1u);
  EXPECT_EQ(declared_memory_mib(0), 1u);
  EXPECT_LT(declared_memory_mib(UINT64_MAX), UINT64_MAX);
}

}  // namespace
}  // namespace slipway::slurm
