// The published descriptions of the APIs that the simulated Azure serves, as scripts/azure-api distils them into
// data/azure-api/ (source, version, date and licence there).
#pragma once

namespace slipway::rehearse::azure {

extern const char* const batch_spec_text;
extern const char* const batch_management_spec_text;
extern const char* const compute_spec_text;
extern const char* const skus_spec_text;
extern const char* const network_spec_text;
extern const char* const resources_spec_text;
extern const char* const imds_spec_text;

}  // namespace slipway::rehearse::azure
