// Machines that prove themselves by a claim, and those that would like to.
#include <algorithm>
#include <optional>

#include "agents_fixture.h"

namespace slipway::daemon {
namespace {

class ClaimsTest : public AgentsTest {
 protected:
  // From a port below 1024, which takes root, of 127.0.0.`host`.
  static Fd privileged_socket(uint8_t host) {
    static uint16_t next = 0;
    for (int i = 0; i < 512; ++i) {
      Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      sockaddr_in from{};
      from.sin_family = AF_INET;
      from.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host);
      from.sin_port = htons(static_cast<uint16_t>(512 + next++ % 512));
      if (bind(socket.get(), reinterpret_cast<sockaddr*>(&from), sizeof from) == 0) return socket;
    }
    return {};
  }
  std::string hello_of(const join::Claim& claim, const join::Key& nonce) const {
    return join::encode_agent_hello(
        {claim.instance, nonce, join::seal_claim(claim, join::daemon_key_pair(master_).public_key)});
  }
  static join::Claim claim_of(const std::string& instance) {
    return {join::random_key(), instance, "azure_token", "a.b.c"};
  }
  // A whole agent that claims to be an instance.
  struct Claimant {
    join::Claim claim;
    join::Key nonce = join::random_key();
    std::unique_ptr<Channel> channel;
    bool greeted = false;
    bool closed = false;
  };
  std::unique_ptr<Claimant> claim_as(const std::string& instance, uint8_t host = 1,
                                     std::optional<std::string> recorded_hello = {}) {
    auto claimant = std::make_unique<Claimant>();
    claimant->claim = claim_of(instance);
    const std::string hello = recorded_hello ? *recorded_hello : hello_of(claimant->claim, claimant->nonce);
    Claimant* it = claimant.get();
    it->channel = std::make_unique<Channel>(loop_, knock(framed(hello), privileged_socket(host)), Peer{});
    it->channel->on_message([it](const std::string& frame) {
      if (it->greeted) return;
      const auto nonce = join::decode_daemon_hello(frame);
      ASSERT_TRUE(nonce.has_value());
      it->greeted = true;
      it->channel->seal_with(join::make_sealer(join::Side::agent, it->claim.secret, it->nonce, *nonce));
      it->channel->send(join::encode(join::FromAgent(join::Report{})));
    });
    it->channel->on_close([it](const std::string&) { it->closed = true; });
    return claimant;
  }
  bool is_refused(const Claimant& claimant) {
    return run_until(
               loop_, [&] { return claimant.closed; }, Duration(3'000)) &&
           !claimant.greeted;
  }
  // The question that the provider was asked; waits for it.
  bool is_asked(size_t count) {
    return run_until(
        loop_, [&] { return asked_.size() == count; }, Duration(3'000));
  }
};

TEST_F(ClaimsTest, AClaimedInstanceJoinsOnceItsProviderVouches) {
  open();
  const auto agent = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(1));
  EXPECT_EQ(asked_[0].evidence.instance.str(), "cpu/vm_1");
  EXPECT_EQ(asked_[0].evidence.kind, "azure_token");
  EXPECT_EQ(asked_[0].evidence.document, "a.b.c");
  EXPECT_EQ(asked_[0].evidence.address, "127.0.0.1");
  run_for(loop_, Duration(30));
  EXPECT_FALSE(agent->greeted) << "not before the provider vouches";
  EXPECT_FALSE(agents_->is_connected(InstanceId("cpu/vm_1")));

  asked_[0].answer({});
  ASSERT_TRUE(run_until(loop_, [&] { return agents_->is_connected(InstanceId("cpu/vm_1")); }));
  EXPECT_EQ(view_of("cpu/vm_1").agent, engine::AgentState::preparing);
}

TEST_F(ClaimsTest, TheSameMachineComesAgainAndTheNewestWins) {
  open();
  const auto first = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(1));
  asked_[0].answer({});
  ASSERT_TRUE(run_until(loop_, [&] { return unknown_.size() == 1; }));
  const auto second = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(2));
  EXPECT_FALSE(first->closed) << "not for a claim alone";
  asked_[1].answer({});
  ASSERT_TRUE(run_until(loop_, [&] { return unknown_.size() == 2 && first->closed; }));
  EXPECT_FALSE(second->closed);
  EXPECT_EQ(agents_->connected_count(), 1u);
}

TEST_F(ClaimsTest, AClaimFromAnUnprivilegedPortIsRefused) {
  open();
  // A longer hello than a plain one isn't even read to its end.
  join::Claim claim = claim_of("cpu/vm_1");
  for (const size_t document : {10, 5000}) {
    claim.document = std::string(document, 'd');
    const Fd user = knock(framed(hello_of(claim, join::random_key())));
    EXPECT_TRUE(run_until(
        loop_, [&] { return is_closed(user); }, Duration(3'000)))
        << document;
  }
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ClaimsTest, TheLongestClaimIsReadAndALongerOneIsNot) {
  open(Duration(60'000));
  join::Claim claim = claim_of("cpu/vm_1");
  claim.document = std::string(join::document_bytes_max, 'd');
  const Fd longest = knock(framed(hello_of(claim, join::random_key())), privileged_socket(1));
  ASSERT_TRUE(is_asked(1));
  EXPECT_EQ(asked_[0].evidence.document.size(), join::document_bytes_max);
  const Fd longer = knock(std::string("\0\0\x60\x01", 4), privileged_socket(2));
  EXPECT_TRUE(run_until(
      loop_, [&] { return is_closed(longer); }, Duration(3'000)));
  EXPECT_FALSE(is_closed(longest));
}

TEST_F(ClaimsTest, ForgedClaimsAreRefusedUnasked) {
  open();
  const join::Key other = join::daemon_key_pair(join::random_key()).public_key;
  const join::Claim claim = claim_of("cpu/vm_1");
  const auto hello = [&](const std::string& instance, const std::string& sealed) {
    return join::encode_agent_hello({instance, join::random_key(), sealed});
  };
  const std::string ours = join::seal_claim(claim, join::daemon_key_pair(master_).public_key);
  for (const std::string& forged : {hello("cpu/vm_1", join::seal_claim(claim, other)),  // meant for another daemon
                                    hello("cpu/vm_2", ours),                            // of another instance
                                    hello("cpu/vm_1", ours.substr(0, ours.size() - 8)), hello("cpu/vm_1", "AAAA")}) {
    EXPECT_TRUE(is_refused(*claim_as("cpu/vm_1", 1, forged)));
  }
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ClaimsTest, ARecordedClaimIsOfNoUse) {
  open();
  const auto victim = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(1));
  const std::string recorded = hello_of(victim->claim, victim->nonce);
  asked_[0].answer({});
  ASSERT_TRUE(run_until(loop_, [&] { return agents_->is_connected(InstanceId("cpu/vm_1")); }));

  // The provider may vouch once more: who replays it has another secret than the one inside.
  const auto thief = claim_as("cpu/vm_1", 1, recorded);
  ASSERT_TRUE(is_asked(2));
  asked_[1].answer({});
  ASSERT_TRUE(run_until(loop_, [&] { return thief->closed; }));
  EXPECT_FALSE(victim->closed);
  EXPECT_EQ(unknown_.size(), 1u);
}

TEST_F(ClaimsTest, WhomTheProviderDoesntVouchForIsShownOutAndMayComeAgain) {
  open();
  for (const ErrorCode code : {ErrorCode::denied, ErrorCode::transient}) {
    asked_.clear();
    const auto agent = claim_as("cpu/vm_1");
    ASSERT_TRUE(is_asked(1));
    asked_[0].answer(fail(code, "no"));
    EXPECT_TRUE(is_refused(*agent));
  }
  asked_.clear();
  const auto again = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(1));
  asked_[0].answer({});
  ASSERT_TRUE(run_until(loop_, [&] { return agents_->is_connected(InstanceId("cpu/vm_1")); }));
}

TEST_F(ClaimsTest, WithoutAProviderThatVouchesClaimsAreRefused) {
  vouches_ = false;
  open();
  EXPECT_TRUE(is_refused(*claim_as("cpu/vm_1")));
}

TEST_F(ClaimsTest, AProviderThatNeverAnswersHoldsNobodyForEver) {
  check_patience_ = Duration(100);
  open();
  const auto agent = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(1));
  EXPECT_TRUE(is_refused(*agent));
  EXPECT_TRUE(is_refused(*claim_as("cpu/vm_1"))) << "its address is still being asked about";
  asked_[0].answer({});
  EXPECT_FALSE(agents_->is_connected(InstanceId("cpu/vm_1"))) << "too late";
  const auto again = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(2));
  asked_[1].answer({});
  ASSERT_TRUE(run_until(loop_, [&] { return agents_->is_connected(InstanceId("cpu/vm_1")); }));
}

TEST_F(ClaimsTest, AFloodOfClaimsIsBounded) {
  checks_max_ = 8;
  open();
  // One address has one check, whomever it claims to be.
  const auto first = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(1));
  EXPECT_TRUE(is_refused(*claim_as("cpu/vm_2")));
  // And all of them together have as many as the daemon is ready for.
  std::vector<std::unique_ptr<Claimant>> crowd;
  for (uint8_t host = 2; host < 22; ++host) crowd.push_back(claim_as("cpu/vm_1", host));
  ASSERT_TRUE(run_until(
      loop_,
      [&] { return std::count_if(crowd.begin(), crowd.end(), [](const auto& one) { return one->closed; }) == 13; },
      Duration(3'000)));
  EXPECT_EQ(asked_.size(), 8u);
  // Claims of strangers don't keep the machine waiting that has the address.
  EXPECT_FALSE(first->closed);
  for (auto& question : asked_) {
    const bool genuine = question.evidence.address == "127.0.0.1";
    question.answer(genuine ? Result<void>() : Result<void>(fail(ErrorCode::denied, "listed elsewhere")));
  }
  ASSERT_TRUE(run_until(loop_, [&] { return agents_->is_connected(InstanceId("cpu/vm_1")); }));
  EXPECT_EQ(agents_->address_of(InstanceId("cpu/vm_1")), "127.0.0.1");
}

TEST_F(ClaimsTest, AnAnswerAfterTheEndIsHeardByNobody) {
  open();
  const auto agent = claim_as("cpu/vm_1");
  ASSERT_TRUE(is_asked(1));
  agents_.reset();
  asked_[0].answer({});
  EXPECT_TRUE(is_refused(*agent));
}

}  // namespace
}  // namespace slipway::daemon
