// A kept token and its replacement.
#include <condition_variable>
#include <mutex>
#include <random>

#include "base/log.h"
#include "cloud/azure/credentials.h"

namespace slipway::cloud::azure {
namespace {

using Steady = std::chrono::steady_clock;

constexpr Duration ahead{600'000};  // a token is replaced so long before its end; a shorter-lived one at half its life
constexpr Duration jitter{60'000};  // daemons of one site don't ask at once
constexpr Duration margin{30'000};  // a token that ends sooner may end on its way

class Bearer final : public Authorizer {
 public:
  Bearer(std::shared_ptr<TokenSource> source, std::string resource, const Clock& clock)
      : source_(std::move(source)), resource_(std::move(resource)), clock_(clock), random_(std::random_device{}()) {}

  Result<void> authorize(http::Request& request, Duration timeout) override {
    auto token = get(timeout);
    if (!token) return fail(token.error());
    request.headers.emplace_back("Authorization", "Bearer " + *token);
    return {};
  }

  void refused() override {
    const std::lock_guard lock(mutex_);
    token_ = {};
  }

 private:
  bool is_valid() const { return !token_.text.empty() && clock_.now() + margin < token_.expires_at; }

  Result<std::string> get(Duration timeout) {
    const auto deadline = Steady::now() + timeout;
    std::unique_lock lock(mutex_);
    while (true) {
      const bool valid = is_valid();
      if (valid && (fetching_ || clock_.now() < replace_at_)) return token_.text;
      if (!fetching_) break;
      if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
        return fail(ErrorCode::transient, "no token for " + resource_ + " in time");
      }
    }
    fetching_ = true;
    lock.unlock();
    auto fetched = source_->fetch(resource_, std::chrono::duration_cast<Duration>(deadline - Steady::now()));
    lock.lock();
    fetching_ = false;
    changed_.notify_all();
    const TimePoint now = clock_.now();
    if (fetched) {
      token_ = std::move(*fetched);
      const Duration life = token_.expires_at - now;
      replace_at_ = life > 2 * ahead ? token_.expires_at - ahead - draw() : now + life / 2;
      return token_.text;
    }
    if (!is_valid()) return fail(fetched.error());
    replace_at_ = now + (token_.expires_at - now) / 2;
    log_warning(
        "token_not_renewed",
        {{"resource", resource_}, {"valid_for", to_short(token_.expires_at - now)}, {"why", fetched.error().message}});
    return token_.text;
  }

  Duration draw() { return Duration(std::uniform_int_distribution<int64_t>(0, jitter.count())(random_)); }

  const std::shared_ptr<TokenSource> source_;
  const std::string resource_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::mt19937 random_;  // all below: guarded by mutex_
  Token token_;
  TimePoint replace_at_{};
  bool fetching_ = false;
};

}  // namespace

std::shared_ptr<Authorizer> make_bearer(std::shared_ptr<TokenSource> source, std::string resource, const Clock& clock) {
  return std::make_shared<Bearer>(std::move(source), std::move(resource), clock);
}

}  // namespace slipway::cloud::azure
