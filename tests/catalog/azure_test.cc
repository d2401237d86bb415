// The built-in table against the files that it is made of, and against what Azure's own API says where that is known.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "catalog/catalog.h"

namespace slipway::catalog {
namespace {

using model::ProviderKind;
using Record = std::map<std::string, std::string>;

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> out(1);
  for (char c : line) {
    if (c == ',') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

std::vector<Record> read_csv(const std::string& name) {
  const auto path = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path() / "data/catalog" / name;
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::vector<Record> out;
  std::vector<std::string> header;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    const auto fields = split(line);
    if (header.empty()) {
      header = fields;
      continue;
    }
    EXPECT_EQ(fields.size(), header.size()) << line;
    Record record;
    for (size_t i = 0; i < fields.size() && i < header.size(); ++i) record[header[i]] = fields[i];
    out.push_back(std::move(record));
  }
  return out;
}

const MachineType& type(const std::string& name) {
  const MachineType* found = find(ProviderKind::azure, name);
  EXPECT_NE(found, nullptr) << name;
  static const MachineType none;
  return found == nullptr ? none : *found;
}

TEST(Azure, EverySizeOfTheDataIsInTheProgram) {
  const auto rows = read_csv("azure_sizes.csv");
  EXPECT_GT(rows.size(), 1300u);
  EXPECT_EQ(names(ProviderKind::azure).size(), rows.size()) << "run data/catalog/generate.py";
  for (const Record& row : rows) {
    const MachineType& found = type(row.at("size"));
    EXPECT_EQ(found.name, row.at("size"));
    EXPECT_EQ(std::to_string(found.cores), row.at("vcpus")) << found.name;
    EXPECT_EQ(std::to_string(found.memory_mib), row.at("memory_mib")) << found.name;
    EXPECT_EQ(found.usd_per_hour, row.at("usd_per_hour").empty() ? 0 : std::stod(row.at("usd_per_hour"))) << found.name;
    EXPECT_EQ(found.price_region, row.at("price_region")) << found.name;
  }
}

TEST(Azure, AgreesWithTheSkusApi) {
  const auto rows = read_csv("azure_sku_sample.csv");
  EXPECT_EQ(rows.size(), 20u);
  for (const Record& row : rows) {
    const MachineType& found = type(row.at("size"));
    EXPECT_EQ(found.family, row.at("family")) << found.name;
    EXPECT_EQ(std::to_string(found.cores), row.at("vcpus")) << found.name;
    EXPECT_EQ(std::to_string(shape_of(found).cpus), row.at("vcpus_available")) << found.name;
    EXPECT_EQ(static_cast<double>(found.memory_mib), std::stod(row.at("memory_gib")) * 1024) << found.name;
    EXPECT_EQ(std::to_string(found.gpus), row.at("gpus")) << found.name;
    EXPECT_EQ(found.rdma, row.at("rdma") == "True") << found.name;
    EXPECT_EQ(found.spot, row.at("low_priority") == "True") << found.name;
    EXPECT_EQ(found.premium_storage, row.at("premium_io") == "True") << found.name;
    EXPECT_EQ(found.architecture, row.at("architecture")) << found.name;
  }
}

TEST(Azure, GpusAndInfiniBandAreListedOneByOne) {
  std::set<std::string> listed;
  for (const Record& row : read_csv("azure_accelerators.csv")) {
    const MachineType& found = type(row.at("size"));
    listed.insert(found.name);
    EXPECT_EQ(std::to_string(found.gpus), row.at("gpus")) << found.name;
    EXPECT_EQ(found.gpu_model, row.at("gpu_model")) << found.name;
    EXPECT_EQ(found.rdma, row.at("rdma") == "yes") << found.name;
    EXPECT_EQ(found.gpus > 0, !found.gpu_model.empty()) << found.name;
  }
  for (std::string_view name : names(ProviderKind::azure)) {
    const char series = name[std::string_view("Standard_").size()];
    const bool may_have = series == 'N' || series == 'H';
    EXPECT_EQ(listed.contains(std::string(name)), may_have) << name;
    const MachineType& found = type(std::string(name));
    EXPECT_TRUE(may_have || (found.gpus == 0 && !found.rdma)) << name;
  }
}

// Facts that people will notice first when they are wrong.
TEST(Azure, WellKnownSizes) {
  EXPECT_EQ(type("Standard_HB120rs_v3").cores, 120u);
  EXPECT_EQ(type("Standard_HB120rs_v3").memory_mib, 456u * 1024);
  EXPECT_TRUE(type("Standard_HB120rs_v3").rdma);
  EXPECT_EQ(shape_of(type("Standard_HB120-16rs_v3")).cpus, 16u);
  EXPECT_EQ(type("Standard_HB120-16rs_v3").cores, 120u) << "quotas count the whole machine";
  EXPECT_EQ(shape_of(type("Standard_ND96isr_H100_v5")).gres, std::vector<std::string>{"gpu:h100:8"});
  EXPECT_EQ(shape_of(type("Standard_ND96amsr_A100_v4")).gres, std::vector<std::string>{"gpu:a100:8"});
  EXPECT_EQ(shape_of(type("Standard_ND96is_MI300X_v5")).gres, std::vector<std::string>{"gpu:mi300x:8"});
  EXPECT_FALSE(type("Standard_ND96is_MI300X_v5").rdma);
  EXPECT_EQ(shape_of(type("Standard_NC24rs_v3")).gres, std::vector<std::string>{"gpu:v100:4"});
  EXPECT_TRUE(shape_of(type("Standard_NP10s")).gres.empty()) << "an FPGA is no GPU";
  EXPECT_EQ(type("Standard_M416ms_v2").family, "standardMSv2Family");
  EXPECT_EQ(type("Standard_M128ms_v2").family, "standardMSMediumMemoryv2Family");
  EXPECT_EQ(type("Standard_D2ps_v5").architecture, "Arm64");
  EXPECT_FALSE(type("Standard_B2s").spot);
  EXPECT_FALSE(type("Standard_DS3_v2_Promo").spot);
}

TEST(Azure, NamesIgnoreCaseAndAreWholeNames) {
  EXPECT_EQ(type("standard_d2S_V5").name, "Standard_D2s_v5");
  for (const char* unknown :
       {"", "Standard_D2s", "Standard_D2s_v55", "D2s_v5", "Standard_", "zzz", "Standard_D2s_v5 "}) {
    EXPECT_EQ(find(ProviderKind::azure, unknown), nullptr) << unknown;
  }
  EXPECT_EQ(find(ProviderKind::local, "Standard_D2s_v5"), nullptr);
  EXPECT_TRUE(names(ProviderKind::local).empty());
}

TEST(Azure, EveryFeatureIsOneThatSlurmAccepts) {
  EXPECT_EQ(features_of(type("Standard_HB120rs_v3")),
            (std::vector<std::string>{"standard_hb120rs_v3", "hbv3", "ib", "x64"}));
  EXPECT_EQ(features_of(type("Standard_NC4as_T4_v3")),
            (std::vector<std::string>{"standard_nc4as_t4_v3", "ncasv3_t4", "gpu", "t4", "x64"}));
  EXPECT_EQ(features_of(type("Standard_D2ps_v5")), (std::vector<std::string>{"standard_d2ps_v5", "dpsv5", "arm64"}));
  EXPECT_EQ(features_of({}), std::vector<std::string>{"x64"});
  const std::string letters = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
  for (std::string_view name : names(ProviderKind::azure)) {
    const auto features = features_of(type(std::string(name)));
    EXPECT_GE(features.size(), 2u) << name;
    for (const std::string& feature : features) {
      EXPECT_EQ(feature.find_first_not_of(letters), std::string::npos) << feature;
      EXPECT_FALSE(feature.empty()) << name;
    }
    EXPECT_EQ(std::set<std::string>(features.begin(), features.end()).size(), features.size()) << name;
  }
}

TEST(Azure, FindingIsQuick) {
  const auto all = names(ProviderKind::azure);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(), [](std::string_view a, std::string_view b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                        [](unsigned char x, unsigned char y) { return tolower(x) < tolower(y); });
  }));
  const auto started = std::chrono::steady_clock::now();
  size_t found = 0;
  for (int round = 0; round < 100; ++round) {
    for (std::string_view name : all) found += find(ProviderKind::azure, name) != nullptr ? 1 : 0;
  }
  const auto took = std::chrono::steady_clock::now() - started;
  EXPECT_EQ(found, all.size() * 100);
  EXPECT_LT(took, std::chrono::seconds(2)) << "137,100 look-ups; 30 ms when nothing else runs";
}

}  // namespace
}  // namespace slipway::catalog
