// Files that are no cluster files: an error with its place, soon, and never a crash.
#include <chrono>

#include "config/tree.h"
#include "helpers.h"

namespace slipway::config {
namespace {

std::string repeat(std::string_view part, size_t times) {
  std::string out;
  out.reserve(part.size() * times);
  for (size_t i = 0; i < times; ++i) out += part;
  return out;
}

void expect_first_error(std::string_view yaml, int line, int column, const std::string& message) {
  Loaded loaded = parse_text(yaml);
  ASSERT_FALSE(loaded.problems.empty()) << yaml.substr(0, 100);
  const Problem& problem = loaded.problems[0];
  EXPECT_EQ(problem.severity, Severity::error);
  EXPECT_EQ(problem.line, line) << problem.message;
  EXPECT_EQ(problem.column, column) << problem.message;
  EXPECT_NE(problem.message.find(message), std::string::npos) << problem.message;
}

TEST(Absurd, NothingAtAll) {
  for (const char* text :
       {"", "\n\n", "# only a comment\n", "---\n", "---\n...\n", "   ", "~", "null", "%YAML 1.2\n---\n"}) {
    expect_first_error(text, 0, 0, "the file describes nothing");
  }
}

TEST(Absurd, NotText) {
  using namespace std::string_view_literals;
  expect_first_error("cluster: a\npo\0ols"sv, 2, 3, "control character 0x00");
  expect_first_error(
      "\x7f"
      "ELF\x02\x01"sv,
      1, 1, "control character 0x7f");
  expect_first_error("cluster: \xff\xfe"sv, 1, 10, "byte 0xff is not valid UTF-8");
  expect_first_error(
      "\xff\xfe"
      "c\0l\0"sv,
      1, 1, "not valid UTF-8");
  expect_first_error("a: \xc0\xaf"sv, 1, 4, "not valid UTF-8");          // overlong
  expect_first_error("a: \xed\xa0\x80"sv, 1, 4, "not valid UTF-8");      // surrogate
  expect_first_error("a: \xf4\x90\x80\x80"sv, 1, 4, "not valid UTF-8");  // beyond Unicode
  expect_first_error("a: \xe2\x82"sv, 1, 4, "not valid UTF-8");          // cut off
  expect_first_error("cluster: a\rpools: b\n", 1, 11, "control character 0x0d");
  expect_first_error("cluster: a\x04\n", 1, 11, "control character 0x04");
}

TEST(Absurd, TabsThatIndent) {
  expect_first_error("cluster: a\npools:\n\tcpu: {max: 2}\n", 3, 1, "a tab indents this line");
  expect_first_error("cluster: a\npools:\n  \tcpu: {max: 2}\n", 3, 3, "a tab indents this line");
  EXPECT_TRUE(parse_text("cluster: a\t# fine\n\t\npools: {cpu:\t{max: 2}}\n").ok());
}

TEST(Absurd, NotYaml) {
  expect_first_error("cluster: a: b\n", 1, 11, "not valid YAML: illegal map value");
  expect_first_error("cluster: \"a\n", 1, 10, "a \" opens here and nothing closes it");
  expect_first_error("cluster: 'a\n", 1, 10, "a ' opens here and nothing closes it");
  expect_first_error("cluster: 'a''\n", 1, 10, "a ' opens here and nothing closes it");
  expect_first_error("cluster: &x \"a\\\"\n", 1, 10, "a \" opens here and nothing closes it");
  expect_first_error("cluster: \"a", 1, 12, "is a closing quote missing?");
  expect_first_error("cluster: a\npools: {cpu: {max: 2}\n", 3, 1, "is a '}', ']' or ',' missing?");
  expect_first_error("cluster: a\n pools: {}\n", 2, 7, "not valid YAML");
  expect_first_error("a: *b\n", 1, 4, "expected an anchor (&name) further up");
  expect_first_error("a: @b\n", 1, 4, "not valid YAML");
}

TEST(Absurd, YamlThatIsNotOurs) {
  expect_first_error("cluster: a\npools: {p: {max: 1}}\n---\ncluster: b\n", 3, 1, "a second YAML document starts here");
  expect_first_error("cluster: !!str a\npools: {p: {max: 1}}\n", 1, 10,
                     "the tag 'tag:yaml.org,2002:str' means nothing here");
  expect_first_error("cluster: a\npools: !x {p: {max: 1}}\n", 2, 8, "the tag '!x' means nothing here");
  expect_first_error("cluster: a\npools:\n  p: &b {max: 1}\n  q:\n    <<: *b\n", 5, 5, "merge keys");
  expect_first_error("cluster: a\npools: {p: {max: &x 1}, q: {max: &x 2}}\n", 2, 34, "the anchor &x is there already");
  expect_first_error("cluster: a\npools: &x {p: *x}\n", 2, 15, "this alias stands inside the value that it means");
  expect_first_error("? [a, b]\n: c\ncluster: a\npools: {p: {max: 1}}\n", 1, 3, "a key must be a word");
  expect_first_error("{a, b}\n", 0, 0, "'cluster' is missing");
}

TEST(Absurd, TooDeep) {
  for (const char* part : {"[", "{", "- ", "? ", "{a: ", "[[", "- - "}) {
    expect_first_error(repeat(part, 100'000), 1,
                       static_cast<int>(parse_text(repeat(part, 100'000)).problems.at(0).column),
                       "nested deeper than 16 levels");
  }
  std::string ladder;
  for (size_t i = 0; i < 500; ++i) ladder += std::string(i, ' ') + "a:\n";
  expect_first_error(ladder, 17, 17, "nested deeper than 16 levels");
  // Aliases can't dig deeper than text can.
  std::string aliases = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i)
    aliases += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  Loaded loaded = parse_text(aliases);
  EXPECT_NE(all_problems(loaded).find("nested deeper than 16 levels"), std::string::npos);
}

TEST(Absurd, TooMuch) {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    std::string before = std::string("*") + static_cast<char>(c - 1);
    bomb += std::string(1, c) + ": &" + c + " [" + before + repeat(", " + before, 9) + "]\n";
  }
  expect_first_error(bomb, 5, 36, "the file describes more than 100000 values");
  expect_first_error(std::string(text_bytes_max + 1, 'a'), 0, 0,
                     "has 4194305 bytes; a cluster file has at most 4194304");
  std::string keys = "cluster: a\npools: {p: {max: 1}}\nusers:\n";
  for (int i = 0; i < 1001; ++i) keys += "  - u" + std::to_string(i) + "\n";
  expect_first_error(keys, 4, 3, "users: has 1001 entries; expected at most 1000");
}

TEST(Absurd, ManyMistakesAreCutShort) {
  std::string text = "cluster: a\npools:\n";
  for (int i = 0; i < 900; ++i) text += "  P" + std::to_string(i) + ": {max: x}\n";
  Loaded loaded = parse_text(text);
  ASSERT_EQ(loaded.problems.size(), 201u);
  EXPECT_NE(loaded.problems.back().message.find("there are 1600 more problems"), std::string::npos)
      << loaded.problems.back().message;
}

TEST(Absurd, MessagesShowAbsurdTextSafely) {
  Loaded loaded = parse_text("cluster: \"" + repeat("x", 5000) + "\\e[31m\"\npools: {p: {max: 1}}\n");
  for (const Problem& problem : loaded.problems) {
    EXPECT_LT(problem.message.size(), 400u);
    EXPECT_EQ(problem.message.find('\x1b'), std::string::npos);
  }
  loaded =
      parse_text("cluster: \"a\\e[31m\"\n\"\\e[31m\": 1\npools: {p: {max: 1, \"\\e\": 1}, \"\\e\": {max: 1, x: 1}}\n");
  EXPECT_GE(loaded.problems.size(), 4u);
  EXPECT_EQ(all_problems(loaded).find('\x1b'), std::string::npos);
}

// One line of megabytes, thousands of mistakes, thousands of words to compare: all of it must stay far from quadratic.
TEST(Absurd, TakesBoundedTime) {
  auto started = std::chrono::steady_clock::now();
  std::string flow = "{cluster: a, pools: {";
  for (int i = 0; i < 900; ++i) flow += "p" + std::to_string(i) + "x: {max: 1, " + repeat("zz: 1, ", 1) + "}, ";
  flow += "}, partitions: {";
  for (int i = 0; i < 90; ++i) {
    flow += "b" + std::to_string(i) + ": {pools: [";
    for (int j = 0; j < 900; ++j) flow += "q" + std::to_string(j) + ",";
    flow += "]}, ";
  }
  flow += "}, reclaim_exclude: [" + repeat("\"p0x-[0001-9999]\", ", 900) + "], slurm: {";
  for (int i = 0; i < 900; ++i) flow += "Abcdefg" + std::to_string(i) + ": 1, ";
  flow += "}}";
  EXPECT_FALSE(parse_text(flow).ok());
  EXPECT_FALSE(parse_text("[" + repeat("'a', ", 800'000)).ok());
  EXPECT_FALSE(parse_text(repeat("'", text_bytes_max)).ok());
  auto took = std::chrono::steady_clock::now() - started;
  EXPECT_LT(took, std::chrono::seconds(60));
}

}  // namespace
}  // namespace slipway::config
