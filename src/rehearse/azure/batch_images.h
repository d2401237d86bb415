// Marketplace images that Batch accepts, with the node agent that each needs. A selection of what the service lists.
// https://learn.microsoft.com/rest/api/batchservice/account/list-supported-images
#pragma once

#include <array>
#include <string_view>

namespace slipway::rehearse::azure {

struct BatchImage {
  std::string_view publisher;
  std::string_view offer;
  std::string_view sku;
  std::string_view node_agent;
};

inline constexpr std::array batch_images{
    BatchImage{"canonical", "0001-com-ubuntu-server-focal", "20_04-lts", "batch.node.ubuntu 20.04"},
    BatchImage{"canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "batch.node.ubuntu 22.04"},
    BatchImage{"canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "batch.node.ubuntu 22.04"},
    BatchImage{"canonical", "ubuntu-24_04-lts", "server", "batch.node.ubuntu 24.04"},
    BatchImage{"microsoft-dsvm", "ubuntu-hpc", "2004", "batch.node.ubuntu 20.04"},
    BatchImage{"microsoft-dsvm", "ubuntu-hpc", "2204", "batch.node.ubuntu 22.04"},
    BatchImage{"microsoft-dsvm", "ubuntu-hpc", "2404", "batch.node.ubuntu 24.04"},
    BatchImage{"almalinux", "almalinux", "8-gen1", "batch.node.el 8"},
    BatchImage{"almalinux", "almalinux", "8-gen2", "batch.node.el 8"},
    BatchImage{"almalinux", "almalinux-x86_64", "9-gen1", "batch.node.el 9"},
    BatchImage{"almalinux", "almalinux-x86_64", "9-gen2", "batch.node.el 9"},
    BatchImage{"almalinux", "almalinux-hpc", "8_7-hpc-gen2", "batch.node.el 8"},
    BatchImage{"debian", "debian-11", "11", "batch.node.debian 11"},
    BatchImage{"debian", "debian-11", "11-gen2", "batch.node.debian 11"},
    BatchImage{"debian", "debian-12", "12", "batch.node.debian 12"},
    BatchImage{"debian", "debian-12", "12-gen2", "batch.node.debian 12"},
};

}  // namespace slipway::rehearse::azure
