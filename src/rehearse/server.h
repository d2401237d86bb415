// The simulated cloud as a process: `slipway-rehearse`. Opens the doors, writes where they are, and runs until a
// signal.
//
// Files in its folder (0700):
//   endpoints.json          where the doors are, and their keys (0600); written last; an end in order and a new start
//                           remove it, so that only a server that was killed leaves it behind
//   levers.json             read at the start and whenever it changes
//   state.json              what exists in the simulated cloud, so that a restart loses nothing that is older than a
//                           moment
//   kept.json               ports, account keys and the admin door's token, which are the same after a restart
//   pid                     who has the folder; `slipway down` ends it
//   ca.pem, ca.key, server.pem, server.key, lock
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"

namespace slipway::rehearse {

struct ServerOptions {
  std::filesystem::path cluster_file;  // what must exist beforehand (accounts, subnets, identities) is taken from it
  std::filesystem::path folder;
  std::string address = "127.0.0.1";   // of all doors but IMDS
  std::filesystem::path host_socket;   // empty: virtual machines
  std::filesystem::path state_folder;  // of the cluster; with host_socket
  std::filesystem::path image;         // root file system of the machines; empty: the controllers' in the file
  uint64_t seed = 1;
};

// Returns after SIGTERM or SIGINT, or when its folder was removed. Real machines run on, for the next server to find.
// bad_config: the cluster file, the levers or the state can't be read, or another server has the folder.
Result<void> run_server(const ServerOptions& options);

// endpoints.json
struct Endpoints {
  std::string arm;  // "https://198.18.16.1:41231"
  std::string login;
  std::string admin;                              // "http://…"; rehearse/admin.h has its calls
  std::string admin_token;                        // "Authorization: Bearer …"
  std::string imds;                               // for who isn't in a machine; machines use 169.254.169.254
  std::string ca_file;                            // PEM
  std::map<std::string, std::string> batch;       // by account: "https://…"
  std::map<std::string, std::string> batch_http;  // the same in plain HTTP
  std::map<std::string, std::string> batch_keys;  // base64
};
Result<Endpoints> read_endpoints(const std::filesystem::path& file);  // not_found: there is no server (yet)
std::string to_json(const Endpoints& endpoints);

}  // namespace slipway::rehearse
