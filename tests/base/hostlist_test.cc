#include "base/hostlist.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>

namespace slipway {
namespace {

using Names = std::vector<std::string>;

Names expand(std::string_view text) {
  auto names = expand_hostlist(text);
  EXPECT_TRUE(names) << text << ": " << names.error().message;
  return names.value_or(Names{});
}

TEST(Hostlist, ExpandsWhatSlurmPrints) {
  EXPECT_EQ(expand(""), Names{});
  EXPECT_EQ(expand("gpu-1"), Names{"gpu-1"});
  EXPECT_EQ(expand("cpu-[0001-0003,0007],gpu-1"), (Names{"cpu-0001", "cpu-0002", "cpu-0003", "cpu-0007", "gpu-1"}));
  EXPECT_EQ(expand("n[08-10]"), (Names{"n08", "n09", "n10"}));
  EXPECT_EQ(expand("n[8-10]"), (Names{"n8", "n9", "n10"}));
  EXPECT_EQ(expand("n[008-10]"), (Names{"n008", "n009", "n010"}));
  EXPECT_EQ(expand("n[9998-10001]"), (Names{"n9998", "n9999", "n10000", "n10001"}));
  EXPECT_EQ(expand("n[5,3,3]"), (Names{"n5", "n3", "n3"}));
  EXPECT_EQ(expand("198.18.0.[5-7]"), (Names{"198.18.0.5", "198.18.0.6", "198.18.0.7"}));
  EXPECT_EQ(expand("[1-2]"), (Names{"1", "2"}));
}

TEST(Hostlist, ExpandsSeveralBracketsAndSuffixes) {
  EXPECT_EQ(expand("rack[01-02]n[1-2]"), (Names{"rack01n1", "rack01n2", "rack02n1", "rack02n2"}));
  EXPECT_EQ(expand("a[1-2]-ib,b"), (Names{"a1-ib", "a2-ib", "b"}));
  EXPECT_EQ(expand("x[1-2][3-4]y"), (Names{"x13y", "x14y", "x23y", "x24y"}));
}

TEST(Hostlist, RefusesWhatIsMalformed) {
  for (const char* text : {"a[",      "a]",
                           "a[1",     "a1]",
                           "a[[1]]",  "a[1]]",
                           "a[]",     "a[1,]",
                           "a[,1]",   "a[1-]",
                           "a[-1]",   "a[2-1]",
                           "a[x]",    "a[1-2-3]",
                           "a[0x1]",  "a[+1]",
                           ",",       "a,",
                           ",a",      "a,,b",
                           "a b",     "a\n",
                           "a[1 -2]", "][",
                           "a[1],b]", "a[1234567890123456789]"}) {
    const auto names = expand_hostlist(text);
    ASSERT_FALSE(names) << text;
    EXPECT_EQ(names.error().code, ErrorCode::bad_config) << text;
  }
  EXPECT_FALSE(expand_hostlist(std::string_view("a\0b", 3)));
}

TEST(Hostlist, BoundsWhatItMakes) {
  EXPECT_EQ(expand_hostlist("a[1-10]", 10)->size(), 10u);
  EXPECT_FALSE(expand_hostlist("a[1-11]", 10));
  EXPECT_FALSE(expand_hostlist("a[1-5],b[1-6]", 10));
  EXPECT_FALSE(expand_hostlist("a[1-4]b[1-4]", 10));
  EXPECT_FALSE(expand_hostlist("a[0-999999999999999999]"));
  EXPECT_FALSE(expand_hostlist("a[1-1000]b[1-1000]c[1-1000]d[1-1000]e[1-1000]f[1-1000]g[1-1000]"));
  EXPECT_FALSE(expand_hostlist(std::string(300, 'a')));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) {
    deep += "[1]";
  }
  EXPECT_FALSE(expand_hostlist(deep));
}

TEST(Hostlist, Compresses) {
  EXPECT_EQ(compress_hostlist({}), "");
  EXPECT_EQ(compress_hostlist(Names{"cpu-0001"}), "cpu-0001");
  EXPECT_EQ(compress_hostlist(Names{"cpu-0003", "cpu-0001", "gpu-1", "cpu-0002", "cpu-0007", "cpu-0001"}),
            "cpu-[0001-0003,0007],gpu-1");
  EXPECT_EQ(compress_hostlist(Names{"n9", "n10", "n11"}), "n[9-11]");
  EXPECT_EQ(compress_hostlist(Names{"n09", "n10", "n11"}), "n[09-11]");
  EXPECT_EQ(compress_hostlist(Names{"n9999", "n10000", "n0001"}), "n[0001,9999-10000]");
  EXPECT_EQ(compress_hostlist(Names{"n1", "n01", "n2", "n02"}), "n[1-2,01-02]");
  EXPECT_EQ(compress_hostlist(Names{"abc", "abc1", "abc2", "abc"}), "abc,abc[1-2]");
  EXPECT_EQ(compress_hostlist(Names{"b2", "a1", "b1", "a2"}), "b[1-2],a[1-2]");
  EXPECT_EQ(compress_hostlist(Names{"n1-ib", "n2-ib"}), "n1-ib,n2-ib");
  EXPECT_EQ(compress_hostlist(Names{"", "x", ""}), "x");
}

TEST(Hostlist, CompressesInOrder) {
  EXPECT_EQ(compress_hostlist_ordered({}), "");
  EXPECT_EQ(compress_hostlist_ordered(Names{"n1", "n2", "n3"}), "n[1-3]");
  EXPECT_EQ(compress_hostlist_ordered(Names{"n3", "n2", "n1"}), "n3,n2,n1");
  EXPECT_EQ(compress_hostlist_ordered(Names{"n1", "n1", "n2"}), "n1,n[1-2]");
  EXPECT_EQ(compress_hostlist_ordered(Names{"n08", "n09", "n10", "m11"}), "n[08-10],m11");
  EXPECT_EQ(compress_hostlist_ordered(Names{"n9", "n10", "n011"}), "n[9-10],n011");
  EXPECT_EQ(compress_hostlist_ordered(Names{"a", "a", "b"}), "a,a,b");
  EXPECT_EQ(compress_hostlist_ordered(Names{"198.18.0.254", "198.18.0.255", "198.18.1.0"}),
            "198.18.0.[254-255],198.18.1.0");
}

Names random_names(std::mt19937& random) {
  static const char* const prefixes[] = {"cpu-", "gpu-", "n", "rack1n", "x9y", "", "a-0", "198.18.0."};
  Names names;
  const size_t count = random() % 60;
  for (size_t i = 0; i < count; ++i) {
    std::string name = prefixes[random() % std::size(prefixes)];
    if (const auto kind = random() % 8; kind > 0) {
      const std::string number = std::to_string(random() % (kind == 1 ? 2'000'000'000u : 120u));
      const size_t width = random() % 5;
      name += std::string(width > number.size() ? width - number.size() : 0, '0') + number;
      if (kind == 2) {
        name += "-ib";
      }
    }
    if (!name.empty()) {
      names.push_back(name);
    }
  }
  return names;
}

TEST(Hostlist, RoundTripsAsASetAndInOrder) {
  std::mt19937 random(20260301);
  for (int round = 0; round < 3000; ++round) {
    const Names names = random_names(random);
    const Names back = expand(compress_hostlist(names));
    EXPECT_EQ(std::set(back.begin(), back.end()), std::set(names.begin(), names.end()));
    EXPECT_EQ(std::set(back.begin(), back.end()).size(), back.size()) << compress_hostlist(names);
    EXPECT_EQ(expand(compress_hostlist_ordered(names)), names) << compress_hostlist_ordered(names);
  }
}

TEST(Hostlist, AHundredThousandNamesTakeMilliseconds) {
  Names names = expand("cpu-[000001-050000],gpu-[000001-050000]");
  std::mt19937 random(1);
  std::shuffle(names.begin(), names.end(), random);
  const auto start = std::chrono::steady_clock::now();
  const std::string text = compress_hostlist(names);
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(text.size(), std::string("cpu-[000001-050000],gpu-[000001-050000]").size());
  // Generous for unoptimized and sanitized builds on a busy machine: what must not happen is quadratic work, which
  // takes minutes.
  EXPECT_LT(took, std::chrono::seconds(2));
}

}  // namespace
}  // namespace slipway
