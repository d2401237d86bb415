#include "daemon/slurm_writer.h"

#include "fakes.h"

namespace slipway::daemon {
namespace {

using slurm::NodeChange;

class SlurmWriterTest : public ::testing::Test {
 protected:
  SlurmWriterTest() : slurm_(cpu_names(1, 300)), workers_(loop_, 1) {
    SlurmWriter::Options options;
    options.bind_lull = Duration(60);
    options.bind_patience = Duration(250);
    options.queue_max = 8;
    SlurmWriter::Events events;
    events.is_still_bound = [this](const NodeName& node, const InstanceId&) { return !unbound_.contains(node.str()); };
    events.written = [this](const SlurmUpdate&, const Result<void>& done) { done ? ++written_ : ++refused_; };
    writer_ = std::make_unique<SlurmWriter>(loop_, clock_, workers_, slurm_, options, events);
  }

  void bind(uint32_t number) {
    writer_->bind(model::node_name(PoolName("cpu"), number), InstanceId("i-" + std::to_string(number)),
                  "198.18.0." + std::to_string(number));
  }
  static slurm::NodeUpdate update(NodeChange change, std::vector<std::string> nodes, std::string reason = "") {
    slurm::NodeUpdate made;
    made.change = change;
    for (const auto& node : nodes) made.nodes.emplace_back(node);
    made.reason = std::move(reason);
    return made;
  }
  bool settle() {
    return run_until(loop_, [this] { return writer_->is_idle(); });
  }

  SystemClock clock_;
  Loop loop_;
  FakeSlurm slurm_;
  Workers workers_;
  std::set<std::string> unbound_;
  int written_ = 0;
  int refused_ = 0;
  std::unique_ptr<SlurmWriter> writer_;
};

TEST_F(SlurmWriterTest, ACrowdOfBindingsIsAHandfulOfCommands) {
  uint32_t next = 0;
  std::function<void()> one = [&] {
    for (int i = 0; i < 2; ++i) bind(++next);
    if (next < 200) loop_.after(Duration(5), one);
  };
  one();
  ASSERT_TRUE(run_until(loop_, [&] { return next == 200 && writer_->is_idle(); }));
  const auto updates = slurm_.updates();
  EXPECT_LE(updates.size(), 5u);
  size_t nodes = 0;
  for (const auto& one_update : updates) {
    EXPECT_EQ(one_update.change, NodeChange::bind);
    EXPECT_EQ(one_update.nodes.size(), one_update.addresses.size());
    EXPECT_EQ(one_update.nodes.size(), one_update.hostnames.size());
    nodes += one_update.nodes.size();
  }
  EXPECT_EQ(nodes, 200u);
  EXPECT_EQ(slurm_.node("cpu-0123").address, "198.18.0.123");
  EXPECT_EQ(slurm_.node("cpu-0123").hostname, "cpu-0123");
}

TEST_F(SlurmWriterTest, ASteadyTrickleIsWrittenInTime) {
  uint32_t next = 0;
  std::function<void()> one = [&] {
    bind(++next);
    loop_.after(Duration(20), one);
  };
  one();
  EXPECT_TRUE(run_until(
      loop_, [&] { return slurm_.updates().size() >= 2; }, Duration(2'000)));
}

TEST_F(SlurmWriterTest, BindingsThatEndedMeanwhileAreNotWritten) {
  bind(1);
  bind(2);
  unbound_.insert("cpu-0001");
  ASSERT_TRUE(settle());
  run_for(loop_, Duration(100));
  const auto updates = slurm_.updates();
  ASSERT_EQ(updates.size(), 1u);
  ASSERT_EQ(updates[0].nodes.size(), 1u);
  EXPECT_EQ(updates[0].nodes[0].str(), "cpu-0002");
}

TEST_F(SlurmWriterTest, TellsGoAtOnceInOrderAndCancelBindings) {
  bind(1);
  writer_->tell(update(NodeChange::down, {"cpu-0001"}, "slipway: gone"));
  writer_->tell(update(NodeChange::power_down, {"cpu-0001"}));
  writer_->tell(update(NodeChange::resume, {"cpu-0002"}));
  ASSERT_TRUE(settle());
  run_for(loop_, Duration(150));
  const auto updates = slurm_.updates();
  ASSERT_EQ(updates.size(), 3u);
  EXPECT_EQ(updates[0].change, NodeChange::down);
  EXPECT_EQ(updates[0].reason, "slipway: gone");
  EXPECT_EQ(updates[1].change, NodeChange::power_down);
  EXPECT_EQ(updates[2].change, NodeChange::resume);
  EXPECT_EQ(written_, 3);
}

TEST_F(SlurmWriterTest, WhatIsSaidOfJobsKeepsItsPlace) {
  slurm::Job job;
  job.id = 7;
  slurm_.set_jobs({job});
  writer_->tell(update(NodeChange::drain, {"cpu-0001"}, "slipway: evicted"));
  writer_->tell(slurm::JobUpdate{slurm::JobChange::signal, {7}, "USR1"});
  writer_->tell(slurm::JobUpdate{slurm::JobChange::requeue, {7}, ""});
  writer_->tell(slurm::JobUpdate{slurm::JobChange::requeue, {7}, ""});
  writer_->tell(slurm::JobUpdate{slurm::JobChange::comment, {}, "nobody"});
  writer_->tell(update(NodeChange::undrain, {"cpu-0001"}));
  ASSERT_TRUE(settle());
  ASSERT_EQ(slurm_.updates().size(), 2u);
  EXPECT_EQ(slurm_.updates()[0].change, NodeChange::drain);
  EXPECT_EQ(slurm_.updates()[1].change, NodeChange::undrain);
  ASSERT_EQ(slurm_.job_updates().size(), 2u) << "the same twice, and nobody, are left out";
  EXPECT_EQ(slurm_.job_updates()[0].change, slurm::JobChange::signal);
  EXPECT_EQ(slurm_.job_updates()[0].text, "USR1");
  EXPECT_EQ(slurm_.job_updates()[1].change, slurm::JobChange::requeue);
  EXPECT_EQ(written_, 4);
}

TEST_F(SlurmWriterTest, ADrainLeavesTheMachineItsName) {
  bind(1);
  writer_->tell(update(NodeChange::drain, {"cpu-0001"}, "slipway: evicted"));
  ASSERT_TRUE(settle());
  EXPECT_EQ(slurm_.node("cpu-0001").address, "198.18.0.1");
}

TEST_F(SlurmWriterTest, AStuckSlurmctldDoesNotMakeTheQueueGrow) {
  for (int round = 0; round < 50; ++round) {
    writer_->tell(update(NodeChange::power_down, {"cpu-0001"}));
    writer_->tell(update(NodeChange::power_down, {"cpu-" + std::to_string(round)}));
  }
  writer_->tell(update(NodeChange::power_down, {}));
  ASSERT_TRUE(settle());
  EXPECT_LE(slurm_.updates().size(), 10u);
  EXPECT_GE(slurm_.updates().size(), 8u);
}

TEST_F(SlurmWriterTest, RefusalsAreReportedAndTheNextIsTried) {
  slurm_.down = true;
  writer_->tell(update(NodeChange::down, {"cpu-0001"}));
  ASSERT_TRUE(settle());
  EXPECT_EQ(refused_, 1);
  slurm_.down = false;
  writer_->tell(update(NodeChange::down, {"cpu-0001"}));
  ASSERT_TRUE(settle());
  EXPECT_EQ(written_, 1);
}

}  // namespace
}  // namespace slipway::daemon
