// The operator's own set-up of a machine: one script, run once as root before the machine serves.
#pragma once

#include <functional>
#include <string>

#include "agent/context.h"

namespace slipway::agent {

class Prep {
 public:
  explicit Prep(Context context, Duration timeout = Duration(600'000)) : context_(context), timeout_(timeout) {}
  ~Prep();
  Prep(const Prep&) = delete;
  Prep& operator=(const Prep&) = delete;

  // Runs the text with the interpreter that its first line names, or /bin/sh; output goes to prep.log. `done` gets a
  // failure with the reason when it ends with another status than 0 or runs into the timeout (its process group is
  // killed). Empty text is done at once, within this call.
  void run(const std::string& script, std::function<void(Result<void>)> done);
  // Kills it, without `done`.
  void cancel();

  static std::string log_path();

 private:
  Context context_;
  Duration timeout_;
  pid_t pid_ = 0;
  bool timed_out_ = false;
  Loop::TimerId timer_ = Loop::TimerId::none;
};

}  // namespace slipway::agent
