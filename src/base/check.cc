#include "base/check.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace slipway {

void check_failed(const char* condition, const char* file, int line) {
  // Nothing is allocated on the way: the heap may be what is broken.
  char text[512];
  int length = std::snprintf(text, sizeof text, "slipway: bug: check failed: %s (%s:%d)\n", condition, file, line);
  if (length >= static_cast<int>(sizeof text)) {
    length = sizeof text - 1;
  }
  if (length > 0 && write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) {
    // There is nobody left to tell.
  }
  std::abort();
}

}  // namespace slipway
