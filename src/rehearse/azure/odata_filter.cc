#include "rehearse/azure/odata_filter.h"

#include <boost/json.hpp>

#include <cctype>
#include <charconv>
#include <compare>
#include <optional>

#include "rehearse/azure/json_access.h"
#include "rehearse/azure/spec.h"

namespace slipway::rehearse::azure {

namespace json = boost::json;

struct ODataFilter::Node {
  enum class Kind : uint8_t { compare, starts_with, both, either, negate };
  Kind kind = Kind::compare;
  std::string property;  // with dots
  std::string comparison;
  std::string text;  // a literal; numbers and booleans by their words
  std::optional<double> number;
  bool is_null = false;
  std::shared_ptr<const Node> left;
  std::shared_ptr<const Node> right;
};

namespace {

using Node = ODataFilter::Node;
constexpr size_t depth_max = 50;

struct Token {
  enum class Kind : uint8_t { word, text, open, close, comma, end };
  Kind kind = Kind::end;
  std::string text;
};

Result<std::vector<Token>> tokens_of(std::string_view text) {
  std::vector<Token> out;
  size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == ' ') {
      ++at;
    } else if (c == '(' || c == ')' || c == ',') {
      const Token::Kind kind = c == '(' ? Token::Kind::open : c == ')' ? Token::Kind::close : Token::Kind::comma;
      out.push_back({kind, std::string(1, c)});
      ++at;
    } else if (c == '\'') {
      std::string literal;
      ++at;
      while (true) {
        if (at >= text.size()) return fail(ErrorCode::bad_config, "a string literal has no end");
        if (text[at] == '\'') {
          if (at + 1 >= text.size() || text[at + 1] != '\'') break;
          ++at;  // '' is one quote
        }
        literal += text[at++];
      }
      ++at;
      out.push_back({Token::Kind::text, literal});
    } else {
      const size_t begin = at;
      while (at < text.size() && text[at] != ' ' && text[at] != '(' && text[at] != ')' && text[at] != ',' &&
             text[at] != '\'') {
        ++at;
      }
      out.push_back({Token::Kind::word, std::string(text.substr(begin, at - begin))});
    }
  }
  out.push_back({});
  return out;
}

class Parser {
 public:
  Parser(std::vector<Token> tokens, std::vector<std::string>& properties)
      : tokens_(std::move(tokens)), properties_(properties) {}

  Result<std::shared_ptr<const Node>> whole() {
    auto node = either(0);
    if (node && tokens_[at_].kind != Token::Kind::end) return wrong("'" + tokens_[at_].text + "' isn't expected here");
    return node;
  }

 private:
  static Failure wrong(std::string what) { return fail(ErrorCode::bad_config, std::move(what)); }
  bool word(std::string_view text) {
    if (tokens_[at_].kind != Token::Kind::word || !same_text(tokens_[at_].text, text)) return false;
    ++at_;
    return true;
  }
  bool take(Token::Kind kind) {
    if (tokens_[at_].kind != kind) return false;
    ++at_;
    return true;
  }

  Result<std::shared_ptr<const Node>> either(size_t depth) {
    if (depth > depth_max) return wrong("the filter is nested too deeply");
    auto left = both(depth);
    while (left && word("or")) {
      auto right = both(depth);
      if (!right) return right;
      left = std::make_shared<Node>(Node{.kind = Node::Kind::either, .left = *left, .right = *right});
    }
    return left;
  }

  Result<std::shared_ptr<const Node>> both(size_t depth) {
    auto left = single(depth);
    while (left && word("and")) {
      auto right = single(depth);
      if (!right) return right;
      left = std::make_shared<Node>(Node{.kind = Node::Kind::both, .left = *left, .right = *right});
    }
    return left;
  }

  Result<std::shared_ptr<const Node>> single(size_t depth) {
    if (depth > depth_max) return wrong("the filter is nested too deeply");
    if (word("not")) {
      auto inner = single(depth + 1);
      if (!inner) return inner;
      return std::make_shared<const Node>(Node{.kind = Node::Kind::negate, .left = *inner});
    }
    if (take(Token::Kind::open)) {
      auto inner = either(depth + 1);
      if (inner && !take(Token::Kind::close)) return wrong("a closing parenthesis is missing");
      return inner;
    }
    if (word("startswith")) return starts_with();
    return comparison();
  }

  Result<std::string> property() {
    const Token token = tokens_[at_];
    // ARM writes the scale set's id in quotes: 'virtualMachineScaleSet/id' eq '…'.
    if (token.kind != Token::Kind::word && token.kind != Token::Kind::text) return wrong("a property is expected");
    ++at_;
    properties_.push_back(token.text);
    std::string path = token.text;
    for (char& c : path) {
      if (c == '/') c = '.';
    }
    return path;
  }

  Result<std::shared_ptr<const Node>> starts_with() {
    Node node{.kind = Node::Kind::starts_with};
    if (!take(Token::Kind::open)) return wrong("startswith needs (property, 'text')");
    auto name = property();
    if (!name) return fail(name.error());
    node.property = *name;
    if (!take(Token::Kind::comma) || tokens_[at_].kind != Token::Kind::text) return wrong("startswith needs a text");
    node.text = tokens_[at_++].text;
    if (!take(Token::Kind::close)) return wrong("a closing parenthesis is missing");
    return std::make_shared<const Node>(std::move(node));
  }

  Result<std::shared_ptr<const Node>> comparison() {
    Node node;
    auto name = property();
    if (!name) return fail(name.error());
    node.property = *name;
    for (const char* known : {"eq", "ne", "gt", "ge", "lt", "le"}) {
      if (word(known)) node.comparison = known;
      if (!node.comparison.empty()) break;
    }
    if (node.comparison.empty()) return wrong("a comparison (eq, ne, gt, ge, lt, le) is expected");
    Token literal = tokens_[at_];
    if (literal.kind != Token::Kind::word && literal.kind != Token::Kind::text) return wrong("a value is expected");
    ++at_;
    if (literal.kind == Token::Kind::word && same_text(literal.text, "datetime")) {
      if (tokens_[at_].kind != Token::Kind::text) return wrong("datetime needs a text");
      literal = tokens_[at_++];
    } else if (literal.kind == Token::Kind::word && same_text(literal.text, "null")) {
      node.is_null = true;
    } else if (literal.kind == Token::Kind::word) {
      double number = 0;
      const auto [end, error] = std::from_chars(literal.text.data(), literal.text.data() + literal.text.size(), number);
      if (error == std::errc() && end == literal.text.data() + literal.text.size()) {
        node.number = number;
      } else if (literal.text != "true" && literal.text != "false") {
        return wrong("'" + literal.text + "' is no value; texts stand in single quotes");
      }
    }
    node.text = literal.text;
    return std::make_shared<const Node>(std::move(node));
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::vector<std::string>& properties_;
};

bool compared(std::string_view comparison, std::partial_ordering order) {
  if (comparison == "eq") return order == 0;
  if (comparison == "ne") return order != 0;
  if (comparison == "gt") return order > 0;
  if (comparison == "ge") return order >= 0;
  return comparison == "lt" ? order < 0 : order <= 0;
}

bool compares(const Node& node, const json::object& object) {
  const json::value* value = at_path(object, node.property);
  if (node.is_null || value == nullptr) {
    const bool equal = node.is_null && value == nullptr;
    return node.comparison == "eq" ? equal : node.comparison == "ne" && !equal;
  }
  if (value->is_number()) {
    return node.number && compared(node.comparison, value->to_number<double>() <=> *node.number);
  }
  if (value->is_bool()) {
    const bool equal = (node.text == "true") == value->get_bool();
    return node.comparison == "eq" ? equal : node.comparison == "ne" && !equal;
  }
  if (!value->is_string()) return false;
  // Ids and enum values compare without regard to case; times as text, which is their order.
  const std::string mine = lower(std::string_view(value->get_string()));
  return compared(node.comparison, mine <=> lower(node.text));
}

bool fits_node(const Node& node, const json::object& object) {
  switch (node.kind) {
    case Node::Kind::both:
      return fits_node(*node.left, object) && fits_node(*node.right, object);
    case Node::Kind::either:
      return fits_node(*node.left, object) || fits_node(*node.right, object);
    case Node::Kind::negate:
      return !fits_node(*node.left, object);
    case Node::Kind::starts_with:
      return lower(text_at(object, node.property)).starts_with(lower(node.text));
    case Node::Kind::compare:
      break;
  }
  return compares(node, object);
}

}  // namespace

Result<ODataFilter> ODataFilter::parse(std::string_view text) {
  ODataFilter filter;
  if (text.find_first_not_of(' ') == std::string_view::npos) return filter;
  auto tokens = tokens_of(text);
  if (!tokens) return fail(tokens.error());
  auto root = Parser(std::move(*tokens), filter.properties_).whole();
  if (!root) return fail(root.error());
  filter.root_ = *root;
  return filter;
}

bool ODataFilter::fits(const json::object& object) const {
  return root_ == nullptr || fits_node(*root_, object);
}

}  // namespace slipway::rehearse::azure
