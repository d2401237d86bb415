#include "machines/client.h"

#include "base/channel.h"
#include "machines/protocol.h"

namespace slipway::machines {
namespace {

// One request on a connection of its own. Fails with not_found when no machine host listens, and outcome_unknown when
// the request was sent and its answer didn't come.
Result<std::string> ask(const std::filesystem::path& socket, Duration timeout, const Request& request) {
  auto channel = BlockingChannel::connect_unix(socket, timeout);
  if (!channel) {
    Error error = channel.error();
    error.message = "the machine host doesn't answer: " + error.message;
    return fail(error);
  }
  if (auto sent = channel->send(encode(request), timeout); !sent) {
    // A part of a frame is never carried out.
    return fail(ErrorCode::transient, "the machine host didn't take the request: " + sent.error().message);
  }
  auto answer = channel->receive(timeout);
  if (!answer) {
    return fail(ErrorCode::outcome_unknown,
                "the machine host took the request, but gave no answer: " + answer.error().message);
  }
  return answer;
}

Result<void> tell(const std::filesystem::path& socket, Duration timeout, const Request& request) {
  auto answer = ask(socket, timeout, request);
  if (!answer) return fail(answer.error());
  return decode_done(*answer);
}

Request about(Call call, const std::vector<std::string>& ids) {
  Request request;
  request.call = call;
  request.ids = ids;
  return request;
}

}  // namespace

Result<HostInfo> Client::info() const {
  auto answer = ask(socket_, timeout_, about(Call::info, {}));
  if (!answer) return fail(answer.error());
  return decode_info(*answer);
}

Result<LaunchResult> Client::launch(const MachineSpec& spec, uint32_t count, const std::string& token,
                                    const LaunchTerms& terms) const {
  Request request;
  request.call = Call::launch;
  request.spec = spec;
  request.count = count;
  request.token = token;
  request.terms = terms;
  auto answer = ask(socket_, timeout_, request);
  if (!answer) return fail(answer.error());
  return decode_launch(*answer);
}

Result<std::vector<Machine>> Client::list() const {
  auto answer = ask(socket_, timeout_, about(Call::list, {}));
  if (!answer) return fail(answer.error());
  return decode_list(*answer);
}

Result<void> Client::terminate(const std::vector<std::string>& ids) const {
  return tell(socket_, timeout_, about(Call::terminate, ids));
}

Result<void> Client::kill(const std::vector<std::string>& ids) const {
  return tell(socket_, timeout_, about(Call::kill, ids));
}

Result<void> Client::freeze(const std::vector<std::string>& ids) const {
  return tell(socket_, timeout_, about(Call::freeze, ids));
}

Result<void> Client::thaw(const std::vector<std::string>& ids) const {
  return tell(socket_, timeout_, about(Call::thaw, ids));
}

Result<void> Client::cut_off(const std::vector<std::string>& ids) const {
  return tell(socket_, timeout_, about(Call::cut_off, ids));
}

Result<void> Client::reconnect(const std::vector<std::string>& ids) const {
  return tell(socket_, timeout_, about(Call::reconnect, ids));
}

Result<void> Client::evict(const std::vector<std::string>& ids, Duration notice) const {
  Request request = about(Call::evict, ids);
  request.notice = notice;
  return tell(socket_, timeout_, request);
}

Result<void> Client::set_boot_trouble(const BootTrouble& trouble) const {
  Request request = about(Call::boot_trouble, {});
  request.trouble = trouble;
  return tell(socket_, timeout_, request);
}

Result<void> Client::set_capacity(const CapacityLimit& limit) const {
  Request request = about(Call::capacity, {});
  request.limit = limit;
  return tell(socket_, timeout_, request);
}

Result<void> Client::clear_trouble() const {
  return tell(socket_, timeout_, about(Call::clear_trouble, {}));
}

Result<void> Client::shutdown() const {
  return tell(socket_, timeout_, about(Call::shutdown, {}));
}

}  // namespace slipway::machines
