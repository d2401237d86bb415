// The instance metadata service's attested data: a PKCS#7 message around JSON, signed by a certificate for
// metadata.azure.com (or the sovereign cloud's) that a public authority issued.
//
// Source: "Azure Instance Metadata Service", attested data (learn.microsoft.com, November 2026).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

struct x509_store_st;

namespace slipway::cloud::azure {

struct Attested {
  std::string vm_id;  // lower case
  std::string subscription;
  std::string nonce;
  TimePoint created{};
  TimePoint expires{};
};

struct AttestedRules {
  std::string host;                // "metadata.azure.com": the certificate is for it or a name below it
  x509_store_st* trust = nullptr;  // authorities; as it is used: nothing is added
  TimePoint now{};
  // Azure's message often lacks the certificate between its own and the authority's. Given the URL where the
  // certificate says that its issuer's is, returns that, DER. Only asked for URLs of is_issuer_url().
  std::function<Result<std::string>(const std::string&)> fetch_issuer;
};

// `document`: base64. Its signature, its chain and its dates hold, and its nonce (the machine's Unix time in seconds)
// is of the last minutes. denied; transient: an issuer's certificate couldn't be fetched.
Result<Attested> open_attested(std::string_view document, const AttestedRules& rules);

// Whether issuers' certificates may be fetched from there: Microsoft's and DigiCert's publishing points. The URL is the
// machine's word, and we ask nobody else on its word.
bool is_issuer_url(std::string_view url);

// Whether an answer from there is a certificate, DER, and no longer than certificates are.
bool is_certificate(std::string_view der);

// The signed JSON. denied: isn't what it should be.
Result<Attested> parse_attested(std::string_view json);

}  // namespace slipway::cloud::azure
