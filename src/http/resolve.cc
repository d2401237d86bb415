#include "http/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <nss.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace slipway::http {

namespace {

// A look-up can't be called off; one that nobody waits for any more ends by the resolver's own time limit.
constexpr int lookups_max = 64;
std::atomic<int> lookups = 0;

struct Lookup {
  std::string host;
  uint16_t port = 0;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;  // this and the rest: guarded by mutex
  int error = 0;
  std::vector<Address> addresses;
};

void look_up(Lookup& lookup) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  int error = getaddrinfo(lookup.host.c_str(), std::to_string(lookup.port).c_str(), &hints, &found);
  std::vector<Address> addresses;
  for (const addrinfo* each = found; error == 0 && each != nullptr; each = each->ai_next) {
    Address address;
    address.length = each->ai_addrlen;
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    addresses.push_back(address);
  }
  if (found != nullptr) freeaddrinfo(found);
  const std::lock_guard lock(lookup.mutex);
  lookup.error = error;
  lookup.addresses = std::move(addresses);
  lookup.done = true;
  lookup.changed.notify_all();
}

bool read_address(const std::string& host, uint16_t port, Address& address) {
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.length = sizeof v4;
    return true;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.length = sizeof v6;
    return true;
  }
  return false;
}

}  // namespace

Result<std::vector<Address>> resolve(const std::string& host, uint16_t port,
                                     std::chrono::steady_clock::time_point deadline) {
  Address address;
  if (read_address(host, port, address)) return std::vector<Address>{address};

  static const int once = __nss_configure_lookup("hosts", "files dns");
  static_cast<void>(once);
  if (lookups.fetch_add(1) >= lookups_max) {
    --lookups;
    return fail(ErrorCode::transient, "can't look up " + host + ": too many look-ups wait for an answer");
  }
  const auto lookup = std::make_shared<Lookup>();
  lookup->host = host;
  lookup->port = port;
  // Signals are for the thread that runs the loop.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    std::thread([lookup] {
      look_up(*lookup);
      --lookups;
    }).detach();
  } catch (const std::system_error&) {
    started = false;
    --lookups;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!started) return fail(ErrorCode::transient, "can't look up " + host + ": no thread can be started");

  std::unique_lock lock(lookup->mutex);
  if (!lookup->changed.wait_until(lock, deadline, [&] { return lookup->done; })) {
    return fail(ErrorCode::transient, "can't look up " + host + ": no answer in time");
  }
  if (lookup->error != 0) {
    return fail(ErrorCode::transient, "can't look up " + host + ": " + gai_strerror(lookup->error));
  }
  return std::move(lookup->addresses);
}

}  // namespace slipway::http
