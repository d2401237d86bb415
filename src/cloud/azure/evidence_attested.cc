#include "cloud/azure/evidence_attested.h"

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdio>
#include <memory>

#include "cloud/azure/compute_parse.h"
#include "cloud/azure/evidence_token.h"
#include "cloud/azure/json_values.h"
#include "http/base64.h"
#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

constexpr Duration nonce_age_max{900'000};
constexpr int chain_max = 5;
constexpr int fetches_max = 2;
constexpr size_t certificate_bytes_max = 16u << 10;

Failure denied(const std::string& what) {
  ERR_clear_error();
  return fail(ErrorCode::denied, "attested data " + what);
}

template <class T, void (*release)(T*)>
struct Free {
  void operator()(T* thing) const { release(thing); }
};
void free_certificates(STACK_OF(X509) * stack) {
  sk_X509_pop_free(stack, X509_free);
}
void free_bio(BIO* bio) {
  BIO_free_all(bio);
}
void free_names(GENERAL_NAMES* names) {
  GENERAL_NAMES_free(names);
}
void free_access(AUTHORITY_INFO_ACCESS* access) {
  AUTHORITY_INFO_ACCESS_free(access);
}
using Bio = std::unique_ptr<BIO, Free<BIO, free_bio>>;
using Message = std::unique_ptr<CMS_ContentInfo, Free<CMS_ContentInfo, CMS_ContentInfo_free>>;
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;
using Certificates = std::unique_ptr<STACK_OF(X509), Free<STACK_OF(X509), free_certificates>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX, X509_STORE_CTX_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES, free_names>>;
using Access = std::unique_ptr<AUTHORITY_INFO_ACCESS, Free<AUTHORITY_INFO_ACCESS, free_access>>;

Bio bio_of(std::string_view bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string text_of(const ASN1_STRING* text) {
  const unsigned char* data = text == nullptr ? nullptr : ASN1_STRING_get0_data(text);
  return data == nullptr
             ? std::string()
             : std::string(reinterpret_cast<const char*>(data), static_cast<size_t>(ASN1_STRING_length(text)));
}

bool is_or_below(std::string_view name, std::string_view host) {
  const std::string lower = lower_case(name);
  if (lower == host) return true;
  return lower.size() > host.size() + 1 && lower.ends_with(host) && lower[lower.size() - host.size() - 1] == '.';
}

// By its alternative names; by its common name only where it has none.
bool is_for(X509* certificate, const std::string& host) {
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
      if (name->type == GEN_DNS && is_or_below(text_of(name->d.dNSName), host)) return true;
    }
    return false;
  }
  X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  return at >= 0 && is_or_below(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))), host);
}

std::string issuer_url(X509* certificate) {
  const Access access(
      static_cast<AUTHORITY_INFO_ACCESS*>(X509_get_ext_d2i(certificate, NID_info_access, nullptr, nullptr)));
  for (int i = 0; access && i < sk_ACCESS_DESCRIPTION_num(access.get()); ++i) {
    const ACCESS_DESCRIPTION* one = sk_ACCESS_DESCRIPTION_value(access.get(), i);
    if (OBJ_obj2nid(one->method) != NID_ad_ca_issuers || one->location->type != GEN_URI) continue;
    std::string url = text_of(one->location->d.uniformResourceIdentifier);
    if (is_issuer_url(url)) return url;
  }
  return {};
}

struct Chain {
  int error = X509_V_OK;
  Certificate last;  // whose issuer is missing
};

Chain verify_chain(X509* leaf, STACK_OF(X509) * others, const AttestedRules& rules) {
  const StoreContext context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), rules.trust, leaf, others) != 1)
    return {X509_V_ERR_UNSPECIFIED, nullptr};
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_depth(param, chain_max);
  X509_VERIFY_PARAM_set_time(param,
                             std::chrono::duration_cast<std::chrono::seconds>(rules.now.time_since_epoch()).count());
  if (X509_verify_cert(context.get()) == 1) return {};
  Chain chain{X509_STORE_CTX_get_error(context.get()), nullptr};
  if (chain.error == X509_V_OK) chain.error = X509_V_ERR_UNSPECIFIED;
  X509* last = X509_STORE_CTX_get_current_cert(context.get());
  if (last != nullptr && X509_up_ref(last) == 1) chain.last.reset(last);
  ERR_clear_error();
  return chain;
}

Result<void> trusted(X509* leaf, STACK_OF(X509) * others, const AttestedRules& rules) {
  for (int fetched = 0;; ++fetched) {
    const Chain chain = verify_chain(leaf, others, rules);
    if (chain.error == X509_V_OK) return {};
    const bool lacks_issuer = chain.error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
                              chain.error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
                              chain.error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT;
    const std::string url = chain.last ? issuer_url(chain.last.get()) : std::string();
    if (!lacks_issuer || url.empty() || fetched == fetches_max || !rules.fetch_issuer)
      return denied(std::string("whose certificate isn't trusted: ") + X509_verify_cert_error_string(chain.error));
    const auto der = rules.fetch_issuer(url);
    if (!der) return fail(der.error());
    if (!is_certificate(*der)) return denied("whose issuer's certificate isn't one");
    const auto* bytes = reinterpret_cast<const unsigned char*>(der->data());
    X509* issuer = d2i_X509(nullptr, &bytes, static_cast<long>(der->size()));
    if (issuer == nullptr) return denied("whose issuer's certificate isn't one");
    if (sk_X509_push(others, issuer) == 0) X509_free(issuer);
  }
}

// SHA-256 and longer; what is signed by less is signed by anybody.
bool strong_digest(CMS_SignerInfo* signer) {
  X509_ALGOR* digest = nullptr;
  CMS_SignerInfo_get0_algs(signer, nullptr, nullptr, &digest, nullptr);
  const ASN1_OBJECT* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, digest);
  const int nid = OBJ_obj2nid(object);
  return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512;
}

// "05/23/26 03:26:43 -0000", UTC. Epoch: not such a time.
TimePoint stamp(const std::string& text) {
  int month = 0, day = 0, year = 0, hour = 0, minute = 0, second = 0, used = 0;
  if (std::sscanf(text.c_str(), "%2d/%2d/%2d %2d:%2d:%2d %n", &month, &day, &year, &hour, &minute, &second, &used) !=
          6 ||
      (text.substr(static_cast<size_t>(used)) != "-0000" && text.substr(static_cast<size_t>(used)) != "+0000"))
    return {};
  char iso[40];
  std::snprintf(iso, sizeof(iso), "20%02d-%02d-%02dT%02d:%02d:%02dZ", year, month, day, hour, minute, second);
  return parse_time(iso);
}

}  // namespace

bool is_issuer_url(std::string_view text) {
  if (text.size() > 512) return false;
  const auto url = http::parse_url(text);
  if (!url || (url->port != 80 && url->port != 443)) return false;
  return is_or_below(url->host, "microsoft.com") || is_or_below(url->host, "digicert.com");
}

bool is_certificate(std::string_view der) {
  if (der.size() > certificate_bytes_max) return false;
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  X509* certificate = d2i_X509(nullptr, &bytes, static_cast<long>(der.size()));
  X509_free(certificate);
  return certificate != nullptr;
}

Result<Attested> parse_attested(std::string_view text) {
  const auto object = parse_object(text);
  if (!object) return denied("that aren't JSON");
  const boost::json::object* times = object_value(*object, "timeStamp");
  Attested data;
  data.vm_id = lower_case(text_value(*object, "vmId"));
  data.subscription = lower_case(text_value(*object, "subscriptionId"));
  data.nonce = text_value(*object, "nonce");
  if (times != nullptr) {
    data.created = stamp(text_value(*times, "createdOn"));
    data.expires = stamp(text_value(*times, "expiresOn"));
  }
  if (data.vm_id.empty() || data.created == TimePoint{} || data.expires == TimePoint{})
    return denied("without vmId or timeStamp");
  return data;
}

Result<Attested> open_attested(std::string_view document, const AttestedRules& rules) {
  if (document.size() > evidence_bytes_max) return denied("that are too long");
  const auto der = http::from_base64(document);
  if (!der || der->empty()) return denied("that aren't base64");
  ERR_clear_error();
  const Bio input = bio_of(*der);
  const Message message(input ? d2i_CMS_bio(input.get(), nullptr) : nullptr);
  if (!message || BIO_pending(input.get()) != 0 || OBJ_obj2nid(CMS_get0_type(message.get())) != NID_pkcs7_signed)
    return denied("that aren't one PKCS#7 message");
  const Bio output(BIO_new(BIO_s_mem()));
  // The chain is checked below: by default OpenSSL demands a certificate for e-mail.
  if (!output ||
      CMS_verify(message.get(), nullptr, nullptr, nullptr, output.get(), CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1)
    return denied("whose signature is wrong");
  STACK_OF(CMS_SignerInfo)* signers = CMS_get0_SignerInfos(message.get());
  if (sk_CMS_SignerInfo_num(signers) != 1) return denied("with another number of signers than one");
  CMS_SignerInfo* signer = sk_CMS_SignerInfo_value(signers, 0);
  if (!strong_digest(signer)) return denied("signed with a weak digest");
  X509* leaf = nullptr;
  CMS_SignerInfo_get0_algs(signer, nullptr, &leaf, nullptr, nullptr);
  if (leaf == nullptr || !is_for(leaf, rules.host)) return denied("that aren't signed by " + rules.host);
  Certificates others(CMS_get1_certs(message.get()));
  if (!others) others.reset(sk_X509_new_null());
  if (auto chain = trusted(leaf, others.get(), rules); !chain) return fail(chain.error());

  char* bytes = nullptr;
  const long size = BIO_get_mem_data(output.get(), &bytes);
  auto data = parse_attested({bytes, static_cast<size_t>(std::max(size, 0L))});
  if (!data) return data;
  if (data->created - clock_skew > rules.now) return denied("from the future; are the clocks right?");
  if (data->expires + clock_skew <= rules.now) return denied("that have expired");
  int64_t asked_at = 0;
  const char* end = data->nonce.data() + data->nonce.size();
  const auto [rest, error] = std::from_chars(data->nonce.data(), end, asked_at);
  if (data->nonce.size() != 10 || error != std::errc() || rest != end)
    return denied("that weren't asked for by an agent");
  const Duration age = rules.now - TimePoint(Duration(asked_at * 1000));
  if (age > nonce_age_max || age < -nonce_age_max) return denied("that were asked for too long ago");
  return data;
}

}  // namespace slipway::cloud::azure
