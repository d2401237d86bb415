#include "slurm/node_table.h"

#include <gtest/gtest.h>

#include <chrono>

namespace slipway::slurm {
namespace {

using model::NodeBase;

// Captured from slurmctld 22.05.8 (Debian 12).
constexpr const char* from_22_05 =
    "NodeName=cpu-0001 Arch=x86_64 CoresPerSocket=1  CPUAlloc=1 CPUEfctv=2 CPUTot=2 CPULoad=0.16 "
    "AvailableFeatures=avx,cpu "
    "ActiveFeatures=avx,cpu Gres=(null) NodeAddr=198.18.200.11 NodeHostName=ip-11 Version=22.05.8 OS=Linux 6.18.44 #1 "
    "SMP "
    "PREEMPT_DYNAMIC @0  RealMemory=1000 AllocMem=0 FreeMem=23470 Sockets=2 Boards=1 State=MIXED+CLOUD "
    "ThreadsPerCore=1 TmpDisk=0 "
    "Weight=1 Owner=N/A MCS_label=N/A Partitions=batch  BootTime=2026-11-22T13:50:42 "
    "SlurmdStartTime=2026-11-22T13:50:43 "
    "LastBusyTime=2026-11-22T13:50:44 CfgTRES=cpu=2,mem=1000M,billing=2 AllocTRES= CapWatts=n/a CurrentWatts=0 "
    "AveWatts=0 "
    "ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s\n"
    "NodeName=gpu-0001 CoresPerSocket=1  CPUAlloc=0 CPUEfctv=8 CPUTot=8 CPULoad=N/A AvailableFeatures=gpu "
    "ActiveFeatures=gpu "
    "Gres=gpu:2 NodeAddr=gpu-0001 NodeHostName=gpu-0001  RealMemory=64000 AllocMem=0 FreeMem=N/A Sockets=8 Boards=1 "
    "State=DOWN+CLOUD+POWERED_DOWN+NOT_RESPONDING ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A "
    "Partitions=gpu,all  "
    "BootTime=None SlurmdStartTime=None LastBusyTime=Unknown CfgTRES=cpu=8,mem=62.50G,billing=8 AllocTRES= "
    "CapWatts=n/a "
    "CurrentWatts=0 AveWatts=0 ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s Reason=ResumeTimeout reached "
    "[slurm@2026-11-22T13:52:21]\n";

// Captured from slurmctld 24.11.5 (Debian 13).
constexpr const char* from_24_11 =
    "NodeName=gpu-0002 CoresPerSocket=1  CPUAlloc=0 CPUEfctv=8 CPUTot=8 CPULoad=0.00 AvailableFeatures=gpu "
    "ActiveFeatures=gpu "
    "Gres=gpu:tesla:2,gpu:a:1,fpga:3 NodeAddr=gpu-0002 NodeHostName=gpu-0002  RealMemory=60800 AllocMem=0 FreeMem=N/A "
    "Sockets=8 "
    "Boards=1 State=IDLE+CLOUD+POWER_UP+POWERED_DOWN ThreadsPerCore=1 TmpDisk=0 Weight=5 Owner=N/A MCS_label=N/A "
    "Partitions=gpu  "
    "BootTime=None SlurmdStartTime=None LastBusyTime=Unknown ResumeAfterTime=None CfgTRES=cpu=8,mem=60800M,billing=8 "
    "AllocTRES= "
    "CurrentWatts=0 AveWatts=0  Reason=gres/gpu count reported lower than configured (0 < 2) "
    "[slurm@2026-11-22T13:58:31]\n";

TEST(ParseNodes, ReadsWhat2205Prints) {
  const auto nodes = parse_nodes(from_22_05);
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes[0].name.str(), "cpu-0001");
  EXPECT_EQ(nodes[0].address, "198.18.200.11");
  EXPECT_EQ(nodes[0].hostname, "ip-11");
  EXPECT_EQ(nodes[0].state.base, NodeBase::mixed);
  EXPECT_EQ(nodes[0].state.flags, model::node_cloud);
  EXPECT_EQ(nodes[0].cpus_total, 2u);
  EXPECT_EQ(nodes[0].cpus_allocated, 1u);
  EXPECT_EQ(nodes[0].features, "avx,cpu");
  EXPECT_EQ(nodes[0].partitions, "batch");
  EXPECT_EQ(to_iso8601(nodes[0].slurmd_started), "2026-11-22T13:50:43.000Z");
  EXPECT_EQ(to_iso8601(nodes[0].last_busy), "2026-11-22T13:50:44.000Z");
  EXPECT_EQ(nodes[0].reason, "");

  EXPECT_EQ(nodes[1].state.base, NodeBase::down);
  EXPECT_EQ(nodes[1].state.flags, model::node_cloud | model::node_powered_down | model::node_not_responding);
  EXPECT_EQ(nodes[1].reason, "ResumeTimeout reached");
  EXPECT_EQ(nodes[1].partitions, "gpu,all");
  EXPECT_EQ(nodes[1].slurmd_started, TimePoint{});
  EXPECT_EQ(nodes[1].last_busy, TimePoint{});
}

TEST(ParseNodes, ReadsWhat2411Prints) {
  const auto nodes = parse_nodes(from_24_11);
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0].state.base, NodeBase::idle);
  EXPECT_EQ(nodes[0].state.flags, model::node_cloud | model::node_power_up_requested | model::node_powered_down);
  EXPECT_EQ(nodes[0].reason, "gres/gpu count reported lower than configured (0 < 2)");
}

TEST(ParseNodes, AReasonCannotPoseAsAState) {
  const auto nodes = parse_nodes(
      "NodeName=a NodeAddr=a State=DOWN+CLOUD Reason=State=IDLE NodeAddr=evil [x] [root@2026-01-01T00:00:00]\n");
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0].state.base, NodeBase::down);
  EXPECT_EQ(nodes[0].address, "a");
  EXPECT_EQ(nodes[0].reason, "State=IDLE NodeAddr=evil [x]");
}

TEST(ParseNodes, AReasonMayBeFollowedByAnotherKey) {
  const auto nodes = parse_nodes("NodeName=a State=IDLE Reason=why not [root@2026-01-01T00:00:00] Comment=hello there");
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0].reason, "why not");
}

TEST(ParseNodes, SkipsWhatIsNotANode) {
  EXPECT_TRUE(parse_nodes("").empty());
  EXPECT_TRUE(parse_nodes("\n\nNo nodes in the system\nNodeName=\n PartitionName=x State=UP").empty());
  EXPECT_EQ(parse_nodes("x\nNodeName=a\nNode nope not found\nNodeName=b").size(), 2u);
}

TEST(ParseNodes, ReadsTenThousandNodesInTensOfMilliseconds) {
  std::string text;
  const std::string line = std::string(from_22_05).substr(0, std::string(from_22_05).find('\n') + 1);
  for (int i = 0; i < 10'000; ++i) text += line;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_nodes(text).size(), 10'000u);
  // An order of magnitude above what an optimized build needs: a quadratic parser would take minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(ParseNodeState, KnowsEveryWordAndToleratesOthers) {
  const auto all = parse_node_state(
      "ALLOCATED+CLOUD+DRAIN+COMPLETING+NOT_RESPONDING+FAIL+INVALID_REG+POWERED_DOWN+POWERING_UP+POWERING_DOWN+POWER_"
      "DOWN+POWER_UP+"
      "REBOOT_ISSUED+RESERVED+MAINTENANCE+PLANNED");
  EXPECT_EQ(all.base, NodeBase::allocated);
  EXPECT_EQ(all.flags, (1u << model::node_flag_count) - 1);
  EXPECT_EQ(parse_node_state("IDLE+DYNAMIC_NORM+BLOCKED+SOMETHING_NEW").base, NodeBase::idle);
  EXPECT_EQ(parse_node_state("IDLE+DYNAMIC_NORM+BLOCKED+SOMETHING_NEW").flags, 0u);
  EXPECT_EQ(parse_node_state("IDLE*+CLOUD").flags, model::node_cloud | model::node_not_responding);
  EXPECT_EQ(parse_node_state("MIXED#").flags, model::node_powering_up);
  for (const char* odd : {"", "+", "++", "*", "idle", "IDLE+", "+IDLE", "***+###"}) parse_node_state(odd);
  EXPECT_EQ(parse_node_state("").base, NodeBase::unknown);
}

TEST(ParseJobs, ReadsWhatSqueuePrints) {
  // Captured from squeue 22.05.8 and 24.11.5 with Adapter's format.
  const auto jobs = parse_jobs(
      "14<7>14<7>CONFIGURING<7>1<7>1<7>alice<7>batch<7>cpu-0002<7>None<7>1<7>1<7>(null)<7>wrap<7>\n"
      "18<7>16_1<7>RUNNING<7>2<7>4294901758<7>alice<7>batch<7>cpu-[0003-0004]<7>None<7>1<7>0<7>slipway: a|b<7>a|b "
      "c<7>\n"
      "16<7>16_[3-9]<7>PENDING<7>1<7>1<7>alice<7>batch,gpu<7><7>ReqNodeNotAvail, UnavailableNodes:cpu-[0001-0003]"
      "<7>0<7>1<7>(null)<7>a|b c<7>\n",
      "<7>");
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[0].id, 14u);
  EXPECT_EQ(jobs[0].state, "CONFIGURING");
  EXPECT_EQ(jobs[0].nodes, "cpu-0002");
  EXPECT_TRUE(jobs[0].requeueable);
  EXPECT_EQ(jobs[0].admin_comment, "");
  EXPECT_EQ(jobs[1].array_id, "16_1");
  EXPECT_EQ(jobs[1].name, "a|b c");
  EXPECT_EQ(jobs[1].node_count, 2u);
  EXPECT_EQ(jobs[1].priority, 4294901758u);
  EXPECT_EQ(jobs[1].user, "alice");
  EXPECT_FALSE(jobs[1].requeueable) << "srun's job: Slurm says Requeue=1 and BatchFlag=0";
  EXPECT_EQ(jobs[1].admin_comment, "slipway: a|b");
  EXPECT_EQ(jobs[2].partition, "batch,gpu");
  EXPECT_EQ(jobs[2].nodes, "");
  EXPECT_EQ(jobs[2].reason, "ReqNodeNotAvail, UnavailableNodes:cpu-[0001-0003]");
  EXPECT_FALSE(jobs[2].requeueable) << "--no-requeue";
}

TEST(ParseJobs, AJobsNameCannotPoseAsAnotherJob) {
  const std::string evil = "evil\n2<6>2<6>CONFIGURING<6>1<6>9<6>u<6>p<6>n2<6>None<6>1<6>1<6><6>x<6>";
  const auto jobs = parse_jobs("1<7>1<7>RUNNING<7>1<7>1<7>u<7>p<7>n1<7>None<7>1<7>1<7><7>" + evil +
                                   "<7>\n3<7>3<7>PENDING<7>1<7>1<7>u<7>p<7><7>None<7>1<7>1<7><7>ok<7>\n",
                               "<7>");
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].name, evil);
  EXPECT_EQ(jobs[1].id, 3u);
}

TEST(ParseJobs, WhatIsNoJobIsLeftOut) {
  EXPECT_TRUE(parse_jobs("", "<7>").empty());
  EXPECT_TRUE(parse_jobs("1<7>1<7>RUNNING<7>1", "<7>").empty()) << "cut off";
  EXPECT_TRUE(parse_jobs("<7><7><7><7><7><7><7><7><7><7><7><7><7>\n", "<7>").empty());
  EXPECT_TRUE(parse_jobs("anything", "").empty());
}

}  // namespace
}  // namespace slipway::slurm
