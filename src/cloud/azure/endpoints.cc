#include "cloud/azure/endpoints.h"

#include <string_view>

namespace slipway::cloud::azure {
namespace {

// learn.microsoft.com, "Compare Azure Government and global Azure" and "Developer guide for Azure in China", and the
// Azure CLI's `az cloud list`; November 2026.
Endpoints of_cloud(model::AzureCloudName name) {
  Endpoints endpoints;
  endpoints.imds = "http://169.254.169.254";
  switch (name) {
    case model::AzureCloudName::public_cloud:
      endpoints.arm = "https://management.azure.com";
      endpoints.login = "https://login.microsoftonline.com";
      endpoints.batch_resource = "https://batch.core.windows.net/";
      endpoints.batch_suffix = "batch.azure.com";
      break;
    case model::AzureCloudName::us_government:
      endpoints.arm = "https://management.usgovcloudapi.net";
      endpoints.login = "https://login.microsoftonline.us";
      endpoints.batch_resource = "https://batch.core.usgovcloudapi.net/";
      endpoints.batch_suffix = "batch.usgovcloudapi.net";
      break;
    case model::AzureCloudName::china:
      endpoints.arm = "https://management.chinacloudapi.cn";
      endpoints.login = "https://login.chinacloudapi.cn";
      endpoints.batch_resource = "https://batch.chinacloudapi.cn/";
      endpoints.batch_suffix = "batch.chinacloudapi.cn";
      break;
  }
  endpoints.arm_resource = endpoints.arm + "/";
  return endpoints;
}

void replace(std::string& address, std::string_view other) {
  while (other.ends_with('/')) other.remove_suffix(1);
  if (!other.empty()) address = other;
}

}  // namespace

Endpoints endpoints_of(const model::AzureCloud& cloud) {
  Endpoints endpoints = of_cloud(cloud.cloud);
  replace(endpoints.arm, cloud.endpoints.arm);
  replace(endpoints.login, cloud.endpoints.login);
  replace(endpoints.imds, cloud.endpoints.imds);
  return endpoints;
}

std::string batch_url(const model::AzurePool& pool, const Endpoints& endpoints) {
  std::string url = "https://" + pool.account + "." + pool.region + "." + endpoints.batch_suffix;
  replace(url, pool.account_url);
  return url;
}

std::string scope_of(const std::string& resource) {
  return resource + (resource.ends_with('/') ? ".default" : "/.default");
}

}  // namespace slipway::cloud::azure
