#include "daemon/observe.h"

#include "fakes.h"

namespace slipway::daemon {
namespace {

using engine::no_pool;

model::Cluster two_pools() {
  model::Cluster cluster = small_cluster(20);
  model::Pool pool;
  pool.name = PoolName("gpu-big");
  pool.max = 12'000;
  cluster.pools.push_back(pool);
  return cluster;
}

TEST(PoolMap, KnowsItsOwnNamesOnly) {
  const auto cluster = two_pools();
  const PoolMap pools(cluster);
  EXPECT_EQ(pools.by_pool(PoolName("cpu")), 0u);
  EXPECT_EQ(pools.by_pool(PoolName("gpu-big")), 1u);
  EXPECT_EQ(pools.by_pool(PoolName("")), no_pool);
  EXPECT_EQ(pools.by_node(NodeName("cpu-0001")), 0u);
  EXPECT_EQ(pools.by_node(NodeName("cpu-0020")), 0u);
  EXPECT_EQ(pools.by_node(NodeName("gpu-big-0007")), 1u);
  EXPECT_EQ(pools.by_node(NodeName("gpu-big-12000")), 1u);
  for (const char* strange : {"cpu-0021", "cpu-0000", "cpu-1", "cpu-00001", "cpu-", "cpu", "-0001", "", "cpu-0001x",
                              "cpu-+001", "rack01", "gpu-0001", "cpu-99999999999999999999", "cpu--001"}) {
    EXPECT_EQ(pools.by_node(NodeName(strange)), no_pool) << strange;
  }
}

TEST(NodeViews, BusyIsWhateverAJobHolds) {
  const auto cluster = two_pools();
  const PoolMap pools(cluster);
  std::vector<slurm::Node> nodes(5);
  for (size_t i = 0; i < nodes.size(); ++i)
    nodes[i].name = model::node_name(PoolName("cpu"), static_cast<uint32_t>(i + 1));
  nodes[0].state.base = model::NodeBase::idle;
  nodes[1].state.base = model::NodeBase::allocated;
  nodes[2].state = {model::NodeBase::idle, model::node_completing};
  nodes[3].state.base = model::NodeBase::mixed;
  nodes[4].state.base = model::NodeBase::down;
  nodes[4].cpus_allocated = 1;
  nodes[4].reason = "why";
  nodes[4].address = "198.18.0.9";
  const auto views = node_views(nodes, pools);
  ASSERT_EQ(views.size(), 5u);
  EXPECT_FALSE(views[0].busy);
  for (size_t i = 1; i < 5; ++i) EXPECT_TRUE(views[i].busy) << i;
  EXPECT_EQ(views[4].reason, "why");
  EXPECT_EQ(views[4].address, "198.18.0.9");
  EXPECT_EQ(views[0].pool, 0u);
}

TEST(InstanceViews, LeavesOutWhatIsInNoPool) {
  const auto cluster = two_pools();
  const PoolMap pools(cluster);
  std::vector<model::Instance> instances(3);
  instances[0].id = InstanceId("i-1");
  instances[0].pool = PoolName("cpu");
  instances[1].id = InstanceId("i-login");
  instances[2].id = InstanceId("i-2");
  instances[2].pool = PoolName("gpu-big");
  instances[2].trouble = Error{ErrorCode::permanent, "no boot disk"};
  instances[2].market = model::Market::spot;
  instances[2].offer = {.machine = "m.large", .zone = "b"};
  instances[2].placement = "job-7";
  instances[2].evict_at = TimePoint(Duration(5'000));
  const auto views = instance_views(instances, pools);
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[0].id.str(), "i-1");
  EXPECT_FALSE(views[0].trouble);
  EXPECT_EQ(views[1].pool, 1u);
  EXPECT_TRUE(views[1].trouble);
  EXPECT_EQ(views[1].message, "no boot disk");
  EXPECT_EQ(views[1].market, model::Market::spot);
  EXPECT_EQ(views[1].offer, (model::Offer{"m.large", "b"}));
  EXPECT_EQ(views[1].placement, "job-7");
  EXPECT_EQ(views[1].evict_at, TimePoint(Duration(5'000)));
  EXPECT_EQ(views[0].evict_at, TimePoint{});
}

slurm::Job waiting(JobId id, const std::string& partition, const std::string& reason) {
  slurm::Job job;
  job.id = id;
  job.state = "PENDING";
  job.partition = partition;
  job.reason = reason;
  return job;
}

TEST(PendingJobs, AreThoseThatMissNodesOnly) {
  auto cluster = two_pools();
  model::Partition both;
  both.name = PartitionName("both");
  both.pools = {PoolName("gpu-big"), PoolName("cpu")};
  cluster.partitions.push_back(both);
  const PoolMap pools(cluster);
  // The texts of squeue 22.05.8 and 24.11.5.
  std::vector<slurm::Job> jobs;
  for (const char* reason :
       {"None", "Resources", "Priority", "Cleaning", "ReqNodeNotAvail, UnavailableNodes:cpu-[0001-0003]",
        "ReqNodeNotAvail, May be reserved for other job",
        "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"}) {
    jobs.push_back(waiting(static_cast<JobId>(jobs.size() + 1), "batch", reason));
  }
  const size_t wanting = jobs.size();
  for (const char* reason : {"Dependency", "BeginTime", "JobHeldUser", "JobHeldAdmin", "PartitionTimeLimit", "Licenses",
                             "QOSMaxJobsPerUserLimit", "AssocGrpCpuLimit", "PartitionDown", "BadConstraints"}) {
    jobs.push_back(waiting(99, "batch", reason));
  }
  jobs.push_back(waiting(99, "elsewhere", "Resources"));
  jobs.push_back(waiting(99, "batch", "None"));
  jobs.back().state = "RUNNING";
  jobs.push_back(waiting(50, "batch,both,batch", "Resources"));
  jobs.back().admin_comment = "slipway: waits for capacity";
  jobs.push_back(waiting(51, "both", "Resources"));
  jobs.back().admin_comment = "the admin's own";
  const auto pending = pending_jobs(jobs, pools);
  ASSERT_EQ(pending.size(), wanting + 2);
  for (size_t i = 0; i < wanting; ++i) {
    EXPECT_EQ(pending[i].id, i + 1);
    EXPECT_EQ(pending[i].pools, std::vector<engine::PoolIndex>{0});
  }
  EXPECT_EQ(pending[wanting].pools, (std::vector<engine::PoolIndex>{0, 1}));
  EXPECT_EQ(pending[wanting].told, "slipway: waits for capacity");
  EXPECT_EQ(pending[wanting + 1].pools, (std::vector<engine::PoolIndex>{1, 0}));
  EXPECT_EQ(pending[wanting + 1].told, "");
}

std::vector<engine::NodeView> coming(const std::vector<std::string>& names, bool powering_up = true) {
  std::vector<engine::NodeView> nodes;
  for (const auto& name : names) {
    engine::NodeView node;
    node.name = NodeName(name);
    node.pool = 0;
    node.slurm = {model::NodeBase::allocated, powering_up ? model::node_powering_up : 0u};
    nodes.push_back(node);
  }
  return nodes;
}

slurm::Job configuring(JobId id, std::string nodes) {
  slurm::Job job;
  job.id = id;
  job.state = "CONFIGURING";
  job.nodes = std::move(nodes);
  return job;
}

TEST(JobBook, KeepsSlurmsOrderAndAddsUpSplitJobs) {
  JobBook book;
  book.on_hint(resume_hint(7, {"cpu-0001", "cpu-0002"}));
  book.on_hint(resume_hint(5, {"cpu-0003"}));
  book.on_hint(resume_hint(7, {"cpu-0002", "cpu-0004"}));
  const auto jobs = book.jobs();
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].id, 7u);
  EXPECT_EQ(jobs[0].nodes.size(), 3u);
  EXPECT_EQ(jobs[1].id, 5u);
}

TEST(JobBook, ForgetsJobsWhoseNodesAreThere) {
  JobBook book;
  book.on_hint(resume_hint(1, {"cpu-0001"}));
  book.on_hint(resume_hint(2, {"cpu-0002", "cpu-0003"}));
  auto nodes = coming({"cpu-0003"});
  const auto up = coming({"cpu-0001", "cpu-0002"}, false);
  nodes.insert(nodes.end(), up.begin(), up.end());
  book.prune(nodes);
  const auto jobs = book.jobs();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].id, 2u);
}

TEST(JobBook, AsksSqueueOnceForNodesThatNoHintExplained) {
  JobBook book;
  const auto nodes = coming({"cpu-0001", "cpu-0002"});
  book.on_hint(resume_hint(1, {"cpu-0001"}));
  EXPECT_TRUE(book.must_ask(nodes));
  EXPECT_FALSE(book.must_ask(nodes)) << "cpu-0002 was asked about";
  EXPECT_TRUE(book.must_ask(coming({"cpu-0001", "cpu-0002", "cpu-0003"})));
  EXPECT_FALSE(book.must_ask({}));
  EXPECT_TRUE(book.must_ask(nodes)) << "wanted anew";
}

TEST(JobBook, SqueueReplacesWhatHintsSaidBefore) {
  JobBook book;
  book.on_hint(resume_hint(1, {"cpu-0001"}));
  book.on_hint(resume_hint(2, {"cpu-0002"}));
  const uint64_t asked = book.hints_seen();
  book.on_hint(resume_hint(3, {"cpu-0003"}));
  slurm::Job pending;
  pending.id = 9;
  pending.state = "PENDING";
  book.on_squeue({configuring(2, "cpu-[0002,0004]"), configuring(8, "cpu-0008"), pending, configuring(10, "cpu-[")},
                 asked);
  const auto jobs = book.jobs();
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[0].id, 2u);
  EXPECT_EQ(jobs[0].nodes.size(), 2u);
  EXPECT_EQ(jobs[1].id, 8u);
  EXPECT_EQ(jobs[2].id, 3u) << "said after squeue was asked";
}

TEST(JobBook, HintsWithoutJobsChangeNothing) {
  JobBook book;
  book.on_hint(resume_hint(0, {"cpu-0001"}));
  slurm::Hint suspend = resume_hint(4, {"cpu-0001"});
  suspend.kind = slurm::HintKind::suspend;
  book.on_hint(suspend);
  EXPECT_TRUE(book.jobs().empty());
}

TEST(JobBook, RunningJobsAreKeptUntilTheyAreForgotten) {
  JobBook book;
  slurm::Job starts;
  starts.id = 1;
  starts.state = "CONFIGURING";
  starts.nodes = "cpu-0001";
  starts.requeueable = true;
  slurm::Job runs = starts;
  runs.id = 2;
  runs.state = "RUNNING";
  runs.nodes = "cpu-[0002-0003]";
  runs.requeueable = false;
  book.on_squeue({runs, starts}, 0);
  auto jobs = book.jobs();
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].id, 1u) << "who waits comes first";
  EXPECT_FALSE(jobs[0].running);
  EXPECT_TRUE(jobs[0].requeueable);
  EXPECT_TRUE(jobs[1].running);
  EXPECT_FALSE(jobs[1].requeueable);
  EXPECT_EQ(jobs[1].nodes.size(), 2u);
  book.prune({});
  jobs = book.jobs();
  ASSERT_EQ(jobs.size(), 1u) << "only those that wait depend on nodes that come up";
  EXPECT_EQ(jobs[0].id, 2u);
  book.forget_running();
  EXPECT_TRUE(book.jobs().empty());
}

}  // namespace
}  // namespace slipway::daemon
