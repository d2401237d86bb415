#include "http/wire.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <cerrno>

namespace slipway::http {

Wire::Wire(Fd socket, TlsSession tls) : socket_(std::move(socket)), tls_(std::move(tls)) {}

Step Wire::after_tls(int result, const char* what) {
  if (result > 0) return Step::done;
  const int saved = errno;
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Step::want_read;
    case SSL_ERROR_WANT_WRITE:
      return Step::want_write;
    case SSL_ERROR_ZERO_RETURN:
      return Step::closed;
    default:
      break;
  }
  const long verdict = SSL_get_verify_result(tls_.get());
  if (verdict != X509_V_OK) {
    ERR_clear_error();
    trouble_ = {ErrorCode::bad_config,
                std::string("the server's certificate isn't trusted: ") + X509_verify_cert_error_string(verdict)};
    return Step::failed;
  }
  std::string why = take_tls_error();
  errno = saved;
  if (why.empty()) why = saved != 0 ? errno_message("the connection broke") : "the connection was cut off";
  trouble_ = {ErrorCode::transient, std::string(what) + ": " + why};
  return Step::failed;
}

Step Wire::handshake() {
  if (!tls_) return Step::done;
  ERR_clear_error();
  errno = 0;
  return after_tls(SSL_do_handshake(tls_.get()), "no TLS connection");
}

Step Wire::read(char* data, size_t size, size_t& count) {
  count = 0;
  if (tls_) {
    ERR_clear_error();
    errno = 0;
    const int got = SSL_read(tls_.get(), data, static_cast<int>(std::min<size_t>(size, 1u << 30)));
    if (got > 0) count = static_cast<size_t>(got);
    return after_tls(got, "read");
  }
  ssize_t got = 0;
  do {
    got = recv(socket_.get(), data, size, 0);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    count = static_cast<size_t>(got);
    return Step::done;
  }
  if (got == 0) return Step::closed;
  if (errno == EAGAIN) return Step::want_read;
  trouble_ = {ErrorCode::transient, errno_message("read")};
  return Step::failed;
}

Step Wire::write(std::string_view text, size_t& count) {
  count = 0;
  if (tls_) {
    ERR_clear_error();
    errno = 0;
    const int put = SSL_write(tls_.get(), text.data(), static_cast<int>(std::min<size_t>(text.size(), 1u << 30)));
    if (put > 0) count = static_cast<size_t>(put);
    return after_tls(put, "write");
  }
  ssize_t put = 0;
  do {
    put = send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
  } while (put < 0 && errno == EINTR);
  if (put >= 0) {
    count = static_cast<size_t>(put);
    return Step::done;
  }
  if (errno == EAGAIN) return Step::want_write;
  trouble_ = {ErrorCode::transient, errno_message("write")};
  return Step::failed;
}

void Wire::end() {
  if (tls_) {
    ERR_clear_error();
    SSL_shutdown(tls_.get());
    ERR_clear_error();
  }
  shutdown(socket_.get(), SHUT_WR);
}

bool Wire::is_stale() {
  char byte = 0;
  size_t count = 0;
  // With TLS a readable socket may have nothing for us: tickets are the connection's own business.
  return read(&byte, 1, count) != Step::want_read;
}

}  // namespace slipway::http
