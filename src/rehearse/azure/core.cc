#include "rehearse/azure/core.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/check.h"
#include "http/digest.h"
#include "rehearse/azure/spec_text.h"

namespace slipway::rehearse::azure {
namespace {

std::string hex(std::string_view bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string as_uuid(std::string bytes) {
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  const std::string digits = hex(std::string_view(bytes).substr(0, 16));
  return digits.substr(0, 8) + "-" + digits.substr(8, 4) + "-" + digits.substr(12, 4) + "-" + digits.substr(16, 4) +
         "-" + digits.substr(20);
}

// A resource is in a group of a subscription, so these exist too, though the file has no machines in them. Where:
// beside the others of the subscription.
void add_places(AzureWorld& world) {
  std::vector<std::string> ids = world.subnets;
  ids.insert(ids.end(), world.identities.begin(), world.identities.end());
  ids.insert(ids.end(), world.images.begin(), world.images.end());
  for (const std::string& id : ids) {
    const std::vector<std::string> parts = path_segments(id);
    if (!id.starts_with('/') || parts.size() < 4 || !same_text(parts[0], "subscriptions")) continue;
    const auto is_it = [&](const std::string& one) { return same_text(one, parts[1]); };
    if (std::none_of(world.subscriptions.begin(), world.subscriptions.end(), is_it)) {
      world.subscriptions.push_back(parts[1]);
    }
    std::string region;
    bool there = false;
    for (const std::string& text : world.resource_groups) {
      const std::vector<std::string> group = path_segments(text);
      if (group.size() != 3) continue;
      there = there || (same_text(group[0], parts[1]) && same_text(group[1], parts[3]));
      if (region.empty() || same_text(group[0], parts[1])) region = group[2];
    }
    if (!there && !region.empty()) world.resource_groups.push_back(parts[1] + "/" + parts[3] + "/" + region);
  }
}

}  // namespace

Core::Core(Loop& used_loop, const Clock& used_clock, Site& used_site, Gate& used_gate, AzureWorld used_world,
           AzureOptions used_options)
    : loop(used_loop),
      clock(used_clock),
      site(used_site),
      gate(used_gate),
      world(std::move(used_world)),
      options(std::move(used_options)),
      tokens(std::make_unique<Tokens>(clock, "")),
      batch_spec(std::make_unique<Spec>(batch_spec_text)),
      imds_spec(std::make_unique<Spec>(imds_spec_text)),
      random_(std::random_device{}()) {
  add_places(world);
  for (const char* text :
       {batch_management_spec_text, compute_spec_text, skus_spec_text, network_spec_text, resources_spec_text}) {
    arm_specs.push_back(std::make_unique<Spec>(text));
  }
}

Core::~Core() = default;

std::string Core::etag() {
  // Like the service's: it grows with time, and no two are the same.
  const auto now = static_cast<uint64_t>(clock.now().time_since_epoch().count());
  const uint64_t number = (now << 10) + (++changes_ & 1023);
  std::string digits;
  for (int shift = 52; shift >= 0; shift -= 4) digits += "0123456789ABCDEF"[(number >> shift) & 15];
  return "0x8D" + digits;
}

std::string Core::uuid() {
  std::string bytes(16, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random_());
  return as_uuid(std::move(bytes));
}

std::string Core::uuid_of(std::string_view text) {
  return as_uuid(http::sha256(text));
}

const BatchAccount* Core::account(std::string_view name) const {
  for (const BatchAccount& one : world.batch_accounts) {
    if (same_text(one.name, name)) return &one;
  }
  return nullptr;
}

const Schema& Core::arm_definition(std::string_view name) const {
  for (const auto& spec : arm_specs) {
    if (const Schema* found = spec->definition(name)) return *found;
  }
  SLIPWAY_CHECK(false && "a definition that data/azure-api has");
  return *arm_specs.front()->definition(name);
}

}  // namespace slipway::rehearse::azure
