#include "base/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/files.h"

namespace slipway {

namespace {

using Steady = std::chrono::steady_clock;

constexpr int events_per_turn = 256;
// A timer further away than this is not meant to come; the bound keeps additions from overflowing.
constexpr Duration delay_max = std::chrono::hours(24 * 365 * 100);
constexpr Duration sleep_max = std::chrono::hours(1);

}  // namespace

struct Loop::Impl {
  struct Watch {
    uint32_t generation = 0;
    // Shared, so that the callback survives its own unwatch while it runs.
    std::shared_ptr<std::function<void(uint32_t)>> callback;
  };
  using TimerKey = std::pair<Steady::time_point, uint64_t>;  // ids break ties in the order of after()

  Fd epoll;
  Fd wake;  // an eventfd: something was posted, or stop() was called
  std::unordered_map<int, Watch> watches;
  uint32_t generation_last = 0;
  std::map<TimerKey, Callback> timers;
  std::unordered_map<uint64_t, Steady::time_point> timer_due;
  uint64_t timer_last = 0;
  std::atomic<bool> stopping = false;

  std::mutex mutex;
  std::vector<Callback> posted;  // guarded by mutex

  void control(int operation, int fd, uint32_t events, uint32_t generation) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = (static_cast<uint64_t>(generation) << 32) | static_cast<uint32_t>(fd);
    SLIPWAY_CHECK(epoll_ctl(epoll.get(), operation, fd, &event) == 0);
  }

  void wake_up() {
    const uint64_t one = 1;
    // EAGAIN means that the counter is full: the loop will wake anyway.
    while (write(wake.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
  }

  int sleep_ms() {
    if (timers.empty()) {
      return -1;
    }
    const auto wait = timers.begin()->first.first - Steady::now();
    // Rounded up: waking before the timer is due would spin.
    const Duration left = std::chrono::ceil<Duration>(wait);
    return static_cast<int>(std::clamp(left, Duration(0), sleep_max).count());
  }

  void dispatch(const epoll_event& event) {
    const int fd = static_cast<int>(event.data.u64 & 0xffffffff);
    const auto generation = static_cast<uint32_t>(event.data.u64 >> 32);
    if (fd == wake.get()) {
      uint64_t count = 0;
      while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
      }
      return;
    }
    const auto found = watches.find(fd);
    // An earlier callback of this turn may have unwatched the fd; its number may even belong to a newer watch already.
    if (found == watches.end() || found->second.generation != generation) {
      return;
    }
    const auto callback = found->second.callback;
    (*callback)(event.events);
  }

  void run_timers() {
    if (timers.empty()) {
      return;
    }
    // Timers that are set from here on wait for the next turn, so that a timer that renews itself can't starve the fds.
    const TimerKey end{Steady::now(), timer_last};
    while (!stopping && !timers.empty() && timers.begin()->first.first <= end.first) {
      auto next = timers.begin();
      if (next->first.second > end.second) {
        // Due, but new. Older ones may follow it in the order of time.
        next = std::find_if(timers.begin(), timers.end(),
                            [&](const auto& timer) { return timer.first.second <= end.second; });
        if (next == timers.end() || next->first.first > end.first) {
          return;
        }
      }
      const Callback callback = std::move(next->second);
      timer_due.erase(next->first.second);
      timers.erase(next);
      callback();
    }
  }

  void run_posted() {
    std::vector<Callback> batch;
    {
      const std::lock_guard lock(mutex);
      batch.swap(posted);
    }
    for (size_t i = 0; i < batch.size(); ++i) {
      if (stopping) {
        // What is left stays in its place, for the next run().
        const std::lock_guard lock(mutex);
        posted.insert(posted.begin(), std::make_move_iterator(batch.begin() + static_cast<ptrdiff_t>(i)),
                      std::make_move_iterator(batch.end()));
        wake_up();
        return;
      }
      const Callback callback = std::move(batch[i]);
      callback();
    }
  }
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {
  impl_->epoll.reset(epoll_create1(EPOLL_CLOEXEC));
  SLIPWAY_CHECK(impl_->epoll);
  impl_->wake.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  SLIPWAY_CHECK(impl_->wake);
  impl_->control(EPOLL_CTL_ADD, impl_->wake.get(), EPOLLIN, 0);
}

Loop::~Loop() {
  // What callbacks own may call back into the loop while it is destroyed, so everything goes while the loop still
  // works.
  while (true) {
    auto watches = std::exchange(impl_->watches, {});
    auto timers = std::exchange(impl_->timers, {});
    impl_->timer_due.clear();
    std::vector<Callback> posted;
    {
      const std::lock_guard lock(impl_->mutex);
      posted.swap(impl_->posted);
    }
    if (watches.empty() && timers.empty() && posted.empty()) {
      return;
    }
  }
}

void Loop::watch(int fd, uint32_t events, std::function<void(uint32_t)> callback) {
  SLIPWAY_CHECK(fd >= 0 && !impl_->watches.contains(fd));
  const uint32_t generation = ++impl_->generation_last;
  impl_->control(EPOLL_CTL_ADD, fd, events, generation);
  impl_->watches[fd] = {generation, std::make_shared<std::function<void(uint32_t)>>(std::move(callback))};
}

void Loop::change(int fd, uint32_t events) {
  const auto found = impl_->watches.find(fd);
  SLIPWAY_CHECK(found != impl_->watches.end());
  impl_->control(EPOLL_CTL_MOD, fd, events, found->second.generation);
}

void Loop::unwatch(int fd) {
  const auto found = impl_->watches.find(fd);
  if (found == impl_->watches.end()) {
    return;
  }
  const auto callback = std::move(found->second.callback);  // destroyed last: what it owns may call the loop again
  impl_->watches.erase(found);
  epoll_ctl(impl_->epoll.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Loop::TimerId Loop::after(Duration delay, Callback callback) {
  const Steady::time_point due = Steady::now() + std::clamp(delay, Duration(0), delay_max);
  const uint64_t id = ++impl_->timer_last;
  impl_->timers.emplace(Impl::TimerKey{due, id}, std::move(callback));
  impl_->timer_due.emplace(id, due);
  return static_cast<TimerId>(id);
}

void Loop::cancel(TimerId timer) {
  const auto id = static_cast<uint64_t>(timer);
  const auto found = impl_->timer_due.find(id);
  if (found == impl_->timer_due.end()) {
    return;
  }
  const auto node = impl_->timers.extract({found->second, id});  // its callback is destroyed last, see unwatch
  impl_->timer_due.erase(found);
}

void Loop::post(Callback callback) {
  bool first = false;
  {
    const std::lock_guard lock(impl_->mutex);
    first = impl_->posted.empty();
    impl_->posted.push_back(std::move(callback));
  }
  if (first) {
    impl_->wake_up();
  }
}

void Loop::run() {
  epoll_event events[events_per_turn];
  impl_->wake_up();  // a run() that was stopped may have left posts behind whose wake-up it had taken
  while (!impl_->stopping) {
    const int count = epoll_wait(impl_->epoll.get(), events, events_per_turn, impl_->sleep_ms());
    SLIPWAY_CHECK(count >= 0 || errno == EINTR);
    for (int i = 0; i < count && !impl_->stopping; ++i) {
      impl_->dispatch(events[i]);
    }
    impl_->run_timers();
    if (!impl_->stopping) {
      impl_->run_posted();
    }
  }
  impl_->stopping = false;
}

void Loop::stop() {
  impl_->stopping = true;
  impl_->wake_up();
}

}  // namespace slipway
