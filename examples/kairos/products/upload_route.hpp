// The upload route: file-process → product-manager → products, for any transport. Thread rule: any thread; an Upload belongs to one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <setget/gateway.hpp>

#include "file_process/file_process.hpp"
#include "products/products.hpp"

namespace kairos {

// What became of an upload.
struct UploadReport {
  std::uint64_t items = 0;
  std::uint64_t accepted = 0;
  std::vector<std::string> refused;     // one sentence each, at most 100
  std::uint64_t refused_count = 0;      // all of them
  std::vector<setget::Receipt> last;    // receipts of the last batch, in order: when these are finished, so are those before
  std::vector<std::string> first_keys;  // first key of each accepted product, at most 1000
};

// One upload as it streams in. Products go to the store in batches of 100, so that memory does not grow with the upload; set() waits when
// the queue is full, and with it the sender.
class Upload {
 public:
  static setget::Result<std::unique_ptr<Upload>> create(std::string_view content_type, const ProductManager& manager, Products& products);

  setget::Result<void> feed(std::string_view bytes);
  setget::Result<UploadReport> finish();

 private:
  Upload(const ProductManager& manager, Products& products) : manager_(manager), products_(products) {}
  setget::Result<void> take(Item&& item);
  setget::Result<void> send();
  void refuse(std::string why);

  const ProductManager& manager_;
  Products& products_;
  std::unique_ptr<FileProcess> files_;
  std::vector<Product> batch_;
  UploadReport report_;
};

// POST /uploads with a multipart body: 200 with {"items","accepted","refused":[…]}, or a problem+json. A function from request to response,
// as setget's own gateway is: a host mounts it where it likes.
setget::GatewayResponse handle_upload(const setget::GatewayRequest& request, const ProductManager& manager, Products& products) noexcept;

}  // namespace kairos
