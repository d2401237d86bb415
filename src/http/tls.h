// TLS 1.2 and 1.3 by OpenSSL: what a side trusts, what it shows, and one connection's state.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_st;
struct ssl_ctx_st;

namespace slipway::http {

struct TlsFree {
  void operator()(ssl_st* session) const;
  void operator()(ssl_ctx_st* context) const;
};
using TlsSession = std::unique_ptr<ssl_st, TlsFree>;
using TlsContext = std::unique_ptr<ssl_ctx_st, TlsFree>;

// Trusts the system's authorities (SSL_CERT_FILE and SSL_CERT_DIR, else where Debian, Red Hat, SUSE and Alpine keep
// them) and `ca_file`'s. bad_config when `ca_file` can't be read.
Result<TlsContext> client_context(const std::string& ca_file);
// Shows `certificate_pem` (the server's own first, then its chain). bad_config when the two don't fit.
Result<TlsContext> server_context(const std::string& certificate_pem, const std::string& key_pem);

// `host`: a name, sent as SNI and looked for in the certificate, or an address, looked for among its IP addresses.
Result<TlsSession> connect_session(ssl_ctx_st* context, const std::string& host, int socket);
TlsSession accept_session(ssl_ctx_st* context, int socket);

// Takes OpenSSL's first error off this thread's queue, in words; "" when there is none.
std::string take_tls_error();

}  // namespace slipway::http
