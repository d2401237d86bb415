#include "agent/evidence.h"

#include "join/claim.h"

namespace slipway::agent {

namespace {
// A daemon that comes back is called by everybody at once, and the metadata service answers few questions a second.
constexpr Duration keep_for{240'000};
constexpr Duration ask_timeout{5'000};
}  // namespace

Evidence::Evidence(Loop& loop, const Clock& clock, Imds& imds, std::string identity)
    : loop_(loop), clock_(clock), imds_(imds), identity_(std::move(identity)), workers_(loop, 1) {}

Evidence::~Evidence() {
  loop_.cancel(later_);
}

void Evidence::get(std::function<void(Result<Document>)> got) {
  got_ = std::move(got);
  if (asking_) return;
  asking_ = true;
  if (kept_ && clock_.now() - kept_since_ < keep_for) {
    later_ = loop_.after(Duration(0), [this] { arrived(kept_->text); });
    return;
  }
  kept_.reset();
  workers_.run(
      [&imds = imds_, identity = identity_, now = clock_.now()] {
        return identity.empty() ? imds.attested_document(now, ask_timeout) : imds.identity_token(identity, ask_timeout);
      },
      [this](Result<std::string> text) { arrived(std::move(text)); });
}

void Evidence::arrived(Result<std::string> text) {
  asking_ = false;
  const auto got = std::exchange(got_, nullptr);
  if (text && !join::is_document(*text)) {
    text = fail(ErrorCode::permanent, "the metadata service's document of " + std::to_string(text->size()) +
                                          " bytes can't be sent to the daemon");
  }
  if (!text) return got(fail(text.error()));
  if (!kept_) {
    kept_ = Document{identity_.empty() ? "azure_attested" : "azure_token", std::move(*text)};
    kept_since_ = clock_.now();
  }
  got(*kept_);
}

}  // namespace slipway::agent
