// Slurm's hostlist expressions: "cpu-[0001-0003,0007],gpu-1" and back.
//
// Understands what scontrol prints and slurmctld passes to its programs: comma-separated names, each with any number of
// bracketed lists of numbers and ranges; leading zeros keep their width ("[08-10]" is 08,09,10). Never trusts its
// input: sizes are bounded.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace slipway {

// The names in the order written, duplicates kept. Empty text is an empty list. Fails with bad_config on unbalanced
// brackets, reversed or malformed ranges, empty names, and on more than `names_max` names.
Result<std::vector<std::string>> expand_hostlist(std::string_view text, size_t names_max = 1'000'000);

// The shortest usual form: names that differ only in their last number are folded into ranges, numbers ascending,
// prefixes in the order of their first appearance, duplicates dropped. expand_hostlist(compress_hostlist(x)) is x as a
// set.
std::string compress_hostlist(std::span<const std::string> names);

// Like compress_hostlist, but keeps the order and duplicates of `names` (as `scontrol update NodeName=… NodeAddr=…`
// needs, which pairs two lists by position): only runs that ascend by one are folded.
std::string compress_hostlist_ordered(std::span<const std::string> names);

}  // namespace slipway
