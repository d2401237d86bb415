// A server on a loop of its own thread, certificates, and sockets that say what no client would.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/files.h"
#include "base/loop.h"
#include "http/client.h"
#include "http/server.h"

namespace slipway::http {

struct Identity {
  std::string certificate;  // PEM
  std::string key;          // PEM
};
// An authority, signed by itself.
Identity make_authority(const std::string& name);
// A server's certificate for one name and one address, signed by `authority`.
Identity make_identity(const Identity& authority, const std::string& name, const std::string& address);
// A file with `text` that lives as long as this.
class TextFile {
 public:
  explicit TextFile(const std::string& text);
  ~TextFile();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Serving {
 public:
  explicit Serving(Server::Handler handler, ServerOptions options = {}, Identity identity = {});
  ~Serving();
  uint16_t port() const { return opened_.port; }
  size_t door() const { return opened_.door; }
  std::string url(const std::string& target = "/", const std::string& host = "127.0.0.1") const;
  // Runs `act` on the loop's thread and waits.
  void on_loop(std::function<void()> act);
  Loop& loop() { return loop_; }
  // Null once it was destroyed; only on the loop's thread.
  std::unique_ptr<Server>& server() { return server_; }

 private:
  Loop loop_;
  std::unique_ptr<Server> server_;
  Server::Opened opened_;
  std::string scheme_;
  std::thread thread_;
};

// Accepts connections on a port of 127.0.0.1 and counts them; `talk` has each in turn, on a thread.
class RawServer {
 public:
  explicit RawServer(std::function<void(int socket, int number)> talk);
  ~RawServer();
  uint16_t port() const { return port_; }
  int accepted() const { return accepted_; }
  std::string url(const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + std::to_string(port_) + "/";
  }

 private:
  Fd socket_;
  uint16_t port_ = 0;
  std::atomic<int> accepted_ = 0;
  std::thread thread_;
};

Fd connect_raw(uint16_t port);
void write_raw(int socket, std::string_view text);
// Until `end` was read (included), or the other side closes.
std::string read_until(int socket, std::string_view end);
// Until the other side closes.
std::string read_all(int socket);

}  // namespace slipway::http
