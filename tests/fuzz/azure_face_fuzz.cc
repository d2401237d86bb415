// Whatever a client sends to the simulated Azure: no crash, always one answer, never a 5xx. The first byte chooses the
// door, the first line is the method and target, the rest the body; requests are signed, so that they come through.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rehearse/azure/face.h"
#include "rehearse/azure/login.h"
#include "rehearse/azure/odata_filter.h"
#include "rehearse/azure/spec_check.h"

namespace {

using namespace slipway;
using namespace slipway::rehearse;

struct World {
  World() {
    AzureWorld world;
    world.subscriptions = {"s"};
    world.resource_groups = {"s/g/westeurope"};
    world.batch_accounts = {
        {.name = "acc", .key = "a2V5", .subscription = "s", .resource_group = "g", .region = "westeurope"}};
    world.subnets = {"/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"};
    world.images = {"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i",
                    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0",
                    "publisher:offer:sku:1.0.0"};
    world.client_ids = {"client"};
    core = std::make_unique<azure::Core>(loop, clock, site, gate, world, AzureOptions{});
    arm_token = azure::issue_token(*core, "https://management.azure.com/", "client", "o", "", "");
    batch_token = azure::issue_token(*core, "https://batch.core.windows.net/", "client", "o", "", "");
    face = std::make_unique<AzureFace>(loop, clock, site, gate, world, AzureOptions{});
    // The face verifies with the key that made the tokens.
    std::string key;
    for (const char c : core->tokens->key()) key += c == '\n' ? std::string("\\n") : std::string(1, c);
    if (!face->load("{\"key\": \"" + key + "\"}")) std::abort();
  }
  SystemClock clock;
  Loop loop;
  std::unique_ptr<Floor> floor = make_virtual_floor(loop);
  Site site{loop, clock, *floor, 1};
  Gate gate{clock, 1};
  std::unique_ptr<azure::Core> core;
  std::unique_ptr<AzureFace> face;
  std::string arm_token;
  std::string batch_token;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  if (size < 4) return 0;
  const char door = static_cast<char>(data[0] & 3);
  std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t line = text.find('\n');
  const std::string_view first = text.substr(0, line);
  const size_t space = first.find(' ');
  if (space == std::string_view::npos) return 0;
  http::Asked asked;
  asked.method = first.substr(0, space);
  asked.target = first.substr(space + 1);
  asked.body = line == std::string_view::npos ? "" : text.substr(line + 1);
  asked.headers = {{"Metadata", "true"}, {"Content-Type", "application/json; odata=minimalmetadata"}};
  asked.headers.emplace_back("Authorization", "Bearer " + (door == 0 ? world.batch_token : world.arm_token));
  int answers = 0;
  const http::Answer answer = [&](const http::Response& response) {
    ++answers;
    if (response.status < 200 || response.status > 503 || response.status == 500) std::abort();
  };
  switch (door) {
    case 0:
      world.face->handle(AzureFace::Plane::batch, "acc", asked, answer);
      break;
    case 1:
      world.face->handle(AzureFace::Plane::arm, "", asked, answer);
      break;
    case 2:
      world.face->handle(AzureFace::Plane::login, "", asked, answer);
      break;
    default:
      world.face->handle_imds(nullptr, asked, answer);
  }
  if (answers != 1) std::abort();
  (void)azure::ODataFilter::parse(text);
  (void)azure::parse_iso_duration(text);
  return 0;
}
