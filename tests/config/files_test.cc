// Files on disk: the cluster file itself, scripts and images, and the files that the repository shows to others.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "helpers.h"

namespace slipway::config {
namespace {

namespace fs = std::filesystem;

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "slipway-config-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  // The only problem of a cluster file with these keys in its pool.
  std::string problem_with(const std::string& keys) {
    Loaded loaded = load(write("c.yaml", "cluster: a\npools:\n  p:\n    max: 1\n" + keys));
    EXPECT_EQ(loaded.problems.size(), 1u) << all_problems(loaded);
    return all_problems(loaded);
  }

  fs::path folder_;
};

std::string read_text_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream) << path;
  std::ostringstream out;
  out << stream.rdbuf();
  return out.str();
}

fs::path repository() {
  return fs::path(__FILE__).parent_path().parent_path().parent_path();
}

TEST_F(Files, ScriptsAndImagesAreFoundBesideTheFile) {
  write("prep/node.sh", "#!/bin/sh\necho hello");
  write("images/debian/usr/bin/sh", "");
  Loaded loaded = load(write("c.yaml", "cluster: a\npools: {p: {max: 1, prep: prep/node.sh, image: images/debian}}\n"));
  EXPECT_EQ(all_problems(loaded), "");
  EXPECT_EQ(loaded.cluster.pools[0].prep, "#!/bin/sh\necho hello\n");
  EXPECT_EQ(loaded.cluster.pools[0].image, (folder_ / "images/debian").string());
}

TEST_F(Files, AnImagesOwnLinksAreNotFollowedOutOfIt) {
  fs::create_directories(folder_ / "img/bin");
  fs::create_symlink("/no/such/shell", folder_ / "img/bin/sh");
  EXPECT_EQ(all_problems(load(write("c.yaml", "cluster: a\npools: {p: {max: 1, image: img}}\n"))), "");
}

TEST_F(Files, MissingOnesAreErrorsWithTheirPlace) {
  EXPECT_NE(problem_with("    prep: none.sh\n").find("file:5:11: error: pools.p.prep: no file"), std::string::npos);
  EXPECT_NE(problem_with("    prep: .\n").find("no file"), std::string::npos);
  EXPECT_NE(problem_with("    image: none\n").find("file:5:12: error: pools.p.image: no folder"), std::string::npos);
  fs::create_directories(folder_ / "empty");
  EXPECT_NE(problem_with("    image: empty\n").find("has no bin/sh"), std::string::npos);
}

TEST_F(Files, ScriptsAreScripts) {
  write("empty.sh", "");
  EXPECT_NE(problem_with("    prep: empty.sh\n").find("is empty"), std::string::npos);
  write("bare.sh", "echo\n");
  EXPECT_NE(problem_with("    prep: bare.sh\n").find("doesn't say what runs it"), std::string::npos);
  write("windows.sh", "#!/bin/sh\r\necho\r\n");
  EXPECT_NE(problem_with("    prep: windows.sh\n").find("Windows line ends"), std::string::npos);
  write("binary.sh", std::string("#!/bin/sh\n\0\1", 12));
  EXPECT_NE(problem_with("    prep: binary.sh\n").find("is no text"), std::string::npos);
  write("large.sh", "#!/bin/sh\n" + std::string(1 << 20, '#'));
  EXPECT_NE(problem_with("    prep: large.sh\n").find("scripts have at most 1 MiB in all"), std::string::npos);
}

TEST_F(Files, ScriptsAreBoundedTogether) {
  write("half.sh", "#!/bin/sh\n" + std::string(600'000, '#') + "\n");
  Loaded loaded =
      load(write("c.yaml", "cluster: a\npools:\n  p: {max: 1, prep: half.sh}\n  q: {max: 1, prep: half.sh}\n"));
  EXPECT_NE(all_problems(loaded).find("file:4:21: error: pools.q.prep: with this one the scripts have more than 1 MiB"),
            std::string::npos)
      << all_problems(loaded);
}

TEST_F(Files, TheLargestScriptSurvivesToYaml) {
  write("large.sh", "#!/bin/sh\n" + std::string((1 << 20) - 12, '"') + "\n");
  Loaded loaded = load(write("c.yaml", "cluster: a\npools: {p: {max: 1, prep: large.sh}}\n"));
  ASSERT_TRUE(loaded.ok()) << all_problems(loaded);
  Loaded again = parse(to_yaml(loaded.cluster), "/nonexistent", false);
  ASSERT_TRUE(again.ok()) << all_problems(again);
  EXPECT_TRUE(again.cluster.pools[0].prep == loaded.cluster.pools[0].prep);
}

TEST_F(Files, WithoutCheckPathsNothingNeedBeThere) {
  std::string text = "cluster: a\npools: {p: {max: 1, prep: none.sh, image: none}}\n";
  Loaded loaded = load(write("c.yaml", text), false);
  EXPECT_EQ(all_problems(loaded), "");
  EXPECT_EQ(loaded.cluster.pools[0].prep, "");
  EXPECT_EQ(loaded.cluster.pools[0].image, (folder_ / "none").string());
}

TEST_F(Files, UnreadableClusterFilesAreProblems) {
  for (const fs::path& path : {folder_ / "none.yaml", folder_, folder_ / "none" / "c.yaml", fs::path("")}) {
    Loaded loaded = load(path);
    EXPECT_FALSE(loaded.ok());
    ASSERT_EQ(loaded.problems.size(), 1u);
    EXPECT_EQ(loaded.problems[0].line, 0);
  }
  fs::path large = write("large.yaml", "");
  fs::resize_file(large, 100 << 20);
  EXPECT_NE(all_problems(load(large)).find("has 104857600 bytes"), std::string::npos);
  EXPECT_FALSE(load("/dev/zero").ok());
  EXPECT_FALSE(load("/dev/null").ok());
}

TEST(Repository, ExamplesHaveNoProblems) {
  int examples = 0;
  for (const auto& file : fs::directory_iterator(repository() / "examples")) {
    if (file.path().extension() != ".yaml") continue;
    ++examples;
    const Loaded loaded = load(file.path());
    EXPECT_EQ(all_problems(loaded), "") << file.path();
    const std::string written = to_yaml(loaded.cluster);
    EXPECT_EQ(to_yaml(parse_text(written).cluster), written) << file.path();
  }
  EXPECT_GE(examples, 6);
  model::Cluster demo = load(repository() / "examples/demo.yaml").cluster;
  EXPECT_EQ(demo.name, "demo");
  ASSERT_EQ(demo.pools.size(), 2u);
  EXPECT_EQ(demo.pools[0].max, 64u);
  EXPECT_EQ(demo.pools[1].features, std::vector<std::string>{"bigmem"});
  EXPECT_EQ(load(repository() / "examples/big.yaml").cluster.pools[0].max, 1000u);
}

// What the Azure chapter's fragments leave out.
constexpr const char* azure_section =
    "provider: azure\nazure:\n  subscription: 11111111-2222-3333-4444-555555555555\n  resource_group: lab\n"
    "  region: westeurope\n  account: labbatch\n  subnet: net/nodes\n"
    "  image: canonical:ubuntu-24_04-lts:server:latest\n"
    "  node_identity: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/lab/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/nodes\n";

// Blocks marked ```yaml are whole files; fragments are marked ```yaml fragment and stand for keys beside a minimal
// file's, or ```yaml azure beside those of a file with Azure's.
TEST(Repository, DocumentedExamplesHaveNoProblems) {
  std::string text = read_text_file(repository() / "docs/cluster-file.md");
  std::istringstream lines(text);
  std::string line, block;
  int blocks = 0;
  bool inside = false, fragment = false, azure = false;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (!inside && line.starts_with("```yaml")) {
      inside = true;
      azure = line == "```yaml azure";
      fragment = azure || line == "```yaml fragment";
      block.clear();
    } else if (inside && line == "```") {
      inside = false;
      ++blocks;
      if (azure) block = azure_section + block;
      if (fragment && block.find("cluster:") != 0) block = "cluster: docs\n" + block;
      if (fragment && block.find("\npools:") == std::string::npos)
        block += "\npools: {cpu: {max: 64}, big: {max: 8}}\n";
      EXPECT_EQ(all_problems(parse_text(block)), "") << "the block that ends in line " << number << ":\n" << block;
    } else if (inside) {
      block += line + "\n";
    }
  }
  EXPECT_GE(blocks, 8);
}

}  // namespace
}  // namespace slipway::config
