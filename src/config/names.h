// Which names a cluster file may give to things. Each check returns why a name won't do, with what to write instead;
// empty when it will.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace slipway::config {

std::string cluster_name_trouble(std::string_view name);
std::string pool_name_trouble(std::string_view name);
std::string partition_name_trouble(std::string_view name);
std::string user_name_trouble(std::string_view name);
std::string storage_name_trouble(std::string_view name);
std::string feature_trouble(std::string_view feature);
// A cloud's word for a machine type or a zone; `what` is which of them.
std::string offer_trouble(std::string_view name, std::string_view what);
std::string mount_trouble(std::string_view mount);
std::string host_name_trouble(std::string_view name);

// Slurm's GRES for a node, "name[:type][:no_consume][:count[K|M|G|T|P]]", with its count written out: "gpu" gives
// "gpu:1". Fails with bad_config.
Result<std::string> parse_gres(std::string_view text);
// What must be unique among a node's GRES: "gpu:tesla" of "gpu:tesla:2".
std::string gres_kind(std::string_view gres);

// "198.18.16.0/20": inside 198.18.0.0/15, on a boundary of its size. Gives how many machines it has addresses for.
// Fails with bad_config.
Result<uint32_t> subnet_machines(std::string_view subnet);

}  // namespace slipway::config
