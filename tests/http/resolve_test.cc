#include "http/resolve.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <system_error>
#include <thread>

namespace slipway::http {
namespace {

TEST(Resolve, a_process_that_has_no_threads_left_fails_for_now) {
  pthread_attr_t before;
  pthread_attr_t huge;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_attr_init(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, size_t{1} << 50), 0);
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  EXPECT_THROW(std::thread([] {}), std::system_error);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  for (int i = 0; i < 100; ++i) {  // more than may wait at a time: none of them is left waiting
    const auto found = resolve("host.invalid", 80, deadline);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::transient);
    EXPECT_NE(found.error().message.find("no thread"), std::string::npos) << found.error().message;
  }
  ASSERT_EQ(pthread_setattr_default_np(&before), 0);
}

}  // namespace
}  // namespace slipway::http
