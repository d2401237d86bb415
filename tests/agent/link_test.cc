// The link of a machine that proves itself by a claim.
#include "agent/link.h"

#include <fcntl.h>

#include "agent/privileged.h"
#include "base/files.h"
#include "fake_imds.h"

namespace slipway::agent {
namespace {

class ClaimTest : public ::testing::Test {
 protected:
  void start(const std::string& identity = "client") {
    evidence_ = std::make_unique<Evidence>(loop_, clock_, imds_, identity);
    LinkOptions options;
    options.daemon = daemon_address;
    options.instance = "cpu/vm_1";
    options.evidence = evidence_.get();
    options.daemon_key = join::daemon_key_pair(master_).public_key;
    options.pause_max = Duration(200);
    options.claim_patience = Duration(2'000);
    link_ = std::make_unique<Link>(loop_, random_, options);
    link_->on_up([this] { link_->send(join::Report{}); });
    link_->on_message([this](const join::FromDaemon&) { ++messages_; });
    link_->on_down([this](const std::string& why) { downs_.push_back(why); });
    link_->start();
  }

  const join::Key master_ = join::random_key();
  Loop loop_;
  ManualClock clock_{TimePoint(Duration(1'772'000'000'000))};
  std::mt19937_64 random_{1};
  FakeDaemon daemon_{loop_, master_};
  FakeImds server_{loop_};
  Imds imds_{server_.origin()};
  std::unique_ptr<Evidence> evidence_;
  std::unique_ptr<Link> link_;
  int messages_ = 0;
  std::vector<std::string> downs_;
};

TEST_F(ClaimTest, ShowsItsTokenFromAPortThatOnlyRootHas) {
  start();
  ASSERT_TRUE(pump_until(loop_, [&] { return messages_ == 1; }));
  ASSERT_EQ(daemon_.claims.size(), 1u);
  EXPECT_EQ(daemon_.claims[0].kind, "azure_token");
  EXPECT_EQ(daemon_.claims[0].document, "h.e-a_d.er");
  EXPECT_EQ(server_.asked_for("client_id=client"), 1u);
  EXPECT_GE(daemon_.ports.at(0), 512);
  EXPECT_LT(daemon_.ports.at(0), 1024);
}

TEST_F(ClaimTest, WithoutAnIdentityShowsTheAttestedDocument) {
  start("");
  ASSERT_TRUE(pump_until(loop_, [&] { return messages_ == 1; }));
  EXPECT_EQ(daemon_.claims.at(0).kind, "azure_attested");
  EXPECT_EQ(daemon_.claims.at(0).document, "MIIE+/==");
  EXPECT_EQ(server_.asked_for("nonce=1772000000"), 1u);
}

TEST_F(ClaimTest, EachConnectionHasItsOwnSecretAndEvidenceIsKeptForMinutes) {
  start();
  ASSERT_TRUE(pump_until(loop_, [&] { return messages_ == 1; }));
  for (int round = 2; round <= 3; ++round) {
    daemon_.drop_all();
    ASSERT_TRUE(pump_until(loop_, [&] { return messages_ == round; }));
  }
  EXPECT_NE(daemon_.claims.at(0).secret, daemon_.claims.at(1).secret);
  EXPECT_NE(daemon_.claims.at(1).secret, daemon_.claims.at(2).secret);
  EXPECT_EQ(server_.asked_for("token"), 1u);
  clock_.advance(Duration(300'000));
  daemon_.drop_all();
  ASSERT_TRUE(pump_until(loop_, [&] { return messages_ == 4; }));
  EXPECT_EQ(server_.asked_for("token"), 2u);
}

TEST_F(ClaimTest, TriesOnWhenItIsRefusedOrHasNoEvidence) {
  daemon_.vouches = false;
  server_.status = 500;
  start();
  ASSERT_TRUE(pump_until(loop_, [&] { return downs_.size() >= 2; }));
  EXPECT_NE(downs_[0].find("500"), std::string::npos) << downs_[0];
  EXPECT_EQ(daemon_.connections, 0u) << "nothing to show, nothing to say";
  server_.status = 200;
  ASSERT_TRUE(pump_until(loop_, [&] { return daemon_.claims.size() >= 2; }));
  EXPECT_EQ(messages_, 0);
  daemon_.vouches = true;
  ASSERT_TRUE(pump_until(loop_, [&] { return messages_ == 1; }));
}

TEST_F(ClaimTest, ADocumentThatCantBeSentIsSaid) {
  server_.token = std::string(join::document_bytes_max + 1, 't');
  start();
  ASSERT_TRUE(pump_until(loop_, [&] { return !downs_.empty(); }));
  EXPECT_NE(downs_[0].find("16385 bytes"), std::string::npos) << downs_[0];
}

TEST_F(ClaimTest, ADaemonThatIsntThereIsTriedAgain) {
  LinkOptions options;
  options.daemon = "127.0.0.1:1";
  evidence_ = std::make_unique<Evidence>(loop_, clock_, imds_, "client");
  options.evidence = evidence_.get();
  options.pause_max = Duration(100);
  Link link(loop_, random_, options);
  link.on_down([this](const std::string& why) { downs_.push_back(why); });
  link.start();
  ASSERT_TRUE(pump_until(loop_, [&] { return downs_.size() >= 3; }));
  EXPECT_NE(downs_[0].find("Connection refused"), std::string::npos) << downs_[0];
}

TEST_F(ClaimTest, AUsersProgramIsToldThatItMustBeRoot) {
  // Others than root may have the low ports of this network when its owner says so; the agent takes them back.
  const char* file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
  {
    const Fd fd(open(file, O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(write(fd.get(), "0\n", 2), 2);
  }
  reserve_privileged_ports();
  EXPECT_EQ(read_file(file, 64).value(), "1024\n");
  const uid_t me = geteuid();
  ASSERT_EQ(seteuid(65534), 0);
  auto channel = connect_privileged(loop_, random_, daemon_address);
  ASSERT_EQ(seteuid(me), 0);
  ASSERT_FALSE(channel);
  EXPECT_EQ(channel.error().code, ErrorCode::denied);
  EXPECT_NE(channel.error().message.find("as root"), std::string::npos);
}

}  // namespace
}  // namespace slipway::agent
