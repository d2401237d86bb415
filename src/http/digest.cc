#include "http/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

namespace slipway::http {

namespace {

constexpr size_t sha256_bytes = 32;

}  // namespace

std::string sha256(std::string_view text) {
  std::string digest(sha256_bytes, '\0');
  unsigned size = 0;
  SLIPWAY_CHECK(EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                           EVP_sha256(), nullptr) == 1 &&
                size == sha256_bytes);
  return digest;
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::string digest(sha256_bytes, '\0');
  unsigned size = 0;
  SLIPWAY_CHECK(HMAC(EVP_sha256(), key.data() != nullptr ? key.data() : "", static_cast<int>(key.size()),
                     reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     reinterpret_cast<unsigned char*>(digest.data()), &size) != nullptr &&
                size == sha256_bytes);
  return digest;
}

}  // namespace slipway::http
