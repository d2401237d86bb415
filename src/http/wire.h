// A connected stream socket, with TLS or without: never blocks, raises no SIGPIPE. Whoever owns it waits for the socket
// as the last step asked.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"
#include "http/tls.h"

namespace slipway::http {

enum class Step {
  done,        // went on, by at least a byte
  want_read,   // again when the socket is readable
  want_write,  // again when it is writable
  closed,      // the other side ended the stream, orderly
  failed,      // see Wire::trouble()
};

class Wire {
 public:
  Wire() = default;
  // Plain when `tls` is empty. `tls` is set to connect or to accept already.
  Wire(Fd socket, TlsSession tls);

  bool is_open() const { return static_cast<bool>(socket_); }
  int fd() const { return socket_.get(); }
  bool has_tls() const { return tls_ != nullptr; }

  Step handshake();  // done: at once, without TLS
  Step read(char* data, size_t size, size_t& count);
  // `text` must be the same, or a longer one, when a step is done again.
  Step write(std::string_view text, size_t& count);
  // No more will be written. Tells it to the other side, as far as the socket takes it at once.
  void end();
  // Whether the other side has closed, or said something nobody asked for: such a connection can't be used again.
  bool is_stale();

  // Why a step failed.
  const Error& trouble() const { return trouble_; }

 private:
  Step after_tls(int result, const char* what);

  Fd socket_;
  TlsSession tls_;
  Error trouble_{ErrorCode::transient, ""};
};

}  // namespace slipway::http
