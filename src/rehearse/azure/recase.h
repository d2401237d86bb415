// The same pool is told to two APIs in nearly the same words: ARM says {"id", "Zonal"} where the data plane says
// {"virtualMachineImageId", "zonal"}. This brings a value into the words of a schema.
#pragma once

#include "rehearse/azure/spec.h"

namespace boost::json {
class value;
}

namespace slipway::rehearse::azure {

// Property names and enum values as `schema` spells them, whatever their case was; what it doesn't know is left out.
boost::json::value recase(const boost::json::value& from, const Schema& schema);

}  // namespace slipway::rehearse::azure
