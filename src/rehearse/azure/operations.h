// Asynchronous operations of ARM: begun with 201 or 202, followed through Azure-AsyncOperation or Location, ended with
// success or an error that shows up late.
// https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
#pragma once

#include <deque>
#include <map>
#include <string>

#include "http/message.h"
#include "rehearse/azure/core.h"

namespace slipway::rehearse::azure {

class Operations {
 public:
  explicit Operations(Core& core) : core_(core) {}

  std::string begin(const std::string& subscription, const std::string& region);
  void succeed(const std::string& id) { end(id, "Succeeded", "", ""); }
  void fail(const std::string& id, const std::string& code, const std::string& message) {
    end(id, "Failed", code, message);
  }
  void cancel(const std::string& id, const std::string& code, const std::string& message) {
    end(id, "Canceled", code, message);
  }
  bool running(const std::string& id) const;

  // Adds the headers by which the caller follows it.
  void tell(http::Response& response, const std::string& id, const std::string& version) const;
  // GET of an operation; `monitor`: of its Location, which tells by its status.
  http::Response get(const std::string& id, bool monitor, const std::string& version) const;

 private:
  struct One {
    std::string subscription;
    std::string region;
    std::string status = "InProgress";
    std::string code;
    std::string message;
    TimePoint began{};
    TimePoint ended{};
  };
  void end(const std::string& id, const char* status, const std::string& code, const std::string& message);

  Core& core_;
  std::map<std::string, One> operations_;
  std::deque<std::string> ended_;  // the oldest are forgotten
};

}  // namespace slipway::rehearse::azure
