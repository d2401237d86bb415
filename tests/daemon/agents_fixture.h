// The daemon's side of the agents' door, with everything that it says written down.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/agents.h"
#include "fakes.h"

namespace slipway::daemon {

class AgentsTest : public ::testing::Test {
 protected:
  void open(Duration patience = Duration(300), Duration silence = Duration(60'000), size_t per_address = 64) {
    Agents::Options options;
    options.door.listen = "127.0.0.1:0";
    options.door.patience = patience;
    options.door.guests_per_address = per_address;
    options.master = master_;
    options.agent_silence = silence;
    Agents::Events events;
    events.changed = [this](const InstanceId&) { ++changes_; };
    events.lost = [this](const InstanceId& id) { lost_.push_back(id); };
    events.unknown = [this](const InstanceId& id) { unknown_.push_back(id); };
    events.is_still_meant = [this](const InstanceId&, const NodeName&) { return still_meant_; };
    events.failed = [this](const InstanceId&, const std::string& message, const std::string& tail) {
      failures_.push_back(message + "|" + tail);
    };
    options.checks_max = checks_max_;
    options.check_patience = check_patience_;
    if (vouches_) {
      events.identify = [this](cloud::Evidence evidence, std::function<void(Result<void>)> done) {
        asked_.push_back({std::move(evidence), std::move(done)});
      };
    }
    auto opened = Agents::open(loop_, clock_, options, events);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    agents_ = std::move(*opened);
  }

  engine::InstanceView view_of(const std::string& id) {
    std::vector<engine::InstanceView> views(1);
    views[0].id = InstanceId(id);
    agents_->fill(views);
    return views[0];
  }

  // A raw connection that says `bytes`.
  Fd knock(const std::string& bytes, Fd socket = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(agents_->port());
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    return socket;
  }
  static bool is_closed(const Fd& socket) {
    char byte;
    const ssize_t got = recv(socket.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return got == 0 || (got < 0 && errno != EAGAIN);
  }
  static std::string framed(const std::string& body) {
    std::string frame(4, '\0');
    for (size_t i = 0; i < 4; ++i) frame[i] = static_cast<char>(body.size() >> (24 - 8 * i));
    return frame + body;
  }

  SystemClock clock_;
  Loop loop_;
  join::Key master_ = join::random_key();
  int changes_ = 0;
  bool still_meant_ = true;
  bool vouches_ = true;
  size_t checks_max_ = 256;
  Duration check_patience_{10'000};
  struct Question {
    cloud::Evidence evidence;
    std::function<void(Result<void>)> answer;
  };
  std::vector<Question> asked_;
  std::vector<InstanceId> lost_;
  std::vector<InstanceId> unknown_;
  std::vector<std::string> failures_;
  std::unique_ptr<Agents> agents_;
};

}  // namespace slipway::daemon
