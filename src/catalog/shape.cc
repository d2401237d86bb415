#include <algorithm>

#include "catalog/catalog.h"

namespace slipway::catalog {
namespace {

// As Slurm accepts it in a node's Feature: small letters, digits, '_', '.' and '-'.
std::string as_feature(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (fits) out += c;
  }
  return out;
}

// "hbv3" of "standardHBv3Family", "ncasv3_t4" of "Standard NCASv3_T4 Family".
std::string family_feature(std::string_view family) {
  std::string out = as_feature(family);
  if (out.starts_with("standard")) out.erase(0, std::string_view("standard").size());
  if (out.ends_with("family")) out.erase(out.size() - std::string_view("family").size());
  return out;
}

}  // namespace

model::Shape shape_of(const MachineType& type) {
  model::Shape shape{
      .cpus = type.cores_offered > 0 ? type.cores_offered : type.cores, .memory_mib = type.memory_mib, .gres = {}};
  if (type.gpus > 0) {
    const std::string model = type.gpu_model.empty() ? "" : type.gpu_model + ":";
    shape.gres.push_back("gpu:" + model + std::to_string(type.gpus));
  }
  return shape;
}

std::vector<std::string> features_of(const MachineType& type) {
  std::vector<std::string> out;
  const auto add = [&](std::string feature) {
    if (!feature.empty() && std::find(out.begin(), out.end(), feature) == out.end()) out.push_back(std::move(feature));
  };
  add(as_feature(type.name));
  add(family_feature(type.family));
  if (type.gpus > 0) add("gpu");
  if (type.gpus > 0) add(as_feature(type.gpu_model));
  if (type.rdma) add("ib");
  add(as_feature(type.architecture));
  return out;
}

}  // namespace slipway::catalog
