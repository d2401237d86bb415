// Reads one HTTP/1 message from pieces of bytes. Its implementation is the only file that includes Boost.Beast.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"

namespace slipway::http {

struct ParserLimits {
  size_t head_bytes_max = 64u << 10;
  size_t body_bytes_max = 64u << 20;
};

// One message; make another parser for the next.
class Parser {
 public:
  enum class Kind { request, response, response_to_head };
  enum class State { head, body, done, failed };

  static std::unique_ptr<Parser> make(Kind kind, ParserLimits limits);
  virtual ~Parser() = default;

  // Takes what belongs to the message; returns how many bytes that is. The rest is to be given again in front of what
  // comes next (until done: it isn't this message's then). Not to be called once done or failed.
  virtual size_t put(std::string_view bytes) = 0;
  // The other side ended the stream: the end of some answers, a failure of all others.
  virtual void put_end() = 0;
  // From State::body on: whether another message may follow on the connection.
  virtual bool keeps_alive() const = 0;

  State state = State::head;
  int refusal = 0;  // when failed: the status a server answers (400, 413, 431)
  std::string why;  // when failed

  // From State::body on.
  int version = 11;    // or 10
  std::string method;  // of a request
  std::string target;  // of a request
  int status = 0;      // of a response
  Headers headers;
  std::string body;
};

}  // namespace slipway::http
