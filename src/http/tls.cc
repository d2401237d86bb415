#include "http/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/check.h"

namespace slipway::http {

namespace {

// Programs are linked statically and run in any root, so the paths that OpenSSL was built with mean nothing.
constexpr const char* ca_files[] = {
    "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // Red Hat, Fedora, Amazon Linux
    "/etc/pki/tls/certs/ca-bundle.crt",                   // Red Hat before 7
    "/etc/ssl/ca-bundle.pem",                             // SUSE
    "/etc/ssl/cert.pem",                                  // Alpine without ca-certificates
};
constexpr const char* ca_folders[] = {"/etc/ssl/certs", "/etc/pki/tls/certs", "/var/lib/ca-certificates/openssl"};

// OpenSSL's own socket BIO writes with write(), which raises SIGPIPE when the other side is gone.
int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const int fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
  const ssize_t count = send(fd, data, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(count);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const int fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
  const ssize_t count = recv(fd, data, static_cast<size_t>(size), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  if (count == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(count);
}

long bio_control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

BIO_METHOD* bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    SLIPWAY_CHECK(made != nullptr);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

Result<TlsContext> new_context(const SSL_METHOD* method) {
  // The root's openssl.cnf is another installation's: it may name modules that a static program can't load.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(method));
  if (!context) return fail(ErrorCode::permanent, "OpenSSL doesn't start: " + take_tls_error());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  return context;
}

void trust_system(SSL_CTX* context) {
  const char* file = std::getenv("SSL_CERT_FILE");
  const char* folder = std::getenv("SSL_CERT_DIR");
  if (file != nullptr || folder != nullptr) {
    if (file != nullptr) SSL_CTX_load_verify_file(context, file);
    if (folder != nullptr) SSL_CTX_load_verify_dir(context, folder);
    ERR_clear_error();
    return;
  }
  for (const char* path : ca_files) {
    if (access(path, R_OK) == 0 && SSL_CTX_load_verify_file(context, path) == 1) break;
  }
  for (const char* path : ca_folders) {  // read only when an authority is looked for by its hash
    if (access(path, R_OK) == 0) SSL_CTX_load_verify_dir(context, path);
  }
  ERR_clear_error();
}

TlsSession new_session(SSL_CTX* context, int socket) {
  ERR_clear_error();
  TlsSession session(SSL_new(context));
  BIO* bio = BIO_new(bio_method());
  SLIPWAY_CHECK(session && bio != nullptr);  // only memory can lack
  // OpenSSL keeps a pointer for us and never follows it.
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket)));  // NOLINT(performance-no-int-to-ptr)
  BIO_set_init(bio, 1);
  SSL_set_bio(session.get(), bio, bio);
  return session;
}

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

Bio memory(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free_all};
}

}  // namespace

void TlsFree::operator()(ssl_st* session) const {
  SSL_free(session);
}

void TlsFree::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}

std::string take_tls_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : text;
}

Result<TlsContext> client_context(const std::string& ca_file) {
  auto context = new_context(TLS_client_method());
  if (!context) return context;
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
  trust_system(context->get());
  if (!ca_file.empty() && SSL_CTX_load_verify_file(context->get(), ca_file.c_str()) != 1) {
    return fail(ErrorCode::bad_config,
                "can't read certificates from " + ca_file + " (" + take_tls_error() + "): it must be a PEM file");
  }
  return context;
}

Result<TlsContext> server_context(const std::string& certificate_pem, const std::string& key_pem) {
  auto context = new_context(TLS_server_method());
  if (!context) return context;
  SSL_CTX_set_num_tickets(context->get(), 0);  // sessions aren't resumed
  const auto refused = [](const char* what) {
    return fail(ErrorCode::bad_config, std::string("not a usable ") + what + " in PEM: " + take_tls_error());
  };

  const Bio certificates = memory(certificate_pem);
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
  const Certificate own(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr), &X509_free);
  if (!own || SSL_CTX_use_certificate(context->get(), own.get()) != 1) return refused("certificate");
  while (X509* next = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)) {
    SLIPWAY_CHECK(SSL_CTX_add0_chain_cert(context->get(), next) == 1);
  }
  ERR_clear_error();  // the end of the text

  const Bio key_text = memory(key_pem);
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  const Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  if (!key || SSL_CTX_use_PrivateKey(context->get(), key.get()) != 1) return refused("key");
  return context;
}

Result<TlsSession> connect_session(ssl_ctx_st* context, const std::string& host, int socket) {
  TlsSession session = new_session(context, socket);
  SSL_set_connect_state(session.get());
  in6_addr address{};
  const bool is_address =
      inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
  const bool good = is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session.get()), host.c_str()) == 1
                               : SSL_set_tlsext_host_name(session.get(), host.c_str()) == 1 &&
                                     SSL_set1_host(session.get(), host.c_str()) == 1;
  if (!good) return fail(ErrorCode::bad_config, "not a host that a certificate can name: " + host);
  return session;
}

TlsSession accept_session(ssl_ctx_st* context, int socket) {
  TlsSession session = new_session(context, socket);
  SSL_set_accept_state(session.get());
  return session;
}

}  // namespace slipway::http
