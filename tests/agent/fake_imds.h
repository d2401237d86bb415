// A metadata service on the test's loop that answers as Azure's does, as far as the agent asks it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/server.h"
#include "http/url.h"
#include "test_machine.h"

namespace slipway::agent {

class FakeImds {
 public:
  explicit FakeImds(Loop& loop) {
    enter_own_network();
    server_ =
        std::make_unique<http::Server>(loop, http::ServerOptions{}, [this](http::Asked request, http::Answer answer) {
          if (silent) {
            held_.push_back(std::move(answer));
            return;
          }
          answer(respond(request));
        });
    http::Door door;
    door.listen = "127.0.0.1:0";
    auto opened = server_->add(std::move(door));
    EXPECT_TRUE(opened) << opened.error().message;
    if (opened) port_ = opened->port;
  }
  std::string origin() const { return "http://127.0.0.1:" + std::to_string(port_); }

  bool silent = false;
  int status = 200;  // of every answer
  std::string token = "h.e-a_d.er";
  std::string events = R"({"DocumentIncarnation":1,"Events":[]})";
  std::vector<std::string> asked;  // "GET /metadata/…?…"
  std::string cloud = "AzurePublicCloud";
  std::vector<std::string> started;  // bodies of StartRequests
  unsigned asked_for(const std::string& part) const {
    unsigned count = 0;
    for (const std::string& line : asked) count += line.find(part) != std::string::npos;
    return count;
  }

 private:
  http::Response respond(const http::Asked& request) {
    asked.push_back(request.method + " " + request.target);
    const auto json = [](int code, std::string body) {
      return http::Response{code, {{"Content-Type", "application/json"}}, std::move(body)};
    };
    if (http::find_header(request.headers, "Metadata") != "true") return json(400, R"({"error":"no header"})");
    if (status != 200) return json(status, R"({"error":"invalid_request","error_description":"Identity not found"})");
    const auto target = http::parse_target(request.target);
    const std::string path = target ? target->path : "";
    if (path == "/metadata/identity/oauth2/token") return json(200, R"({"access_token":")" + token + "\"}");
    if (path == "/metadata/attested/document") return json(200, R"({"encoding":"pkcs7","signature":"MIIE+/=="})");
    if (path == "/metadata/instance") {
      return json(200, R"({"compute":{"azEnvironment":")" + cloud +
                           R"(","name":"vm_1","vmId":"02aab8a4-74ef-476e-8182-f6d2ba4166a6"},
          "network":{"interface":[{"ipv4":{"ipAddress":[{"privateIpAddress":"198.18.0.9","publicIpAddress":""}]}}]}})");
    }
    if (path != "/metadata/scheduledevents") return json(404, "{}");
    if (request.method == "POST") {
      started.push_back(request.body);
      return json(200, "");
    }
    return json(200, events);
  }

  std::unique_ptr<http::Server> server_;
  std::vector<http::Answer> held_;
  uint16_t port_ = 0;
};

}  // namespace slipway::agent
