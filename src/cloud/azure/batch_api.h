// The calls of Batch's service API that Slipway makes, for one account. Blocking; thread-safe as Rest is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cloud/azure/batch_model.h"
#include "cloud/azure/rest.h"

namespace slipway::cloud::azure {

class BatchApi {
 public:
  // `url`: "https://<account>.<region>.batch.azure.com"
  BatchApi(std::string url, std::shared_ptr<Rest> rest) : url_(std::move(url)), rest_(std::move(rest)) {}

  // Every page; whole or an error.
  Result<std::vector<BatchPoolView>> pools(Duration timeout);
  // `failed`: only those whose start task failed, with what it said.
  Result<std::vector<BatchNodeView>> nodes(const std::string& pool, bool failed, Duration timeout);
  Result<std::vector<BatchImage>> images(Duration timeout);

  // What changes a pool. A conflict is no error: the pool isn't what it was at the last look (its ETag isn't `etag` any
  // more, it resizes, it exists already, it or a node is gone), and must be looked at again.
  enum class Taken : uint8_t { yes, conflict };
  Result<Taken> create(const std::string& body, Duration timeout);
  Result<Taken> patch(const std::string& pool, const std::string& etag, const std::string& body, Duration timeout);
  Result<Taken> remove_pool(const std::string& pool, const std::string& etag, Duration timeout);
  Result<Taken> resize(const std::string& pool, const std::string& etag, const std::string& body, Duration timeout);
  Result<Taken> stop_resize(const std::string& pool, Duration timeout);
  Result<Taken> remove_nodes(const std::string& pool, const std::string& etag, const std::string& body,
                             Duration timeout);

  const std::string& url() const { return url_; }

 private:
  template <class Item>
  Result<std::vector<Item>> list(std::string path, Result<BatchPage<Item>> (*parse)(std::string_view),
                                 Duration timeout);
  Result<Taken> change(const char* method, const std::string& path, const std::string& etag, const std::string& body,
                       Duration timeout);

  const std::string url_;
  const std::shared_ptr<Rest> rest_;
};

// The same for an answer of ARM, where pools with an identity are made.
Result<BatchApi::Taken> taken_or_not(const Result<http::Response>& response);

}  // namespace slipway::cloud::azure
