// A fake ARM with the part of the compute and network APIs that scale sets need: it has behaviour, and levers for what
// goes wrong. Its server runs on a thread of its own.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "cloud/azure/rest.h"
#include "http/server.h"

namespace slipway::cloud::azure {

class FakeCompute {
 public:
  FakeCompute();
  ~FakeCompute();
  FakeCompute(const FakeCompute&) = delete;
  FakeCompute& operator=(const FakeCompute&) = delete;

  struct Set {
    std::string body;  // as it was put
    std::map<std::string, std::string> tags;
    std::string size;
    std::string orchestration = "Flexible";
    std::string state = "Succeeded";
    uint32_t capacity = 0;
    uint64_t version = 1;
  };
  struct Vm {
    std::string set;
    std::string state = "Succeeded";
    std::string power = "running";
    std::string failure;  // a code
    bool spot = false;
    uint32_t number = 0;
    std::string zone;
  };
  struct Operation {
    std::string set;
    bool over = false;
    std::string error;  // JSON of its error; empty: succeeded
    std::vector<std::string> removes;
  };

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // Levers and looks; thread-safe.
  template <class Change>
  auto with(Change change) {
    const std::lock_guard lock(mutex_);
    return change(*this);
  }
  uint32_t calls(const std::string& what) {
    const std::lock_guard lock(mutex_);
    return calls_[what];
  }
  void reset_calls() {
    const std::lock_guard lock(mutex_);
    calls_.clear();
  }
  size_t vms_of(const std::string& set);
  std::string any_vm(const std::string& set);
  void finish();  // what goes on is over

  // Read and set by tests through with().
  std::map<std::string, Set> sets;
  std::map<std::string, Vm> vms;
  std::map<std::string, Operation> operations;
  std::map<std::string, std::string> bodies;  // the last one of each call
  bool hold = false;                          // operations go on until finish()
  uint32_t room = 1'000'000;                  // machines that there is capacity for
  std::string failure_code = "AllocationFailed";
  bool failed_vms_stay = false;  // machines that couldn't be made exist as failed
  std::string lose;              // the answer of the next such call is lost, its effect isn't
  std::string refuse;            // the next such call is answered so, without effect:
  int refuse_status = 429;
  std::string refuse_code = "TooManyRequests";
  std::string meddle;  // before the next such call somebody else changes the set
  size_t page = 1'000;
  bool uncounted = false;  // sets are shown without their capacity
  bool nics_lag = false;
  size_t vms_lag = 0;  // so many of the newest machines aren't listed yet
  bool down = false;

 private:
  void handle(http::Asked asked, http::Answer answer);
  http::Response respond(const http::Asked& asked, const std::string& what, const std::vector<std::string>& path,
                         const std::map<std::string, std::string>& query);
  http::Response change(const http::Asked& asked, const std::string& name, bool make);
  size_t vms_of_locked(const std::string& set) const;
  void grow(const std::string& name, Operation& operation);
  std::string begin(Operation operation);
  std::string set_json(const std::string& name) const;
  std::string vm_json(const std::string& name) const;

  std::mutex mutex_;
  std::map<std::string, uint32_t> calls_;
  uint32_t next_ = 1;
  uint16_t port_ = 0;
  Loop loop_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

class FakeBearer final : public Authorizer {
 public:
  Result<void> authorize(http::Request& request, Duration) override {
    request.headers.emplace_back("Authorization", "Bearer test");
    return {};
  }
};

}  // namespace slipway::cloud::azure
