// An HTTP server of a few lines for tests: what it answers is a function of what is asked.
#pragma once

#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "http/server.h"

namespace slipway::cloud::azure {

class FakeHttp {
 public:
  using Handler = std::function<http::Response(const http::Asked&)>;
  explicit FakeHttp(Handler handler) : handler_(std::move(handler)) {
    std::promise<uint16_t> port;
    thread_ = std::thread([this, &port] {
      http::Server server(loop_, {}, [this](http::Asked asked, http::Answer answer) {
        {
          const std::lock_guard lock(mutex_);
          asked_.push_back(asked);
        }
        http::Response response = handler_(asked);
        if (response.status != 0) answer(std::move(response));  // 0: the answer is lost
      });
      auto opened = server.add({.listen = "127.0.0.1:0", .socket = {}, .tls_certificate = "", .tls_key = ""});
      port.set_value(opened ? opened->port : 0);
      loop_.run();
    });
    port_ = port.get_future().get();
  }
  ~FakeHttp() {
    loop_.stop();
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<http::Asked> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  const Handler handler_;
  std::mutex mutex_;
  std::vector<http::Asked> asked_;
  Loop loop_;
  std::thread thread_;
  uint16_t port_ = 0;
};

}  // namespace slipway::cloud::azure
