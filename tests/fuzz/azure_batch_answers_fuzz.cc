#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cloud/azure/batch_model.h"
#include "cloud/azure/batch_plan.h"
#include "cloud/azure/batch_settings.h"
#include "cloud/azure/credentials.h"
#include "cloud/azure/rest.h"

namespace azure = slipway::cloud::azure;

// Whatever Batch, Entra or IMDS answer is read or refused in words, and a pool that says anything gets a step that
// Batch could take.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const slipway::TimePoint now{slipway::Duration(1'800'000'000'000)};
  const slipway::Error error = azure::error_of(409, {{"Retry-After", std::string(text.substr(0, 20))}}, text);
  if (error.message.empty() || error.message.size() > 4'000) abort();
  for (const auto& token : {azure::parse_token(text, now), azure::parse_cli_token(text, now)}) {
    if (token && (token->text.empty() || token->expires_at > now + std::chrono::hours(24 * 8))) abort();
  }
  (void)azure::parse_batch_images(text);
  const auto nodes = azure::parse_batch_nodes(text);
  std::vector<azure::BatchNodeView> there;
  if (nodes) there = nodes->items;
  for (const azure::BatchNodeView& node : there) {
    slipway::model::Instance instance;
    azure::describe(node, instance);
    if (instance.trouble && instance.trouble->message.empty()) abort();
  }
  const auto pools = azure::parse_batch_pools(text);
  if (!pools) return pools.error().message.empty() ? (abort(), 0) : 0;
  for (const azure::BatchPoolView& pool : pools->items) {
    azure::BatchWish wish;
    wish.wants = {{"t", slipway::model::Market::spot, 3}};
    for (const auto& shortage : azure::settle(pool, wish, now)) {
      if (shortage.count == 0 || shortage.error.message.empty()) abort();
    }
    azure::update_removals(there, wish);
    const azure::BatchStep step = azure::next_step(pool, there, wish);
    if (step.nodes.size() > azure::batch_removal_max) abort();
    if (step.kind != azure::BatchStep::Kind::none && !pool.active) abort();
    (void)azure::on_the_way(pool, there, wish);
  }
  return 0;
}
