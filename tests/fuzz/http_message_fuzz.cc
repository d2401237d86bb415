// Requests and answers from the network, in pieces: any bytes are read or refused, within the bounds, and how they were
// cut into pieces makes no difference.
#include <cstdint>

#include "base/check.h"
#include "http/parser.h"

namespace {

using slipway::http::Parser;

constexpr slipway::http::ParserLimits limits{.head_bytes_max = 2048, .body_bytes_max = 4096};

std::unique_ptr<Parser> parse(Parser::Kind kind, std::string_view text, size_t piece) {
  auto parser = Parser::make(kind, limits);
  std::string unread;
  while (!text.empty()) {
    unread.append(text.substr(0, piece));
    text.remove_prefix(std::min(piece, text.size()));
    unread.erase(0, parser->put(unread));
    if (parser->state == Parser::State::done || parser->state == Parser::State::failed) return parser;
  }
  parser->put_end();
  return parser;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto kind = static_cast<Parser::Kind>(data[0] % 3);
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
  const auto whole = parse(kind, text, text.size() + 1);
  const auto pieces = parse(kind, text, 1 + data[1]);
  SLIPWAY_CHECK(whole->body.size() <= limits.body_bytes_max);
  SLIPWAY_CHECK((whole->state == Parser::State::done) == (pieces->state == Parser::State::done));
  if (whole->state == Parser::State::done) {
    SLIPWAY_CHECK(whole->body == pieces->body && whole->headers == pieces->headers && whole->status == pieces->status);
  }
  return 0;
}
