// A machine that its provider will take: no new job, the running one is signalled and moved, another machine comes
// first.
#include "table.h"

namespace slipway::engine {
namespace {

using table::Market;
using table::NodeBase;
using table::Table;

struct Evicted : Table {
  Evicted() : Table(4) {
    add_way(Market::spot);
    add_way(Market::on_demand);
    spec.pools[0].eviction = {.signal = "USR1", .lead = Duration(30'000), .tolerance = 2};
    serve("cpu-0001", true, Market::spot);
    view.jobs.push_back({.id = 5, .nodes = {NodeName("cpu-0001")}, .running = true, .requeueable = true});
    step();
  }
  void notice(Duration time) { machine("i-1").evict_at = now + time; }
  size_t count(TellJob what) const {
    return static_cast<size_t>(std::count_if(job_tells.begin(), job_tells.end(), [&](const TellJobs& tell) {
      return tell.what == what && tell.jobs == std::vector<JobId>{5};
    }));
  }
};

TEST(Evictions, TheNodeIsDrainedAndAnotherMachineIsLaunchedAtOnce) {
  Evicted table;
  table.notice(Duration(120'000));
  table.step();
  EXPECT_EQ(table.told(Tell::drain), std::vector<std::string>{"cpu-0001"});
  ASSERT_EQ(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].count, 1u);
  table.run(Duration(60'000));
  EXPECT_EQ(table.launches.size(), 1u) << "one is enough";
  EXPECT_EQ(table.live(), 2u) << "it is kept although nobody has its name yet";
}

TEST(Evictions, TheJobIsSignalledAtItsLeadAndMovedShortlyBeforeTheEnd) {
  Evicted table;
  table.notice(Duration(120'000));
  table.run(Duration(89'000));
  EXPECT_EQ(table.count(TellJob::signal), 0u);
  table.run(Duration(2'000));
  EXPECT_EQ(table.count(TellJob::signal), 1u);
  EXPECT_EQ(table.job_tells.back().text, "USR1");
  EXPECT_EQ(table.count(TellJob::requeue), 0u);
  table.run(Duration(25'000));
  EXPECT_EQ(table.count(TellJob::requeue), 1u);
  table.run(Duration(3'000));
  EXPECT_EQ(table.count(TellJob::signal), 1u);
  EXPECT_EQ(table.count(TellJob::requeue), 1u);
  EXPECT_EQ(table.live(), 2u) << "a machine with a job on it is never terminated by us";
}

TEST(Evictions, AShortNoticeLeavesTimeBetweenSignalAndMove) {
  Evicted table;
  table.notice(Duration(4'000));
  table.step(Duration(10));
  EXPECT_EQ(table.count(TellJob::signal), 1u);
  EXPECT_EQ(table.count(TellJob::requeue), 0u);
  table.run(Duration(2'500));
  EXPECT_EQ(table.count(TellJob::requeue), 1u);
}

TEST(Evictions, AJobThatCantBeRequeuedRunsToTheEnd) {
  Evicted table;
  table.view.jobs[0].requeueable = false;
  table.notice(Duration(20'000));
  table.run(Duration(19'500));
  EXPECT_EQ(table.count(TellJob::signal), 1u);
  EXPECT_EQ(table.count(TellJob::requeue), 0u);
}

// A machine of another market had come for the job, and was given away for want of knowing better.
TEST(Evictions, AListingThatMissesTheMachineForAMomentTakesNothingBack) {
  Evicted table;
  table.spec.pools[0].eviction.tolerance = 1;
  table.notice(Duration(120'000));
  table.step();
  ASSERT_EQ(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].market, Market::on_demand);
  table.want(6, {"cpu-0002"});
  table.step();
  ASSERT_EQ(table.launches.size(), 2u);
  table.machine("i-3").agent = AgentState::preparing;
  const InstanceView evicted = table.machine("i-1");
  std::erase_if(table.view.instances, [](const InstanceView& instance) { return instance.id.str() == "i-1"; });
  table.view.instances_complete = false;
  EXPECT_TRUE(table.step().jobs_wanted) << "or nobody knows whose machine it is when it is seen again";
  EXPECT_TRUE(table.machine("i-2").bound.empty()) << "it isn't for job 6";
  table.view.instances.push_back(evicted);
  table.view.instances_complete = true;
  table.run(Duration(5'000));
  EXPECT_EQ(table.launches.size(), 2u);
}

TEST(Evictions, UnknownJobsAreAskedFor) {
  Evicted table;
  table.view.jobs.clear();
  table.notice(Duration(20'000));
  EXPECT_TRUE(table.step().jobs_wanted);
}

TEST(Evictions, AnIdleNodeGoesAtOnce) {
  Table table(2);
  table.serve("cpu-0001", false, Market::spot);
  table.step();
  EXPECT_TRUE(table.told(Tell::power_down).empty());
  table.machine("i-1").evict_at = table.now + Duration(60'000);
  table.step();
  EXPECT_EQ(table.told(Tell::power_down), std::vector<std::string>{"cpu-0001"});
  EXPECT_TRUE(table.launches.empty()) << "nobody needs another";
}

TEST(Evictions, AMachineWithoutANameIsReplaced) {
  Table table(2);
  table.want(1, {"cpu-0001"});
  table.step();
  table.view.instances[0].evict_at = table.now + Duration(60'000);
  table.step();
  ASSERT_EQ(table.launches.size(), 2u);
  EXPECT_FALSE(table.memory.pools[0].ways[0].open) << "no failure of the way";
}

TEST(Evictions, AJobEvictedTooOftenRunsOnDemand) {
  Evicted table;
  for (int round = 0; round < 2; ++round) {
    table.notice(Duration(4'000));
    table.run(Duration(4'500));
    table.machine("i-1").evict_at = TimePoint{};  // for the test: the same machine once more
    table.memory.nodes[NodeName("cpu-0001")].evicting_since = TimePoint{};
    table.step();
  }
  ASSERT_EQ(table.memory.jobs[5].evictions, 2u);
  table.view.jobs.clear();
  for (auto& instance : table.view.instances) instance.state = model::InstanceState::gone;
  table.run(Duration(20'000));
  table.launches.clear();
  table.want(5, {"cpu-0003"});
  table.step();
  ASSERT_EQ(table.launches.size(), 1u);
  EXPECT_EQ(table.launches[0].market, Market::on_demand);
}

}  // namespace
}  // namespace slipway::engine
