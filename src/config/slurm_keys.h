// The keys that slurm.conf has had from Slurm 22.05 to 24.11, as its manual spells them.
#pragma once

#include <span>
#include <string_view>

namespace slipway::config {

std::span<const std::string_view> slurm_conf_keys();
std::span<const std::string_view> partition_line_keys();
std::span<const std::string_view> node_line_keys();

}  // namespace slipway::config
