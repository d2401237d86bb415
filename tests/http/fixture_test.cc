#include "fixture.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "base/check.h"

namespace slipway::http {

namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

void extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  SLIPWAY_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Identity make(const std::string& name, const Identity* authority, const std::string& alternatives) {
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Certificate certificate(X509_new(), &X509_free);
  X509* made = certificate.get();
  X509_set_version(made, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made), authority != nullptr ? 2 : 1);
  X509_gmtime_adj(X509_getm_notBefore(made), -60);
  X509_gmtime_adj(X509_getm_notAfter(made), 3600);
  X509_set_pubkey(made, key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  Certificate issuer(nullptr, &X509_free);
  Key issuer_key(nullptr, &EVP_PKEY_free);
  if (authority != nullptr) {
    const Bio certificate_text(BIO_new_mem_buf(authority->certificate.c_str(), -1), &BIO_free);
    const Bio key_text(BIO_new_mem_buf(authority->key.c_str(), -1), &BIO_free);
    issuer.reset(PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
    issuer_key.reset(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
    X509_set_issuer_name(made, X509_get_subject_name(issuer.get()));
    extend(made, issuer.get(), NID_subject_alt_name, alternatives);
  } else {
    X509_set_issuer_name(made, X509_get_subject_name(made));
    extend(made, made, NID_basic_constraints, "critical,CA:TRUE");
    extend(made, made, NID_key_usage, "critical,keyCertSign,cRLSign");
  }
  SLIPWAY_CHECK(X509_sign(made, authority != nullptr ? issuer_key.get() : key.get(), EVP_sha256()) > 0);
  const Bio certificate_text(BIO_new(BIO_s_mem()), &BIO_free);
  const Bio key_text(BIO_new(BIO_s_mem()), &BIO_free);
  PEM_write_bio_X509(certificate_text.get(), made);
  PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(certificate_text.get()), text_of(key_text.get())};
}

}  // namespace

Identity make_authority(const std::string& name) {
  return make(name, nullptr, "");
}

Identity make_identity(const Identity& authority, const std::string& name, const std::string& address) {
  return make(name, &authority, "DNS:" + name + ",IP:" + address);
}

TextFile::TextFile(const std::string& text) {
  char name[] = "/tmp/slipway-http-test-XXXXXX";
  const Fd file(mkstemp(name));
  SLIPWAY_CHECK(file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  path_ = name;
}

TextFile::~TextFile() {
  unlink(path_.c_str());
}

Serving::Serving(Server::Handler handler, ServerOptions options, Identity identity)
    : server_(std::make_unique<Server>(loop_, options, std::move(handler))) {
  scheme_ = identity.certificate.empty() ? "http" : "https";
  Door door;
  door.listen = "127.0.0.1:0";
  door.tls_certificate = identity.certificate;
  door.tls_key = identity.key;
  auto opened = server_->add(std::move(door));
  SLIPWAY_CHECK(opened.has_value());
  opened_ = *opened;
  thread_ = std::thread([this] { loop_.run(); });
}

Serving::~Serving() {
  loop_.stop();
  thread_.join();
}

std::string Serving::url(const std::string& target, const std::string& host) const {
  return scheme_ + "://" + host + ":" + std::to_string(port()) + target;
}

void Serving::on_loop(std::function<void()> act) {
  std::promise<void> done;
  loop_.post([&] {
    act();
    done.set_value();
  });
  done.get_future().wait();
}

RawServer::RawServer(std::function<void(int, int)> talk) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  SLIPWAY_CHECK(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  SLIPWAY_CHECK(listen(socket_.get(), 8) == 0);
  SLIPWAY_CHECK(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this, talk = std::move(talk)] {
    while (true) {
      const Fd connection(accept(socket_.get(), nullptr, nullptr));
      if (!connection) return;
      talk(connection.get(), accepted_++);
    }
  });
}

RawServer::~RawServer() {
  shutdown(socket_.get(), SHUT_RDWR);  // wakes accept
  thread_.join();
}

Fd connect_raw(uint16_t port) {
  Fd connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  SLIPWAY_CHECK(connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const timeval patience{5, 0};  // a test that would hang fails instead
  setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return connection;
}

void write_raw(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    text.remove_prefix(static_cast<size_t>(count));
  }
}

std::string read_until(int socket, std::string_view end) {
  std::string text;
  char byte = 0;
  while (!text.ends_with(end) && recv(socket, &byte, 1, 0) == 1) text += byte;
  return text;
}

std::string read_all(int socket) {
  std::string text;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = recv(socket, buffer, sizeof buffer, 0)) > 0) text.append(buffer, static_cast<size_t>(count));
  return text;
}

}  // namespace slipway::http
