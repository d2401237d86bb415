// Ids that cannot be swapped: NodeName and InstanceId are both text, but neither converts to the other.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace slipway {

template <class Tag>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(std::string value) : value_(std::move(value)) {}
  explicit StrongId(std::string_view value) : value_(value) {}
  explicit StrongId(const char* value) : value_(value) {}

  const std::string& str() const { return value_; }
  bool empty() const { return value_.empty(); }
  auto operator<=>(const StrongId&) const = default;

 private:
  std::string value_;
};

}  // namespace slipway

template <class Tag>
struct std::hash<slipway::StrongId<Tag>> {
  size_t operator()(const slipway::StrongId<Tag>& id) const noexcept { return std::hash<std::string>{}(id.str()); }
};
