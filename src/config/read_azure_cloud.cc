// Which of Azure's clouds, who calls it, and where; and the file systems that Batch mounts.
#include <algorithm>
#include <array>

#include "config/azure_values.h"
#include "config/names.h"
#include "config/read.h"
#include "config/read_azure.h"
#include "config/words.h"

namespace slipway::config {
namespace {

using model::AzureIdentity;
using model::AzureMount;

constexpr std::string_view identity_expected =
    "'managed', 'cli', {managed: CLIENT-ID}, {workload: {tenant, client, token_file}} or {service_principal: {tenant, "
    "client, secret_file}}";
constexpr size_t mounts_max = 10;  // Batch's limit

void missing(Context& context, const MapReader& map, std::string_view key, std::string_view expected) {
  if (!map.lacks(key)) return;
  const Field& field = map.field();
  context.problems.error(field.at, join({field.path, ": '", key, "' is missing; expected ", expected}));
}

void read_credential(Context& context, const Field& field, AzureIdentity& identity) {
  static constexpr std::array<std::string_view, 3> workload_keys = {"tenant", "client", "token_file"};
  static constexpr std::array<std::string_view, 4> principal_keys = {"tenant", "client", "secret_file",
                                                                     "certificate_file"};
  static constexpr std::array<Synonym, 6> synonyms = {{{"tenant_id", "tenant"},
                                                       {"client_id", "client"},
                                                       {"app_id", "client"},
                                                       {"application", "client"},
                                                       {"certificate", "certificate_file"},
                                                       {"directory", "tenant"}}};
  const bool workload = identity.kind == AzureIdentity::Kind::workload;
  Vocabulary vocabulary{workload ? std::span<const std::string_view>(workload_keys) : principal_keys,
                        {},
                        synonyms,
                        workload ? "'token_file'" : "'secret_file' or 'certificate_file'"};
  MapReader map(context.problems, field, vocabulary);
  missing(context, map, "tenant", "the tenant's id or domain");
  missing(context, map, "client", "the application's client id");
  if (auto tenant = map.get("tenant")) identity.tenant_id = read_tenant(context, *tenant).value_or("");
  if (auto client = map.get("client")) identity.client_id = read_guid(context, *client, "a client id").value_or("");
  if (workload) {
    missing(context, map, "token_file", "the file that holds the federated token");
    if (auto file = map.get("token_file"))
      identity.token_file = read_file_path(context, *file, "the federated token").value_or("");
    return;
  }
  if (auto file = map.get("secret_file"))
    identity.secret_file = read_file_path(context, *file, "the client secret").value_or("");
  if (auto file = map.get("certificate_file"))
    identity.certificate_file = read_file_path(context, *file, "key and certificate as PEM").value_or("");
  if (map.lacks("secret_file") && map.lacks("certificate_file")) {
    missing(context, map, "secret_file", "it or 'certificate_file', the path of a file");
  } else if (map.has("secret_file") && map.has("certificate_file")) {
    context.problems.error(field.at, field.path + ": has 'secret_file' and 'certificate_file'; expected one of them");
  }
}

AzureIdentity read_identity(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 3> keys = {"managed", "workload", "service_principal"};
  static constexpr std::array<std::string_view, 2> words = {"managed", "cli"};
  static constexpr std::array<Synonym, 3> synonyms = {
      {{"managed_identity", "managed"}, {"workload_identity", "workload"}, {"client_id", "managed"}}};
  using Kind = AzureIdentity::Kind;
  AzureIdentity identity;
  if (field.node->kind != NodeKind::map) {
    auto text = read_text(context.problems, field, identity_expected);
    if (!text || *text == "managed") return identity;
    if (*text == "cli") {
      identity.kind = Kind::cli;
      return identity;
    }
    context.problems.error(field.at, join({field.path, ": unknown identity ", show(*text), "; expected ",
                                           identity_expected, did_you_mean(*text, words)}));
    return identity;
  }
  MapReader map(context.problems, field, {keys, {}, synonyms, "'secret_file' of 'service_principal'"});
  if (field.node->entries.size() != 1) {
    context.problems.error(field.at, join({field.path, ": has ", std::to_string(field.node->entries.size()),
                                           " keys; expected one of ", identity_expected}));
  }
  if (auto client = map.get("managed")) {
    identity.client_id = read_guid(context, *client, "a user-assigned identity's client id").value_or("");
  } else if (auto workload = map.get("workload")) {
    identity.kind = Kind::workload;
    read_credential(context, *workload, identity);
  } else if (auto principal = map.get("service_principal")) {
    identity.kind = Kind::service_principal;
    read_credential(context, *principal, identity);
  }
  return identity;
}

model::AzureEndpoints read_endpoints(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 4> keys = {"arm", "login", "imds", "ca_file"};
  static constexpr std::array<Synonym, 3> synonyms = {
      {{"management", "arm"}, {"authority", "login"}, {"metadata", "imds"}}};
  model::AzureEndpoints endpoints;
  MapReader map(context.problems, field, {keys, {}, synonyms});
  if (auto arm = map.get("arm")) {
    endpoints.arm = read_url(context, *arm, "https://management.azure.com").value_or("");
  }
  if (auto login = map.get("login")) {
    endpoints.login = read_url(context, *login, "https://login.microsoftonline.com").value_or("");
  }
  if (auto imds = map.get("imds")) {  // link-local, and never over TLS
    endpoints.imds = read_url(context, *imds, "http://169.254.169.254", true).value_or("");
  }
  if (auto file = map.get("ca_file"))
    endpoints.ca_file = read_file_path(context, *file, "certificates as PEM").value_or("");
  return endpoints;
}

std::string mount_source_trouble(const AzureMount& mount) {
  const std::string& source = mount.source;
  const size_t colon = source.find(":/");
  if (mount.kind == AzureMount::Kind::nfs && (colon == std::string::npos || colon == 0))
    return "expected SERVER:/EXPORT, like 10.0.0.4:/export";
  if (mount.kind == AzureMount::Kind::azure_files && !source.starts_with("https://"))
    return "expected the share's address, like https://myaccount.file.core.windows.net/share";
  if (mount.kind == AzureMount::Kind::blob && source.find_first_of(":/.") != std::string::npos)
    return "expected a container's name";
  return source.find(' ') == std::string::npos ? "" : "expected no blanks in it";
}

std::string mount_target_trouble(std::string_view target) {
  const auto trouble = mount_trouble("/" + std::string(target));
  return target.starts_with('/') || !trouble.empty()
             ? show(target) +
                   " won't do; expected a relative path, like data: Batch mounts it below its own folder, "
                   "$AZ_BATCH_NODE_MOUNTS_DIR"
             : "";
}

AzureMount read_mount(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 6> keys = {"type",    "source",  "target",
                                                           "options", "account", "key_file"};
  static constexpr std::array<std::string_view, 3> types = {"nfs", "azure_files", "blob"};
  static constexpr std::array<Synonym, 4> synonyms = {
      {{"kind", "type"}, {"path", "target"}, {"mount", "target"}, {"container", "source"}}};
  AzureMount mount;
  Problems& problems = context.problems;
  MapReader map(problems, field, {keys, {}, synonyms, "'key_file'"});
  missing(context, map, "type", "nfs, azure_files or blob");
  missing(context, map, "source", "what to mount, like 10.0.0.4:/export");
  missing(context, map, "target", "a relative path, like data");
  std::optional<size_t> type;
  if (auto value = map.get("type")) type = read_choice(problems, *value, "type", types);
  if (type) mount.kind = static_cast<AzureMount::Kind>(*type);
  if (auto source = map.get("source")) {
    mount.source = read_text(problems, *source, "what to mount").value_or("");
    const auto trouble = type && !mount.source.empty() ? mount_source_trouble(mount) : "";
    if (!trouble.empty()) problems.error(source->at, join({source->path, ": ", show(mount.source), ": ", trouble}));
  }
  if (auto target = map.get("target")) {
    mount.target = read_text(problems, *target, "a relative path").value_or("");
    const auto trouble = mount.target.empty() ? "" : mount_target_trouble(mount.target);
    if (!trouble.empty()) problems.error(target->at, target->path + ": " + trouble);
  }
  if (auto options = map.get("options")) mount.options = read_text(problems, *options, "mount options").value_or("");
  if (auto account = map.get("account"))
    mount.account = read_account_name(context, *account, "a storage account").value_or("");
  if (auto file = map.get("key_file"))
    mount.key_file = read_file_path(context, *file, "the storage account's key").value_or("");
  if (!type) return mount;
  if (mount.kind == AzureMount::Kind::nfs) {
    for (std::string_view key : {"account", "key_file"}) {
      if (auto extra = map.get(key))
        problems.error(extra->at, extra->path + ": nfs has no storage account of its own; leave it out");
    }
    return mount;
  }
  missing(context, map, "account", "the storage account's name");
  if (mount.kind == AzureMount::Kind::azure_files) missing(context, map, "key_file", "a file with the account's key");
  return mount;
}

}  // namespace

void read_azure_cloud(Context& context, const MapReader& map, model::AzureCloud& cloud) {
  static constexpr std::array<std::string_view, 3> clouds = {"public", "us_government", "china"};
  if (auto name = map.get("cloud")) {
    if (auto choice = read_choice(context.problems, *name, "cloud", clouds))
      cloud.cloud = static_cast<model::AzureCloudName>(*choice);
  }
  if (auto identity = map.get("identity")) cloud.identity = read_identity(context, *identity);
  if (auto endpoints = map.get("endpoints")) cloud.endpoints = read_endpoints(context, *endpoints);
}

std::vector<AzureMount> read_azure_mounts(Context& context, const Field& field) {
  std::vector<AzureMount> out;
  const auto items =
      read_list(context.problems, field, "mounts like {type: nfs, source: \"10.0.0.4:/export\", target: data}");
  if (items.size() > mounts_max) {
    context.problems.error(field.at, field.path + ": has " + std::to_string(items.size()) +
                                         " mounts; Batch allows at most " + std::to_string(mounts_max));
    return out;
  }
  for (const Field& item : items) {
    AzureMount mount = read_mount(context, item);
    const auto same = [&](const AzureMount& other) { return other.target == mount.target; };
    if (!mount.target.empty() && std::any_of(out.begin(), out.end(), same)) {
      context.problems.error(
          item.at, join({item.path, ".target: ", show(mount.target), " is there already; expected each place once"}));
    }
    out.push_back(std::move(mount));
  }
  return out;
}

}  // namespace slipway::config
