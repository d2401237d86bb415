// The socket for people and scripts (api.h): one request a connection, answered from the shell's world; events may be
// followed. Root only. On the loop's thread; the journal is read on a worker of its own.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/channel.h"
#include "base/loop.h"
#include "daemon/api_request.h"
#include "daemon/shell.h"
#include "journal/journal.h"

namespace slipway::daemon {

class ApiServer {
 public:
  struct Options {
    std::filesystem::path socket;
    size_t callers_max = 128;
    size_t follower_queue_max = 4 << 20;  // who reads slower than this is dropped
    Duration request_patience{10'000};
    Duration follow_gather{20};  // events of so long go into one frame
  };

  static Result<std::unique_ptr<ApiServer>> open(Loop& loop, const Clock& clock, Shell& shell,
                                                 journal::Journal& journal, Options options);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

 private:
  struct Caller {
    std::unique_ptr<Channel> channel;
    TimePoint deadline{};  // of its request
    bool asked = false;
    bool follows = false;
    bool reading = false;  // a read of the journal is on its way for it
    bool news = false;     // more came meanwhile
    journal::Query query;
  };

  ApiServer(Loop& loop, const Clock& clock, Shell& shell, journal::Journal& journal, Options options);
  void accept(std::unique_ptr<Channel> channel);
  void serve(uint64_t id, const std::string& frame);
  void serve_events(uint64_t id, const ApiRequest& request);
  void answer(uint64_t id, const Result<std::string>& result);
  void publish();
  void feed(uint64_t id);
  void sweep();

  Loop& loop_;
  const Clock& clock_;
  Shell& shell_;
  journal::Journal& journal_;
  const Options options_;
  Workers readers_;
  std::unordered_map<uint64_t, Caller> callers_;
  uint64_t next_ = 1;
  std::unique_ptr<Listener> listener_;
  Loop::TimerId publish_timer_ = Loop::TimerId::none;
  Loop::TimerId sweep_timer_ = Loop::TimerId::none;
};

}  // namespace slipway::daemon
