// munged, which every Slurm daemon and command needs: its key, its folders, its life.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/context.h"
#include "agent/supervisor.h"

namespace slipway::agent {

class Munge {
 public:
  explicit Munge(Context context);
  ~Munge();
  Munge(const Munge&) = delete;
  Munge& operator=(const Munge&) = delete;

  // Writes the key and starts munged, which is ready when its socket accepts: then `done` is called, once, without an
  // error. Fails with the reason when munged isn't installed, can't be started, dies again and again, or isn't ready in
  // 20 s. It is kept alive in any case.
  void start(const std::string& key, std::function<void(Result<void>)> done);
  // A key that differs replaces the old one and restarts munged.
  Result<void> change_key(const std::string& key);
  void stop(Duration patience, std::function<void()> done) { service_.stop(patience, std::move(done)); }
  pid_t pid() const { return service_.pid(); }

 private:
  Result<void> prepare(const std::string& key);
  void look();
  void finish(Result<void> result);

  Context context_;
  Service service_;
  Identity identity_;
  std::string key_;
  std::function<void(Result<void>)> done_;
  TimePoint give_up_at_{};
  Duration step_{1};
  unsigned deaths_ = 0;
  Loop::TimerId look_timer_ = Loop::TimerId::none;
};

}  // namespace slipway::agent
