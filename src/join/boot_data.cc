#include "join/boot_data.h"

#include "join/handshake.h"
#include "join/json_reader.h"

namespace slipway::join {

namespace {
constexpr size_t bytes_max = 4 << 20;  // a hundred thousand users fit
constexpr size_t users_max = 100'000;
constexpr size_t prep_max = 1 << 20;

bool is_identity(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}
}  // namespace

Result<BootData> parse_boot_data(std::string_view json) {
  auto reader = JsonReader::parse(json, bytes_max);
  if (!reader) return fail(reader.error());
  BootData data;
  data.cluster = reader->text("cluster", 64);
  data.instance = reader->text("instance", instance_bytes_max);
  data.role = reader->text("role", 32);
  data.pool = reader->text("pool", 128);
  data.address = reader->text("address", 64);
  data.daemon = reader->text("daemon", 64);
  data.secret = reader->text("secret", 64);
  data.provider = reader->text("provider", 32);
  data.daemon_key = reader->text("daemon_key", 64);
  data.identity = reader->text("identity", 512);
  data.imds = reader->text("imds", 255);
  data.hostname = reader->text("hostname", 64);
  data.prep = reader->text("prep", prep_max);
  data.users = reader->users("users", users_max);

  const bool joins = data.role == "compute" || data.role == "login";
  if (!joins && data.role != "controller") {
    reader->problem("\"role\" must be controller, login or compute, not \"" + to_utf8(data.role) + "\"");
  }
  if (joins && !is_instance_id(data.instance)) reader->problem("\"instance\" must be the machine's name");
  const bool claims = data.provider == "azure";
  if (!claims && !data.provider.empty() && data.provider != "local") {
    reader->problem("\"provider\" must be local or azure, not \"" + to_utf8(data.provider) + "\"");
  }
  if (joins && !claims && !parse_key(data.secret)) reader->problem("\"secret\" must be 64 hex digits");
  if (joins && claims && !parse_key(data.daemon_key)) reader->problem("\"daemon_key\" must be 64 hex digits");
  if (!is_identity(data.identity)) reader->problem("\"identity\" must be a client id or a resource id");
  if (!is_ipv4_and_port(data.daemon)) reader->problem("\"daemon\" must be an IPv4 address and port");
  if ((!data.address.empty() || !joins) && !is_ipv4(data.address))
    reader->problem("\"address\" must be an IPv4 address");
  if (!data.hostname.empty() && !is_plain_name(data.hostname, 63)) reader->problem("\"hostname\" is not a host name");
  if (auto status = reader->status(); !status)
    return fail(ErrorCode::bad_config, "boot data: " + status.error().message);
  return data;
}

std::string to_json(const BootData& data) {
  std::string out = "{\"cluster\":" + json_quoted(data.cluster) + ",\"instance\":" + json_quoted(data.instance) +
                    ",\"role\":" + json_quoted(data.role) + ",\"pool\":" + json_quoted(data.pool) +
                    ",\"address\":" + json_quoted(data.address) + ",\"daemon\":" + json_quoted(data.daemon) +
                    ",\"secret\":" + json_quoted(data.secret);
  if (!data.provider.empty()) out += ",\"provider\":" + json_quoted(data.provider);
  if (!data.daemon_key.empty()) out += ",\"daemon_key\":" + json_quoted(data.daemon_key);
  if (!data.identity.empty()) out += ",\"identity\":" + json_quoted(data.identity);
  if (!data.imds.empty()) out += ",\"imds\":" + json_quoted(data.imds);
  if (!data.hostname.empty()) out += ",\"hostname\":" + json_quoted(data.hostname);
  if (!data.prep.empty()) out += ",\"prep\":" + json_quoted(data.prep);
  if (!data.users.empty()) out += ",\"users\":" + users_to_json(data.users);
  return out + "}";
}

}  // namespace slipway::join
