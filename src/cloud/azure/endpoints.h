// Where an Azure cloud's APIs are and what their tokens are for. Public, US Government and China; each address may be
// replaced by the cluster file (private links, a simulated Azure).
#pragma once

#include <string>

#include "model/azure.h"

namespace slipway::cloud::azure {

struct Endpoints {
  std::string arm;             // "https://management.azure.com", no slash at the end; so are all
  std::string login;           // "https://login.microsoftonline.com"
  std::string imds;            // "http://169.254.169.254"
  std::string arm_resource;    // what a token for ARM is for: "https://management.azure.com/", whatever `arm` is
  std::string batch_resource;  // "https://batch.core.windows.net/"
  std::string batch_suffix;    // "batch.azure.com"
};

Endpoints endpoints_of(const model::AzureCloud& cloud);

// "https://<account>.<region>.<suffix>", or what the file says instead.
std::string batch_url(const model::AzurePool& pool, const Endpoints& endpoints);

// "resource" as a scope of Entra's v2 endpoint: "https://batch.core.windows.net/.default".
std::string scope_of(const std::string& resource);

}  // namespace slipway::cloud::azure
