#include "base/frame.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace slipway {

void append_frame_header(std::string& out, size_t body_size) {
  SLIPWAY_CHECK(body_size <= frame_body_max);
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(body_size >> shift & 0xff);
  }
}

size_t frame_body_size(std::string_view header) {
  SLIPWAY_CHECK(header.size() >= frame_header_size);
  size_t size = 0;
  for (size_t i = 0; i < frame_header_size; ++i) {
    size = size << 8 | static_cast<unsigned char>(header[i]);
  }
  return size;
}

FrameReader::State FrameReader::consume(std::string_view& data) {
  const size_t header_part = std::min(frame_header_size - header_length_, data.size());
  data.copy(header_ + header_length_, header_part);
  header_length_ += header_part;
  data.remove_prefix(header_part);
  if (header_length_ < frame_header_size) {
    return State::incomplete;
  }
  const size_t size = frame_body_size(std::string_view(header_, frame_header_size));
  if (size > body_max_) {
    return State::too_long;
  }
  const size_t body_part = std::min(size - body_.size(), data.size());
  body_.append(data.substr(0, body_part));
  data.remove_prefix(body_part);
  return body_.size() == size ? State::complete : State::incomplete;
}

std::string FrameReader::take() {
  header_length_ = 0;
  return std::exchange(body_, {});
}

}  // namespace slipway
