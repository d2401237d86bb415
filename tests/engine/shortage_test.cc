// Pools that get no machines: jobs go back to Slurm, sleeping nodes are held, and everything recovers by itself.
#include "table.h"

namespace slipway::engine {
namespace {

using table::Market;
using table::NodeBase;
using table::Table;

constexpr uint32_t held_flags = model::node_cloud | model::node_powered_down;

struct ShortTable : Table {
  explicit ShortTable(uint32_t nodes) : Table(nodes) {
    provider = [](const Launch& launch) { return Table::none(launch); };
  }
  // What Slurm makes of it: nodes that are DOWN lose their job; held ones sleep DOWN.
  void obey(const Plan& plan) {
    for (const TellSlurm& tell : plan.tells) {
      for (const NodeName& name : tell.nodes) {
        NodeView& n = node(name.str());
        if (tell.what == Tell::down || tell.what == Tell::hold || tell.what == Tell::hold_resumed) {
          n.slurm.base = NodeBase::down;
          n.reason = tell.reason;
          n.busy = false;
        }
        if (tell.what == Tell::power_down) n.slurm = {NodeBase::idle, model::node_cloud | model::node_powering_down};
        if (tell.what == Tell::resume) n.slurm = {NodeBase::idle, held_flags};
      }
      std::erase_if(view.jobs, [&](const JobView& job) {
        return tell.what == Tell::down && std::any_of(job.nodes.begin(), job.nodes.end(), [&](const NodeName& name) {
                 return node(name.str()).slurm.base == NodeBase::down;
               });
      });
    }
  }
  void live_on(Duration time) {
    for (const TimePoint end = now + time; now < end;) obey(step());
  }
};

TEST(Shortage, JobsAreGivenBackAtOnceAndSleepersAreHeld) {
  ShortTable table(4);
  table.want(7, {"cpu-0001", "cpu-0002"});
  table.obey(table.step());
  ASSERT_EQ(table.launches.size(), 1u);
  const TimePoint refused = table.now;
  table.obey(table.step(Duration(10)));
  EXPECT_EQ(table.told(Tell::down), (std::vector<std::string>{"cpu-0001", "cpu-0002"}));
  EXPECT_EQ(table.told(Tell::hold), (std::vector<std::string>{"cpu-0003", "cpu-0004"}));
  EXPECT_LT(table.now - refused, Duration(2'000));
  for (const TellSlurm& tell : table.tells) {
    if (tell.what == Tell::down) EXPECT_TRUE(tell.reason.starts_with(our_reason)) << tell.reason;
    if (tell.what == Tell::down && tell.nodes[0].str() == "cpu-0001") EXPECT_TRUE(tell.jobs_may_restart);
  }
  ASSERT_EQ(table.job_tells.size(), 1u);
  EXPECT_EQ(table.job_tells[0].jobs, std::vector<JobId>{7});
  EXPECT_NE(table.job_tells[0].text.find("sold out"), std::string::npos) << table.job_tells[0].text;
  EXPECT_NE(table.job_tells[0].text.find("next attempt"), std::string::npos);
  table.live_on(Duration(4'000));
  EXPECT_EQ(table.launches.size(), 1u) << "nothing is tried before the pause is over";
}

TEST(Shortage, WithoutAnybodyWhoWaitsTheNodesComeBackAfterThePause) {
  ShortTable table(3);
  table.want(7, {"cpu-0001"});
  table.live_on(Duration(30'000));
  EXPECT_EQ(table.launches.size(), 1u);
  for (const NodeView& node : table.view.nodes) EXPECT_EQ(node.slurm.base, NodeBase::idle) << node.name.str();
  EXPECT_FALSE(table.memory.pools[0].held);
  table.want(8, {"cpu-0002", "cpu-0003"});
  table.obey(table.step());
  ASSERT_EQ(table.launches.size(), 2u);
  EXPECT_EQ(table.launches[1].count, 1u) << "the next launch only tries";
}

TEST(Shortage, ForThoseWhoWaitOneMachineIsTriedAndThePoolOpens) {
  ShortTable table(3);
  table.want(7, {"cpu-0001"});
  table.live_on(Duration(2'000));
  table.view.pending.push_back({.id = 7, .pools = {0}});
  table.live_on(Duration(60'000));
  ASSERT_GE(table.launches.size(), 3u);
  for (size_t i = 1; i < table.launches.size(); ++i) EXPECT_EQ(table.launches[i].count, 1u);
  EXPECT_TRUE(table.memory.pools[0].held);
  table.provider = [](const Launch& launch) { return Table::Answer{launch.count, {}}; };
  table.live_on(Duration(120'000));
  EXPECT_FALSE(table.memory.pools[0].held);
  for (const NodeView& node : table.view.nodes) EXPECT_EQ(node.slurm.base, NodeBase::idle) << node.name.str();
}

TEST(Shortage, AJobThatCantBeRequeuedKeepsItsNodes) {
  ShortTable table(2);
  table.want(9, {"cpu-0001"}, false);
  table.live_on(Duration(30'000));
  EXPECT_TRUE(table.told(Tell::down).empty());
  EXPECT_EQ(table.told(Tell::hold), std::vector<std::string>{"cpu-0002"}) << "sleepers are held all the same";
  EXPECT_GE(table.launches.size(), 3u) << "it goes on trying for it";
}

TEST(Shortage, WhetherAJobMayBeGivenBackMustBeKnownFirst) {
  ShortTable table(1);
  table.jobs_seen = false;
  table.want(9, {"cpu-0001"}, false);
  table.view.jobs.clear();  // nobody has looked yet
  table.step();
  const Plan plan = table.step(Duration(10));
  EXPECT_TRUE(plan.jobs_wanted);
  EXPECT_TRUE(table.told(Tell::down).empty());
}

// Two pools that each have something to say about a job that waits for both.
TEST(Shortage, AJobThatWaitsForTwoPoolsIsToldOnce) {
  ShortTable table(1);
  table.add_pool("gpu", 1);
  table.want(9, {"cpu-0001", "gpu-0001"}, false);
  table.obey(table.step());
  for (int i = 0; i < 20; ++i) table.obey(table.step(Duration(10)));
  ASSERT_TRUE(table.memory.pools[0].held && table.memory.pools[1].held);
  EXPECT_EQ(table.job_tells.size(), 1u);
}

struct HeldTable : ShortTable {
  // Of three nodes one is up; the pool is held, and somebody waits for it.
  HeldTable() : ShortTable(3) {
    serve("cpu-0001", true);
    step();
    want(7, {"cpu-0002"});
    live_on(Duration(2'000));
    view.pending.push_back({.id = 7, .pools = {0}});
  }
  // Steps until the pause is over and `done`; the round after that must have been asked for.
  template <class Done>
  Plan until(Done done) {
    for (int i = 0; i < 400; ++i) {
      Plan plan = step();
      obey(plan);
      if (done(plan)) return plan;
    }
    ADD_FAILURE() << "never";
    return {};
  }
};

TEST(Shortage, RoomForOneThatTriesIsUsedAsSoonAsItIsThere) {
  HeldTable table;
  ASSERT_TRUE(table.memory.pools[0].held);
  table.spec.pools[0].max = 1;
  table.live_on(Duration(30'000));
  const size_t tried = table.launches.size();
  table.node("cpu-0001").slurm = {NodeBase::idle, model::node_cloud | model::node_powering_down};
  table.node("cpu-0001").busy = false;
  const Plan plan = table.until([](const Plan& seen) { return !seen.terminations.empty(); });
  EXPECT_EQ(plan.look_again, table.now + Duration(1));
  table.step(Duration(1));
  EXPECT_EQ(table.launches.size(), tried + 1);
}

TEST(Shortage, WhenTheMachineThatTriesFailsToBootTheNextRoundIsAtOnce) {
  HeldTable table;
  ASSERT_TRUE(table.memory.pools[0].held);
  table.provider = [](const Launch& launch) { return Table::Answer{launch.count, {}}; };
  table.memory.pools[0].ways[0].kind = Failure::boot_failed;  // so that only an agent that is ready proves anything
  const auto arrived = [&](const Plan& seen) { return !seen.launches.empty(); };
  table.until(arrived);
  table.view.pending.clear();
  table.view.instances.back().agent = AgentState::failed;
  const Plan plan = table.until([](const Plan& seen) { return !seen.terminations.empty(); });
  EXPECT_EQ(plan.look_again, table.now + Duration(1));
}

// Machines that didn't do for a job that was given back are left to others some time later, and that is a moment too.
TEST(Shortage, SpareMachinesAreLeftToOthersOnTime) {
  ShortTable table(4);
  table.want(7, {"cpu-0001"});
  table.live_on(Duration(2'000));
  ASSERT_TRUE(table.memory.pools[0].held);
  InstanceView spare{.id = InstanceId("i-9"), .pool = 0, .state = model::InstanceState::running};
  spare.address = "198.18.0.9";
  spare.agent = AgentState::waiting;
  spare.launched_at = spare.agent_since = table.now;
  table.view.instances.push_back(spare);
  table.memory.pools[0].ways[0].not_before = table.now + std::chrono::minutes(5);
  table.memory.pools[0].spare_since = table.now + Duration(10'000);
  table.step();
  EXPECT_LE(table.step(Duration(5'100)).look_again, table.memory.pools[0].spare_since);
}

TEST(Shortage, ANodeWhoseMachineFailedIsGivenBackOnce) {
  ShortTable table(2);
  table.provider = [](const Launch& launch) { return Table::Answer{launch.count, {}}; };
  table.want(7, {"cpu-0001"});
  table.step();
  table.step();
  ASSERT_FALSE(table.machine("i-1").bound.empty());
  WayMemory& way = table.memory.pools[0].ways[0];
  way.open = way.elsewhere = true;
  way.not_before = table.now + std::chrono::minutes(5);
  table.machine("i-1").agent = AgentState::failed;
  const auto given_back = [&] {
    return std::count_if(table.tells.begin(), table.tells.end(),
                         [](const TellSlurm& tell) { return tell.what == Tell::down; });
  };
  EXPECT_FALSE(table.step().terminations.empty());
  EXPECT_EQ(given_back(), 1);
  table.step(Duration(10));
  EXPECT_EQ(given_back(), 1) << "Slurm has been told";
}

TEST(Shortage, SomebodyElsesDownNodeIsLeftAlone) {
  ShortTable table(2);
  table.node("cpu-0002").slurm = {NodeBase::down, held_flags};
  table.node("cpu-0002").reason = "disk swap, ticket 17";
  table.live_on(Duration(20'000));
  EXPECT_TRUE(table.told(Tell::power_down).empty());
  EXPECT_TRUE(table.told(Tell::resume).empty());
}

TEST(Shortage, AfterARestartHeldNodesComeBack) {
  ShortTable table(2);
  table.want(7, {"cpu-0001"});
  table.live_on(Duration(3'000));
  ASSERT_EQ(table.node("cpu-0002").slurm.base, NodeBase::down);
  table.memory = Memory();
  table.live_on(Duration(5'000));
  EXPECT_EQ(table.node("cpu-0002").slurm.base, NodeBase::idle);
}

TEST(Shortage, OnlyJobsThatCanHaveAllTheirNodesGetMachines) {
  Table table(8);
  table.provider = [](const Launch& launch) {
    Table::Answer answer{std::min(launch.count, 2u), {}};
    if (launch.count > 2) answer.refusals.push_back({launch.offers[0], {ErrorCode::no_capacity, "two left"}});
    return answer;
  };
  table.want(1, {"cpu-0001", "cpu-0002", "cpu-0003"});
  table.want(2, {"cpu-0004"});
  table.want(3, {"cpu-0005"});
  table.step();
  EXPECT_EQ(table.launches[0].count, 5u);
  const Plan plan = table.step();
  std::vector<std::string> bound;
  for (const Bind& bind : plan.binds) bound.push_back(bind.node.str());
  EXPECT_EQ(bound, (std::vector<std::string>{"cpu-0004", "cpu-0005"}));
  EXPECT_EQ(table.told(Tell::down).size(), 3u) << "job 1's nodes are given back";
  EXPECT_EQ(table.told(Tell::hold).size(), 3u);
}

TEST(Shortage, WhenALaunchCompletesAJobTheMachineThatWaitsGetsItsNameAtOnce) {
  Table table(4);
  table.add_way(Market::spot, "c6");
  table.add_way(Market::spot, "m7");
  table.want(1, {"cpu-0001"});
  table.step();
  table.view.jobs.clear();
  table.node("cpu-0001").slurm = {NodeBase::idle, held_flags};
  table.node("cpu-0001").busy = false;
  table.step();
  WayMemory& scarce = table.memory.pools[0].ways[1];
  scarce.open = scarce.elsewhere = true;
  scarce.not_before = table.now + std::chrono::minutes(5);
  table.want(2, {"cpu-0002", "cpu-0003"});
  const Plan plan = table.step();
  ASSERT_EQ(plan.launches.size(), 1u);
  EXPECT_TRUE(plan.binds.empty());
  EXPECT_EQ(plan.look_again, table.now + Duration(1));
  EXPECT_FALSE(table.step(Duration(1)).binds.empty());
}

TEST(Shortage, ALaunchForOneJobIsAllOrNothing) {
  Table table(8);
  table.want(1, {"cpu-0001", "cpu-0002", "cpu-0003"});
  table.step();
  EXPECT_EQ(table.launches[0].minimum, 3u);
  Table two(8);
  two.want(1, {"cpu-0001", "cpu-0002", "cpu-0003"});
  two.want(2, {"cpu-0004"});
  two.step();
  EXPECT_EQ(two.launches[0].minimum, 1u) << "the single one takes what there is";
}

TEST(Boots, WhenOverAFifthFailsTheWayIsPausedAndTheReasonIsSeen) {
  Table table(30);
  table.add_way(Market::on_demand, "old");
  table.add_way(Market::on_demand, "new");
  std::vector<std::string> names;
  for (int i = 1; i <= 9; ++i) names.push_back("cpu-000" + std::to_string(i));
  for (const std::string& name : names) table.want(static_cast<JobId>(name.back()), {name});
  table.step();
  ASSERT_EQ(table.view.instances.size(), 9u);
  for (size_t i = 0; i < 4; ++i) {
    table.view.instances[i].agent = AgentState::failed;
    table.view.instances[i].message = "no driver";
  }
  table.step();
  EXPECT_TRUE(table.memory.pools[0].ways[0].open);
  EXPECT_EQ(table.memory.pools[0].ways[0].kind, Failure::boot_failed);
  EXPECT_FALSE(table.memory.pools[0].ways[1].open);
  ASSERT_EQ(table.launches.size(), 2u);
  ASSERT_EQ(table.launches[1].offers.size(), 1u);
  EXPECT_EQ(table.launches[1].offers[0].machine, "new");
  const std::string text = explain_node(table.view, table.spec, table.memory, table.now, NodeName("cpu-0009"));
  EXPECT_FALSE(text.empty());
}

TEST(Boots, AFewFailuresAmongManyPauseNothing) {
  Table table(40);
  for (int i = 1; i <= 30; ++i)
    table.want(static_cast<JobId>(i), {model::node_name(PoolName("cpu"), static_cast<uint32_t>(i)).str()});
  table.step();
  for (size_t i = 0; i < 2; ++i) table.view.instances[i].agent = AgentState::failed;
  table.step();
  EXPECT_FALSE(table.memory.pools[0].ways[0].open);
  EXPECT_EQ(table.launches.size(), 2u) << "replaced at once";
}

}  // namespace
}  // namespace slipway::engine
