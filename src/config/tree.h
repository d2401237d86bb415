// A YAML document as a small tree in which everything knows where it stands in the file.
//
// yaml-cpp parses; this layer bounds what it may build (size, depth, aliases) and reports what it lets pass: duplicate
// keys, tags, anchors that are used twice, several documents, text that isn't text. No yaml-cpp type leaves tree.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.h"

namespace slipway::config {

inline constexpr size_t text_bytes_max = 4 << 20;
inline constexpr size_t tree_depth_max = 16;
inline constexpr size_t tree_nodes_max = 100'000;  // with every alias written out

enum class NodeKind { nothing, scalar, list, map };

struct TreeNode;
using NodePtr = std::shared_ptr<const TreeNode>;

struct Entry {
  std::string key;
  Position at;
  NodePtr value;
};

struct TreeNode {
  NodeKind kind = NodeKind::nothing;
  Position at;
  std::string text;            // scalar
  bool quoted = false;         // scalar: "64" is text, 64 is a number
  std::vector<NodePtr> items;  // list
  std::vector<Entry> entries;  // map: in the file's order, keys unique
  bool incomplete = false;     // map: it had a merge key, whose keys aren't here
  size_t nodes = 1;            // in this subtree, aliases written out
  size_t height = 1;
};

// The document's root, or null when the text isn't one usable YAML document; then `problems` says why.
NodePtr read_tree(std::string_view text, Problems& problems);

}  // namespace slipway::config
