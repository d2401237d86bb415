#include "rehearse/azure/face.h"

#include <boost/json.hpp>

#include "rehearse/azure/arm_plane.h"
#include "rehearse/azure/batch_plane.h"
#include "rehearse/azure/batch_pools.h"
#include "rehearse/azure/certificates.h"
#include "rehearse/azure/core.h"
#include "rehearse/azure/imds.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/login.h"
#include "rehearse/azure/operations.h"
#include "rehearse/azure/scale_sets.h"

namespace slipway::rehearse {

namespace json = boost::json;

struct AzureFace::Impl {
  Impl(Loop& loop, const Clock& clock, Site& site, Gate& gate, AzureWorld world, AzureOptions options)
      : core(loop, clock, site, gate, std::move(world), std::move(options)),
        pools(core),
        operations(core),
        sets(core, operations),
        batch(core, pools),
        arm(core, pools, sets, operations),
        login(core),
        imds(core, pools, sets) {}

  azure::Core core;
  azure::BatchPools pools;
  azure::Operations operations;
  azure::ScaleSets sets;
  azure::BatchPlane batch;
  azure::ArmPlane arm;
  azure::Login login;
  azure::Imds imds;
};

AzureFace::AzureFace(Loop& loop, const Clock& clock, Site& site, Gate& gate, AzureWorld world, AzureOptions options)
    : impl_(std::make_unique<Impl>(loop, clock, site, gate, std::move(world), std::move(options))) {}

AzureFace::~AzureFace() = default;

void AzureFace::handle(Plane plane, const std::string& batch_account, http::Asked asked, http::Answer answer) {
  switch (plane) {
    case Plane::arm:
      return impl_->arm.handle(std::move(asked), std::move(answer));
    case Plane::login:
      return impl_->login.handle(std::move(asked), std::move(answer));
    case Plane::batch:
      return impl_->batch.handle(batch_account, std::move(asked), std::move(answer));
  }
}

void AzureFace::handle_imds(const Machine* machine, http::Asked asked, http::Answer answer) {
  impl_->imds.handle(machine, std::move(asked), std::move(answer));
}

void AzureFace::set_urls(std::string arm, std::string login,
                         std::vector<std::pair<std::string, std::string>> batch_by_account) {
  impl_->core.arm_url = std::move(arm);
  impl_->core.login_url = std::move(login);
  for (auto& [account, url] : batch_by_account) impl_->core.batch_urls[account] = std::move(url);
}

std::string AzureFace::save() const {
  return json::serialize(json::object{{"key", impl_->core.tokens->key()},
                                      {"pools", impl_->pools.save()},
                                      {"scale_sets", impl_->sets.save()},
                                      {"placement_groups", impl_->arm.save_placement_groups()}});
}

Result<void> AzureFace::load(std::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_object()) return fail(ErrorCode::bad_config, "the saved state isn't a JSON object");
  const json::object& saved = value.get_object();
  const std::string key = azure::text_at(saved, "key");
  if (!azure::is_rsa_key(key)) return fail(ErrorCode::bad_config, "the saved state lacks the signing key");
  const json::array none;
  const auto list = [&](std::string_view name) -> const json::array& {
    const json::value* found = azure::at_path(saved, name);
    return found != nullptr && found->is_array() ? found->get_array() : none;
  };
  impl_->core.tokens = std::make_unique<azure::Tokens>(impl_->core.clock, key);
  if (auto loaded = impl_->pools.load(list("pools")); !loaded) return loaded;
  if (auto loaded = impl_->sets.load(list("scale_sets")); !loaded) return loaded;
  return impl_->arm.load_placement_groups(list("placement_groups"));
}

std::shared_ptr<const Order> AzureFace::order_of(Order saved) const {
  if (auto order = impl_->pools.order_of(saved)) return order;
  return impl_->sets.order_of(saved);
}

}  // namespace slipway::rehearse
