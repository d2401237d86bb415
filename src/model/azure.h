// What the cluster file says of Azure: which identity calls it, and what a pool is there. Every default is filled in;
// the pool's own keys have replaced the cluster's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace slipway::model {

// How the daemon proves to Azure who it is.
struct AzureIdentity {
  enum class Kind : uint8_t {
    managed,            // the controller machine's own identity, from IMDS
    workload,           // a federated token in a file is exchanged for one of Entra
    service_principal,  // a secret or a certificate
    cli,                // the Azure CLI's login on the controller
  };
  Kind kind = Kind::managed;
  std::string client_id;         // managed: of a user-assigned identity, empty: the system-assigned one; else required
  std::string tenant_id;         // workload, service_principal
  std::string secret_file;       // service_principal: holds the secret, readable by root only
  std::string certificate_file;  // service_principal: PEM, key and certificate
  std::string token_file;        // workload
};

enum class AzureCloudName : uint8_t { public_cloud, us_government, china };

// Addresses other than the cloud's own: private links, an emulator. Empty: the cloud's.
struct AzureEndpoints {
  std::string arm;      // "https://management.azure.com"
  std::string login;    // "https://login.microsoftonline.com"
  std::string imds;     // "http://169.254.169.254"
  std::string ca_file;  // PEM; trusted besides the system's
};

struct AzureCloud {
  AzureCloudName cloud = AzureCloudName::public_cloud;
  AzureIdentity identity;
  AzureEndpoints endpoints;
};

enum class AzurePoolKind : uint8_t { batch, scale_set };

// Priority mix of a scale set: the first `base` machines are on demand, and that share of those beyond.
struct AzurePriorityMix {
  uint32_t base = 0;
  uint32_t on_demand_percent = 0;  // 0 to 100
};

struct AzureMount {  // Batch mounts it on every node
  enum class Kind : uint8_t { nfs, azure_files, blob };
  Kind kind = Kind::nfs;
  std::string
      source;  // nfs: "10.0.0.4:/export"; azure_files: "https://acc.file.core.windows.net/share"; blob: container
  std::string target;    // path below AZ_BATCH_NODE_MOUNTS_DIR
  std::string options;   // of mount(8)
  std::string account;   // azure_files, blob: the storage account's name
  std::string key_file;  // azure_files, blob: holds its key; empty: the pool's identity (blob only)
};

struct AzurePool {
  AzurePoolKind kind = AzurePoolKind::batch;
  std::string subscription;  // a GUID
  std::string resource_group;
  std::string region;       // "westeurope"
  std::string subnet;       // resource id; empty: none is asked for (Batch only)
  std::string account;      // batch: the Batch account's name
  std::string account_url;  // batch: "https://<account>.<region>.batch.azure.com"; empty: made from name, region, cloud
  std::string batch_key_file;  // batch: holds the account's key; SharedKey is used instead of a token
  std::string image;           // "publisher:offer:sku:version", or the resource id of an image or gallery image version
  std::string node_agent;      // batch: "batch.node.ubuntu 22.04"; empty: looked up for a marketplace image
  std::string node_identity;   // resource id of a user-assigned identity which the machines get, to prove who they are
  std::string agent_url;       // where a machine that has no slipway-agent gets it; empty: its image must have it
  std::string admin_user;      // may log in with admin_key, for debugging; empty: nobody
  std::string admin_key;       // an SSH public key
  bool inter_node = true;      // batch: nodes of one pool may talk to each other and are placed close (MPI)
  Duration resize_timeout{900'000};  // batch: at least 5 minutes
  std::vector<AzureMount> mounts;    // batch
  std::map<std::string, std::string> tags;
  bool evicted_are_deleted = true;               // scale_set, spot; false: deallocated
  std::optional<AzurePriorityMix> priority_mix;  // scale_set: markets in one set instead of two
  std::string capacity_reservation;              // scale_set: resource id of a capacity reservation group
  bool accelerated_network = true;               // scale_set
};

}  // namespace slipway::model
