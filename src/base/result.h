// Results of operations that can fail, and the few kinds of failure that somebody reacts to.
//
// A bug is a CHECK (base/check.h); an operator's mistake is a list of config::Problem; everything else that can go
// wrong is an Error carried in a Result. A code exists only if some caller does something different because of it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace slipway {

enum class ErrorCode {
  not_found,        // what was named does not exist (any more)
  no_capacity,      // the provider has no room for it now; another place or a later time may have
  quota,            // a limit of the account is reached; a person can raise it
  throttled,        // asked too often; retry_after says when to ask again
  denied,           // credentials or rights are missing
  bad_config,       // asking again without a change is pointless
  transient,        // may work when asked again
  permanent,        // will not work when asked again
  outcome_unknown,  // the request may or may not have taken effect; look before repeating it
};

// The code's name as it appears in logs and JSON, e.g. "no_capacity".
std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::permanent;
  std::string message;  // a sentence for a person: what failed, on what, and what to do
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;
};

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Failure = tl::unexpected<Error>;

// A failed Result of any type: `return fail(ErrorCode::not_found, "no such machine: i-7");`
inline Failure fail(ErrorCode code, std::string message) {
  return Failure(Error{code, std::move(message)});
}
inline Failure fail(Error error) {
  return Failure(std::move(error));
}

// The current errno in words, prefixed: errno_message("open /x") = "open /x: No such file or directory".
std::string errno_message(std::string_view what);
// A failure from errno: ENOENT is not_found, EACCES and EPERM are denied, ENOSPC is no_capacity, the rest are
// permanent.
Failure fail_errno(std::string_view what);

}  // namespace slipway
