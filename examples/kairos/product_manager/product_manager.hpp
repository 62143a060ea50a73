// product-manager: turns an item of whatever shape a supplier uploads into a product, and decides by which webhook keys it is to be found.
// Pure. Thread rule: any thread.
#pragma once

#include <string>
#include <vector>

#include "file_process/item.hpp"

namespace kairos {

struct Product {
  std::string id;                 // "product/SKU": an upload of the same product replaces it
  std::vector<std::string> keys;  // "sku/…", and where known "ean/…" and "supplier/NAME/THEIR NUMBER"
  nlohmann::ordered_json document;
};

struct ProductManagerOptions {
  std::string default_currency = "EUR";
};

class ProductManager {
 public:
  explicit ProductManager(ProductManagerOptions options = {}) : options_(std::move(options)) {}
  // Needs `sku`. Adds `price_cents` and `currency` where there is a `price`, and `source` (file and row). kInvalidArgument names file, row
  // and field.
  setget::Result<Product> enrich(Item item) const;

 private:
  ProductManagerOptions options_;
};

}  // namespace kairos
