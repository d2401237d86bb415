// What compute and login machines have in common: join, take the daemon's welcome, set the machine up with it, and say
// how that goes.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/context.h"
#include "agent/evidence.h"
#include "agent/imds.h"
#include "agent/link.h"
#include "agent/munge.h"
#include "agent/prep.h"

namespace slipway::agent {

class Member {
 public:
  explicit Member(Context context);

  // Writes what this role needs from a welcome besides the common part; called before the machine is ready and whenever
  // a welcome differs.
  void on_welcome(std::function<Result<void>(const join::Welcome&)> callback) { on_welcome_ = std::move(callback); }
  // munged answers and the prep script has run; called once.
  void on_ready(std::function<void()> callback) { on_ready_ = std::move(callback); }
  // Bind and Leave.
  void on_message(std::function<void(const join::FromDaemon&)> callback) { on_message_ = std::move(callback); }

  void start();
  // What the cloud will do with this machine; said now, and again on every new connection.
  void notice(join::Notice notice);
  // The state that the daemon hears now, and again on every new connection.
  void report(join::Report report);
  void fail_with(const std::string& message, const std::string& log_file);
  const join::Report& state() const { return state_; }
  bool ready() const { return ready_; }
  const join::Welcome& welcome() const { return *welcome_; }
  Imds* imds() { return imds_.get(); }  // null where there is none

  // No more words; munged is ended.
  void shut_down(Duration patience, std::function<void()> done);
  void hush() { link_.stop(); }

 private:
  void received(join::FromDaemon message);
  void set_up(const join::Welcome& welcome);
  void update(const join::Welcome& welcome);
  void step_done(const Result<void>& result, const char* log);

  Context context_;
  std::unique_ptr<Imds> imds_;
  std::unique_ptr<Evidence> evidence_;
  Munge munge_;
  Prep prep_;
  Link link_;
  std::function<Result<void>(const join::Welcome&)> on_welcome_;
  std::function<void()> on_ready_;
  std::function<void(const join::FromDaemon&)> on_message_;
  std::optional<join::Welcome> welcome_;
  join::Report state_;
  std::optional<join::Notice> notice_;
  bool joined_ = false;  // once
  int steps_left_ = 2;   // munged and the prep script
  bool ready_ = false;
};

}  // namespace slipway::agent
