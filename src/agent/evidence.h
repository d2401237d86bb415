// What proves to the daemon which machine this is, when its maker gave it no secret: a document of its cloud, asked for
// off the loop's thread and kept for some minutes. On the loop's thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/imds.h"
#include "base/clock.h"
#include "base/loop.h"

namespace slipway::agent {

struct Document {
  std::string kind;  // "azure_token" | "azure_attested"
  std::string text;
};

class Evidence {
 public:
  // `identity`: of which a token is taken; empty: the attested document.
  Evidence(Loop& loop, const Clock& clock, Imds& imds, std::string identity);
  ~Evidence();
  Evidence(const Evidence&) = delete;
  Evidence& operator=(const Evidence&) = delete;

  // Calls `got` once, later, unless this object has gone before; one at a time: a new call replaces the one before.
  void get(std::function<void(Result<Document>)> got);

 private:
  void arrived(Result<std::string> text);

  Loop& loop_;
  const Clock& clock_;
  Imds& imds_;
  const std::string identity_;
  std::function<void(Result<Document>)> got_;
  bool asking_ = false;
  std::optional<Document> kept_;
  TimePoint kept_since_{};
  Loop::TimerId later_ = Loop::TimerId::none;
  Workers workers_;  // last: it waits for what runs
};

}  // namespace slipway::agent
