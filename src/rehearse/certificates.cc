#include "rehearse/certificates.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/files.h"

namespace slipway::rehearse {
namespace {

constexpr long day = 86'400;
constexpr long ca_days = 3'650;
constexpr long ca_days_left_least = 365;
constexpr long server_days = 365;
constexpr size_t pem_bytes_max = 64 << 10;

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* thing) const {
    Free(thing);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;

Failure openssl_failed(const std::string& what) {
  char text[256] = "no reason given";
  if (const unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return fail(ErrorCode::permanent, what + ": " + text);
}

std::string taken_from(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

std::string pem_of(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  return bio && PEM_write_bio_X509(bio.get(), certificate) == 1 ? taken_from(bio) : "";
}

std::string pem_of(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  return bio && PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1 ? taken_from(bio)
                                                                                                     : "";
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// Version 3, a random serial number, valid from an hour ago: clocks differ.
Certificate blank(EVP_PKEY* key, const char* name, long days) {
  Certificate made(X509_new());
  unsigned char serial[16];
  if (!made || RAND_bytes(serial, sizeof serial) != 1) return nullptr;
  serial[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, Freer<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  const bool done = number && X509_set_version(made.get(), 2) == 1 &&
                    BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(made.get())) != nullptr &&
                    X509_gmtime_adj(X509_getm_notBefore(made.get()), -3'600) != nullptr &&
                    X509_gmtime_adj(X509_getm_notAfter(made.get()), days * day) != nullptr &&
                    X509_set_pubkey(made.get(), key) == 1 &&
                    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0) == 1;
  return done ? std::move(made) : nullptr;
}

struct Authority {
  Certificate certificate;
  Key key;
};

Result<Authority> make_authority() {
  Authority made;
  made.key.reset(EVP_EC_gen("P-256"));
  if (!made.key) return openssl_failed("make a key");
  made.certificate = blank(made.key.get(), "Slipway rehearsal authority", ca_days);
  X509* own = made.certificate.get();
  if (!own || X509_set_issuer_name(own, X509_get_subject_name(own)) != 1 ||
      !add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE") ||
      !add_extension(own, own, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature") ||
      !add_extension(own, own, NID_subject_key_identifier, "hash") ||
      X509_sign(own, made.key.get(), EVP_sha256()) == 0) {
    return openssl_failed("make the certificate authority");
  }
  return made;
}

// Empty: there is none, or none that can still be used.
Authority read_authority(const std::filesystem::path& folder) {
  Authority read;
  const auto certificate = read_file(folder / "ca.pem", pem_bytes_max);
  const auto key = read_file(folder / "ca.key", pem_bytes_max);
  if (!certificate || !key) return read;
  const Bio certificate_text(BIO_new_mem_buf(certificate->data(), static_cast<int>(certificate->size())));
  const Bio key_text(BIO_new_mem_buf(key->data(), static_cast<int>(key->size())));
  read.certificate.reset(PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
  read.key.reset(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  time_t soon = ::time(nullptr) + ca_days_left_least * day;
  const bool usable = read.certificate && read.key &&
                      X509_check_private_key(read.certificate.get(), read.key.get()) == 1 &&
                      X509_cmp_time(X509_get0_notAfter(read.certificate.get()), &soon) > 0;
  ERR_clear_error();
  return usable ? std::move(read) : Authority();
}

}  // namespace

Result<Certificates> make_certificates(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  Authority authority = read_authority(folder);
  if (!authority.certificate) {
    auto made = make_authority();
    if (!made) return fail(made.error());
    authority = std::move(*made);
  }
  std::string alternatives;
  for (const std::string& name : names) {
    in_addr parsed{};
    const bool address = ::inet_pton(AF_INET, name.c_str(), &parsed) == 1;
    alternatives += (alternatives.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
  }
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_failed("make a key");
  const Certificate server = blank(key.get(), "Slipway rehearsal", server_days);
  X509* issuer = authority.certificate.get();
  if (!server || X509_set_issuer_name(server.get(), X509_get_subject_name(issuer)) != 1 ||
      !add_extension(server.get(), issuer, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(server.get(), issuer, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(server.get(), issuer, NID_ext_key_usage, "serverAuth") ||
      !add_extension(server.get(), issuer, NID_subject_alt_name, alternatives) ||
      !add_extension(server.get(), issuer, NID_authority_key_identifier, "keyid") ||
      X509_sign(server.get(), authority.key.get(), EVP_sha256()) == 0) {
    return openssl_failed("make the server's certificate");
  }
  Certificates made;
  made.ca = pem_of(issuer);
  made.ca_key = pem_of(authority.key.get());
  made.server = pem_of(server.get()) + made.ca;
  made.server_key = pem_of(key.get());
  if (made.ca.empty() || made.ca_key.empty() || made.server_key.empty()) return openssl_failed("write certificates");
  const struct {
    const char* name;
    const std::string& text;
    mode_t mode;
  } files[] = {{"ca.key", made.ca_key, 0600},
               {"ca.pem", made.ca, 0644},
               {"server.key", made.server_key, 0600},
               {"server.pem", made.server, 0644}};
  for (const auto& file : files) {
    if (auto written = write_file(folder / file.name, file.text, file.mode); !written) return fail(written.error());
  }
  return made;
}

}  // namespace slipway::rehearse
