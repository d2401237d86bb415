// The text of a machine's /run/slipway/boot.json.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "machines/machine.h"

namespace slipway::machines {

// <state>/keys/master.key, in hex: the key from which every machine's secret follows. bad_config when it is missing or
// damaged.
Result<std::string> read_master_key(const std::filesystem::path& state);

// What the host knows of the machine, its secret, and the members of `extra` (a JSON object; may be empty), which can
// add to that but not change it.
Result<std::string> make_boot_data(const std::string& master_key_hex, const std::string& cluster,
                                   const Machine& machine, const std::string& extra);

}  // namespace slipway::machines
