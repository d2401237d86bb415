// The built-in Azure sizes as text, made from data/catalog/ by data/catalog/generate.py.
#pragma once

namespace slipway::catalog {

// One size a line, sorted by its name in lower case: name without "Standard_", vCPUs, vCPUs of a constrained size or
// nothing, MiB, dollars an hour or nothing, the price's region, quota family, letters (a: Arm64, s: spot, p: premium
// storage, r: InfiniBand), "GPUs model" or nothing. "=" stands for the same as in the line before.
extern const char azure_table[];

}  // namespace slipway::catalog
