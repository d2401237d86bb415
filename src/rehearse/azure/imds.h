// What a machine sees at 169.254.169.254: what it is, who it is, and what is about to happen to it.
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "http/server.h"
#include "http/url.h"
#include "rehearse/azure/batch_pools.h"
#include "rehearse/azure/core.h"
#include "rehearse/azure/scale_sets.h"

namespace boost::json {
class object;
}

namespace slipway::rehearse::azure {

class Imds {
 public:
  Imds(Core& core, BatchPools& pools, ScaleSets& sets);
  // `machine` null: the controller, which has a system-assigned identity and may use every other.
  void handle(const Machine* machine, http::Asked asked, http::Answer answer);

 private:
  struct Who {  // asks
    std::string name;
    std::string vm_id;
    std::string resource_id;
    std::string subscription;
    std::string resource_group;
    std::string region;
    std::string size;
    std::string zone;
    std::string scale_set;
    std::string group;
    std::string address;
    model::Market market = model::Market::on_demand;
    bool system_identity = false;
    std::vector<std::string> identities;  // resource ids
    const boost::json::object* tags = nullptr;
  };
  Who who(const Machine* machine);
  http::Response act(const Who& who, const http::Asked& asked, const http::Target& target);
  http::Response instance(const Who& who, const std::string& path, const http::Query& query) const;
  http::Response token(const Who& who, const http::Query& query) const;
  http::Response attested(const Who& who, const http::Query& query);
  http::Response events(const Who& who);
  http::Response start_events(const Who& who, const std::string& body);
  http::Response versions() const;

  Core& core_;
  BatchPools& pools_;
  ScaleSets& sets_;
  struct Noticed {
    std::set<MachineKey> machines;
    uint64_t incarnation = 1;
  };
  std::map<std::string, Noticed> noticed_;  // machines that were told to go, by group
  std::string signer_key_;                  // of attested data
  std::string signer_certificate_;
  Alive alive_ = std::make_shared<char>();
};

}  // namespace slipway::rehearse::azure
