// Azure's names of things: whether a text can be one, and what was expected.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/read.h"

namespace slipway::config {

// Each gives the text, or reports and gives nothing.
std::optional<std::string> read_guid(Context& context, const Field& field, std::string_view what);
// A GUID or a domain of the tenant's.
std::optional<std::string> read_tenant(Context& context, const Field& field);
std::optional<std::string> read_resource_group(Context& context, const Field& field);
std::optional<std::string> read_region(Context& context, const Field& field);
// "vnet/subnet" or a resource id.
std::optional<std::string> read_azure_subnet(Context& context, const Field& field);
// A marketplace image as "publisher:offer:sku:version", or the resource id of an image or of a gallery's.
std::optional<std::string> read_azure_image(Context& context, const Field& field);
// Names of Batch and of storage accounts.
std::optional<std::string> read_account_name(Context& context, const Field& field, std::string_view what);
// A resource id of this form, in which "*" stands for a name: "/subscriptions/*/resourceGroups/*/providers/…".
std::optional<std::string> read_resource_id(Context& context, const Field& field, std::string_view form,
                                            std::string_view what);
// "https://host[:port][/path]" without a '/' at its end. "http" only to this box and the addresses set aside for tests
// when `plain_anywhere` isn't set.
std::optional<std::string> read_url(Context& context, const Field& field, std::string_view example,
                                    bool plain_anywhere = false);
// The absolute path of a file on this box. What stands there instead isn't shown: it may be the secret itself.
std::optional<std::string> read_file_path(Context& context, const Field& field, std::string_view what);

inline constexpr std::string_view subnet_form =
    "/subscriptions/*/resourceGroups/*/providers/Microsoft.Network/virtualNetworks/*/subnets/*";
inline constexpr std::string_view identity_form =
    "/subscriptions/*/resourceGroups/*/providers/Microsoft.ManagedIdentity/userAssignedIdentities/*";
inline constexpr std::string_view reservation_form =
    "/subscriptions/*/resourceGroups/*/providers/Microsoft.Compute/capacityReservationGroups/*";

}  // namespace slipway::config
