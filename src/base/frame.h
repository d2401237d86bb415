// The frames of base/channel.h: a 4-byte big-endian length and that many bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace slipway {

inline constexpr size_t frame_header_size = 4;
inline constexpr size_t frame_body_max = UINT32_MAX;

// Precondition: `body_size` is at most frame_body_max.
void append_frame_header(std::string& out, size_t body_size);
// Precondition: `header` has frame_header_size bytes.
size_t frame_body_size(std::string_view header);

// Puts frames together from a stream cut anywhere. Memory grows with what has arrived, not with what a header promises.
class FrameReader {
 public:
  explicit FrameReader(size_t body_max) : body_max_(body_max) {}

  enum class State { incomplete, complete, too_long };

  // Takes bytes off the front of `data` until a frame is complete or nothing is left.
  State consume(std::string_view& data);
  // The body of the complete frame; the reader is ready for the next.
  std::string take();
  // Whether a frame has begun and is not complete.
  bool inside_frame() const { return header_length_ > 0; }

 private:
  size_t body_max_;
  char header_[frame_header_size] = {};
  size_t header_length_ = 0;
  std::string body_;
};

}  // namespace slipway
