#include "machines/machine_boot_data.h"

#include <boost/json.hpp>

#include "base/files.h"
#include "join/boot_data.h"
#include "join/handshake.h"
#include "machines/json_values.h"

namespace slipway::machines {

Result<std::string> read_master_key(const std::filesystem::path& state) {
  std::filesystem::path path = state / "keys" / "master.key";
  auto text = read_file(path, 4096);
  if (!text) return fail(ErrorCode::bad_config, "the cluster's master key can't be read: " + text.error().message);
  while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
  if (auto key = join::parse_key(*text); !key)
    return fail(ErrorCode::bad_config, path.string() + ": " + key.error().message);
  return text;
}

Result<std::string> make_boot_data(const std::string& master_key_hex, const std::string& cluster,
                                   const Machine& machine, const std::string& extra) {
  auto master = join::parse_key(master_key_hex);
  if (!master) return fail(master.error());
  boost::json::object merged;
  if (!extra.empty()) {
    auto object = parse_object(extra);
    if (!object) return fail(ErrorCode::bad_config, "the boot data of the role is " + object.error().message);
    merged = std::move(*object);
  }
  join::BootData data;
  data.cluster = cluster;
  data.instance = machine.id;
  data.role = machine.role;
  data.pool = machine.pool;
  data.address = machine.address;
  data.daemon = text_value(merged, "daemon");
  data.secret = join::to_hex(join::machine_secret(*master, machine.id));
  auto own = parse_object(join::to_json(data));
  if (!own) return fail(own.error());
  for (const auto& member : *own) merged[member.key()] = member.value();
  return boost::json::serialize(merged);
}

}  // namespace slipway::machines
