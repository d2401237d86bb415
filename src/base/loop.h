// A small event loop: file descriptors, timers, and messages from other threads. One thread runs it and calls every
// callback.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "base/clock.h"

namespace slipway {

class Loop {
 public:
  using Callback = std::function<void()>;
  enum class TimerId : uint64_t { none = 0 };

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Calls `callback(events)` with epoll's event bits whenever `fd` has one of `events` (level-triggered). One watch per
  // fd.
  void watch(int fd, uint32_t events, std::function<void(uint32_t)> callback);
  void change(int fd, uint32_t events);
  // Safe from inside any callback, the fd's own included; must come before the fd is closed.
  void unwatch(int fd);

  TimerId after(Duration delay, Callback callback);  // once; a negative delay is zero
  void cancel(TimerId timer);                        // unknown or expired timers are ignored

  // Thread-safe and async-signal-unsafe: runs `callback` on the loop's thread, in the order posted.
  void post(Callback callback);

  void run();   // until stop()
  void stop();  // thread-safe

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Runs blocking work off the loop's thread. `work` runs on one of `threads` threads; `done` runs on the loop with its
// result. Work is started in the order given. The destructor (on the loop's thread) waits for running work and drops
// what has not started; after it no `done` is called any more.
class Workers {
 public:
  Workers(Loop& loop, unsigned threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  template <class Work, class Done>
  void run(Work work, Done done) {
    submit([this, work = std::move(work), done = std::move(done)]() mutable {
      auto result = std::make_shared<decltype(work())>(work());
      reply([done = std::move(done), result]() mutable { done(std::move(*result)); });
    });
  }

 private:
  void submit(std::function<void()> job);
  void reply(Loop::Callback callback);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace slipway
