#include "http/base64.h"

#include <array>
#include <cstdint>

namespace slipway::http {

namespace {

constexpr std::string_view standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view for_urls = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<int8_t, 256> reversed(std::string_view alphabet) {
  std::array<int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (size_t i = 0; i < alphabet.size(); ++i) values[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  return values;
}
constexpr auto standard_values = reversed(standard);
constexpr auto url_values = reversed(for_urls);

std::string write(std::string_view bytes, std::string_view alphabet, bool padded) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - at);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < count ? static_cast<uint8_t>(bytes[at + i]) : 0u);
    for (size_t i = 0; i < 4; ++i) {
      if (i <= count) {
        text += alphabet[bits >> (18 - 6 * i) & 63];
      } else if (padded) {
        text += '=';
      }
    }
  }
  return text;
}

// Strict: no white space, no bits left over that aren't zero, so that a text has one reading and bytes one text.
Result<std::string> read(std::string_view text, const std::array<int8_t, 256>& values) {
  const auto bad = [](const char* what) { return fail(ErrorCode::permanent, std::string("not base64: ") + what); };
  if (text.size() % 4 == 1) return bad("a length that can't be");
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  unsigned held = 0;
  for (const char each : text) {
    const int8_t value = values[static_cast<uint8_t>(each)];
    if (value < 0) return bad("a character that doesn't belong there");
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 255);
    }
  }
  if ((bits & ((1u << held) - 1)) != 0) return bad("bits after the end");
  return bytes;
}

}  // namespace

std::string to_base64(std::string_view bytes) {
  return write(bytes, standard, true);
}

Result<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return fail(ErrorCode::permanent, "not base64: a length that isn't a multiple of four");
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  return read(text, standard_values);
}

std::string to_base64url(std::string_view bytes) {
  return write(bytes, for_urls, false);
}

Result<std::string> from_base64url(std::string_view text) {
  return read(text, url_values);
}

}  // namespace slipway::http
