// What a Batch pool's settings must be besides fitting their schema.
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

#include "catalog/catalog.h"
#include "rehearse/azure/batch_images.h"
#include "rehearse/azure/batch_plane.h"
#include "rehearse/azure/json_access.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

Complaint invalid(std::string name, std::string value, std::string reason) {
  return {Complaint::Kind::invalid_property, std::move(name), std::move(value), std::move(reason)};
}

bool contains(const std::vector<std::string>& list, std::string_view id) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& one) { return same_text(one, id); });
}

std::optional<Complaint> check_image(const Core& core, const json::object& machine) {
  const std::string where = "virtualMachineConfiguration.imageReference";
  const json::object* image = object_at(machine, "imageReference");
  if (image == nullptr) return std::nullopt;  // the schema requires it where it must be
  const std::string id = text_at(*image, "virtualMachineImageId");
  if (!id.empty()) {
    if (contains(core.world.images, id)) return std::nullopt;
    return invalid(where, id, "the image can't be found, or this account may not read it");
  }
  const std::string agent = text_at(machine, "nodeAgentSKUId");
  bool known = false;
  for (const BatchImage& one : batch_images) {
    if (!same_text(one.publisher, text_at(*image, "publisher")) || !same_text(one.offer, text_at(*image, "offer")) ||
        !same_text(one.sku, text_at(*image, "sku"))) {
      continue;
    }
    known = true;
    if (one.node_agent == agent) return std::nullopt;
  }
  if (known) return invalid("virtualMachineConfiguration.nodeAgentSKUId", agent, "the node agent isn't the image's");
  return invalid(where, json::serialize(*image), "Batch doesn't support this image");
}

}  // namespace

std::optional<Complaint> check_pool_settings(const Core& core, const std::string& id, const json::object& settings) {
  const auto allowed = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'; };
  if (id.empty() || id.size() > 64 || !std::all_of(id.begin(), id.end(), allowed)) {
    return invalid("id", id, "an id has 1 to 64 letters, digits, hyphens and underscores");
  }
  const std::string size = text_at(settings, "vmSize");
  if (catalog::find(model::ProviderKind::azure, size) == nullptr) {
    return invalid("vmSize", size, "the VM size isn't supported");
  }
  const json::object* machine = object_at(settings, "virtualMachineConfiguration");
  if (machine == nullptr) {
    return Complaint{Complaint::Kind::missing_property, "virtualMachineConfiguration", "", "it is required"};
  }
  if (auto complaint = check_image(core, *machine)) return complaint;
  const std::string subnet = text_at(settings, "networkConfiguration.subnetId");
  if (!subnet.empty() && !contains(core.world.subnets, subnet)) {
    return invalid("networkConfiguration.subnetId", subnet, "the subnet can't be found");
  }
  const std::string timeout = text_at(settings, "resizeTimeout");
  if (!timeout.empty() && parse_iso_duration(timeout).value_or(0) < 300) {
    return invalid("resizeTimeout", timeout, "the resize timeout must be at least 5 minutes");
  }
  for (const char* number : {"targetDedicatedNodes", "targetLowPriorityNodes"}) {
    if (const auto target = integer_at(settings, number); target && *target < 0) {
      return invalid(number, std::to_string(*target), "must not be negative");
    }
  }
  if (bool_at(settings, "enableAutoScale")) {
    if (text_at(settings, "autoScaleFormula").empty()) {
      return Complaint{Complaint::Kind::missing_property, "autoScaleFormula", "", "enableAutoScale needs it"};
    }
    if (integer_at(settings, "targetDedicatedNodes") || integer_at(settings, "targetLowPriorityNodes")) {
      return invalid("targetDedicatedNodes", "", "can't be set together with enableAutoScale");
    }
  }
  return std::nullopt;
}

Result<PerMarket<uint32_t>> run_formula(const std::string& formula, PerMarket<uint32_t> now) {
  std::string_view rest = formula;
  while (!rest.empty()) {
    const size_t end = rest.find(';');
    std::string statement;
    for (const char c : rest.substr(0, end)) {
      if (!std::isspace(static_cast<unsigned char>(c))) statement += c;
    }
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (statement.empty() || statement.starts_with("$NodeDeallocationOption=")) continue;
    const size_t equals = statement.find('=');
    const std::string name = statement.substr(0, equals);
    const bool dedicated = name == "$TargetDedicatedNodes" || name == "$TargetDedicated";
    if (equals == std::string::npos || (!dedicated && name != "$TargetLowPriorityNodes")) {
      return fail(ErrorCode::bad_config,
                  "only constants assigned to $TargetDedicatedNodes and "
                  "$TargetLowPriorityNodes are simulated: " +
                      statement);
    }
    const std::string value = statement.substr(equals + 1);
    uint32_t number = 0;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || stop != value.data() + value.size()) {
      return fail(ErrorCode::bad_config, "not a number: " + value);
    }
    now[dedicated ? 0 : 1] = number;
  }
  return now;
}

}  // namespace slipway::rehearse::azure
