#include "products/products.hpp"

namespace kairos {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

Result<std::vector<Result<setget::Receipt>>> Products::store(const std::vector<Product>& products) {
  std::vector<setget::SetRequest> requests;
  requests.reserve(products.size());
  for (const Product& product : products) {
    setget::SetRequest request;
    request.id = product.id;
    request.keys = setget::KeyList(std::span<const std::string>(product.keys));
    request.account = options_.account;
    request.flow = options_.flow;
    request.payload = product.document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    requests.push_back(std::move(request));
  }
  return pipeline_.set(std::move(requests));
}

Result<std::optional<nlohmann::ordered_json>> Products::find(const std::string& key) {
  auto found = pipeline_.get(key);
  if (!found) return std::move(found).error();
  if (!*found) return std::optional<nlohmann::ordered_json>();
  auto document = nlohmann::ordered_json::parse((*found)->payload.view(), nullptr, false);
  if (document.is_discarded()) return Error(ErrorCode::kCorrupted, "the product under " + key + " is not JSON");
  return std::optional<nlohmann::ordered_json>(std::move(document));
}

}  // namespace kairos
