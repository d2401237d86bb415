#include "http/parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

namespace slipway::http {

namespace {

namespace beast = boost::beast::http;
using Code = boost::beast::error_code;
using View = boost::beast::string_view;

// A chunk's header with its extensions, and trailers, are held back until they are whole.
constexpr size_t held_back_bytes_max = 64u << 10;

std::string text_of(View view) {
  return {view.data(), view.size()};
}

template <bool is_request>
class Reader final : public Parser, private beast::basic_parser<is_request> {
  using Base = beast::basic_parser<is_request>;

 public:
  Reader(ParserLimits limits, bool head_only) {
    Base::header_limit(static_cast<uint32_t>(limits.head_bytes_max));
    Base::body_limit(limits.body_bytes_max);
    Base::eager(true);
    if (head_only) Base::skip(true);
  }

  size_t put(std::string_view bytes) override {
    size_t taken = 0;
    if (!Base::got_some()) {
      // A line's end before a message is forgiven (RFC 9112 2.2).
      while (taken < bytes.size() && (bytes[taken] == '\r' || bytes[taken] == '\n')) ++taken;
      bytes.remove_prefix(taken);
    }
    if (bytes.empty()) return taken;
    Code code;
    const size_t count = Base::put(boost::asio::const_buffer(bytes.data(), bytes.size()), code);
    if (code == beast::error::need_more) {
      code = {};
      if (Base::is_header_done() && bytes.size() - count > held_back_bytes_max) code = beast::error::bad_chunk;
    }
    advance(code);
    return taken + count;
  }

  void put_end() override {
    Code code = beast::error::partial_message;
    if (Base::got_some()) Base::put_eof(code);
    advance(code);
  }

  bool keeps_alive() const override { return Base::keep_alive(); }

 private:
  void advance(const Code& code) {
    if (code) {
      state = State::failed;
      why = code.message();
      refusal = code == beast::error::header_limit ? 431 : code == beast::error::body_limit ? 413 : 400;
    } else if (Base::is_done()) {
      state = State::done;
    } else if (Base::is_header_done()) {
      state = State::body;
    }
  }

  void on_request_impl(beast::verb, View method_text, View target_text, int number, Code&) override {
    method = text_of(method_text);
    target = text_of(target_text);
    version = number;
  }
  void on_response_impl(int code, View, int number, Code&) override {
    status = code;
    version = number;
  }
  void on_field_impl(beast::field, View name, View value, Code&) override {
    // What follows a chunked body can't change what its head said.
    if (!Base::is_header_done()) headers.emplace_back(text_of(name), text_of(value));
  }
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  size_t on_body_impl(View piece, Code&) override {
    body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, Code&) override {}
  size_t on_chunk_body_impl(std::uint64_t, View piece, Code&) override {
    body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_finish_impl(Code&) override {}
};

}  // namespace

std::unique_ptr<Parser> Parser::make(Kind kind, ParserLimits limits) {
  if (kind == Kind::request) return std::make_unique<Reader<true>>(limits, false);
  return std::make_unique<Reader<false>>(limits, kind == Kind::response_to_head);
}

}  // namespace slipway::http
