#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace slipway {

namespace {

std::string describe(std::string_view what, int error) {
  char buffer[128];
  std::string text(what);
  text += ": ";
  text += strerror_r(error, buffer, sizeof buffer);  // the GNU one, which returns the text
  return text;
}

}  // namespace

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::no_capacity:
      return "no_capacity";
    case ErrorCode::quota:
      return "quota";
    case ErrorCode::throttled:
      return "throttled";
    case ErrorCode::denied:
      return "denied";
    case ErrorCode::bad_config:
      return "bad_config";
    case ErrorCode::transient:
      return "transient";
    case ErrorCode::permanent:
      return "permanent";
    case ErrorCode::outcome_unknown:
      return "outcome_unknown";
  }
  return "permanent";
}

std::string errno_message(std::string_view what) {
  return describe(what, errno);
}

Failure fail_errno(std::string_view what) {
  const int error = errno;  // building the message may change it
  ErrorCode code = ErrorCode::permanent;
  if (error == ENOENT) {
    code = ErrorCode::not_found;
  } else if (error == EACCES || error == EPERM) {
    code = ErrorCode::denied;
  } else if (error == ENOSPC) {
    code = ErrorCode::no_capacity;
  }
  return fail(code, describe(what, error));
}

}  // namespace slipway
