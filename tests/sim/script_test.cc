#include "sim/script.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace slipway::sim {
namespace {

using std::chrono::seconds;

constexpr std::string_view head = "pool cpu 2\npool gpu 1 spot on_demand boot_timeout=6s\npartition batch cpu gpu\n";

Result<Script> parse(const std::string& text) {
  return parse_script(std::string(head) + text);
}
std::string problem(const std::string& text) {
  const auto script = parse(text);
  return script ? "" : script.error().message;
}

TEST(Script, ReadsTheCluster) {
  const auto script = parse("idle_reclaim 5s\npartition other gpu\n");
  ASSERT_TRUE(script) << script.error().message;
  ASSERT_EQ(script->pools.size(), 2u);
  EXPECT_EQ(script->pools[0].markets, std::vector{model::Market::on_demand});
  EXPECT_EQ(script->pools[1].markets, (std::vector{model::Market::spot, model::Market::on_demand}));
  EXPECT_EQ(script->pools[1].boot_timeout, seconds(6));
  EXPECT_EQ(script->idle_reclaim, seconds(5));
  const auto partitions = partitions_of(*script);
  ASSERT_EQ(partitions.size(), 2u);
  EXPECT_EQ(partitions[0].pools, (std::vector<engine::PoolIndex>{0, 1}));
  EXPECT_EQ(partitions[1].pools, std::vector<engine::PoolIndex>{1});
}

TEST(Script, ReadsEveryStatement) {
  const auto script = parse(R"(
submit a batch 2 90s            # a comment
submit b batch 1 500ms srun no_requeue
cancel a
wait node cpu-0002 busy/booting+drain
wait job b running 10s
sleep 2m
capacity gpu spot 0
capacity cpu on_demand any
boot cpu delay 3s
boot cpu never 2
kill cpu-0001
evict gpu-0001 30s
cut_off cpu-0002
set cpu-0001 down look at the fan
restart_slurmctld
restart_slurmctld kill
)");
  ASSERT_TRUE(script) << script.error().message;
  const std::vector<Step>& steps = script->steps;
  ASSERT_EQ(steps.size(), 16u);
  EXPECT_EQ(steps[0].verb, Verb::submit);
  EXPECT_EQ(steps[0].line, 5u);
  EXPECT_EQ(steps[0].count, 2u);
  EXPECT_EQ(steps[0].time, seconds(90));
  EXPECT_TRUE(steps[0].batch && steps[0].requeue);
  EXPECT_FALSE(steps[1].batch || steps[1].requeue);
  EXPECT_EQ(steps[1].time, Duration(500));
  EXPECT_EQ(steps[2].verb, Verb::cancel);
  EXPECT_EQ(steps[3].verb, Verb::wait_node);
  EXPECT_EQ(steps[3].state, "busy/booting+drain");
  EXPECT_EQ(steps[3].time, seconds(120));
  EXPECT_EQ(steps[4].verb, Verb::wait_job);
  EXPECT_EQ(steps[4].time, seconds(10));
  EXPECT_EQ(steps[5].time, seconds(120));
  EXPECT_EQ(steps[6].market, model::Market::spot);
  EXPECT_EQ(steps[6].count, 0u);
  EXPECT_EQ(steps[7].count, UINT32_MAX);
  EXPECT_EQ(steps[8].verb, Verb::boot_delay);
  EXPECT_EQ(steps[9].verb, Verb::boot_never);
  EXPECT_EQ(steps[9].count, 2u);
  EXPECT_EQ(steps[10].verb, Verb::kill);
  EXPECT_EQ(steps[11].verb, Verb::evict);
  EXPECT_EQ(steps[11].time, seconds(30));
  EXPECT_EQ(steps[12].verb, Verb::cut_off);
  EXPECT_EQ(steps[13].change, slurm::NodeChange::down);
  EXPECT_EQ(steps[13].reason, "look at the fan");
  EXPECT_FALSE(steps[14].hard);
  EXPECT_TRUE(steps[15].hard);
}

TEST(Script, TellsEveryWrongLine) {
  EXPECT_EQ(problem("dance\nsleep 5\n"), "line 4: unknown word \"dance\"\nline 5: sleep TIME");
  EXPECT_EQ(problem("kill cpu-0003"), "line 4: there is no node \"cpu-0003\"");
  EXPECT_EQ(problem("cancel x"), "line 4: there is no job \"x\"");
  EXPECT_EQ(problem("submit a lunch 1 5s"), "line 4: there is no partition \"lunch\"");
  EXPECT_EQ(problem("submit a batch 1 5s\nsubmit a batch 1 5s"), "line 5: there is a job \"a\" already");
  EXPECT_EQ(problem("submit \"a batch 1 5s"), "line 4: names are made of a-z, 0-9, - and _");
  EXPECT_EQ(problem("wait node cpu-0001 busy"), "line 4: not a state of a node: \"busy\"");
  EXPECT_EQ(problem("submit a batch 1 5s\nwait job a lost"), "line 5: not a state of a job: \"lost\"");
  EXPECT_EQ(problem("capacity tpu spot 1"), "line 4: there is no pool \"tpu\"");
  EXPECT_EQ(problem("partition p tpu"), "line 4: there is no pool \"tpu\"");
  EXPECT_EQ(problem("pool cpu 4"), "line 4: there is a pool \"cpu\" already");
  EXPECT_EQ(problem("sleep 99999999999999999h"), "line 4: sleep TIME");
  for (const char* wrong :
       {"submit a batch 0 5s", "submit a batch 1", "submit a batch 1 5s twice", "boot cpu later 3s", "pool x 0",
        "evict cpu-0001", "kill", "wait job", "set cpu-0001 up", "restart_slurmctld now", "partition", "idle_reclaim",
        "capacity gpu spot many", "pool y 5 weekly", "cancel", "sleep"}) {
    EXPECT_NE(problem(wrong), "") << wrong;
  }
  EXPECT_EQ(parse_script("pool cpu 1\n").error().message, "no partition");
}

TEST(Script, StatesInWords) {
  using namespace model;
  EXPECT_EQ(node_word({NodeBase::idle, node_cloud | node_powered_down | node_power_up_requested}), "idle/asleep");
  EXPECT_EQ(node_word({NodeBase::allocated, node_powering_up | node_not_responding}), "busy/booting");
  EXPECT_EQ(node_word({NodeBase::mixed, node_completing}), "busy/up");
  EXPECT_EQ(node_word({NodeBase::down, node_drain}), "down/up+drain");
  EXPECT_EQ(node_word({NodeBase::idle, node_powering_down}), "idle/leaving");
  EXPECT_EQ(job_word(JobState::cancelled), "cancelled");
}

TEST(ScriptTrace, KeepsDistinctStatesAndHowLongTheyLasted) {
  ScriptTrace trace;
  const TimePoint start{seconds(1'000)};
  using namespace model;
  trace.node(NodeName("cpu-0001"), {NodeBase::idle, node_powered_down}, start);
  trace.node(NodeName("cpu-0001"), {NodeBase::idle, node_powered_down | node_power_up_requested}, start + seconds(1));
  trace.node(NodeName("cpu-0001"), {NodeBase::idle, node_powering_up}, start + seconds(2));
  trace.job("a", JobState::pending, start + seconds(3));
  EXPECT_EQ(trace.to_json(start + Duration(4'500)),
            "{\"nodes\": {\"cpu-0001\": [{\"state\": \"idle/asleep\", \"seconds\": 2.000}, "
            "{\"state\": \"idle/booting\", \"seconds\": 2.500}]}, "
            "\"jobs\": {\"a\": [{\"state\": \"pending\", \"seconds\": 1.500}]}}");
}

TEST(ScriptTrace, AWaitIsOverWhenTheStateIsOrWasThereSince) {
  ScriptTrace trace;
  const TimePoint start{seconds(1'000)};
  Step wait{.verb = Verb::wait_job, .subject = "a", .state = "running"};
  trace.job("a", JobState::pending, start);
  EXPECT_FALSE(trace.reached(wait, start));
  trace.job("a", JobState::running, start + seconds(2));
  EXPECT_TRUE(trace.reached(wait, start));
  trace.job("a", JobState::done, start + seconds(4));
  EXPECT_TRUE(trace.reached(wait, start + seconds(1))) << "it was";
  EXPECT_FALSE(trace.reached(wait, start + seconds(3))) << "it came into it earlier";
  EXPECT_TRUE(trace.reached({.verb = Verb::wait_node, .subject = "cpu-0009", .state = "idle/asleep"}, start));
}

TEST(Script, AllOfOursAreRight) {
  size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(__FILE__).parent_path() / "scripts")) {
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const auto script = parse_script(text.str());
    EXPECT_TRUE(script) << entry.path() << "\n" << script.error().message;
    ++count;
  }
  EXPECT_GE(count, 8u);
}

}  // namespace
}  // namespace slipway::sim
