#include "http/url.h"

#include <gtest/gtest.h>

namespace slipway::http {
namespace {

TEST(Url, parts) {
  const auto url = parse_url("HTTPS://Batch1.WestEurope.batch.azure.com/pools?api-version=1&$filter=id%20eq%20'a'#top");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "batch1.westeurope.batch.azure.com");
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->target, "/pools?api-version=1&$filter=id%20eq%20'a'");
}

TEST(Url, defaults_and_addresses) {
  EXPECT_EQ(parse_url("http://a")->target, "/");
  EXPECT_EQ(parse_url("http://a")->port, 80);
  EXPECT_EQ(parse_url("http://a?x=1")->target, "/?x=1");
  EXPECT_EQ(parse_url("http://169.254.169.254:8080/x")->port, 8080);
  EXPECT_EQ(parse_url("http://[::1]:8080/x")->host, "::1");
  EXPECT_EQ(parse_url("http://[FE80::1]/")->port, 80);
  EXPECT_EQ(parse_url("http://a/next?$skiptoken=a|b{c}")->target, "/next?$skiptoken=a%7Cb%7Bc%7D");
}

TEST(Url, refuses) {
  for (const char* text : {"",
                           "a",
                           "//a/",
                           "ftp://a/",
                           "http:/a",
                           "http://",
                           "http:///x",
                           "http://a b/",
                           "http://a/b c",
                           "http://a/%zz",
                           "http://a/%2",
                           "http://a:0/",
                           "http://a:65536/",
                           "http://a:/",
                           "http://a:1x/",
                           "http://user@a/",
                           "http://[::1/",
                           "http://[::g]/",
                           "http://[::1]x/",
                           "http://-a/",
                           "http://a..b/",
                           "http://.a/",
                           "http://a/\r\nX: y",
                           "http://a/\x7f",
                           "http://a/\xc3\xa4",
                           "http://a\tb/"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, ErrorCode::bad_config);
  }
  EXPECT_FALSE(parse_url(std::string_view("http://a\0b/", 11)));
  EXPECT_FALSE(parse_url(std::string_view("http://[::1\0]/", 14)));
  EXPECT_FALSE(parse_url("http://" + std::string(254, 'a') + "/"));
  // What follows a question mark may be a signature or a token.
  EXPECT_EQ(parse_url("http://a b/?sig=secret").error().message.find("secret"), std::string::npos);
}

TEST(Url, encoding_both_ways) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(*decode(encode(all)), all);
  EXPECT_EQ(encode("aZ9-._~"), "aZ9-._~");
  EXPECT_EQ(encode("a b/c+d'$é"), "a%20b%2Fc%2Bd%27%24%C3%A9");
  EXPECT_EQ(*decode("a+b%2b"), "a+b+");
  EXPECT_EQ(*decode("a+b%2B", true), "a b+");
  for (const char* text : {"%", "%1", "%g1", "a%1"}) EXPECT_FALSE(decode(text)) << text;
}

TEST(Url, queries_keep_order_and_repetitions) {
  const Query query{{"b", "1 2"}, {"a", ""}, {"b", "&="}};
  EXPECT_EQ(encode_query(query), "b=1%202&a=&b=%26%3D");
  const auto target = parse_target("/p/a%2Fb%20c?" + encode_query(query) + "&flag&&x=1=2&y=a+b");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/p/a%2Fb c");
  EXPECT_EQ(target->query, (Query{{"b", "1 2"}, {"a", ""}, {"b", "&="}, {"flag", ""}, {"x", "1=2"}, {"y", "a b"}}));
}

TEST(Url, bad_targets) {
  for (const char* text : {"", "x", "*", "http://a/", "/%", "/?%4", "/a b", "/\n"}) {
    EXPECT_FALSE(parse_target(text)) << text;
  }
  EXPECT_EQ(parse_target("/?")->query.size(), 0u);
}

}  // namespace
}  // namespace slipway::http
