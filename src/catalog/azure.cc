// The built-in table of Azure's VM sizes, unpacked when it is first asked for.
#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.h"
#include "catalog/azure_table.h"
#include "catalog/catalog.h"

namespace slipway::catalog {
namespace {

enum Column { name, cores, offered, memory, price, region, family, flags, gpus, columns };
using Row = std::array<std::string_view, columns>;

template <class Number>
Number number(std::string_view text) {
  Number value{};
  if (text.empty()) return value;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  SLIPWAY_CHECK(read.ec == std::errc() && read.ptr == text.data() + text.size());
  return value;
}

// The line's fields; one that is "=" is that of `before`.
Row split(std::string_view line, const Row& before) {
  Row row;
  for (size_t column = 0; column < columns; ++column) {
    const size_t comma = std::min(line.find(','), line.size());
    row[column] = line.substr(0, comma);
    if (row[column] == "=") row[column] = before[column];
    line.remove_prefix(std::min(comma + 1, line.size()));
  }
  return row;
}

MachineType to_type(const Row& row) {
  const auto has = [&](char flag) { return row[flags].find(flag) != std::string_view::npos; };
  MachineType type;
  type.name = "Standard_" + std::string(row[name]);
  type.family = row[family];
  type.cores = number<uint32_t>(row[cores]);
  type.cores_offered = number<uint32_t>(row[offered]);
  type.memory_mib = number<uint64_t>(row[memory]);
  type.rdma = has('r');
  type.spot = has('s');
  type.premium_storage = has('p');
  if (has('a')) type.architecture = "Arm64";
  type.usd_per_hour = number<double>(row[price]);
  type.price_region = row[region];
  if (const size_t blank = row[gpus].find(' '); blank != std::string_view::npos) {
    type.gpus = number<uint32_t>(row[gpus].substr(0, blank));
    type.gpu_model = row[gpus].substr(blank + 1);
  }
  return type;
}

const std::vector<MachineType>& azure_types() {
  static const std::vector<MachineType> types = [] {
    std::vector<MachineType> out;
    std::string_view text = azure_table;
    out.reserve(static_cast<size_t>(std::count(text.begin(), text.end(), '\n')));
    Row row;
    while (!text.empty()) {
      const size_t end = text.find('\n');
      row = split(text.substr(0, end), row);
      out.push_back(to_type(row));
      text.remove_prefix(end + 1);
    }
    return out;
  }();
  return types;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool before_ignoring_case(std::string_view a, std::string_view b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [](char x, char y) { return lower(x) < lower(y); });
}

}  // namespace

const MachineType* find(model::ProviderKind provider, std::string_view type_name) {
  if (provider != model::ProviderKind::azure) return nullptr;
  const std::vector<MachineType>& types = azure_types();
  const auto found = std::lower_bound(types.begin(), types.end(), type_name, [](const MachineType& type, auto wanted) {
    return before_ignoring_case(type.name, wanted);
  });
  return found != types.end() && !before_ignoring_case(type_name, found->name) ? &*found : nullptr;
}

std::vector<std::string_view> names(model::ProviderKind provider) {
  std::vector<std::string_view> out;
  if (provider != model::ProviderKind::azure) return out;
  for (const MachineType& type : azure_types()) out.push_back(type.name);
  return out;
}

}  // namespace slipway::catalog
