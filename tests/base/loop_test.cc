#include "base/loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "base/files.h"
#include "testing.h"

namespace slipway {
namespace {

using testing::run_for;
using testing::run_until;

struct Pair {
  Fd left;
  Fd right;

  Pair() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    left.reset(ends[0]);
    right.reset(ends[1]);
  }
  void say() const { EXPECT_EQ(write(right.get(), "x", 1), 1); }
};

TEST(Loop, TimersRunInTheOrderTheyAreDue) {
  Loop loop;
  std::string order;
  loop.after(Duration(30), [&] { order += "c"; });
  loop.after(Duration(10), [&] { order += "a"; });
  loop.after(Duration(20), [&] { order += "b"; });
  loop.after(Duration(-5), [&] { order += "0"; });
  loop.after(Duration::max(), [&] { order += "never"; });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(run_until(loop, [&] { return order.size() == 4; }));
  EXPECT_EQ(order, "0abc");
  EXPECT_GE(std::chrono::steady_clock::now() - start, Duration(30));
}

TEST(Loop, TimersDueTogetherRunInTheOrderSet) {
  Loop loop;
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    loop.after(Duration(0), [&order, i] { order.push_back(i); });
  }
  EXPECT_TRUE(run_until(loop, [&] { return order.size() == 100; }));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Loop, CancelledTimersDoNotRun) {
  Loop loop;
  int runs = 0;
  const auto first = loop.after(Duration(5), [&] { ++runs; });
  Loop::TimerId second{};
  loop.after(Duration(1), [&] { loop.cancel(second); });
  second = loop.after(Duration(5), [&] { ++runs; });
  Loop::TimerId own{};
  own = loop.after(Duration(2), [&] { loop.cancel(own); });  // while it runs: already expired
  loop.cancel(first);
  loop.cancel(first);
  loop.cancel(Loop::TimerId::none);
  loop.cancel(static_cast<Loop::TimerId>(12345));
  run_for(loop, Duration(40));
  EXPECT_EQ(runs, 0);
}

TEST(Loop, ARenewingTimerDoesNotStarveDescriptors) {
  Loop loop;
  const Pair pair;
  std::function<void()> renew = [&] { loop.after(Duration(0), renew); };
  renew();
  bool heard = false;
  loop.watch(pair.left.get(), EPOLLIN, [&](uint32_t) { heard = true; });
  pair.say();
  EXPECT_TRUE(run_until(loop, [&] { return heard; }));
}

TEST(Loop, WatchesTellEventsUntilUnwatched) {
  Loop loop;
  Pair pair;
  int calls = 0;
  uint32_t last = 0;
  loop.watch(pair.left.get(), EPOLLIN, [&](uint32_t events) {
    ++calls;
    last = events;
  });
  run_for(loop, Duration(10));
  EXPECT_EQ(calls, 0);
  pair.say();
  EXPECT_TRUE(run_until(loop, [&] { return calls >= 3; }));  // level-triggered
  EXPECT_EQ(last, static_cast<uint32_t>(EPOLLIN));
  loop.change(pair.left.get(), 0);
  const int before = calls;
  run_for(loop, Duration(10));
  EXPECT_EQ(calls, before);
  loop.change(pair.left.get(), EPOLLOUT);
  EXPECT_TRUE(run_until(loop, [&] { return calls > before; }));
  EXPECT_EQ(last, static_cast<uint32_t>(EPOLLOUT));
  loop.unwatch(pair.left.get());
  loop.unwatch(pair.left.get());
  const int after = calls;
  run_for(loop, Duration(10));
  EXPECT_EQ(calls, after);
}

TEST(Loop, AnUnwatchedDescriptorIsNotCalledForAnEventAlreadyFetched) {
  Loop loop;
  Pair one;
  Pair two;
  int calls = 0;
  auto callback = [&](uint32_t) {
    ++calls;
    // Both are readable; whichever comes first ends both.
    loop.unwatch(one.left.get());
    loop.unwatch(two.left.get());
    one.left.reset();
    two.left.reset();
  };
  loop.watch(one.left.get(), EPOLLIN, callback);
  loop.watch(two.left.get(), EPOLLIN, callback);
  one.say();
  two.say();
  run_for(loop, Duration(20));
  EXPECT_EQ(calls, 1);
}

TEST(Loop, ANewWatchOnAReusedNumberDoesNotGetOldEvents) {
  Loop loop;
  Pair one;
  Pair two;
  Pair fresh;
  int stale = 0;
  bool replaced = false;
  auto replace = [&](Pair& other) {
    // The other one's event is in the batch already. Its number now belongs to a socket with nothing to read.
    if (replaced) {
      return;
    }
    replaced = true;
    const int number = other.left.get();
    loop.unwatch(number);
    EXPECT_EQ(dup2(fresh.left.get(), number), number);
    loop.watch(number, EPOLLIN, [&](uint32_t) { ++stale; });
  };
  loop.watch(one.left.get(), EPOLLIN, [&](uint32_t) { replace(two); });
  loop.watch(two.left.get(), EPOLLIN, [&](uint32_t) { replace(one); });
  one.say();
  two.say();
  run_for(loop, Duration(20));
  EXPECT_TRUE(replaced);
  EXPECT_EQ(stale, 0);
}

TEST(Loop, ACallbackMayUnwatchItselfAndKeepsWhatItOwns) {
  Loop loop;
  Pair pair;
  std::string seen;
  loop.watch(pair.left.get(), EPOLLIN, [&, owned = std::make_shared<std::string>("owned")](uint32_t) {
    loop.unwatch(pair.left.get());
    pair.left.reset();
    seen += *owned;
  });
  pair.say();
  run_for(loop, Duration(20));
  EXPECT_EQ(seen, "owned");
}

TEST(Loop, PostsFromThreadsRunHereInTheirOrder) {
  Loop loop;
  constexpr int threads_max = 4;
  constexpr int posts = 2000;
  std::vector<int> next(threads_max, 0);
  int total = 0;
  const auto here = std::this_thread::get_id();
  std::vector<std::thread> threads;
  for (int t = 0; t < threads_max; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < posts; ++i) {
        loop.post([&, t, i] {
          EXPECT_EQ(std::this_thread::get_id(), here);
          EXPECT_EQ(next[static_cast<size_t>(t)], i);
          next[static_cast<size_t>(t)] = i + 1;
          ++total;
        });
      }
    });
  }
  EXPECT_TRUE(run_until(loop, [&] { return total == threads_max * posts; }));
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST(Loop, StopsFromAnotherThreadAndBeforeItRuns) {
  Loop loop;
  loop.stop();
  loop.run();  // returns at once
  std::thread stopper([&] {
    std::this_thread::sleep_for(Duration(20));
    loop.stop();
  });
  loop.run();
  stopper.join();
}

TEST(Loop, WhatWasPostedBeforeAStopRunsNextTime) {
  Loop loop;
  bool ran = false;
  loop.post([&] { loop.stop(); });
  loop.post([&] { ran = true; });
  loop.run();
  EXPECT_FALSE(ran);
  EXPECT_TRUE(run_until(loop, [&] { return ran; }));
}

TEST(Loop, DestroysCallbacksThatCallItBack) {
  struct Owner {
    Loop& loop;
    Loop::TimerId timer;
    int fd;
    ~Owner() {
      loop.cancel(timer);
      loop.unwatch(fd);
      loop.post([] {});
    }
  };
  Pair pair;
  auto loop = std::make_unique<Loop>();
  const auto owner = [&] { return std::make_shared<Owner>(Owner{*loop, Loop::TimerId::none, -1}); };
  loop->watch(pair.left.get(), EPOLLIN, [o = owner()](uint32_t) {});
  loop->after(Duration(1000), [o = owner()] {});
  loop->post([o = owner()] {});
  loop.reset();
}

TEST(Workers, GiveResultsBackOnTheLoop) {
  Loop loop;
  Workers workers(loop, 3);
  const auto here = std::this_thread::get_id();
  std::set<int> results;
  for (int i = 0; i < 50; ++i) {
    workers.run(
        [i, here] {
          EXPECT_NE(std::this_thread::get_id(), here);
          return std::make_unique<int>(i);  // results need not be copyable
        },
        [&](std::unique_ptr<int> result) {
          EXPECT_EQ(std::this_thread::get_id(), here);
          results.insert(*result);
        });
  }
  EXPECT_TRUE(run_until(loop, [&] { return results.size() == 50; }));
}

TEST(Workers, OneThreadKeepsTheOrder) {
  Loop loop;
  Workers workers(loop, 1);
  std::vector<int> order;
  for (int i = 0; i < 200; ++i) {
    workers.run([i] { return i; }, [&](int result) { order.push_back(result); });
  }
  EXPECT_TRUE(run_until(loop, [&] { return order.size() == 200; }));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Workers, ThreadsRunAtTheSameTime) {
  Loop loop;
  Workers workers(loop, 2);
  std::atomic<int> inside = 0;
  int met = 0;
  for (int i = 0; i < 2; ++i) {
    workers.run(
        [&] {
          ++inside;
          for (int wait = 0; wait < 2000 && inside < 2; ++wait) {
            std::this_thread::sleep_for(Duration(5));
          }
          return inside == 2;
        },
        [&](bool both) { met += both ? 1 : 0; });
  }
  EXPECT_TRUE(run_until(loop, [&] { return met == 2; }));
}

TEST(Workers, TheEndWaitsForTheRunningAndDropsTheRest) {
  Loop loop;
  std::atomic<bool> started = false;
  std::atomic<int> finished = 0;
  int delivered = 0;
  {
    Workers workers(loop, 1);
    for (int i = 0; i < 10; ++i) {
      workers.run(
          [&] {
            started = true;
            std::this_thread::sleep_for(Duration(50));
            return ++finished;
          },
          [&](int) { ++delivered; });
    }
    while (!started) {
      std::this_thread::sleep_for(Duration(1));
    }
  }
  const int at_the_end = finished;
  EXPECT_GE(at_the_end, 1);
  EXPECT_LT(at_the_end, 10);
  run_for(loop, Duration(20));
  EXPECT_EQ(finished, at_the_end);
  EXPECT_EQ(delivered, 0);
}

}  // namespace
}  // namespace slipway
