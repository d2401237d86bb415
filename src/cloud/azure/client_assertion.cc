// learn.microsoft.com/entra/identity-platform/certificate-credentials, read in November 2026.
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <boost/json.hpp>
#include <memory>

#include "cloud/azure/credentials.h"
#include "http/base64.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;

constexpr Duration valid_for{600'000};
constexpr Duration clocks_differ{60'000};

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* thing) const {
    Free(thing);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;

Bio reader(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Otherwise OpenSSL asks the terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

std::string random_id() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  return http::to_base64url({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Result<std::string> sign(EVP_PKEY* key, std::string_view text) {
  const Digest digest(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;
  const bool ready = digest != nullptr &&
                     EVP_DigestSignInit(digest.get(), &parameters, EVP_sha256(), nullptr, key) == 1 &&
                     EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
                     EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
  size_t length = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (!ready || EVP_DigestSign(digest.get(), nullptr, &length, bytes, text.size()) != 1) {
    return fail(ErrorCode::bad_config, "certificate_file: its key can't sign");
  }
  std::string signature(length, '\0');
  if (EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &length, bytes, text.size()) !=
      1) {
    return fail(ErrorCode::bad_config, "certificate_file: its key can't sign");
  }
  signature.resize(length);
  return signature;
}

int64_t seconds(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

}  // namespace

Result<std::string> client_assertion(std::string_view pem, const std::string& client_id, const std::string& audience,
                                     TimePoint now) {
  const Bio key_text = reader(pem);
  const Bio certificate_text = reader(pem);
  const Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr));
  const Certificate certificate(PEM_read_bio_X509(certificate_text.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) {
    return fail(ErrorCode::bad_config, "certificate_file: it must hold an RSA key in PEM without a passphrase");
  }
  if (certificate == nullptr) return fail(ErrorCode::bad_config, "certificate_file: it holds no certificate in PEM");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return fail(ErrorCode::bad_config, "certificate_file: its first certificate isn't its key's");
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> thumbprint{};
  unsigned length = 0;
  X509_digest(certificate.get(), EVP_sha256(), thumbprint.data(), &length);

  const json::object header{
      {"alg", "PS256"},
      {"typ", "JWT"},
      {"x5t#S256", http::to_base64url({reinterpret_cast<const char*>(thumbprint.data()), length})}};
  const json::object claims{{"aud", audience},
                            {"iss", client_id},
                            {"sub", client_id},
                            {"jti", random_id()},
                            {"iat", seconds(now)},
                            {"nbf", seconds(now - clocks_differ)},
                            {"exp", seconds(now + valid_for)}};
  const std::string text =
      http::to_base64url(json::serialize(header)) + "." + http::to_base64url(json::serialize(claims));
  auto signature = sign(key.get(), text);
  if (!signature) return fail(signature.error());
  return text + "." + http::to_base64url(*signature);
}

}  // namespace slipway::cloud::azure
