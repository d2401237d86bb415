// What Azure's error codes mean to the engine.
//
// Sources, read in November 2026: "Batch status and error codes" and PoolResizeErrorCodes (learn.microsoft.com/rest,
// .NET reference), "Troubleshoot common Azure deployment errors" and "Allocation failures" (learn.microsoft.com/azure).
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <iterator>
#include <optional>
#include <string>

#include "cloud/azure/rest.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;
using std::string_view;

struct Meaning {
  string_view code;  // Azure's; compares without regard to case: "AllocationTimedOut" is also spelled "…Timedout"
  ErrorCode means;
  string_view advice;  // what a person can do
};

constexpr string_view more_batch_cores = "ask for more cores of this Batch account (portal, Batch account, Quotas)";
constexpr string_view more_cores = "ask for more cores of this family in this region (portal, Quotas)";
constexpr string_view elsewhere = "another size, zone, region or market may have room";
constexpr string_view login = "check the identity and its roles: slipway doctor azure";

// Sorted by nothing but sense; looked through linearly, since errors are rare.
constexpr Meaning meanings[] = {
    // A Batch pool's resize.
    {"AccountCoreQuotaReached", ErrorCode::quota, more_batch_cores},
    {"AccountVMSeriesCoreQuotaReached", ErrorCode::quota, more_batch_cores},
    {"AccountLowPriorityCoreQuotaReached", ErrorCode::quota, more_batch_cores},
    {"AccountSpotCoreQuotaReached", ErrorCode::quota, more_batch_cores},
    {"CommunicationEnabledPoolReachedMaxVMCount", ErrorCode::quota,
     "a pool whose nodes talk to each other is one scale set: set inter_node: false, or use several pools"},
    {"AllocationFailed", ErrorCode::no_capacity, elsewhere},
    {"AllocationTimedOut", ErrorCode::no_capacity, elsewhere},
    {"ResizeStopped", ErrorCode::transient, ""},
    {"RemoveNodesFailed", ErrorCode::transient, ""},
    {"DependentResourceNotFound", ErrorCode::bad_config, "check the pool's subnet, image and identity"},
    {"DiskEncryptionFailure", ErrorCode::bad_config, ""},
    {"FailedIdentityOperation", ErrorCode::denied, "the pool's node_identity must exist and be usable by Batch"},
    {"IncompatibleVMSize", ErrorCode::bad_config, "choose a size that suits the pool's image"},
    {"MissingPublisherPropertyInMarketPlacePlan", ErrorCode::bad_config, ""},
    {"ReservedSubnetName", ErrorCode::bad_config, "choose another subnet"},
    {"SubnetIsFull", ErrorCode::quota, "the subnet has no address left: use a larger one"},
    {"SubnetNotFound", ErrorCode::bad_config, "check the pool's subnet"},
    {"UnsupportedVMSize", ErrorCode::bad_config, "choose a size that this region has"},
    // The Batch service's answers.
    {"AuthenticationFailed", ErrorCode::denied, login},
    {"InsufficientAccountPermissions", ErrorCode::denied, login},
    {"AccountIsDisabled", ErrorCode::denied, "the Batch account or its subscription is disabled"},
    {"PoolBeingResized", ErrorCode::transient, ""},
    {"PoolBeingCreated", ErrorCode::transient, ""},
    {"PoolBeingDeleted", ErrorCode::transient, ""},
    {"PoolExists", ErrorCode::transient, ""},
    {"OperationInvalidForCurrentState", ErrorCode::transient, ""},
    {"OperationNotValidOnPool", ErrorCode::bad_config, "turn the pool's autoscale off, or delete the pool"},
    {"AutoScalingFormulaSyntaxError", ErrorCode::bad_config, ""},
    {"ConditionNotMet", ErrorCode::transient, ""},
    {"PoolQuotaReached", ErrorCode::quota, "delete unused pools, or ask for more pools of this Batch account"},
    {"PoolNotFound", ErrorCode::not_found, ""},
    {"NodeNotFound", ErrorCode::not_found, ""},
    {"InvalidPropertyValue", ErrorCode::bad_config, ""},
    {"InvalidRequestBody", ErrorCode::bad_config, ""},
    {"MissingRequiredProperty", ErrorCode::bad_config, ""},
    {"OperationTimedOut", ErrorCode::transient, ""},
    {"ServerBusy", ErrorCode::throttled, ""},
    {"TooManyRequests", ErrorCode::throttled, ""},
    {"InternalError", ErrorCode::transient, ""},
    // ARM, compute, network.
    {"ZonalAllocationFailed", ErrorCode::no_capacity, elsewhere},
    {"OverconstrainedAllocationRequest", ErrorCode::no_capacity, elsewhere},
    {"OverconstrainedZonalAllocationRequest", ErrorCode::no_capacity, elsewhere},
    {"SkuNotAvailable", ErrorCode::no_capacity, elsewhere},
    {"NotAvailableForSubscription", ErrorCode::no_capacity, elsewhere},
    {"FabricInternalError", ErrorCode::no_capacity, elsewhere},
    {"SpotVMEvicted", ErrorCode::no_capacity, elsewhere},
    {"QuotaExceeded", ErrorCode::quota, more_cores},
    {"ResourceQuotaExceeded", ErrorCode::quota, more_cores},
    {"PublicIPCountLimitReached", ErrorCode::quota, ""},
    {"AuthorizationFailed", ErrorCode::denied, login},
    {"LinkedAuthorizationFailed", ErrorCode::denied, login},
    {"InvalidAuthenticationToken", ErrorCode::denied, login},
    {"InvalidAuthenticationTokenTenant", ErrorCode::denied, login},
    {"ExpiredAuthenticationToken", ErrorCode::denied, login},
    {"RequestDisallowedByPolicy", ErrorCode::denied, "a policy of the subscription forbids it"},
    {"DisallowedProvider", ErrorCode::denied, ""},
    {"ReadOnlyDisabledSubscription", ErrorCode::denied, "the subscription is disabled"},
    {"ScopeLocked", ErrorCode::denied, "remove the lock on the resource group"},
    {"SubscriptionNotFound", ErrorCode::bad_config, "check the pool's subscription"},
    {"InvalidSubscriptionId", ErrorCode::bad_config, "check the pool's subscription"},
    {"ResourceGroupNotFound", ErrorCode::bad_config, "check the pool's resource_group"},
    {"MissingSubscriptionRegistration", ErrorCode::bad_config, "register the resource provider: az provider register"},
    {"NoRegisteredProviderFound", ErrorCode::bad_config, "register the resource provider: az provider register"},
    {"LocationNotAvailableForResourceType", ErrorCode::bad_config, "check the pool's region"},
    {"InvalidParameter", ErrorCode::bad_config, ""},
    {"InvalidRequestContent", ErrorCode::bad_config, ""},
    {"BadRequest", ErrorCode::bad_config, ""},
    {"PropertyChangeNotAllowed", ErrorCode::bad_config, ""},
    {"ImageNotFound", ErrorCode::bad_config, "check the pool's image"},
    {"PlatformImageNotFound", ErrorCode::bad_config, "check the pool's image"},
    {"GalleryImageNotFound", ErrorCode::bad_config, "check the pool's image"},
    {"ResourcePurchaseValidationFailed", ErrorCode::bad_config, "accept the image's terms: az vm image terms accept"},
    {"MarketplacePurchaseEligibilityFailed", ErrorCode::bad_config,
     "accept the image's terms: az vm image terms accept"},
    {"VMMarketplaceInvalidInput", ErrorCode::bad_config, "accept the image's terms: az vm image terms accept"},
    {"ResourceNotFound", ErrorCode::not_found, ""},
    {"NotFound", ErrorCode::not_found, ""},
    {"PreconditionFailed", ErrorCode::transient, ""},
    {"Conflict", ErrorCode::transient, ""},
    {"AnotherOperationInProgress", ErrorCode::transient, ""},
    {"OperationPreempted", ErrorCode::transient, ""},
    {"RetryableError", ErrorCode::transient, ""},
    {"RetryableErrorDueToAnotherOperation", ErrorCode::transient, ""},
    {"NetworkingInternalOperationError", ErrorCode::transient, ""},
    {"InternalExecutionError", ErrorCode::transient, ""},
    {"InternalServerError", ErrorCode::transient, ""},
    {"InternalOperationError", ErrorCode::transient, ""},
    {"GatewayTimeout", ErrorCode::transient, ""},
    {"ServiceUnavailable", ErrorCode::transient, ""},
    {"SubscriptionRequestsThrottled", ErrorCode::throttled, ""},
    {"OperationThrottled", ErrorCode::throttled, ""},
    {"ResourceRequestsThrottled", ErrorCode::throttled, ""},
    // Entra's token endpoint.
    {"invalid_client", ErrorCode::denied, login},
    {"unauthorized_client", ErrorCode::denied, login},
    {"invalid_grant", ErrorCode::denied, login},
    {"invalid_request", ErrorCode::denied, login},
    {"invalid_scope", ErrorCode::denied, login},
    {"invalid_resource", ErrorCode::denied, login},
    {"temporarily_unavailable", ErrorCode::transient, ""},
};

constexpr size_t text_bytes_max = 600;  // of Azure's words in a message
constexpr int depth_max = 8;            // of nested error details

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same(string_view a, string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool says(string_view text, string_view word) {
  return std::search(text.begin(), text.end(), word.begin(), word.end(),
                     [](char x, char y) { return lower(x) == lower(y); }) != text.end();
}

const Meaning* find_meaning(string_view code) {
  const auto* const found =
      std::find_if(std::begin(meanings), std::end(meanings), [&](const Meaning& one) { return same(one.code, code); });
  return found == std::end(meanings) ? nullptr : found;
}

std::optional<ErrorCode> meaning_of(string_view code, string_view message) {
  // A quota is reached under many names, and under names that say other things too (OperationNotAllowed).
  if (same(code, "OperationNotAllowed")) {
    return says(message, "quota") || says(message, "limit") ? ErrorCode::quota : ErrorCode::permanent;
  }
  if (const Meaning* meaning = find_meaning(code)) return meaning->means;
  if (says(code, "Quota")) return ErrorCode::quota;
  if (says(code, "Throttled")) return ErrorCode::throttled;
  return std::nullopt;
}

ErrorCode meaning_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorCode::denied;
    case 404:
    case 410:
      return ErrorCode::not_found;
    case 408:
    case 409:
    case 412:
      return ErrorCode::transient;
    case 429:
      return ErrorCode::throttled;
    default:
      if (status >= 500) return ErrorCode::transient;
      return status >= 400 ? ErrorCode::bad_config : ErrorCode::permanent;
  }
}

// One line, without what Azure's support wants to know and nobody else.
std::string clean(string_view text) {
  text = text.substr(0, text.find("\nRequestId:"));
  std::string line;
  for (const char c : text.substr(0, text_bytes_max)) {
    const bool blank = static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
    if (blank && (line.empty() || line.back() == ' ')) continue;
    line += blank ? ' ' : c;
  }
  while (!line.empty() && (line.back() == ' ' || line.back() == '.')) line.pop_back();
  return line;
}

string_view text_of(const json::object& object, string_view key) {
  const json::value* value = object.if_contains(key);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? string_view{} : string_view(*text);
}

struct Said {
  std::string code;
  std::string message;
  bool known = false;
};

// The outermost code that means something; ARM wraps the telling one in general ones ("DeploymentFailed").
void read_details(const json::object& error, Said& said, int depth) {
  const string_view code = text_of(error, "code");
  const string_view message = text_of(error, "message");
  const bool known = meaning_of(code, message).has_value();
  if (said.code.empty() || (known && !said.known)) said = {std::string(code), clean(message), known};
  const json::value* details = error.if_contains("details");
  if (said.known || depth == 0 || details == nullptr || !details->is_array()) return;
  for (const json::value& one : details->get_array()) {
    if (one.is_object()) read_details(one.get_object(), said, depth - 1);
  }
}

Said read_error(string_view body) {
  boost::system::error_code error;
  const json::value value = json::parse(body, error);
  Said said;
  if (error || !value.is_object()) return said;
  const json::object& object = value.get_object();
  if (const json::value* inner = object.if_contains("error")) {
    if (inner->is_object()) {
      read_details(inner->get_object(), said, depth_max);
    } else if (inner->is_string()) {  // OAuth 2
      said = {std::string(inner->get_string()), clean(text_of(object, "error_description")), true};
    }
    return said;
  }
  said.code = text_of(object, "code");
  const json::value* message = object.if_contains("message");
  if (message != nullptr && message->is_object()) said.message = clean(text_of(message->get_object(), "value"));
  if (message != nullptr && message->is_string()) said.message = clean(message->get_string());
  const json::value* values = object.if_contains("values");
  if (values == nullptr || !values->is_array()) return said;
  for (const json::value& one : values->get_array()) {
    if (!one.is_object() || said.message.size() > text_bytes_max) continue;
    said.message += "; " + clean(text_of(one.get_object(), "key")) + ": " + clean(text_of(one.get_object(), "value"));
  }
  return said;
}

std::optional<Duration> retry_after_of(const http::Headers& headers) {
  const auto number = [&](string_view name, int64_t unit) -> std::optional<Duration> {
    const string_view text = http::find_header(headers, name);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
    constexpr int64_t longest = 3'600'000;
    return Duration(value > longest / unit ? longest : value * unit);
  };
  if (const auto precise = number("x-ms-retry-after-ms", 1)) return precise;
  return number("Retry-After", 1000);
}

}  // namespace

ErrorCode error_code_of(string_view azure_code, string_view message) {
  return meaning_of(azure_code, message).value_or(ErrorCode::permanent);
}

std::string azure_error_text(string_view azure_code, string_view message) {
  std::string text(azure_code);
  const std::string words = clean(message);
  if (!words.empty()) text += (text.empty() ? "" : ": ") + words;
  const Meaning* meaning = find_meaning(azure_code);
  if (meaning != nullptr && !meaning->advice.empty()) text += "; " + std::string(meaning->advice);
  return text.empty() ? "Azure gave no reason" : text;
}

Error error_of(int status, const http::Headers& headers, string_view body) {
  const Said said = read_error(body);
  Error error;
  error.code = meaning_of(said.code, said.message).value_or(meaning_of_status(status));
  // By its status it is something else than by a general code.
  if (status == 429) error.code = ErrorCode::throttled;
  error.retry_after = retry_after_of(headers);
  if (said.code.empty()) {
    error.message = "Azure answered with status " + std::to_string(status);
  } else {
    error.message = azure_error_text(said.code, said.message);
  }
  return error;
}

}  // namespace slipway::cloud::azure
