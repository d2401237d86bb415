#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/subprocess.h"
#include "cli/commands.h"

namespace slipway::cli {
namespace {

// What bash would offer after these words; the last one is being typed.
std::vector<std::string> offered(const std::vector<std::string>& words) {
  std::string script = completion_script(command_tree(), "bash") + "\nCOMP_WORDS=(";
  for (const std::string& word : words) script += "'" + word + "' ";
  script += ")\nCOMP_CWORD=" + std::to_string(words.size() - 1) + "\n_slipway\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
  Command command;
  command.argv = {"bash", "--norc", "-s"};
  command.input = script;
  const auto done = run_command(command);
  EXPECT_TRUE(done);
  EXPECT_EQ("", done->err);
  std::vector<std::string> found;
  for (size_t at = 0; at < done->out.size();) {
    const size_t end = done->out.find('\n', at);
    if (end > at) found.push_back(done->out.substr(at, end - at));
    at = end + 1;
  }
  return found;
}

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

TEST(Completion, BashOffersCommands) {
  const auto all = offered({"slipway", ""});
  for (const char* word : {"up", "down", "nodes", "chaos", "--cluster", "--json"}) EXPECT_TRUE(has(all, word)) << word;
  EXPECT_FALSE(has(all, "version")) << "hidden";
  EXPECT_EQ((std::vector<std::string>{"exec", "explain", "events"}).size(), offered({"slipway", "e"}).size());
  EXPECT_EQ((std::vector<std::string>{"freeze"}), offered({"slipway", "chaos", "f"}));
}

TEST(Completion, BashOffersOptionsAndValues) {
  const auto nodes = offered({"slipway", "nodes", "--"});
  EXPECT_TRUE(has(nodes, "--all"));
  EXPECT_TRUE(has(nodes, "--json")) << "global options follow a command, too";
  EXPECT_FALSE(has(nodes, "--keep-data"));
  EXPECT_EQ((std::vector<std::string>{"zsh"}), offered({"slipway", "completion", "z"}));
  EXPECT_EQ((std::vector<std::string>{"controller"}), offered({"slipway", "exec", "con"}));
  EXPECT_EQ((std::vector<std::string>{"slurmctld"}), offered({"slipway", "--json", "logs", "slurmct"}));
  EXPECT_TRUE(has(offered({"slipway", "exec", "login", "--", "ba"}), "bash"));
  EXPECT_EQ((std::vector<std::string>{"unlimited"}), offered({"slipway", "chaos", "capacity", "u"}));
  EXPECT_EQ((std::vector<std::string>{"spot"}), offered({"slipway", "chaos", "capacity", "3", "--market", "s"}));
  EXPECT_EQ((std::vector<std::string>{"quota"}), offered({"slipway", "chaos", "capacity", "3", "--error", "q"}));
}

TEST(Completion, BashOffersFiles) {
  std::string folder = (std::filesystem::temp_directory_path() / "slipway-test-XXXXXX").string();
  ASSERT_NE(nullptr, ::mkdtemp(folder.data()));
  std::ofstream(folder + "/demo.yaml") << "";
  std::filesystem::create_directory(folder + "/demo.d");
  EXPECT_TRUE(has(offered({"slipway", "up", folder + "/de"}), folder + "/demo.yaml"));
  EXPECT_EQ((std::vector<std::string>{folder + "/demo.d"}),
            offered({"slipway", "status", "--state-base", folder + "/"}));
  std::filesystem::remove_all(folder);
}

// Every command and option appears in every script.
TEST(Completion, NothingIsForgotten) {
  const CommandNode tree = command_tree();
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(tree, shell);
    for (const CommandNode& command : tree.commands) {
      EXPECT_NE(std::string::npos, script.find(command.name)) << shell << ": " << command.name;
      for (const OptionNode& option : command.options) {
        for (const std::string& name : option.names) {
          const std::string bare = name.substr(name.find_first_not_of('-'));
          EXPECT_NE(std::string::npos, script.find(bare)) << shell << ": " << name;
        }
      }
    }
  }
}

TEST(Completion, QuotesAreClosed) {
  CommandNode tree;
  tree.name = "slipway";
  tree.commands.push_back({"odd", "It's [odd]: a test", {{{"--odd"}, "don't", ""}}, {}, {}});
  for (const char* shell : {"zsh", "fish"}) {
    const std::string script = completion_script(tree, shell);
    // '\'' closes, adds and opens again: an even number of quotes that aren't escaped.
    size_t quotes = 0;
    for (size_t i = 0; i < script.size(); ++i) {
      if (script[i] == '\'' && (i == 0 || script[i - 1] != '\\')) ++quotes;
    }
    EXPECT_EQ(0U, quotes % 2) << script;
  }
}

}  // namespace
}  // namespace slipway::cli
