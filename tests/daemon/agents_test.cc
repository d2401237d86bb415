#include "agents_fixture.h"

namespace slipway::daemon {
namespace {

TEST_F(AgentsTest, AnAgentJoinsIsWelcomedAndBound) {
  open();
  FakeAgent agent(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return !unknown_.empty(); }));
  EXPECT_EQ(view_of("i-1").agent, engine::AgentState::preparing);
  EXPECT_EQ(agents_->waiting_for_admission().size(), 1u);
  EXPECT_FALSE(agent.welcome.has_value()) << "its role isn't known";

  join::Welcome welcome;
  welcome.munge_key = std::string("\0key", 4);
  agents_->admit(InstanceId("i-1"), welcome);
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::waiting; }));
  EXPECT_EQ(agent.welcome->munge_key, welcome.munge_key);
  agents_->admit(InstanceId("i-1"), welcome);

  EXPECT_TRUE(agents_->bind(InstanceId("i-1"), NodeName("cpu-0003")));
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::serving; }));
  const auto view = view_of("i-1");
  EXPECT_EQ(view.bound.str(), "cpu-0003");
  EXPECT_NE(view.slurmd_started, TimePoint{});
  EXPECT_EQ(agent.welcomes, 1) << "one a connection";
  EXPECT_EQ(agents_->address_of(InstanceId("i-1")), "127.0.0.1");

  agents_->leave(InstanceId("i-1"), "enough");
  ASSERT_TRUE(run_until(loop_, [&] { return !agent.leaves.empty(); }));
  EXPECT_EQ(agent.leaves[0], "enough");
}

TEST_F(AgentsTest, AWrongSecretIsNobody) {
  open();
  FakeAgent good(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return agents_->is_connected(InstanceId("i-1")); }));
  FakeAgent liar(loop_, agents_->port(), join::random_key(), InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return liar.closed; }));
  EXPECT_FALSE(good.closed) << "a liar must not replace the real one";
  EXPECT_EQ(unknown_.size(), 1u);
  EXPECT_TRUE(agents_->is_connected(InstanceId("i-1")));
}

TEST_F(AgentsTest, ASecondProvenConnectionReplacesTheFirst) {
  open();
  FakeAgent first(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return unknown_.size() == 1; }));
  FakeAgent second(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return unknown_.size() == 2 && first.closed; }));
  EXPECT_FALSE(second.closed);
  EXPECT_TRUE(lost_.empty());
  EXPECT_EQ(agents_->connected_count(), 1u);
  agents_->admit(InstanceId("i-1"), {});
  ASSERT_TRUE(run_until(loop_, [&] { return second.welcome.has_value(); }));
}

TEST_F(AgentsTest, OtherVersionsAndNonsenseAreRefused) {
  open(Duration(60'000));
  std::vector<std::string> bodies = {R"({"v":2,"instance":"i-1","nonce":")" + std::string(64, 'a') + "\"}", "{}",
                                     "nonsense", std::string(4096, 'x'),
                                     R"({"v":1,"instance":"../../x","nonce":")" + std::string(64, 'a') + "\"}"};
  for (const auto& body : bodies) {
    const Fd socket = knock(framed(body));
    EXPECT_TRUE(run_until(
        loop_, [&] { return is_closed(socket); }, Duration(3'000)))
        << body.substr(0, 40);
  }
  const Fd too_long = knock(std::string("\0\0\x10\x01", 4));
  EXPECT_TRUE(run_until(
      loop_, [&] { return is_closed(too_long); }, Duration(3'000)));
  const Fd empty = knock(std::string(4, '\0'));
  EXPECT_TRUE(run_until(
      loop_, [&] { return is_closed(empty); }, Duration(3'000)));
  EXPECT_TRUE(unknown_.empty());
}

TEST_F(AgentsTest, WhoSaysNothingIsShownOut) {
  open(Duration(150));
  const Fd mute = knock("");
  const Fd half = knock(std::string("\0\0", 2));
  // Says hello, but never proves it.
  const Fd unproven = knock(framed(join::encode_agent_hello({"i-1", join::random_key()})));
  run_for(loop_, Duration(60));
  EXPECT_FALSE(is_closed(mute));
  char hello[512];
  EXPECT_GT(recv(unproven.get(), hello, sizeof hello, MSG_DONTWAIT), 4);
  EXPECT_TRUE(run_until(
      loop_, [&] { return is_closed(mute) && is_closed(half) && is_closed(unproven); }, Duration(3'000)));
}

TEST_F(AgentsTest, OneAddressCannotTakeTheDoor) {
  open(Duration(60'000), Duration(60'000), 4);
  std::vector<Fd> guests;
  for (int i = 0; i < 8; ++i) guests.push_back(knock(""));
  ASSERT_TRUE(run_until(loop_, [&] {
    size_t closed = 0;
    for (const auto& guest : guests) closed += is_closed(guest);
    return closed == 4;
  }));
  guests.clear();
  run_for(loop_, Duration(50));
  FakeAgent agent(loop_, agents_->port(), master_, InstanceId("i-1"));
  EXPECT_TRUE(run_until(loop_, [&] { return !unknown_.empty(); })) << "places are free again";
}

TEST_F(AgentsTest, AnEndedConnectionIsSilenceUntilItReturns) {
  open();
  FakeAgent agent(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return !unknown_.empty(); }));
  agents_->admit(InstanceId("i-1"), {});
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::waiting; }));
  agent.drop();
  ASSERT_TRUE(run_until(loop_, [&] { return !lost_.empty(); }));
  EXPECT_EQ(view_of("i-1").agent, engine::AgentState::silent);
  EXPECT_EQ(agents_->connected_count(), 0u);

  EXPECT_FALSE(agents_->bind(InstanceId("i-1"), NodeName("cpu-0001")));
  agent.connect();
  ASSERT_TRUE(run_until(loop_, [&] { return !agent.binds.empty(); })) << "the name is sent again";
  EXPECT_EQ(agent.binds[0], "cpu-0001");
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::serving; }));
}

TEST_F(AgentsTest, ANameThatIsNoLongerMeantIsNotSentAgain) {
  open();
  FakeAgent agent(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return !unknown_.empty(); }));
  agents_->admit(InstanceId("i-1"), {});
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::waiting; }));
  agent.drop();
  ASSERT_TRUE(run_until(loop_, [&] { return !lost_.empty(); }));
  agents_->bind(InstanceId("i-1"), NodeName("cpu-0001"));
  still_meant_ = false;
  agent.connect();
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::waiting; }));
  run_for(loop_, Duration(50));
  EXPECT_TRUE(agent.binds.empty());
}

TEST_F(AgentsTest, SilenceIsNoticedAndHeartbeatsEndIt) {
  open(Duration(5'000), Duration(200));
  FakeAgent agent(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return !unknown_.empty(); }));
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::silent; }));
  const int before = changes_;
  agent.send(join::Heartbeat{});
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::preparing; }));
  EXPECT_GT(changes_, before);
}

TEST_F(AgentsTest, AFailureIsToldOnceWithItsLog) {
  open();
  FakeAgent agent(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return !unknown_.empty(); }));
  agent.state.message = "prep script ended with status 3";
  agent.state.log_tail = "no such package";
  agent.report(join::Phase::failed);
  agent.report(join::Phase::failed);
  ASSERT_TRUE(run_until(loop_, [&] { return view_of("i-1").agent == engine::AgentState::failed; }));
  run_for(loop_, Duration(50));
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_EQ(failures_[0], "prep script ended with status 3|no such package");
  EXPECT_EQ(view_of("i-1").message, "prep script ended with status 3");
}

TEST_F(AgentsTest, ForgettingEndsTheConnectionAndPruningKeepsTheConnected) {
  open();
  FakeAgent one(loop_, agents_->port(), master_, InstanceId("i-1"));
  FakeAgent two(loop_, agents_->port(), master_, InstanceId("i-2"));
  ASSERT_TRUE(run_until(loop_, [&] { return unknown_.size() == 2; }));
  agents_->forget(InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return one.closed; }));
  EXPECT_TRUE(lost_.empty());
  EXPECT_EQ(view_of("i-1").agent, engine::AgentState::none);
  agents_->prune({});
  EXPECT_TRUE(agents_->is_connected(InstanceId("i-2")));
  two.drop();
  ASSERT_TRUE(run_until(loop_, [&] { return lost_.size() == 1; }));
  agents_->prune({InstanceId("i-2")});
  EXPECT_EQ(view_of("i-2").agent, engine::AgentState::silent);
  agents_->prune({});
  EXPECT_EQ(view_of("i-2").agent, engine::AgentState::none);
}

TEST_F(AgentsTest, ANoticeBringsTheEndForwardUntilItIsWithdrawn) {
  open();
  FakeAgent agent(loop_, agents_->port(), master_, InstanceId("i-1"));
  ASSERT_TRUE(run_until(loop_, [&] { return !unknown_.empty(); }));
  const auto at = [](int64_t ms) { return TimePoint(Duration(ms)); };
  std::vector<engine::InstanceView> views(1);
  views[0].id = InstanceId("i-1");
  const auto evict_at = [&] {
    agents_->fill(views);
    return views[0].evict_at;
  };
  const auto say = [&](join::NoticeKind kind, uint64_t ms) {
    agent.send(join::Notice{kind, ms, "e-1"});
    run_for(loop_, Duration(30));
  };
  say(join::NoticeKind::freeze, 4'000);
  EXPECT_EQ(evict_at(), TimePoint{}) << "seconds of rest are no end";
  const int before = changes_;
  say(join::NoticeKind::preempt, 5'000);
  EXPECT_EQ(changes_, before + 1);
  EXPECT_EQ(evict_at(), at(5'000));
  EXPECT_EQ(evict_at(), at(5'000)) << "round after round";
  say(join::NoticeKind::preempt, 6'000);
  EXPECT_EQ(evict_at(), at(6'000)) << "the event was put off";
  say(join::NoticeKind::none, 0);
  EXPECT_EQ(evict_at(), TimePoint{});

  views[0].evict_at = at(9'000);  // the provider's own word
  say(join::NoticeKind::reboot, 8'000);
  EXPECT_EQ(evict_at(), at(8'000));
  say(join::NoticeKind::reboot, 10'000);
  EXPECT_EQ(evict_at(), at(9'000)) << "the earlier of both";
  say(join::NoticeKind::none, 0);
  EXPECT_EQ(evict_at(), at(9'000));
  views[0].evict_at = at(3'000);
  say(join::NoticeKind::terminate, 7'000);
  EXPECT_EQ(evict_at(), at(3'000));
}

TEST(Endpoint, IsStrict) {
  const auto good = parse_endpoint("198.18.0.2:6830");
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(good->address, 0xc6120002u);
  EXPECT_EQ(good->port, 6830);
  for (const char* bad :
       {"", ":", "198.18.0.2", "198.18.0.2:", "198.18.0.2:65536", "localhost:80", "1.2.3:4", "198.18.0.2:80x"}) {
    EXPECT_FALSE(parse_endpoint(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace slipway::daemon
