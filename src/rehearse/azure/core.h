// What all of the simulated Azure's APIs share: the site, the clock, names and ids, the published descriptions.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "rehearse/azure/face.h"
#include "rehearse/azure/spec.h"
#include "rehearse/azure/tokens.h"
#include "rehearse/gate.h"
#include "rehearse/site.h"

namespace slipway::rehearse::azure {

struct Core {
  Core(Loop& loop, const Clock& clock, Site& site, Gate& gate, AzureWorld world, AzureOptions options);
  ~Core();

  std::string etag();  // "0x8DC…": another one each time
  std::string uuid();
  // The same for the same text: ids of things that exist beforehand.
  static std::string uuid_of(std::string_view text);
  std::string client_id_of(std::string_view identity) const { return uuid_of("client of " + lower(identity)); }
  std::string object_id_of(std::string_view identity) const { return uuid_of("principal of " + lower(identity)); }

  Loop& loop;
  const Clock& clock;
  Site& site;
  Gate& gate;
  AzureWorld world;
  AzureOptions options;
  std::string arm_url;
  std::string login_url;
  std::map<std::string, std::string> batch_urls;  // by account
  std::unique_ptr<Tokens> tokens;
  std::unique_ptr<Spec> batch_spec;
  std::vector<std::unique_ptr<Spec>> arm_specs;
  std::unique_ptr<Spec> imds_spec;

  const BatchAccount* account(std::string_view name) const;
  // A schema of ARM's descriptions.
  const Schema& arm_definition(std::string_view name) const;

 private:
  std::mt19937_64 random_;
  uint64_t changes_ = 0;
};

// Timers and posted work may come after their owner's end: they hold this and ask it.
using Alive = std::shared_ptr<char>;
using Watching = std::weak_ptr<char>;

}  // namespace slipway::rehearse::azure
