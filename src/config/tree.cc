#include "config/tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <exception>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <unordered_map>

#include "config/text_check.h"

namespace slipway::config {
namespace {

// Thrown through yaml-cpp to end a parse that must not go on; the problem has been reported already.
struct Stop final : std::exception {};

class Builder final : public YAML::EventHandler {
 public:
  Builder(const LineIndex& lines, Problems& problems) : lines_(lines), problems_(problems) {}

  NodePtr root() const { return root_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      problems_.error(
          where(mark),
          "a second YAML document starts here, after '---' or after a value that was complete; expected one "
          "cluster in one document");
      throw Stop();
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto node = make(NodeKind::nothing, where(mark));
    // yaml-cpp marks an absent value at whatever comes next: its key says better where it is.
    if (!stack_.empty() && stack_.back().key) node->at = stack_.back().key->at;
    finish(node, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto known = anchors_.find(anchor);
    if (known == anchors_.end()) {
      problems_.error(where(mark),
                      "this alias stands inside the value that it means; expected a value that is complete before it");
      throw Stop();
    }
    count(known->second->nodes, where(mark));
    if (stack_.size() + known->second->height > tree_depth_max) too_deep(where(mark));
    place(known->second, where(mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(tag, mark);
    auto node = make(NodeKind::scalar, where(mark));
    node->text = value;
    node->quoted = tag == "!";
    if (node->quoted) check_quote(mark);
    finish(node, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(NodeKind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(NodeKind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    if (!anchor_names_.insert(name).second) {
      problems_.error(where(mark),
                      "the anchor &" + name + " is there already; expected each anchor once; rename one of them");
    }
  }

 private:
  struct Frame {
    std::shared_ptr<TreeNode> node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    std::optional<Entry> key;                          // read, its value still to come
    std::unordered_map<std::string, Position> seen{};  // keys so far
    bool drop = false;                                 // the value to come belongs to a key that was refused
  };

  Position where(const YAML::Mark& mark) const { return lines_.at_line_byte(mark.line, mark.column); }

  std::shared_ptr<TreeNode> make(NodeKind kind, Position at) {
    count(1, at);
    auto node = std::make_shared<TreeNode>();
    node->kind = kind;
    node->at = at;
    return node;
  }

  void count(size_t nodes, Position at) {
    nodes_ += nodes;
    if (nodes_ > tree_nodes_max) {
      problems_.error(at, "the file describes more than " + std::to_string(tree_nodes_max) +
                              " values (aliases written out); no cluster needs so many; make it smaller");
      throw Stop();
    }
  }

  void too_deep(Position at) {
    problems_.error(
        at, "nested deeper than " + std::to_string(tree_depth_max) + " levels; no key of a cluster file is that deep");
    throw Stop();
  }

  void check_tag(const std::string& tag, const YAML::Mark& mark) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    problems_.error(where(mark), "the tag " + show(tag) + " means nothing here; expected plain values; remove it");
  }

  // yaml-cpp takes the end of the file for a closing quote when the last line ends before it.
  void check_quote(const YAML::Mark& mark) {
    std::string_view text = lines_.text_from(mark.line, mark.column);
    if (text.starts_with('&')) {  // the mark is the anchor's
      text.remove_prefix(std::min(text.find_first_of(" \n"), text.size()));
      text.remove_prefix(std::min(text.find_first_not_of(" \r\n"), text.size()));
    }
    if (!text.starts_with('"') && !text.starts_with('\'')) return;  // a block
    char quote = text[0];
    size_t i = 1;
    for (; i < text.size(); ++i) {
      bool escape = quote == '"' ? text[i] == '\\' : text.substr(i, 2) == "''";
      if (escape) {
        ++i;
      } else if (text[i] == quote) {
        return;
      }
    }
    problems_.error(where(mark),
                    std::string("a ") + quote + " opens here and nothing closes it; expected the closing one");
    throw Stop();
  }

  void open(NodeKind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    check_tag(tag, mark);
    if (stack_.size() >= tree_depth_max) too_deep(where(mark));
    stack_.push_back({make(kind, where(mark)), anchor, std::nullopt});
  }

  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    finish(frame.node, frame.anchor);
  }

  void finish(const std::shared_ptr<TreeNode>& node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    place(node, node->at);
  }

  // Puts a finished node where it belongs. `at`: where it stands, which for an alias isn't where it was written.
  void place(const NodePtr& node, Position at) {
    if (stack_.empty()) {
      root_ = node;
      return;
    }
    Frame& frame = stack_.back();
    TreeNode& parent = *frame.node;
    if (parent.kind == NodeKind::map && !frame.key && !frame.drop) {
      place_key(frame, *node, at);
      return;
    }
    if (frame.drop) {
      frame.drop = false;
      return;
    }
    parent.nodes += node->nodes;
    parent.height = std::max(parent.height, node->height + 1);
    if (parent.kind == NodeKind::map) {
      frame.key->value = node;
      parent.entries.push_back(std::move(*frame.key));
      frame.key.reset();
    } else {
      parent.items.push_back(node);
    }
  }

  void place_key(Frame& frame, const TreeNode& node, Position at) {
    frame.drop = true;
    if (node.kind != NodeKind::scalar) {
      problems_.error(at, "a key must be a word; a list, a map or nothing can't be one");
      return;
    }
    if (node.text == "<<" && !node.quoted) {
      frame.node->incomplete = true;
      problems_.error(
          at, "merge keys ('<<') aren't part of this language; write the keys out, or use an alias for a whole value");
      return;
    }
    auto [first, fresh] = frame.seen.emplace(node.text, at);
    if (!fresh) {
      problems_.error(at, "the key " + show(node.text) + " is written twice, first in line " +
                              std::to_string(first->second.line) + "; expected it once; remove one");
      return;
    }
    frame.drop = false;
    frame.key = Entry{node.text, at, nullptr};
  }

  const LineIndex& lines_;
  Problems& problems_;
  NodePtr root_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, NodePtr> anchors_;
  std::set<std::string> anchor_names_;
  size_t nodes_ = 0;
  int documents_ = 0;
};

// yaml-cpp's words, with what usually lies behind them.
std::string explain(const std::string& message) {
  auto has = [&](std::string_view part) { return message.find(part) != std::string::npos; };
  std::string hint = "check indentation, colons and quotes around here";
  if (has("illegal map value")) hint = "is a line indented wrongly, or does a value hold ': ' and need quotes?";
  if (has("end of map not found") || has("end of sequence not found"))
    hint = "is this line indented like its neighbours?";
  if (has("end of map flow") || has("end of sequence flow")) hint = "is a '}', ']' or ',' missing?";
  if (has("illegal EOF")) hint = "is a closing quote missing?";
  if (has("anchor is not defined")) hint = "expected an anchor (&name) further up; check the name";
  if (has("illegal tab")) hint = "replace the tab by spaces";
  return "not valid YAML: " + message + "; " + hint;
}

}  // namespace

NodePtr read_tree(std::string_view text, Problems& problems) {
  if (text.size() > text_bytes_max) {
    problems.error({}, "the file has " + std::to_string(text.size()) + " bytes; a cluster file has at most " +
                           std::to_string(text_bytes_max) + "; is it the right file?");
    return nullptr;
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  LineIndex lines(text);
  if (auto trouble = check_text(text)) {
    problems.error(lines.at_byte(trouble->offset), trouble->message);
    return nullptr;
  }
  Builder builder(lines, problems);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    return nullptr;
  } catch (const YAML::Exception& e) {
    problems.error(e.mark.is_null() ? Position{} : lines.at_line_byte(e.mark.line, e.mark.column), explain(e.msg));
    return nullptr;
  } catch (const std::exception& e) {
    problems.error({}, std::string("the YAML parser gave up: ") + e.what());
    return nullptr;
  }
  return builder.root();
}

}  // namespace slipway::config
