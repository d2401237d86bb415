#include "daemon/job_starts.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace slipway::daemon {
namespace {

using model::NodeBase;

// One hook at the other end of a socket pair; what it was told.
class Hook {
 public:
  explicit Hook(Loop& loop) {
    int ends[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
    ours = std::make_unique<Channel>(loop, Fd(ends[0]), Peer{});
    ours->on_message([this](std::string word) { said.push_back(std::move(word)); });
    ours->on_close([this](const std::string&) { closed = true; });
    theirs = std::make_unique<Channel>(loop, Fd(ends[1]), Peer{});
  }
  std::unique_ptr<Channel> ours;
  std::unique_ptr<Channel> theirs;
  std::vector<std::string> said;
  bool closed = false;
};

class JobStartsTest : public ::testing::Test {
 protected:
  void turn() {
    loop.after(Duration(20), [this] { loop.stop(); });
    loop.run();
  }
  engine::NodeView node(const char* name, NodeBase base, uint32_t flags) {
    engine::NodeView view;
    view.name = NodeName(name);
    view.slurm = {base, flags};
    return view;
  }
  slurm::Hint hint(JobId job, std::vector<NodeName> nodes) {
    slurm::Hint made;
    made.kind = slurm::HintKind::job_start;
    made.job = job;
    made.nodes = std::move(nodes);
    return made;
  }
  Loop loop;
  ManualClock clock{TimePoint(Duration(1'000'000))};
  JobStarts starts{loop, clock, {}};
};

TEST_F(JobStartsTest, GoesWhenEveryNodeIsUp) {
  Hook hook(loop);
  starts.add(std::move(hook.theirs), hint(7, {NodeName("cpu-0001"), NodeName("cpu-0002")}));
  clock.advance(Duration(10));
  starts.check({node("cpu-0001", NodeBase::allocated, model::node_cloud), node("cpu-0002", NodeBase::allocated, model::node_powering_up)},
               clock.now());
  turn();
  EXPECT_EQ((std::vector<std::string>{"wait"}), hook.said);
  EXPECT_EQ(1u, starts.size());
  starts.check({node("cpu-0001", NodeBase::allocated, model::node_cloud), node("cpu-0002", NodeBase::mixed, model::node_cloud)}, clock.now());
  turn();
  EXPECT_EQ((std::vector<std::string>{"wait", "go"}), hook.said);
  EXPECT_TRUE(hook.closed);
  EXPECT_TRUE(starts.empty());
}

TEST_F(JobStartsTest, AnOlderLookProvesNothing) {
  Hook hook(loop);
  const TimePoint before = clock.now();
  clock.advance(Duration(10));
  starts.add(std::move(hook.theirs), hint(7, {NodeName("cpu-0001")}));
  starts.check({node("cpu-0001", NodeBase::idle, model::node_cloud)}, before);
  EXPECT_EQ(1u, starts.size());
}

TEST_F(JobStartsTest, ForgetsAHookThatLeft) {
  Hook hook(loop);
  starts.add(std::move(hook.theirs), hint(7, {NodeName("cpu-0001")}));
  turn();
  hook.ours.reset();
  turn();
  EXPECT_TRUE(starts.empty());
}

TEST_F(JobStartsTest, WaitsThroughEveryStateOnTheWayUpAndNotLonger) {
  EXPECT_FALSE(ends_waiting({NodeBase::allocated, model::node_cloud | model::node_powered_down}));
  EXPECT_FALSE(ends_waiting({NodeBase::allocated, model::node_cloud | model::node_powering_up | model::node_not_responding}));
  EXPECT_FALSE(ends_waiting({NodeBase::idle, model::node_cloud | model::node_powering_down}));
  EXPECT_FALSE(ends_waiting({NodeBase::allocated, model::node_not_responding}));
  EXPECT_TRUE(ends_waiting({NodeBase::allocated, model::node_cloud}));
  EXPECT_TRUE(ends_waiting({NodeBase::mixed, model::node_cloud | model::node_planned}));
  EXPECT_TRUE(ends_waiting({NodeBase::down, model::node_powered_down}));  // the boot failed: slurmctld requeues the job
}

TEST_F(JobStartsTest, ANodeThatSlurmForgotHoldsNobodyUp) {
  Hook hook(loop);
  starts.add(std::move(hook.theirs), hint(7, {NodeName("old-0001")}));
  starts.check({}, clock.now());
  turn();
  EXPECT_EQ((std::vector<std::string>{"wait", "go"}), hook.said);
}

}  // namespace
}  // namespace slipway::daemon
