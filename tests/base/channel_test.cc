#include "base/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testing.h"

namespace slipway {
namespace {

using testing::run_for;
using testing::run_until;

// A Channel on one end of a socket pair, and the other end raw.
class ChannelTest : public ::testing::Test {
 protected:
  ChannelTest() { reset(message_max_default); }

  void reset(size_t message_max) {
    channel_.reset();
    int ends[2] = {-1, -1};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    raw_.reset(ends[1]);
    channel_ = std::make_unique<Channel>(loop_, Fd(ends[0]), Peer{7, 8, "test"}, message_max);
    channel_->on_message([this](std::string text) { messages_.push_back(std::move(text)); });
    channel_->on_close([this](std::string reason) { reasons_.push_back(std::move(reason)); });
  }

  static std::string frame(std::string_view body) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) {
      text += static_cast<char>(body.size() >> shift);
    }
    return text + std::string(body);
  }

  void write_raw(std::string_view text) const {
    ASSERT_EQ(send(raw_.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  std::string read_raw() const {
    std::string all;
    char buffer[65536];
    for (ssize_t count = 0; (count = recv(raw_.get(), buffer, sizeof buffer, 0)) > 0;) {
      all.append(buffer, static_cast<size_t>(count));
    }
    return all;
  }

  bool until_messages(size_t count) {
    return run_until(loop_, [&] { return messages_.size() >= count; });
  }
  bool until_closed() {
    return run_until(loop_, [&] { return !reasons_.empty(); });
  }

  Loop loop_;
  Fd raw_;
  std::unique_ptr<Channel> channel_;
  std::vector<std::string> messages_;
  std::vector<std::string> reasons_;
};

TEST_F(ChannelTest, FramesWhatIsSent) {
  channel_->send("hello");
  channel_->send("");
  channel_->send(std::string("a\0b", 3));
  run_for(loop_, Duration(5));
  EXPECT_EQ(read_raw(), frame("hello") + frame("") + frame(std::string_view("a\0b", 3)));
  EXPECT_EQ(channel_->peer().uid, 7u);
  EXPECT_EQ(channel_->peer().address, "test");
}

TEST_F(ChannelTest, PutsMessagesTogetherFromAnyPieces) {
  const std::string stream = frame("one") + frame("") + frame(std::string(300, 'x'));
  for (const char c : stream) {
    write_raw(std::string_view(&c, 1));
    run_for(loop_, Duration(0));
  }
  write_raw(stream + stream);
  ASSERT_TRUE(until_messages(9));
  EXPECT_EQ(messages_[0], "one");
  EXPECT_EQ(messages_[1], "");
  EXPECT_EQ(messages_[2], std::string(300, 'x'));
  EXPECT_EQ(messages_[8], std::string(300, 'x'));
}

TEST_F(ChannelTest, RefusesALongFrameBeforeItsBodyComes) {
  reset(100);
  write_raw(frame(std::string(100, 'x')));
  ASSERT_TRUE(until_messages(1));
  write_raw(std::string("\0\0\0\x65", 4));  // 101 bytes announced, none sent
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(reasons_, std::vector<std::string>{"frame too long"});
}

TEST_F(ChannelTest, RefusesAHugeFrame) {
  write_raw("\xff\xff\xff\xff");
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(reasons_, std::vector<std::string>{"frame too long"});
  channel_->send("into the void");
  run_for(loop_, Duration(5));
  EXPECT_EQ(reasons_.size(), 1u);
}

TEST_F(ChannelTest, TellsHowThePeerClosed) {
  write_raw(frame("last"));
  raw_.reset();
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(messages_, std::vector<std::string>{"last"});
  EXPECT_EQ(reasons_, std::vector<std::string>{"closed by peer"});
  reasons_.clear();
  reset(100);
  write_raw(std::string("\0\0\0\x09partial", 11));
  raw_.reset();
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(reasons_, std::vector<std::string>{"closed by peer in the middle of a message"});
}

TEST_F(ChannelTest, DestroyedInItsMessageCallback) {
  channel_->on_message([this](std::string text) {
    messages_.push_back(text);
    channel_.reset();
    messages_.push_back(text);  // what the callback owns is still there
  });
  write_raw(frame("one") + frame("two"));
  run_for(loop_, Duration(20));
  EXPECT_EQ(messages_, (std::vector<std::string>{"one", "one"}));
  EXPECT_TRUE(reasons_.empty());
  EXPECT_EQ(recv(raw_.get(), nullptr, 0, 0), 0);
}

TEST_F(ChannelTest, DestroyedInItsCloseCallback) {
  channel_->on_close([this](std::string reason) {
    channel_.reset();
    reasons_.push_back(reason);
  });
  raw_.reset();
  ASSERT_TRUE(until_closed());
  run_for(loop_, Duration(5));
  EXPECT_EQ(reasons_.size(), 1u);
}

TEST_F(ChannelTest, ReplacesItsCallbackInTheCallback) {
  channel_->on_message([this, first = std::make_shared<std::string>("first ")](std::string text) {
    channel_->on_message([this](std::string later) { messages_.push_back("second " + later); });
    messages_.push_back(*first + text);
  });
  write_raw(frame("a") + frame("b"));
  ASSERT_TRUE(until_messages(2));
  EXPECT_EQ(messages_, (std::vector<std::string>{"first a", "second b"}));
}

TEST_F(ChannelTest, DestroyingClosesWithoutACallback) {
  channel_.reset();
  run_for(loop_, Duration(5));
  EXPECT_TRUE(reasons_.empty());
  char byte = 0;
  EXPECT_EQ(recv(raw_.get(), &byte, 1, 0), 0);
}

TEST_F(ChannelTest, CarriesMuchToASlowReader) {
  const std::string big(3'000'000, 'y');
  channel_->send(big);
  channel_->send("end");
  std::string got;
  const std::string expected = frame(big) + frame("end");
  ASSERT_TRUE(run_until(loop_, [&] {
    got += read_raw();
    return got.size() >= expected.size();
  }));
  EXPECT_TRUE(got == expected);
  EXPECT_TRUE(reasons_.empty());
}

TEST_F(ChannelTest, ClosesWhenTooMuchWaitsForAPeerThatDoesNotRead) {
  channel_->set_queue_max(1'000'000);
  const std::string message(100'000, 'z');
  for (int i = 0; i < 30; ++i) {
    channel_->send(message);
    EXPECT_TRUE(reasons_.empty());  // never from inside send
  }
  ASSERT_TRUE(until_closed());
  ASSERT_EQ(reasons_.size(), 1u);
  EXPECT_NE(reasons_[0].find("does not read"), std::string::npos);
}

TEST_F(ChannelTest, RefusesToSendWhatNobodyMayReceive) {
  channel_->send(std::string(message_max_default + 1, 'x'));
  ASSERT_TRUE(until_closed());
  EXPECT_NE(reasons_[0].find("too long to send"), std::string::npos);
}

TEST_F(ChannelTest, SendingToAClosedPeerEndsWithOneCallbackAndNoSignal) {
  raw_.reset();
  for (int i = 0; i < 5; ++i) {
    channel_->send("x");
  }
  EXPECT_TRUE(reasons_.empty());
  ASSERT_TRUE(until_closed());
  run_for(loop_, Duration(10));
  EXPECT_EQ(reasons_.size(), 1u);
}

TEST_F(ChannelTest, DestroyedWhileAFailureIsOnItsWay) {
  raw_.reset();
  channel_->send("x");
  channel_.reset();
  run_for(loop_, Duration(10));
  EXPECT_TRUE(reasons_.empty());
}

TEST_F(ChannelTest, FlushesBeforeItClosesEvenWhenDestroyed) {
  const std::string big(2'000'000, 'q');
  channel_->send(big);
  channel_->close_after_flush();
  channel_->send("too late");
  channel_.reset();
  write_raw(frame("nobody listens"));
  std::string got;
  ASSERT_TRUE(run_until(loop_, [&] {
    got += read_raw();
    return got.size() >= big.size() + 4;
  }));
  EXPECT_TRUE(got == frame(big));
  char byte = 0;
  ASSERT_TRUE(run_until(loop_, [&] { return recv(raw_.get(), &byte, 1, 0) == 0; }));
  EXPECT_TRUE(messages_.empty());
  EXPECT_TRUE(reasons_.empty());
  raw_.reset();
  run_for(loop_, Duration(10));
}

TEST_F(ChannelTest, FlushesToAPeerThatHasFinishedSending) {
  const std::string big(2'000'000, 'q');
  channel_->send(big);
  channel_->close_after_flush();
  shutdown(raw_.get(), SHUT_WR);
  std::string got;
  ASSERT_TRUE(run_until(loop_, [&] {
    got += read_raw();
    return got.size() >= big.size() + 4;
  }));
  char byte = 0;
  EXPECT_TRUE(run_until(loop_, [&] { return recv(raw_.get(), &byte, 1, 0) == 0; }));
}

TEST_F(ChannelTest, PatienceEndsAFlush) {
  channel_->send(std::string(5'000'000, 'q'));
  channel_->close_after_flush(Duration(30));
  run_for(loop_, Duration(80));
  // The socket is closed: what is in its buffer can be read, and then comes the end.
  read_raw();
  char byte = 0;
  EXPECT_EQ(recv(raw_.get(), &byte, 1, 0), 0);
}

TEST_F(ChannelTest, CloseAfterFlushInACallbackDropsTheRest) {
  channel_->on_message([this](std::string text) {
    messages_.push_back(text);
    channel_->send("refused");
    channel_->close_after_flush();
  });
  write_raw(frame("a") + frame("b"));
  run_for(loop_, Duration(10));
  EXPECT_EQ(messages_, std::vector<std::string>{"a"});
  EXPECT_EQ(read_raw(), frame("refused"));
}

// Adds its counter to every byte and appends a check byte: enough to see order and authenticity.
class ToySealer final : public Sealer {
 public:
  std::string seal(std::string_view plain) override {
    ++sealed_;
    std::string out;
    char check = sealed_;
    for (const char c : plain) {
      out += static_cast<char>(c + sealed_);
      check = static_cast<char>(check + c);
    }
    return out + check;
  }
  Result<std::string> open(std::string_view sealed) override {
    ++opened_;
    std::string out;
    char check = opened_;
    for (const char c : sealed.substr(0, sealed.empty() ? 0 : sealed.size() - 1)) {
      out += static_cast<char>(c - opened_);
      check = static_cast<char>(check + out.back());
    }
    if (sealed.empty() || sealed.back() != check) {
      return fail(ErrorCode::denied, "not sealed by the peer");
    }
    return out;
  }

 private:
  char sealed_ = 0;
  char opened_ = 0;
};

TEST_F(ChannelTest, SealsAndOpensFromTheNextFrameOn) {
  ToySealer peer;
  channel_->on_message([this](std::string text) {
    messages_.push_back(text);
    if (text == "plain") {
      channel_->seal_with(std::make_unique<ToySealer>());
      channel_->send("answer");
    }
  });
  const std::string second = peer.seal("second");
  const std::string third = peer.seal("");
  write_raw(frame("plain") + frame(second) + frame(third));
  ASSERT_TRUE(until_messages(3));
  EXPECT_EQ(messages_, (std::vector<std::string>{"plain", "second", ""}));
  const std::string answer = read_raw();
  ASSERT_GT(answer.size(), 4u);
  EXPECT_EQ(answer.find("answer"), std::string::npos);
  EXPECT_EQ(peer.open(std::string_view(answer).substr(4)).value(), "answer");
}

TEST_F(ChannelTest, ClosesOnAFrameThatDoesNotVerify) {
  channel_->seal_with(std::make_unique<ToySealer>());
  ToySealer peer;
  const std::string first = peer.seal("first");
  write_raw(frame(first) + frame(first));  // replayed
  ASSERT_TRUE(until_closed());
  EXPECT_EQ(messages_, std::vector<std::string>{"first"});
  EXPECT_EQ(reasons_, std::vector<std::string>{"message refused: not sealed by the peer"});
}

}  // namespace
}  // namespace slipway
