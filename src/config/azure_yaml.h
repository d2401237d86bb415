// Parts of to_yaml.
#pragma once

#include <string>
#include <string_view>

#include "model/azure.h"

namespace slipway::config {

// Any text as a double-quoted YAML scalar on one line.
std::string quote_yaml(std::string_view text);
void add_azure_cloud(std::string& out, const model::AzureCloud& cloud);  // at the top level
void add_azure_pool(std::string& out, const model::AzurePool& pool);     // as a key of a pool

}  // namespace slipway::config
