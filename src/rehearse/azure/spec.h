// A published API description, read: operations by method and path, and the schemas of what they take and give.
// Immutable after its making.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slipway::rehearse::azure {

struct Schema {
  enum class Type : uint8_t { any, object, array, string, integer, number, boolean };
  Type type = Type::any;
  bool read_only = false;
  bool additional_allowed = false;
  std::string format;
  std::vector<std::string> allowed;  // an enum's values
  std::vector<std::string> required;
  std::map<std::string, std::unique_ptr<Schema>, std::less<>> properties;
  std::unique_ptr<Schema> items;
  std::unique_ptr<Schema> additional;  // of properties that have no name
  std::vector<std::unique_ptr<Schema>> all_of;
  const Schema* target = nullptr;  // of a reference
  std::string target_name;
  std::optional<double> minimum;
  std::optional<double> maximum;
  std::optional<size_t> length_min;  // of a string or an array
  std::optional<size_t> length_max;

  const Schema& resolved() const { return target == nullptr ? *this : target->resolved(); }
};

struct Parameter {
  std::string name;
  bool in_header = false;
  bool required = false;
  Schema schema;
};

struct Operation {
  std::string id;
  std::string method;
  std::vector<std::string> segments;  // "{poolId}" or literal
  std::vector<Parameter> parameters;
  std::vector<std::string> versions;
  bool takes_body = false;
  bool body_required = false;
  Schema body;
  std::map<int, Schema> answers;
};

class Spec {
 public:
  explicit Spec(const char* text);
  ~Spec();
  Spec(const Spec&) = delete;
  Spec& operator=(const Spec&) = delete;

  struct Found {
    const Operation* operation = nullptr;
    std::map<std::string, std::string> path;  // parameters of the path, decoded
    bool other_method = false;                // the path exists, but not with this method
  };
  // Literal segments compare without regard to case, as Azure's do; the most literal template wins.
  Found find(std::string_view method, std::string_view path) const;
  const Schema* definition(std::string_view name) const;
  const std::vector<std::unique_ptr<Operation>>& operations() const { return operations_; }

 private:
  std::map<std::string, std::unique_ptr<Schema>, std::less<>> definitions_;
  std::vector<std::unique_ptr<Operation>> operations_;
};

// "/a/b/" → "a", "b".
std::vector<std::string> path_segments(std::string_view path);
bool same_text(std::string_view left, std::string_view right);  // without regard to case
std::string lower(std::string_view text);

}  // namespace slipway::rehearse::azure
