// A call's way through the gate: counted, perhaps throttled or refused, done after a delay, its answer perhaps lost.
#pragma once

#include <functional>
#include <string>

#include "http/server.h"
#include "rehearse/azure/core.h"

namespace slipway::rehearse::azure {

struct Passing {
  std::function<http::Response()> act;  // does it
  std::function<http::Response(int status, const std::string& code, const std::string& message)> refuse;
  std::function<void(http::Response)> answer;
};

void pass_gate(Core& core, const std::string& operation, const std::string& account, bool changes_something,
               Passing passing);

}  // namespace slipway::rehearse::azure
