#include "slurm/gres.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <vector>

#include "base/hostlist.h"

namespace slipway::slurm {
namespace {

struct Gres {
  std::string name;
  std::string type;   // empty: none
  std::string count;  // as written: "2", "4G"
};

// "gpu", "gpu:2", "gpu:tesla:2".
Gres parse(std::string_view text) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t colon = text.find(':');
    parts.emplace_back(text.substr(0, colon));
    if (colon == text.npos) break;
    text.remove_prefix(colon + 1);
  }
  Gres gres;
  gres.name = parts[0];
  gres.count = "1";
  if (parts.size() == 2) (parts[1].find_first_not_of("0123456789") == 0 ? gres.type : gres.count) = parts[1];
  if (parts.size() > 2) {
    gres.type = parts[1];
    gres.count = parts[2];
  }
  return gres;
}

// Kinds for which slurmd has a plugin that drops a resource without a device file.
bool needs_files(std::string_view name) {
  constexpr std::array<std::string_view, 2> kinds = {"gpu", "nic"};
  return std::find(kinds.begin(), kinds.end(), name) != kinds.end();
}

// Files that exist on every machine, each under a name of its own, for Slurm refuses to see one twice: /dev/null,
// /dev/./null, …
std::string placeholder_files(const std::string& count, uint32_t& used) {
  constexpr uint32_t files_max = 1024;
  uint32_t number = 1;
  std::from_chars(count.data(), count.data() + count.size(), number);
  std::string files;
  for (uint32_t i = 0; i < std::min(number, files_max); ++i, ++used) {
    files += files.empty() ? "/dev/" : ",/dev/";
    for (uint32_t dot = 0; dot < used; ++dot) files += "./";
    files += "null";
  }
  return files;
}

std::string hostlist_of(const model::Pool& pool) {
  std::vector<std::string> names;
  for (uint32_t i = 1; i <= pool.max; ++i) names.push_back(model::node_name(pool.name, i).str());
  return compress_hostlist(names);
}

}  // namespace

std::string gres_types(const model::Cluster& cluster) {
  std::vector<std::string> names;
  for (const auto& pool : cluster.pools) {
    for (const auto& text : pool.shape.gres) {
      std::string name = parse(text).name;
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
    }
  }
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ",") + name;
  return list;
}

std::string gres_conf(const model::Cluster& cluster) {
  std::string text;
  for (const auto& pool : cluster.pools) {
    uint32_t files_used = 0;
    for (const auto& entry : pool.shape.gres) {
      if (pool.max == 0) continue;
      const Gres gres = parse(entry);
      text += "NodeName=" + hostlist_of(pool) + " Name=" + gres.name;
      if (!gres.type.empty()) text += " Type=" + gres.type;
      text += needs_files(gres.name) ? " File=" + placeholder_files(gres.count, files_used) : " Count=" + gres.count;
      text += "\n";
    }
  }
  return text;
}

}  // namespace slipway::slurm
