#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/loop.h"

namespace slipway {

struct Workers::Impl {
  explicit Impl(Loop& l) : loop(l) {}

  Loop& loop;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;  // guarded by mutex
  bool stopping = false;                   // guarded by mutex
  // Read and written on the loop's thread only: results that are still on their way when the pool goes are not
  // delivered.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::vector<std::thread> threads;

  void work() {
    while (true) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return stopping || !jobs.empty(); });
        if (stopping) {
          return;
        }
        job = std::move(jobs.front());
        jobs.pop_front();
      }
      job();
    }
  }
};

Workers::Workers(Loop& loop, unsigned threads) : impl_(std::make_unique<Impl>(loop)) {
  // Signals are for the thread that runs the loop; threads inherit the mask of the one that starts them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (unsigned i = 0; i < std::max(threads, 1u); ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->work(); });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Workers::~Workers() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    dropped.swap(impl_->jobs);
  }
  impl_->changed.notify_all();
  for (std::thread& thread : impl_->threads) {
    thread.join();
  }
  *impl_->alive = false;
}

void Workers::submit(std::function<void()> job) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->jobs.push_back(std::move(job));
  }
  impl_->changed.notify_one();
}

void Workers::reply(Loop::Callback callback) {
  impl_->loop.post([alive = impl_->alive, callback = std::move(callback)] {
    if (*alive) {
      callback();
    }
  });
}

}  // namespace slipway
