#include "daemon/world.h"

#include <string_view>

namespace slipway::daemon {

namespace {

bool is_there(const engine::InstanceView& instance) {
  return instance.state != model::InstanceState::gone;
}

struct Index {
  std::unordered_map<std::string_view, const engine::InstanceView*> by_name;  // what agents say
  std::unordered_map<std::string_view, const engine::InstanceView*> by_id;
  std::unordered_map<std::string_view, const engine::InstanceView*> by_address;  // of those whose agents say nothing
};

Index index_instances(const World& world) {
  Index index;
  for (const auto& instance : world.view.instances) {
    if (!is_there(instance)) continue;
    index.by_id.emplace(instance.id.str(), &instance);
    if (!instance.bound.empty()) {
      index.by_name.emplace(instance.bound.str(), &instance);
    } else if (!instance.address.empty()) {
      index.by_address.emplace(instance.address, &instance);
    }
  }
  return index;
}

const engine::InstanceView* find(const World& world, const Index& index, const engine::NodeView& node) {
  if (node.pool == engine::no_pool) return nullptr;
  if (const auto named = index.by_name.find(node.name.str()); named != index.by_name.end()) return named->second;
  if (const auto memory = world.memory.nodes.find(node.name); memory != world.memory.nodes.end()) {
    const auto bound = index.by_id.find(memory->second.bound.str());
    if (bound != index.by_id.end() && bound->second->bound.empty()) return bound->second;
  }
  if (node.slurm.has(model::node_powered_down)) return nullptr;
  const auto addressed = index.by_address.find(node.address);
  return addressed == index.by_address.end() ? nullptr : addressed->second;
}

}  // namespace

const engine::InstanceView* instance_of(const World& world, const engine::NodeView& node) {
  return find(world, index_instances(world), node);
}

std::vector<const engine::InstanceView*> instances_of_nodes(const World& world) {
  const Index index = index_instances(world);
  std::vector<const engine::InstanceView*> found;
  found.reserve(world.view.nodes.size());
  for (const auto& node : world.view.nodes) found.push_back(find(world, index, node));
  return found;
}

std::optional<std::string> address_of_node(const World& world, std::string_view name, const std::string& asleep) {
  // Agents first: Slurm learns an address only with the node's registration.
  for (const auto& instance : world.view.instances) {
    if (instance.bound.str() == name && !instance.address.empty()) return instance.address;
  }
  for (const auto& node : world.view.nodes) {
    if (node.name.str() != name) continue;
    const bool numeric = !node.address.empty() && node.address.find_first_not_of("0123456789.") == std::string::npos;
    return numeric ? node.address : asleep;
  }
  return std::nullopt;
}

std::optional<std::string> node_at_address(const World& world, std::string_view address) {
  for (const auto& instance : world.view.instances) {
    if (instance.address == address && !instance.bound.empty()) return instance.bound.str();
  }
  for (const auto& node : world.view.nodes) {
    if (node.address == address) return node.name.str();
  }
  return std::nullopt;
}

}  // namespace slipway::daemon
