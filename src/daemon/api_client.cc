#include <boost/json.hpp>

#include "base/channel.h"
#include "daemon/api.h"

namespace slipway::daemon {

namespace json = boost::json;

namespace {

ErrorCode code_of(std::string_view name) {
  for (const auto code : {ErrorCode::not_found, ErrorCode::no_capacity, ErrorCode::quota, ErrorCode::throttled,
                          ErrorCode::denied, ErrorCode::bad_config, ErrorCode::transient, ErrorCode::outcome_unknown}) {
    if (to_string(code) == name) return code;
  }
  return ErrorCode::permanent;
}

std::string text_of(const json::object& object, const char* key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

}  // namespace

Result<std::string> call(const std::string& socket, std::string_view request, Duration timeout) {
  auto channel = BlockingChannel::connect_unix(socket, timeout);
  if (!channel) return fail(channel.error());
  if (auto sent = channel->send(request, timeout); !sent) return fail(sent.error());
  const auto frame = channel->receive(timeout);
  if (!frame) return fail(frame.error());
  json::error_code failed;
  const auto value = json::parse(json::string_view(frame->data(), frame->size()), failed);
  if (failed || !value.is_object()) return fail(ErrorCode::permanent, "the daemon's answer is not JSON");
  const auto& answer = value.get_object();
  const auto* ok = answer.if_contains("ok");
  const auto* result = answer.if_contains("result");
  if (ok != nullptr && ok->is_bool() && ok->get_bool() && result != nullptr) return json::serialize(*result);
  const auto* error = answer.if_contains("error");
  if (error == nullptr || !error->is_object())
    return fail(ErrorCode::permanent, "the daemon's answer is not understood");
  return fail(code_of(text_of(error->get_object(), "code")), text_of(error->get_object(), "message"));
}

}  // namespace slipway::daemon
