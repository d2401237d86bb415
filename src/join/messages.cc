#include "join/messages.h"

#include <sodium.h>

#include <algorithm>
#include <optional>

#include "join/json_reader.h"

namespace slipway::join {

namespace {

// An agent may be anybody's machine, so what it may send is small; the daemon is trusted with whole configuration
// files.
constexpr size_t from_agent_bytes_max = 256 << 10;
constexpr size_t from_daemon_bytes_max = 48 << 20;
constexpr size_t message_bytes_max = 1024;
constexpr size_t log_tail_bytes_max = 16 << 10;
constexpr size_t file_bytes_max = 16 << 20;
constexpr size_t munge_key_bytes_max = 4096;
constexpr size_t users_max = 100'000;
constexpr size_t node_bytes_max = 63;  // of a host name
constexpr size_t event_bytes_max = 128;
// The year 9999, so that no arithmetic on a time overflows.
constexpr uint64_t time_max_ms = 253'402'300'799'999;

std::string to_base64(std::string_view bytes) {
  std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();
  return out;
}

bool from_base64(std::string_view text, std::string& out) {
  out.assign(text.size(), '\0');
  size_t length = 0;
  const char* end = nullptr;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(), text.size(), nullptr,
                        &length, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      end != text.data() + text.size()) {
    return false;
  }
  out.resize(length);
  return true;
}

std::optional<Phase> parse_phase(std::string_view text) {
  for (Phase phase : {Phase::preparing, Phase::waiting, Phase::starting, Phase::serving, Phase::failed}) {
    if (to_string(phase) == text) return phase;
  }
  return std::nullopt;
}

std::optional<NoticeKind> parse_notice_kind(std::string_view text) {
  for (NoticeKind kind : {NoticeKind::none, NoticeKind::preempt, NoticeKind::terminate, NoticeKind::redeploy,
                          NoticeKind::reboot, NoticeKind::freeze}) {
    if (to_string(kind) == text) return kind;
  }
  return std::nullopt;
}

// The last bytes of a text, from a line's start when there is one.
std::string_view tail_of(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  text.remove_prefix(text.size() - bytes_max);
  const size_t newline = text.find('\n');
  if (newline != std::string_view::npos && newline + 1 < text.size()) text.remove_prefix(newline + 1);
  return text;
}

struct Encoder {
  std::string operator()(const Report& report) const {
    std::string out = "{\"type\":\"report\",\"phase\":\"" + std::string(to_string(report.phase)) + "\"";
    if (!report.node.empty()) out += ",\"node\":" + json_quoted(report.node);
    if (report.slurmd_started_ms != 0) out += ",\"slurmd_started_ms\":" + std::to_string(report.slurmd_started_ms);
    if (!report.message.empty()) {
      out += ",\"message\":" + json_quoted(to_utf8(std::string_view(report.message).substr(0, message_bytes_max)));
    }
    if (!report.log_tail.empty()) {
      out += ",\"log_tail\":" + json_quoted(to_utf8(tail_of(report.log_tail, log_tail_bytes_max)));
    }
    return out + "}";
  }
  std::string operator()(const Heartbeat&) const { return "{\"type\":\"heartbeat\"}"; }
  std::string operator()(const Notice& notice) const {
    std::string out = "{\"type\":\"notice\",\"kind\":\"" + std::string(to_string(notice.kind)) + "\"";
    if (notice.at_ms != 0) out += ",\"at_ms\":" + std::to_string(std::min(notice.at_ms, time_max_ms));
    if (!notice.event.empty()) {
      out += ",\"event\":" + json_quoted(to_utf8(std::string_view(notice.event).substr(0, event_bytes_max)));
    }
    return out + "}";
  }
  std::string operator()(const Welcome& welcome) const {
    return "{\"type\":\"welcome\",\"munge_key\":\"" + to_base64(welcome.munge_key) +
           "\",\"slurm_conf\":" + json_quoted(welcome.slurm_conf) + ",\"hosts\":" + json_quoted(welcome.hosts) +
           ",\"users\":" + users_to_json(welcome.users) + ",\"prep\":" + json_quoted(welcome.prep) +
           ",\"conf_server\":" + json_quoted(welcome.conf_server) +
           ",\"nameserver\":" + json_quoted(welcome.nameserver) +
           ",\"heartbeat_every_ms\":" + std::to_string(std::max<int64_t>(welcome.heartbeat_every.count(), 0)) + "}";
  }
  std::string operator()(const Bind& bind) const {
    return "{\"type\":\"bind\",\"node\":" + json_quoted(bind.node) + "}";
  }
  std::string operator()(const Leave& leave) const {
    return "{\"type\":\"leave\",\"reason\":" +
           json_quoted(to_utf8(std::string_view(leave.reason).substr(0, message_bytes_max))) + "}";
  }
};

Failure unknown_type(std::string_view type) {
  return fail(ErrorCode::bad_config, "an unknown message: \"" + to_utf8(type) + "\"");
}

Result<FromAgent> decode_report(JsonReader& reader) {
  Report report;
  const auto phase = parse_phase(reader.text("phase", 32));
  if (!phase) reader.problem("\"phase\" is not one of preparing, waiting, starting, serving, failed");
  report.phase = phase.value_or(Phase::failed);
  report.node = reader.text("node", node_bytes_max);
  if (!report.node.empty() && !is_plain_name(report.node, node_bytes_max))
    reader.problem("\"node\" is not a node name");
  report.slurmd_started_ms = reader.number("slurmd_started_ms", time_max_ms);
  report.message = reader.text("message", message_bytes_max);
  report.log_tail = reader.text("log_tail", log_tail_bytes_max);
  if (auto status = reader.status(); !status) return fail(status.error());
  return FromAgent(std::move(report));
}

Result<FromAgent> decode_notice(JsonReader& reader) {
  Notice notice;
  const auto kind = parse_notice_kind(reader.text("kind", 32));
  if (!kind) reader.problem("\"kind\" is not one of none, preempt, terminate, redeploy, reboot, freeze");
  notice.kind = kind.value_or(NoticeKind::none);
  notice.at_ms = reader.number("at_ms", time_max_ms);
  notice.event = reader.text("event", event_bytes_max);
  if (ends_machine(notice.kind) && notice.at_ms == 0) reader.problem("\"at_ms\" must say when the machine ends");
  if (auto status = reader.status(); !status) return fail(status.error());
  return FromAgent(std::move(notice));
}

Result<FromDaemon> decode_welcome(JsonReader& reader) {
  Welcome welcome;
  if (!from_base64(reader.text("munge_key", munge_key_bytes_max * 4 / 3 + 4), welcome.munge_key)) {
    reader.problem("\"munge_key\" must be base64");
  }
  welcome.slurm_conf = reader.text("slurm_conf", file_bytes_max);
  welcome.hosts = reader.text("hosts", file_bytes_max);
  welcome.users = reader.users("users", users_max);
  welcome.prep = reader.text("prep", file_bytes_max);
  welcome.conf_server = reader.text("conf_server", 255);
  for (char c : welcome.conf_server) {
    if (c <= ' ' || c > '~') reader.problem("\"conf_server\" must be a host and port");
  }
  welcome.nameserver = reader.text("nameserver", 15);
  if (welcome.nameserver.find_first_not_of("0123456789.") != std::string::npos) {
    reader.problem("\"nameserver\" must be an IPv4 address");
  }
  // A beat a day is still a beat, and a daemon that asks for none at all gets the fastest that makes sense.
  welcome.heartbeat_every = Duration(std::max<uint64_t>(reader.number("heartbeat_every_ms", 86'400'000, 20'000), 100));
  if (auto status = reader.status(); !status) return fail(status.error());
  return FromDaemon(std::move(welcome));
}

}  // namespace

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::preparing:
      return "preparing";
    case Phase::waiting:
      return "waiting";
    case Phase::starting:
      return "starting";
    case Phase::serving:
      return "serving";
    case Phase::failed:
      return "failed";
  }
  return "unknown";
}

std::string_view to_string(NoticeKind kind) {
  switch (kind) {
    case NoticeKind::none:
      return "none";
    case NoticeKind::preempt:
      return "preempt";
    case NoticeKind::terminate:
      return "terminate";
    case NoticeKind::redeploy:
      return "redeploy";
    case NoticeKind::reboot:
      return "reboot";
    case NoticeKind::freeze:
      return "freeze";
  }
  return "unknown";
}

bool ends_machine(NoticeKind kind) {
  return kind != NoticeKind::none && kind != NoticeKind::freeze;
}

std::string encode(const FromAgent& message) {
  return std::visit(Encoder{}, message);
}
std::string encode(const FromDaemon& message) {
  return std::visit(Encoder{}, message);
}

Result<FromAgent> decode_from_agent(std::string_view frame) {
  auto reader = JsonReader::parse(frame, from_agent_bytes_max);
  if (!reader) return fail(reader.error());
  const std::string type = reader->text("type", 64);
  if (type == "report") return decode_report(*reader);
  if (type == "heartbeat") return FromAgent(Heartbeat{});
  if (type == "notice") return decode_notice(*reader);
  return unknown_type(type);
}

Result<FromDaemon> decode_from_daemon(std::string_view frame) {
  // A prep script may hold any bytes.
  auto reader = JsonReader::parse(frame, from_daemon_bytes_max, Utf8::any_bytes);
  if (!reader) return fail(reader.error());
  const std::string type = reader->text("type", 64);
  if (type == "welcome") return decode_welcome(*reader);
  if (type == "bind") {
    Bind bind{reader->text("node", node_bytes_max)};
    if (!is_plain_name(bind.node, node_bytes_max)) reader->problem("\"node\" is not a node name");
    if (auto status = reader->status(); !status) return fail(status.error());
    return FromDaemon(std::move(bind));
  }
  if (type == "leave") {
    Leave leave{reader->text("reason", message_bytes_max)};
    if (auto status = reader->status(); !status) return fail(status.error());
    return FromDaemon(std::move(leave));
  }
  return unknown_type(type);
}

}  // namespace slipway::join
