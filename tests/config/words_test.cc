#include "config/words.h"

#include <gtest/gtest.h>

namespace slipway::config {
namespace {

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(edit_distance("memory", "memory"), 0u);
  EXPECT_EQ(edit_distance("Memory", "memory"), 0u);
  EXPECT_EQ(edit_distance("memmory", "memory"), 1u);
  EXPECT_EQ(edit_distance("mermory", "memory"), 1u);
  EXPECT_EQ(edit_distance("emmory", "memory"), 1u);  // neighbours swapped
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance(std::string(70, 'a'), "a"), 70u);
}

TEST(NearestWord, IsCloseOrNothing) {
  std::vector<std::string> known = {"max", "memory", "features", "idle_reclaim", "boot_timeout"};
  EXPECT_EQ(nearest_word("memmory", known), "memory");
  EXPECT_EQ(nearest_word("mem", known), "memory");
  EXPECT_EQ(nearest_word("idle-reclaim", known), "idle_reclaim");
  EXPECT_EQ(nearest_word("Max", known), "max");
  EXPECT_EQ(nearest_word("mx", known), "max");
  EXPECT_EQ(nearest_word("zebra", known), "");
  EXPECT_EQ(nearest_word("", known), "");
  EXPECT_EQ(nearest_word(std::string(100'000, 'm'), known), "");
  EXPECT_EQ(did_you_mean("memmory", known), "; did you mean 'memory'?");
  EXPECT_EQ(did_you_mean("zebra", known), "");
}

TEST(Enumerate, ReadsLikeASentence) {
  std::vector<std::string> words = {"a", "b", "c"};
  EXPECT_EQ(enumerate(words), "a, b and c");
  EXPECT_EQ(enumerate(std::vector<std::string>{"a"}), "a");
  EXPECT_EQ(enumerate(words, 1), "a and 2 more");
}

}  // namespace
}  // namespace slipway::config
