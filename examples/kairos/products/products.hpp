// products: stores products through setget and reads them back by webhook key. Thread rule: any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <setget/pipeline.hpp>

#include "product_manager/product_manager.hpp"

namespace kairos {

struct ProductsOptions {
  std::string account = "kairos";
  std::string flow = "products";
};

class Products {
 public:
  // `pipeline` outlives this object.
  explicit Products(setget::Pipeline& pipeline, ProductsOptions options = {}) : pipeline_(pipeline), options_(std::move(options)) {}

  // Durable once it returns; readable a moment later (Pipeline::wait tells when). One result per product, in order.
  setget::Result<std::vector<setget::Result<setget::Receipt>>> store(const std::vector<Product>& products);
  // Empty if there is none under this key.
  setget::Result<std::optional<nlohmann::ordered_json>> find(const std::string& key);

 private:
  setget::Pipeline& pipeline_;
  ProductsOptions options_;
};

}  // namespace kairos
