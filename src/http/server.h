// A small HTTP/1.1 server with many doors, TLS where a door has a certificate. One thread of its own reads and writes;
// the handler runs on the loop's thread and answers whenever it likes, from there. Thousands of waiting requests cost
// memory only. Bounded: sizes of heads and bodies, connections, and time to say a request.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/files.h"
#include "base/loop.h"
#include "base/result.h"
#include "http/message.h"

namespace slipway::http {

struct Door {
  std::string listen;  // "127.0.0.1:0"; empty: `socket` listens already
  Fd socket;
  std::string tls_certificate;  // PEM chain; empty: plain HTTP
  std::string tls_key;          // PEM
};

struct ServerOptions {
  size_t head_bytes_max = 64u << 10;
  size_t body_bytes_max = 16u << 20;
  size_t connections_max = 20'000;
  Duration patience{30'000};  // to say a request once it began
  Duration idle{120'000};     // between requests of one connection
};

struct Asked {
  std::string method;
  std::string target;  // "/path?query", as it was sent
  Headers headers;
  std::string body;
  std::string peer;  // "127.0.0.1"
  size_t door = 0;   // as returned by add()
};

// Answers one request; to be called once. Dropped without a call: the connection is closed without an answer (a reply
// that got lost). Content-Length, Date and Connection are added. After the server's end it does nothing.
using Answer = std::function<void(Response)>;

class Server {
 public:
  using Handler = std::function<void(Asked, Answer)>;

  // Made and destroyed on the loop's thread, or while the loop doesn't run.
  Server(Loop& loop, ServerOptions options, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  struct Opened {
    size_t door = 0;
    uint16_t port = 0;
  };
  // Both on the loop's thread, at any time. add: bad_config (address or certificate), permanent (the port is taken).
  Result<Opened> add(Door door);
  void close(size_t door);  // its connections too; at once, so that the port is free

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace slipway::http
