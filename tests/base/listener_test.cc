#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/channel.h"
#include "testing.h"

namespace slipway {
namespace {

using testing::run_for;
using testing::run_until;

// Keeps what connects and answers every message with "echo " and its text.
class Echo {
 public:
  Listener::OnAccept on_accept() {
    return [this](std::unique_ptr<Channel> channel) {
      Channel* raw = channel.get();
      raw->on_message([raw](std::string text) { raw->send("echo " + text); });
      raw->on_close([this](std::string) { ++closed; });
      channels.push_back(std::move(channel));
    };
  }
  std::vector<std::unique_ptr<Channel>> channels;
  int closed = 0;
};

struct Client {
  explicit Client(Result<std::unique_ptr<Channel>> connected) {
    EXPECT_TRUE(connected) << connected.error().message;
    channel = std::move(*connected);
    channel->on_message([this](std::string text) { messages.push_back(text); });
    channel->on_close([this](std::string reason) { reasons.push_back(reason); });
  }
  std::unique_ptr<Channel> channel;
  std::vector<std::string> messages;
  std::vector<std::string> reasons;
};

TEST(Listener, CarriesConversationsOverUnixSockets) {
  const testing::TempFolder folder;
  Loop loop;
  Echo echo;
  auto listener = Listener::unix_socket(loop, folder / "s", 0620, echo.on_accept());
  ASSERT_TRUE(listener) << listener.error().message;
  struct stat info {};
  ASSERT_EQ(stat((folder / "s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0620u);
  EXPECT_FALSE(std::filesystem::exists(folder / "s.new"));
  EXPECT_EQ((*listener)->address(), (folder / "s").string());

  Client client(Channel::connect_unix(loop, folder / "s"));
  client.channel->send("at once");  // before the connection stands
  ASSERT_TRUE(run_until(loop, [&] { return client.messages.size() == 1; }));
  EXPECT_EQ(client.messages[0], "echo at once");
  ASSERT_EQ(echo.channels.size(), 1u);
  EXPECT_EQ(echo.channels[0]->peer().uid, getuid());
  EXPECT_EQ(echo.channels[0]->peer().pid, getpid());
  EXPECT_EQ(client.channel->peer().pid, getpid());

  listener->reset();
  EXPECT_FALSE(std::filesystem::exists(folder / "s"));
  client.channel->send("still open");
  EXPECT_TRUE(run_until(loop, [&] { return client.messages.size() == 2; }));
  client.channel.reset();
  EXPECT_TRUE(run_until(loop, [&] { return echo.closed == 1; }));
}

TEST(Listener, CarriesConversationsOverTcp) {
  Loop loop;
  Echo echo;
  auto listener = Listener::tcp(loop, "127.0.0.1:0", echo.on_accept());
  ASSERT_TRUE(listener) << listener.error().message;
  const std::string address = (*listener)->address();
  EXPECT_NE(address, "127.0.0.1:0");
  Client client(Channel::connect_tcp(loop, address));
  EXPECT_EQ(client.channel->peer().address, address);
  const std::string big(5'000'000, 'b');
  client.channel->send(big);
  client.channel->send("small");
  ASSERT_TRUE(run_until(loop, [&] { return client.messages.size() == 2; }));
  EXPECT_TRUE(client.messages[0] == "echo " + big);
  EXPECT_EQ(client.messages[1], "echo small");
  EXPECT_EQ(echo.channels.at(0)->peer().address.rfind("127.0.0.1:", 0), 0u);
  EXPECT_EQ(echo.channels.at(0)->peer().uid, static_cast<uid_t>(-1));

  const auto taken = Listener::tcp(loop, address, echo.on_accept());
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message.find("Address already in use"), std::string::npos);
}

TEST(Listener, RefusesWhatIsNoAddress) {
  Loop loop;
  for (const char* text : {"", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0:1",
                           "127.0.0.1:1 ", ":80", "::1:80", "127.0.0.1:-1"}) {
    EXPECT_EQ(Channel::connect_tcp(loop, text).error().code, ErrorCode::bad_config) << text;
    EXPECT_EQ(Listener::tcp(loop, text, nullptr).error().code, ErrorCode::bad_config) << text;
  }
  EXPECT_EQ(Channel::connect_unix(loop, "").error().code, ErrorCode::bad_config);
  EXPECT_EQ(Channel::connect_unix(loop, std::string(1000, 'x')).error().code, ErrorCode::bad_config);
  EXPECT_EQ(Listener::unix_socket(loop, "/no/such/folder/s", 0600, nullptr).error().code, ErrorCode::not_found);
}

TEST(Listener, RefusalsArriveAsClose) {
  const testing::TempFolder folder;
  Loop loop;
  Client missing(Channel::connect_unix(loop, folder / "none"));
  EXPECT_TRUE(missing.reasons.empty());
  std::string address;
  {
    auto listener = Listener::tcp(loop, "127.0.0.1:0", nullptr);
    ASSERT_TRUE(listener);
    address = (*listener)->address();
  }
  Client refused(Channel::connect_tcp(loop, address));
  refused.channel->send("lost");
  ASSERT_TRUE(run_until(loop, [&] { return missing.reasons.size() == 1 && refused.reasons.size() == 1; }));
  EXPECT_EQ(missing.reasons[0], "connect: No such file or directory");
  EXPECT_EQ(refused.reasons[0], "connect: Connection refused");
}

TEST(Listener, ReachesPathsTooLongForASocketAddress) {
  const testing::TempFolder folder;
  Loop loop;
  Echo echo;
  const auto deep = folder / (std::string(60, 'd') + "/" + std::string(60, 'e'));
  ASSERT_TRUE(make_folder(deep));
  auto listener = Listener::unix_socket(loop, deep / "socket", 0600, echo.on_accept());
  ASSERT_TRUE(listener) << listener.error().message;
  Client client(Channel::connect_unix(loop, deep / "socket"));
  client.channel->send("far");
  EXPECT_TRUE(run_until(loop, [&] { return client.messages.size() == 1; }));
  EXPECT_TRUE(BlockingChannel::connect_unix(deep / "socket", Duration(1000)));
}

TEST(Listener, TakesOverAPathAndLeavesASuccessorAlone) {
  const testing::TempFolder folder;
  Loop loop;
  Echo first_echo;
  Echo second_echo;
  auto first = Listener::unix_socket(loop, folder / "s", 0600, first_echo.on_accept());
  ASSERT_TRUE(first);
  auto second = Listener::unix_socket(loop, folder / "s", 0600, second_echo.on_accept());
  ASSERT_TRUE(second);
  first->reset();
  Client client(Channel::connect_unix(loop, folder / "s"));
  EXPECT_TRUE(run_until(loop, [&] { return second_echo.channels.size() == 1; }));
  EXPECT_TRUE(first_echo.channels.empty());
}

TEST(Listener, MayBeDestroyedWhileItAccepts) {
  const testing::TempFolder folder;
  Loop loop;
  std::unique_ptr<Listener> listener;
  int accepted = 0;
  listener = std::move(*Listener::unix_socket(loop, folder / "s", 0600, [&](std::unique_ptr<Channel>) {
    ++accepted;
    listener.reset();
  }));
  Client one(Channel::connect_unix(loop, folder / "s"));
  Client two(Channel::connect_unix(loop, folder / "s"));
  EXPECT_TRUE(run_until(loop, [&] { return one.reasons.size() == 1 && two.reasons.size() == 1; }));
  EXPECT_EQ(accepted, 1);
}

TEST(Listener, WaitsOutAFullQueue) {
  const testing::TempFolder folder;
  Loop loop;
  // A listener of our own that takes one waiting connection and accepts nothing for a while.
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder / "s").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(socket.get(), 0), 0);
  Client one(Channel::connect_unix(loop, folder / "s"));
  Client two(Channel::connect_unix(loop, folder / "s"));
  two.channel->send("patient");
  run_for(loop, Duration(60));
  EXPECT_TRUE(two.reasons.empty());
  EXPECT_EQ(BlockingChannel::connect_unix(folder / "s", Duration(30)).error().code, ErrorCode::transient);
  const Fd first(accept(socket.get(), nullptr, nullptr));
  Fd second;
  ASSERT_TRUE(run_until(loop, [&] {
    if (!second) {
      second.reset(accept(socket.get(), nullptr, nullptr));
    }
    char text[32];
    return second && recv(second.get(), text, sizeof text, MSG_DONTWAIT) == 11;
  }));
}

TEST(Listener, DoesNotSpinWithoutDescriptors) {
  const testing::TempFolder folder;
  Loop loop;
  Echo echo;
  auto listener = Listener::unix_socket(loop, folder / "s", 0600, echo.on_accept());
  ASSERT_TRUE(listener);
  Client client(Channel::connect_unix(loop, folder / "s"));
  client.channel->send("hello");
  // Every descriptor but none for accept4 to use.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const Fd next(dup(0));
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next.get());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  timespec start{};
  timespec end{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  loop.after(Duration(500), [&] { loop.stop(); });
  loop.run();
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  const double busy =
      static_cast<double>(end.tv_sec - start.tv_sec) + 1e-9 * static_cast<double>(end.tv_nsec - start.tv_nsec);
  EXPECT_LT(busy, 0.2);
  EXPECT_TRUE(echo.channels.empty());
  EXPECT_TRUE(run_until(loop, [&] { return client.messages.size() == 1; }));
}

TEST(Listener, TakesAThousandAtOnce) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 8192);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  Loop loop;
  Echo echo;
  auto listener = Listener::tcp(loop, "127.0.0.1:0", echo.on_accept());
  ASSERT_TRUE(listener);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(std::make_unique<Client>(Channel::connect_tcp(loop, (*listener)->address())));
    clients.back()->channel->send(std::to_string(i));
  }
  ASSERT_TRUE(run_until(loop, [&] {
    return std::all_of(clients.begin(), clients.end(), [](const auto& client) { return client->messages.size() == 1; });
  }));
  EXPECT_EQ(clients[999]->messages[0], "echo 999");
}

// A loop that echoes on a thread of its own, for the blocking twin.
class EchoThread {
 public:
  explicit EchoThread(const std::filesystem::path& path) {
    listener_ = std::move(*Listener::unix_socket(loop_, path, 0600, echo_.on_accept()));
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~EchoThread() {
    loop_.stop();
    thread_.join();
  }

 private:
  Loop loop_;
  Echo echo_;
  std::unique_ptr<Listener> listener_;
  std::thread thread_;
};

TEST(BlockingChannel, AsksAndGetsAnswers) {
  const testing::TempFolder folder;
  const EchoThread echo(folder / "s");
  auto channel = BlockingChannel::connect_unix(folder / "s", Duration(5000));
  ASSERT_TRUE(channel);
  for (const std::string& text : {std::string("one"), std::string(), std::string(3'000'000, 'x')}) {
    ASSERT_TRUE(channel->send(text, Duration(5000)));
    auto answer = channel->receive(Duration(5000));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_TRUE(*answer == "echo " + text);
  }
  ASSERT_TRUE(channel->send("a", Duration(5000)));
  ASSERT_TRUE(channel->send("b", Duration(5000)));
  EXPECT_EQ(channel->receive(Duration(5000)).value(), "echo a");
  EXPECT_EQ(channel->receive(Duration(5000)).value(), "echo b");
  const auto nothing = channel->receive(Duration(20));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::transient);
}

TEST(BlockingChannel, SaysWhenNothingListens) {
  const testing::TempFolder folder;
  EXPECT_EQ(BlockingChannel::connect_unix(folder / "none", Duration(100)).error().code, ErrorCode::not_found);
  ASSERT_TRUE(write_file(folder / "file", "x"));
  EXPECT_EQ(BlockingChannel::connect_unix(folder / "file", Duration(100)).error().code, ErrorCode::not_found);
}

// The far end is raw, so that it can do what it shouldn't.
class BlockingChannelRaw : public ::testing::Test {
 protected:
  void SetUp() override {
    listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (folder_ / "s").c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener_.get(), 1), 0);
    auto channel = BlockingChannel::connect_unix(folder_ / "s", Duration(1000));
    ASSERT_TRUE(channel);
    channel_ = std::make_unique<BlockingChannel>(std::move(*channel));
    raw_.reset(accept(listener_.get(), nullptr, nullptr));
  }
  void write_raw(std::string_view text) const {
    ASSERT_EQ(write(raw_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  testing::TempFolder folder_;
  Fd listener_;
  Fd raw_;
  std::unique_ptr<BlockingChannel> channel_;
};

TEST_F(BlockingChannelRaw, KeepsAPartOfAMessageOverATimeout) {
  write_raw(std::string_view("\0\0", 2));
  EXPECT_EQ(channel_->receive(Duration(20)).error().code, ErrorCode::transient);
  write_raw(std::string_view("\0\x05he", 4));
  EXPECT_EQ(channel_->receive(Duration(20)).error().code, ErrorCode::transient);
  write_raw("llo");
  EXPECT_EQ(channel_->receive(Duration(1000)).value(), "hello");
}

TEST_F(BlockingChannelRaw, RefusesAHugeFrame) {
  write_raw("\xff\xff\xff\xff");
  EXPECT_EQ(channel_->receive(Duration(1000)).error().code, ErrorCode::permanent);
  EXPECT_EQ(channel_->receive(Duration(1000)).error().code, ErrorCode::outcome_unknown);
}

TEST_F(BlockingChannelRaw, SaysWhenThePeerClosed) {
  raw_.reset();
  EXPECT_EQ(channel_->receive(Duration(1000)).error().code, ErrorCode::outcome_unknown);
  EXPECT_EQ(channel_->send("x", Duration(1000)).error().code, ErrorCode::outcome_unknown);
}

TEST_F(BlockingChannelRaw, ClosesWhenAMessageIsCutInTwo) {
  const auto cut = channel_->send(std::string(5'000'000, 'x'), Duration(30));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::outcome_unknown);
  EXPECT_FALSE(channel_->send("x", Duration(30)));
  EXPECT_EQ(channel_->send(std::string(message_max_default + 1, 'x'), Duration(30)).error().code,
            ErrorCode::outcome_unknown);
}

}  // namespace
}  // namespace slipway
