#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "base/check.h"

namespace slipway {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) {
    return fail(ErrorCode::bad_config, "odd");
  }
  return n / 2;
}

TEST(Result, CarriesAValueOrAnError) {
  EXPECT_EQ(half(4).value(), 2);
  const auto failed = half(3);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::bad_config);
  EXPECT_EQ(failed.error().message, "odd");
  EXPECT_FALSE(failed.error().retry_after);
}

TEST(Result, EveryCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::outcome_unknown); ++code) {
    names.insert(to_string(static_cast<ErrorCode>(code)));
  }
  EXPECT_EQ(names.size(), 9u);
  EXPECT_EQ(to_string(ErrorCode::no_capacity), "no_capacity");
  EXPECT_EQ(to_string(ErrorCode::outcome_unknown), "outcome_unknown");
}

TEST(Result, TurnsErrnoIntoWordsAndCodes) {
  errno = ENOENT;
  EXPECT_EQ(errno_message("open /x"), "open /x: No such file or directory");
  const auto code_of = [](int error) {
    errno = error;
    return fail_errno("do").value().code;
  };
  EXPECT_EQ(code_of(ENOENT), ErrorCode::not_found);
  EXPECT_EQ(code_of(EACCES), ErrorCode::denied);
  EXPECT_EQ(code_of(EPERM), ErrorCode::denied);
  EXPECT_EQ(code_of(ENOSPC), ErrorCode::no_capacity);
  EXPECT_EQ(code_of(EIO), ErrorCode::permanent);
}

TEST(CheckDeathTest, AbortsAndSaysWhere) {
  SLIPWAY_CHECK(1 + 1 == 2);
  EXPECT_DEATH(SLIPWAY_CHECK(1 + 1 == 3), "check failed: 1 \\+ 1 == 3 .*result_test");
}

}  // namespace
}  // namespace slipway
