// One of Azure's REST APIs with its authentication, from worker threads. Answers other than 2xx (and 304) become typed
// errors: the code from Azure's own words where it has any, else from the status; retry_after from Retry-After.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"

namespace slipway::cloud::azure {

// Adds what proves who asks: a bearer token, or a SharedKey signature over the whole request. Thread-safe.
class Authorizer {
 public:
  virtual ~Authorizer() = default;
  virtual Result<void> authorize(http::Request& request, Duration timeout) = 0;
  // The API answered 401: a token that was kept is no good.
  virtual void refused() {}
};

// Thread-safe, as its parts are.
class Rest {
 public:
  Rest(http::Client& client, std::shared_ptr<Authorizer> authorizer)
      : client_(client), authorizer_(std::move(authorizer)) {}

  // A 401 is tried once more with a new token. A lost answer to GET is transient, to anything else outcome_unknown.
  Result<http::Response> send(http::Request request, Duration timeout);
  // The same, but an answer of any status is a success: for callers to whom a conflict is no error.
  Result<http::Response> exchange(const http::Request& request, Duration timeout);

 private:
  http::Client& client_;
  std::shared_ptr<Authorizer> authorizer_;
};

// What an answer's error means to the engine. `body` as Batch ({"code","message":{"value"},"values"}) and ARM
// ({"error":{"code","message","details"}}) write it; the message names Azure's code and what to do where that is known.
Error error_of(int status, const http::Headers& headers, std::string_view body);
// The same for a code by itself: of resizeErrors, of an asynchronous operation's end. By the code and, for the codes
// that mean several things (OperationNotAllowed), by the words of the message.
ErrorCode error_code_of(std::string_view azure_code, std::string_view message);
// "AllocationFailed: <its words>; what to do", on one line.
std::string azure_error_text(std::string_view azure_code, std::string_view message);

}  // namespace slipway::cloud::azure
