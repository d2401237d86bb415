// One connection of the server, on its IO thread: says a request to whoever made it, and writes what is answered.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "http/parser.h"
#include "http/server.h"
#include "http/wire.h"

namespace slipway::http {

class Connection {
 public:
  struct Host {
    std::function<void(Asked)> ask;  // answer() or drop() is to follow
    std::function<void()> gone;      // destroys this connection; nothing is called after it
  };

  Connection(Loop& io, const ServerOptions& options, Wire wire, std::string peer, size_t door, Host host);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  void answer(Response response);
  size_t door() const { return door_; }

 private:
  enum class State {
    handshake,  // TLS
    idle,       // no byte of a request yet
    reading,    // a request
    waiting,    // for its answer
    writing,    // it
    draining,   // after a refusal: what still comes is read and thrown away, so that the refusal isn't lost
  };

  void on_ready(uint32_t events);
  void go_on();  // as far as it goes without waiting; may destroy this
  bool read_some();
  bool take_in();
  bool write_some();
  void ask();
  void refuse(int status, std::string why);
  void enter(State state);
  void wait_for(uint32_t events);
  void wait_for(Step step);
  bool end();  // false, as what destroys this tells its callers

  Loop& io_;
  const ServerOptions& options_;
  Wire wire_;
  const std::string peer_;
  const size_t door_;
  const Host host_;

  State state_ = State::handshake;
  uint32_t watched_ = 0;
  Loop::TimerId timer_ = Loop::TimerId::none;
  std::unique_ptr<Parser> parser_;
  std::string in_;  // read, not yet parsed
  std::string out_;
  size_t written_ = 0;
  size_t drained_ = 0;
  bool keeps_alive_ = false;
  bool is_head_ = false;
  bool told_to_continue_ = false;
};

}  // namespace slipway::http
