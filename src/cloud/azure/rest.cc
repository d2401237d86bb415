#include "cloud/azure/rest.h"

#include <utility>

namespace slipway::cloud::azure {

namespace {

using Steady = std::chrono::steady_clock;

bool only_asks(const std::string& method) {
  return method == "GET" || method == "HEAD";
}

}  // namespace

Result<http::Response> Rest::exchange(const http::Request& request, Duration timeout) {
  const auto deadline = Steady::now() + timeout;
  const auto left = [&] { return std::chrono::duration_cast<Duration>(deadline - Steady::now()); };
  for (bool again = false;; again = true) {
    http::Request authorized = request;
    if (auto done = authorizer_->authorize(authorized, left()); !done) return fail(done.error());
    auto response = client_.send(authorized, left());
    if (!response) {
      Error error = response.error();
      if (error.code == ErrorCode::outcome_unknown && only_asks(request.method)) error.code = ErrorCode::transient;
      return fail(std::move(error));
    }
    if (response->status != 401 || again) return response;
    authorizer_->refused();
  }
}

Result<http::Response> Rest::send(http::Request request, Duration timeout) {
  auto response = exchange(request, timeout);
  if (!response || (response->status >= 200 && response->status < 300) || response->status == 304) return response;
  Error error = error_of(response->status, response->headers, response->body);
  // A gateway that gave up, or a service that broke off, says nothing about what was done.
  const int status = response->status;
  const bool gave_up = status == 502 || status == 504;
  const bool broke_off = (status == 408 || status == 500) && error.code == ErrorCode::transient;
  if ((gave_up || broke_off) && !only_asks(request.method)) error.code = ErrorCode::outcome_unknown;
  return fail(std::move(error));
}

}  // namespace slipway::cloud::azure
