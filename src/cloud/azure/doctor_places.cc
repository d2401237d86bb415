// Where machines are put and what they boot: subnets and images.
#include <set>

#include "cloud/azure/batch_settings.h"
#include "cloud/azure/examination.h"
#include "http/url.h"

namespace slipway::cloud::azure {

namespace {

constexpr const char* network_version = "2024-01-01";
constexpr const char* compute_version = "2024-07-01";
constexpr const char* gallery_version = "2023-07-03";

// "/subscriptions/<this>/…"
std::string subscription_of(const std::string& id) {
  constexpr std::string_view front = "/subscriptions/";
  if (!lower_case(id).starts_with(front)) return "";
  return lower_case(id.substr(front.size(), id.find('/', front.size()) - front.size()));
}

using Pools = std::vector<const model::Pool*>;

void examine_subnet(Examination& examination, const std::string& id, const Pools& pools) {
  const std::string what = "subnet " + id.substr(id.rfind('/') + 1);
  const auto body = examination.get(id, network_version);
  const auto subnet = body ? parse_subnet(*body) : Result<SubnetView>(fail(body.error()));
  if (!subnet) {
    if (subnet.error().code != ErrorCode::not_found) {
      return examination.add_unknown(what, subnet.error(), "Microsoft.Network/virtualNetworks/subnets/read");
    }
    return examination.add(what, Verdict::problem, "there is no " + id, "correct subnet in the file, or make it");
  }
  const std::string network = id.substr(0, lower_case(id).rfind("/subnets/"));
  const auto network_body = examination.get(network, network_version);
  const auto region = network_body ? parse_region(*network_body) : Result<std::string>(fail(network_body.error()));
  uint64_t wanted = 0;
  for (const model::Pool* pool : pools) {
    wanted += pool->max;
    const model::AzurePool& azure = *pool->azure;
    const std::string who = "pool " + pool->name.str() + ": subnet";
    if (subscription_of(id) != lower_case(azure.subscription)) {
      examination.add(who, Verdict::problem, "it is in another subscription than the pool's machines",
                      "Azure takes only subnets of the same subscription: choose another");
    } else if (region && region_word(*region) != region_word(azure.region)) {
      examination.add(who, Verdict::problem, "it is in " + *region + ", the pool in " + azure.region,
                      "Azure takes only subnets of the same region: choose another");
    }
  }
  if (!region) examination.add_unknown(what + ": region", region.error(), "Microsoft.Network/virtualNetworks/read");
  if (!subnet->delegated_to.empty()) {
    return examination.add(what, Verdict::problem, "it is delegated to " + subnet->delegated_to,
                           "choose a subnet that no service has for itself");
  }
  const uint64_t free = subnet->addresses > subnet->used ? subnet->addresses - subnet->used : 0;
  const std::string sentence = std::to_string(free) + " of its " + std::to_string(subnet->addresses) +
                               " addresses are free, its pools may come to " + std::to_string(wanted) + " machines";
  if (free >= wanted) return examination.add(what, Verdict::ok, sentence);
  examination.add(what, free == 0 ? Verdict::problem : Verdict::warning, sentence,
                  "give it a larger or another address range, or lower the pools' max");
}

void judge_existence(Examination& examination, const std::string& what, const model::AzurePool& azure,
                     const Result<std::string>& body, std::string_view action) {
  const std::string way = "correct image: publisher:offer:sku:version, or an image's resource id";
  if (!body && body.error().code != ErrorCode::not_found) return examination.add_unknown(what, body.error(), action);
  if (!body || *body == "[]") {
    return examination.add(what, Verdict::problem, "there is no " + azure.image + " in " + azure.region, way);
  }
  examination.add(what, Verdict::ok, "there is " + azure.image + " in " + azure.region);
}

void examine_marketplace(Examination& examination, const std::string& what, const model::AzurePool& azure) {
  const auto parts = marketplace_image(azure.image);
  if (parts.size() < 3) {
    return examination.add(what, Verdict::problem, "not an image: " + azure.image,
                           "publisher:offer:sku:version, or an image's resource id");
  }
  std::string id = "/subscriptions/" + azure.subscription + "/providers/Microsoft.Compute/locations/" +
                   region_word(azure.region) + "/publishers/" + http::encode(parts[0]) +
                   "/artifacttypes/vmimage/offers/" + http::encode(parts[1]) + "/skus/" + http::encode(parts[2]) +
                   "/versions";
  if (parts.size() > 3 && parts[3] != "latest") id += "/" + http::encode(parts[3]);
  judge_existence(examination, what, azure, examination.get(id, compute_version),
                  "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read on the subscription");
}

void examine_image_resource(Examination& examination, const std::string& what, const model::AzurePool& azure) {
  const std::string id = lower_case(azure.image);
  if (!id.starts_with("/subscriptions/")) {
    return examination.add(what, Verdict::unknown, "whether " + azure.image + " may be used shows at the first launch",
                           "`az sig show-community` and `az sig show-shared` tell of it");
  }
  const bool in_gallery = id.find("/galleries/") != std::string::npos;
  const auto body = examination.get(azure.image, in_gallery ? gallery_version : compute_version);
  const char* action =
      in_gallery ? "Microsoft.Compute/galleries/images/versions/read" : "Microsoft.Compute/images/read";
  const auto image = body ? parse_image(*body) : Result<ImageView>(fail(body.error()));
  if (!image) return judge_existence(examination, what, azure, fail(image.error()), action);
  const std::string region = region_word(azure.region);
  if (!image->regions.empty() && !image->regions.contains(region)) {
    return examination.add(what, Verdict::problem, "this version has no copy in " + azure.region,
                           "add " + azure.region + " to its target regions: az sig image-version update");
  }
  if (!in_gallery && region_word(image->region) != region) {
    return examination.add(what, Verdict::problem, "it is in " + image->region + ", the pool in " + azure.region,
                           "copy it there, or put it into a gallery, whose versions have copies in many regions");
  }
  examination.add(what, Verdict::ok, "it is there, for " + azure.region);
}

}  // namespace

void examine_subnets(Examination& examination) {
  std::map<std::string, Pools> subnets;
  examination.for_each_pool([&](const model::Pool& pool, const model::AzurePool& azure) {
    if (!azure.subnet.empty()) subnets[azure.subnet].push_back(&pool);
  });
  for (const auto& [id, pools] : subnets) examine_subnet(examination, id, pools);
}

void examine_images(Examination& examination) {
  examination.for_each_pool([&](const model::Pool& pool, const model::AzurePool& azure) {
    const std::string what = "pool " + pool.name.str() + ": image";
    const bool is_batch = azure.kind == model::AzurePoolKind::batch;
    if (!azure.image.starts_with('/')) {
      if (!is_batch) examine_marketplace(examination, what, azure);
      return;
    }
    // learn.microsoft.com, "Use the Azure Compute Gallery to create a custom image pool": prerequisites.
    if (is_batch && !azure.batch_key_file.empty() && azure.node_identity.empty()) {
      examination.add(what, Verdict::problem, "Batch boots own images only for callers with a token, not with a key",
                      "take batch_key_file out of the file and assign the role that `slipway azure role` prints");
      return;
    }
    examine_image_resource(examination, what, azure);
  });
}

}  // namespace slipway::cloud::azure
