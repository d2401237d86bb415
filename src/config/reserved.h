// What a cluster file may pass through to slurm.conf under `slurm:`, and what it may not, because Slipway writes it
// itself.
#pragma once

#include <string>
#include <string_view>

namespace slipway::config {

// Why `key` of slurm.conf can't be set from a cluster file: a sentence that begins with what the key is and ends with
// what to do instead. Empty when it can. Slurm's keys ignore case; so do all these functions.
std::string reserved_key_reason(std::string_view key);
// The same for a key of a partition's line.
std::string reserved_partition_key_reason(std::string_view key);
// The same for a key of an `existing` node's line.
std::string reserved_node_key_reason(std::string_view key);

// Why one word of a comma-separated value can't be set though the key can: "cloud_dns" of SlurmctldParameters. Empty
// when it can.
std::string reserved_value_reason(std::string_view key, std::string_view word);

// The key as Slurm spells it ("suspendtime" gives "SuspendTime"); empty when no Slurm from 22.05 to 24.11 has it.
std::string known_slurm_key(std::string_view key);
std::string known_partition_key(std::string_view key);
std::string known_node_key(std::string_view key);
// "; did you mean 'MaxNodes'?" or nothing.
std::string nearest_slurm_key(std::string_view key);
std::string nearest_partition_key(std::string_view key);
std::string nearest_node_key(std::string_view key);

}  // namespace slipway::config
