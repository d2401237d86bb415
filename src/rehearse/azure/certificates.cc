#include "rehearse/azure/certificates.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/check.h"

namespace slipway::rehearse::azure {
namespace {

template <auto function>
struct Free {
  template <class T>
  void operator()(T* pointer) const {
    function(pointer);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;

Bio reading(std::string_view text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  SLIPWAY_CHECK(bio != nullptr);
  return bio;
}

Bio writing() {
  Bio bio(BIO_new(BIO_s_mem()));
  SLIPWAY_CHECK(bio != nullptr);
  return bio;
}

std::string written(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Key read_key(std::string_view pem) {
  Key key(PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, nullptr, nullptr));
  SLIPWAY_CHECK(key != nullptr);
  return key;
}

Certificate read_certificate(std::string_view pem) {
  Certificate certificate(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
  SLIPWAY_CHECK(certificate != nullptr);
  return certificate;
}

void add_extension(X509* certificate, int kind, const std::string& value) {
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()));
  SLIPWAY_CHECK(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

std::string number_of(EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  SLIPWAY_CHECK(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const Number number(raw);
  std::string bytes(static_cast<size_t>(BN_num_bytes(raw)), '\0');
  BN_bn2bin(raw, reinterpret_cast<unsigned char*>(bytes.data()));
  return bytes;
}

}  // namespace

std::string new_rsa_key() {
  const Key key(EVP_RSA_gen(2048));
  const Bio bio = writing();
  SLIPWAY_CHECK(key != nullptr &&
                PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return written(bio);
}

bool is_rsa_key(std::string_view pem) {
  const Key key(PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, nullptr, nullptr));
  return key != nullptr && EVP_PKEY_is_a(key.get(), "RSA") == 1;
}

std::string new_certificate(const std::string& name, std::string_view key, std::string_view issuer,
                            std::string_view issuer_key, TimePoint now) {
  const Key subject_key = read_key(key);
  const Certificate certificate(X509_new());
  X509* x509 = certificate.get();
  SLIPWAY_CHECK(x509 != nullptr && X509_set_version(x509, X509_VERSION_3) == 1);
  unsigned char serial[16] = {};
  SLIPWAY_CHECK(RAND_bytes(serial, sizeof serial) == 1);
  serial[0] &= 0x7f;
  const Number number(BN_bin2bn(serial, sizeof serial, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509));
  time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  X509_time_adj_ex(X509_getm_notBefore(x509), -1, 0, &seconds);
  X509_time_adj_ex(X509_getm_notAfter(x509), 365, 0, &seconds);
  X509_set_pubkey(x509, subject_key.get());
  X509_NAME* subject = X509_get_subject_name(x509);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                             0);
  add_extension(x509, NID_subject_alt_name, "DNS:" + name);
  add_extension(x509, NID_basic_constraints, issuer.empty() ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (issuer.empty()) {
    X509_set_issuer_name(x509, subject);
    SLIPWAY_CHECK(X509_sign(x509, subject_key.get(), EVP_sha256()) > 0);
  } else {
    const Certificate authority = read_certificate(issuer);
    X509_set_issuer_name(x509, X509_get_subject_name(authority.get()));
    SLIPWAY_CHECK(X509_sign(x509, read_key(issuer_key).get(), EVP_sha256()) > 0);
  }
  const Bio bio = writing();
  SLIPWAY_CHECK(PEM_write_bio_X509(bio.get(), x509) == 1);
  return written(bio);
}

std::string certificate_der(std::string_view certificate) {
  const Bio bio = writing();
  SLIPWAY_CHECK(i2d_X509_bio(bio.get(), read_certificate(certificate).get()) == 1);
  return written(bio);
}

std::string sha1(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  SLIPWAY_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha1(), nullptr) == 1);
  return std::string(reinterpret_cast<char*>(digest), size);
}

std::string sign_rs256(std::string_view text, std::string_view key) {
  const Key private_key = read_key(key);
  const Context context(EVP_MD_CTX_new());
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  SLIPWAY_CHECK(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, private_key.get()) == 1);
  SLIPWAY_CHECK(EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) == 1);
  std::string signature(size, '\0');
  auto* out = reinterpret_cast<unsigned char*>(signature.data());
  SLIPWAY_CHECK(EVP_DigestSign(context.get(), out, &size, bytes, text.size()) == 1);
  signature.resize(size);
  return signature;
}

bool verify_rs256(std::string_view text, std::string_view signature, std::string_view key) {
  const Key public_key = read_key(key);
  const Context context(EVP_MD_CTX_new());
  SLIPWAY_CHECK(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, public_key.get()) == 1);
  return EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
}

RsaNumbers rsa_numbers(std::string_view key) {
  const Key pair = read_key(key);
  return {number_of(pair.get(), OSSL_PKEY_PARAM_RSA_N), number_of(pair.get(), OSSL_PKEY_PARAM_RSA_E)};
}

std::string sign_cms(std::string_view content, std::string_view certificate, std::string_view key) {
  const Certificate signer = read_certificate(certificate);
  const Key signer_key = read_key(key);
  const std::unique_ptr<CMS_ContentInfo, Free<CMS_ContentInfo_free>> message(
      CMS_sign(signer.get(), signer_key.get(), nullptr, reading(content).get(), CMS_BINARY));
  const Bio bio = writing();
  SLIPWAY_CHECK(message != nullptr && i2d_CMS_bio(bio.get(), message.get()) == 1);
  return written(bio);
}

}  // namespace slipway::rehearse::azure
