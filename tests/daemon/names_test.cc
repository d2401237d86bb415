#include "daemon/names.h"

#include <gtest/gtest.h>

namespace slipway::daemon {
namespace {

const NameLookup lookup{
    [](std::string_view name) { return name == "cpu-0001" ? std::optional<std::string>("198.18.0.7") : std::nullopt; },
    [](std::string_view address) { return address == "198.18.0.7" ? std::optional<std::string>("cpu-0001") : std::nullopt; }};

std::string query(std::string_view encoded_name, uint16_t type) {
  std::string text("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  text += encoded_name;
  text += '\0';
  text += static_cast<char>(type >> 8);
  text += static_cast<char>(type);
  text += std::string("\0\1", 2);
  return text;
}
int code(const std::string& answer) { return answer[3] & 15; }
int answers(const std::string& answer) { return answer[7]; }

TEST(Names, TellsTheAddressOfANode) {
  const std::string answer = answer_query(query("\x08"
                                                "CPU-0001",
                                                1),
                                          lookup);
  ASSERT_GT(answer.size(), 16u);
  EXPECT_EQ(answer.substr(0, 2), "\x12\x34");
  EXPECT_EQ(answer[2] & 0x81, 0x81 & static_cast<char>(0x85));
  EXPECT_EQ(code(answer), 0);
  EXPECT_EQ(answers(answer), 1);
  EXPECT_EQ(answer.substr(answer.size() - 4), std::string("\xc6\x12\x00\x07", 4));
}

TEST(Names, TellsTheNameOfAnAddress) {
  const std::string answer = answer_query(query("\x01"
                                                "7\x01"
                                                "0\x02"
                                                "18\x03"
                                                "198\x07in-addr\x04"
                                                "arpa",
                                                12),
                                          lookup);
  EXPECT_EQ(answers(answer), 1);
  EXPECT_EQ(answer.substr(answer.size() - 10), std::string("\x08"
                                                           "cpu-0001\0",
                                                           10));
}

TEST(Names, OtherNamesDoNotExistAndOtherTypesAreEmpty) {
  EXPECT_EQ(code(answer_query(query("\x07"
                                    "example\x03"
                                    "com",
                                    1),
                              lookup)),
            3);
  const std::string six = answer_query(query("\x08"
                                             "cpu-0001",
                                             28),
                                       lookup);
  EXPECT_EQ(code(six), 0);
  EXPECT_EQ(answers(six), 0);
}

TEST(Names, NonsenseIsRefusedOrIgnored) {
  EXPECT_EQ(answer_query("", lookup), "");
  EXPECT_EQ(answer_query("short", lookup), "");
  std::string response = query("\x08"
                               "cpu-0001",
                               1);
  response[2] = static_cast<char>(0x80);
  EXPECT_EQ(answer_query(response, lookup), "") << "an answer is never answered";
  EXPECT_EQ(code(answer_query(query("\x3f"
                                    "cut",
                                    1)
                                  .substr(0, 15),
                              lookup)),
            1);
  EXPECT_EQ(code(answer_query(query("\xc0\x0c", 1), lookup)), 1) << "a pointer has no place in a question";
  std::string update = query("\x08"
                             "cpu-0001",
                             1);
  update[2] = 0x28;
  EXPECT_EQ(code(answer_query(update, lookup)), 4);
}

}  // namespace
}  // namespace slipway::daemon
