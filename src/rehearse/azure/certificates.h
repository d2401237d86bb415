// Keys, certificates and signed messages, as PEM and DER text. OpenSSL's own failures are bugs here: every input is
// ours, or was asked about with is_rsa_key().
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace slipway::rehearse::azure {

std::string new_rsa_key();  // PEM, 2048 bits
bool is_rsa_key(std::string_view pem);
// X.509 for `name`, also as its DNS name, valid from a day before `now` for a year. With an empty issuer it is signed
// by itself.
std::string new_certificate(const std::string& name, std::string_view key, std::string_view issuer,
                            std::string_view issuer_key, TimePoint now);
std::string certificate_der(std::string_view certificate);
std::string sha1(std::string_view bytes);  // of a certificate: x5t

std::string sign_rs256(std::string_view text, std::string_view key);
bool verify_rs256(std::string_view text, std::string_view signature, std::string_view key);
struct RsaNumbers {
  std::string modulus;  // big-endian
  std::string exponent;
};
RsaNumbers rsa_numbers(std::string_view key);

// PKCS #7 signed data that holds `content` and the signer's certificate; DER.
std::string sign_cms(std::string_view content, std::string_view certificate, std::string_view key);

}  // namespace slipway::rehearse::azure
